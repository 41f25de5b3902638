"""Text of which only what changed is drawn again."""

from __future__ import annotations

import random

from textual.app import App
from textual.geometry import Region

from themis_tui.text import line, lines
from themis_tui.widgets.steady import Steady, _changed, _drawn


def changed(old, new):
    return _changed(_drawn(line(*old)), _drawn(line(*new)), 0)


def test_nothing_is_drawn_where_it_reads_the_same():
    assert changed(["done ", ("12", "bold")], ["done ", ("12", "bold")]) is None


def test_only_the_cells_that_differ_are_drawn():
    assert changed(["done 12 of 40"], ["done 13 of 40"]) == Region(6, 0, 1, 1)
    assert changed(["done 12"], ["done 123"]) == Region(7, 0, 1, 1)
    assert changed(["done 123"], ["done 12"]) == Region(7, 0, 1, 1)
    assert changed([("a", "bold"), "b"], [("a", "italic"), "b"]) == Region(0, 0, 1, 1)


def test_wide_characters_redraw_the_rest_of_their_line():
    region = changed(["日本 1"], ["日 本1"])
    assert region is not None
    assert region.x == 2
    assert region.right >= 6


class Shown(App[None]):
    def compose(self):
        yield Steady()


async def test_what_is_drawn_is_always_the_last_text():
    chance = random.Random(7)
    async with Shown().run_test(size=(30, 6)) as pilot:
        steady = pilot.app.query_one(Steady)
        for _ in range(60):
            said = [
                "".join(chance.choice("ab 日é") for _ in range(chance.randint(0, 12)))
                for _ in range(chance.choice((1, 3, 3, 3)))
            ]
            steady.draw(lines(line((each, chance.choice(("bold", "italic")))) for each in said))
            await pilot.pause()
            shown = [strip.text.rstrip() for strip in pilot.app.screen._compositor.render_strips()]
            assert shown[: len(said)] == [each.rstrip() for each in said]
