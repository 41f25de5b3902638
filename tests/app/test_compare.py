"""Runs compared on the screen, by keys alone."""

from __future__ import annotations

import json
import threading

import pytest

from tests.compare.stored import save_run
from themis.backends import open_storage
from themis.compare import entry
from themis.compare import reading as reading_of
from themis.core.errors import MissingExtra
from themis_tui import main
from themis_tui.screens.compare import CONFIG, ERRORS, FIGURES, FLIPS, PAIRS, TAGS, CompareScreen
from themis_tui.screens.compare_menus import BaselineMenu, ExportMenu, OtherMenu
from themis_tui.screens.comparing import Request, Wanted, command, places
from themis_tui.screens.flip import FlipScreen
from themis_tui.screens.run import RunScreen
from themis_tui.screens.runs import RunsScreen

COUNT = 60
TAGS_OF = [["easy"] if number % 3 else ["hard", "maths"] for number in range(COUNT)]


def scores(right: int) -> list[int]:
    return [int(number % 10 < right) for number in range(COUNT)]


@pytest.fixture
def stored() -> None:
    """Four runs of the same samples, from the worst and oldest on; the last of another benchmark."""
    store = open_storage("local")
    for number, (run_id, right) in enumerate((("plain", 2), ("cot-1", 7), ("cot-2", 8), ("other", 5))):
        save_run(
            store,
            run_id,
            {"ExactMatch": scores(right), "Includes": scores(min(10, right + 1))},
            tags=TAGS_OF,
            errors=[0, 1] if run_id == "cot-1" else (),
            asked={
                "benchmark": "other" if run_id == "other" else "demo",
                "prompt": {"template": f"{{question}} way {number}", "hash": str(number)},
            },
            created_at=100.0 + number,
            message="server 7 said 'no' to request 1234",
        )


async def listed(pilot, until, *marked):
    screen = pilot.app.screen
    await until(pilot, lambda: len(screen.table.rows.all) >= 4 and screen._listed.settled)
    for run_id in marked:
        assert screen.table.go_to_key(f"local:{run_id}")
        await pilot.press("space")


async def compared(pilot, until, *marked):
    await listed(pilot, until, *marked)
    await pilot.press("c")
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen.made)
    screen = pilot.app.screen
    await until(pilot, lambda: screen.flipped is not None and not screen._choosing)
    return screen


def said(read, pilot) -> str:
    return " ".join(read(pilot).split())


async def test_two_runs_at_80_by_24_by_keys_alone(stored, opened, until, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with opened() as pilot:
        screen = await compared(pilot, until, "plain", "cot-2")
        await until(pilot, lambda: screen.table.rows.shown)
        rows = read(pilot).split("\n")
        assert "cot-2 against plain (baseline)" in " ".join(rows[0].split())
        text = said(read, pilot)
        assert text.index("verdict better: +60.0 points on ExactMatch") < text.index("differs prompt")
        assert text.index("differs prompt") < text.index("METRIC BASE CAND")
        (metric,) = [row for row in rows if row.strip().startswith("ExactMatch")]
        assert "├" in metric
        assert "┼" in metric
        assert "60 pairs; 0 unmatched; errors left out" in text
        assert "can show" in text
        assert "changed 36 · fixed 36 · broken 0 · both right 12 · both wrong 12 · all 60" in text
        assert screen.table.row == 2
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, FlipScreen) and pilot.app.screen._shown)
        text = said(read, pilot)
        assert "s003 2 of 36" in text
        assert "✓ fixed ExactMatch 0 → 1" in text
        assert "plain (baseline)" in text
        assert "answer 3" in text
        await pilot.press("j")
        await until(pilot, lambda: "s004 3 of 36" in said(read, pilot))
        await pilot.press("k", "k", "k")
        await until(pilot, lambda: "This is the first sample." in said(read, pilot))
        await pilot.press("escape", "E")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExportMenu))
        await pilot.press("j", "j", "j", "enter")
        await until(pilot, lambda: "Written to" in said(read, pilot), within_s=60)
        (path,) = tmp_path.glob("*.json")
        assert path.name == "compare-plain-cot-2.json"
        assert json.loads(path.read_text())["verdict"] == screen.comparison.verdict
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_what_is_shown_of_the_samples(stored, opened, until, read):
    async with opened() as pilot:
        screen = await compared(pilot, until, "plain", "cot-2")
        for count in (36, 0, 12, 12, 60, 36):
            await pilot.press("f")
            await until(pilot, lambda: not screen._choosing)
            await until(pilot, lambda count=count: len(screen.table.rows.shown) == count)
            if not count:
                await until(pilot, lambda: "No sample is broken." in said(read, pilot))
        await pilot.press("slash", *"s01 easy", "enter")
        await until(pilot, lambda: 0 < len(screen.table.rows.shown) < 10)
        await pilot.press("escape")
        await until(pilot, lambda: len(screen.table.rows.shown) == 36)
        await pilot.press("m")
        await until(pilot, lambda: "by Includes" in said(read, pilot) and screen.flipped is not None)
        assert "verdict better: +60.0 points on Includes" in said(read, pilot)


async def test_every_page_and_the_samples_of_a_tag(stored, opened, until, read):
    async with opened() as pilot:
        screen = await compared(pilot, until, "plain", "cot-1")
        await pilot.press("2")
        await until(pilot, lambda: screen.page == TAGS and "maths" in said(read, pilot))
        await pilot.press("j", "enter")
        await until(pilot, lambda: screen.page == FLIPS and "tagged hard" in said(read, pilot))
        await until(pilot, lambda: 0 < len(screen.table.rows.shown) < 28)
        await pilot.press("3")
        await until(pilot, lambda: screen.page == FIGURES and "as it counts" in said(read, pilot))
        assert "errors as zero" in screen.page_reader.plain_text
        assert "p adjusted for 2 tests (Holm)" in " ".join(screen.page_reader.plain_text.split())
        await pilot.press("4")
        await until(pilot, lambda: screen.page == CONFIG and "asked.prompt.template" in read(pilot))
        assert "{question} way 1" in read(pilot)
        await pilot.press("5")
        await until(pilot, lambda: screen.page == ERRORS and "server # said '…'" in read(pilot))
        assert "plain 0 · cot-1 2" in said(read, pilot)
        await pilot.press("escape")
        assert screen.page == FLIPS
        await pilot.press("escape")
        await until(pilot, lambda: len(screen.table.rows.shown) > 20)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_errors_count_as_zero_or_are_left_out(stored, opened, until, read):
    async with opened() as pilot:
        screen = await compared(pilot, until, "plain", "cot-1")
        assert screen.comparison.errors == "left out"
        columns = screen.comparison.columns
        assert "errors as zero: 0." in said(read, pilot), "the other treatment stands below"
        await pilot.press("o")
        await until(pilot, lambda: screen.comparison.errors == "zero")
        await until(pilot, lambda: "unmatched; errors as zero" in said(read, pilot))
        assert screen.comparison.columns == columns, "the runs are not read again for it"
        assert screen.word_treat() == "errors left out"
        await pilot.press("Y")
        await until(pilot, lambda: "--errors=zero" in said(read, pilot))
        assert command(screen.made) == "themis compare local:plain local:cot-1 --errors=zero"


async def test_many_runs_against_a_baseline_and_each_with_each(stored, opened, until, read):
    async with opened(size=(100, 30)) as pilot:
        screen = await compared(pilot, until, "plain", "cot-1", "cot-2")
        assert screen.page == PAIRS
        text = said(read, pilot)
        assert "verdict 2 pairs: 2 better: cot-1 better than plain; cot-2 better than plain" in text
        assert "compare 3 runs against plain (baseline)" in text
        assert [row.candidate for row in screen.pairs_table.rows.shown] == ["cot-1", "cot-2"]
        await pilot.press("j", "enter")
        await until(pilot, lambda: screen.page == FLIPS and "cot-2 against plain" in said(read, pilot))
        await until(pilot, lambda: screen.table.rows.shown)
        await pilot.press("[")
        await until(pilot, lambda: "cot-1 against plain" in said(read, pilot))
        await pilot.press("escape")
        assert screen.page == PAIRS
        await pilot.press("b")
        await until(pilot, lambda: isinstance(pilot.app.screen, BaselineMenu))
        await pilot.press("j", "enter")
        await until(pilot, lambda: screen.comparison.baseline == "local:cot-1")
        assert [row.candidate for row in screen.pairs_table.rows.shown] == ["plain", "cot-2"]
        await pilot.press("p")
        await until(pilot, lambda: len(screen.pairs_table.rows.shown) == 3)
        assert "each with each" in said(read, pilot)
        await pilot.press("b")
        await until(pilot, lambda: "p compares all with one baseline" in said(read, pilot))
        assert command(screen.made).endswith("--all-pairs")


async def test_one_run_offers_the_newest_of_its_benchmark_first(stored, opened, until, read):
    async with opened() as pilot:
        await listed(pilot, until)
        pilot.app.screen.table.go_to_key("local:plain")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, OtherMenu))
        assert [row.run_id for row in pilot.app.screen.values] == ["cot-2", "cot-1", "other"]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen.made)
        assert pilot.app.screen.comparison.baseline == "local:plain", "the older one"


async def test_versions_that_differ_block_until_it_is_forced(opened, until, read):
    store = open_storage("local")
    for run_id, version in (("old", "1"), ("new", "2"), ("third", "2"), ("fourth", "2")):
        save_run(store, run_id, scores(4), versions={"ExactMatch": version}, created_at=float(version))
    async with opened() as pilot:
        screen = await compared(pilot, until, "old", "new")
        text = said(read, pilot)
        assert "verdict not comparable" in text
        assert "blocked ExactMatch: version of ExactMatch differs. F compares all the same" in text
        await pilot.press("F")
        await until(pilot, lambda: screen.comparison.forced)
        assert "FORCED over different versions: version of ExactMatch" in said(read, pilot)
        assert "not comparable" not in said(read, pilot)


async def test_side_by_side_where_there_is_room(stored, opened, until, read):
    async with opened(size=(120, 30)) as pilot:
        await compared(pilot, until, "plain", "cot-1")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, FlipScreen) and pilot.app.screen._shown)
        await pilot.pause()
        (row,) = [row for row in read(pilot).split("\n") if "plain (baseline)" in row]
        assert "cot-1" in row
        screen = pilot.app.screen
        await pilot.press("tab")
        assert screen.right.has_focus
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: screen.left.has_focus)
        assert screen.right.size.width == 0


async def test_beside_the_list_in_a_broad_terminal(stored, opened, until, read):
    async with opened(size=(150, 40)) as pilot:
        await compared(pilot, until, "plain", "cot-2")
        await until(pilot, lambda: "answer 2" in read(pilot))
        await pilot.press("j")
        await until(pilot, lambda: "answer 3" in read(pilot))


async def test_what_is_missing_is_said_with_the_command(stored, opened, until, read, monkeypatch):
    def missing(module: str):
        raise MissingExtra("Comparing runs needs scipy. Install it: pip install 'themis-tui[compare]'")

    monkeypatch.setattr("themis.compare.pairing.needed", missing)
    async with opened() as pilot:
        await listed(pilot, until, "plain", "cot-2")
        await pilot.press("c")
        await until(pilot, lambda: "pip install 'themis-tui[compare]'" in said(read, pilot))
        monkeypatch.undo()
        await pilot.press("r")
        await until(pilot, lambda: pilot.app.screen.made is not None)


async def test_it_can_be_left_at_once_while_runs_are_read(stored, opened, until, read, monkeypatch):
    reading, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    real = reading_of.read_columns

    def slow(records):
        reading.set()
        go_on.wait(20)
        try:
            return real(records)
        finally:
            ended.set()

    monkeypatch.setattr(reading_of, "read_columns", slow)
    async with opened() as pilot:
        await listed(pilot, until, "plain", "cot-2")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and reading.is_set())
        await pilot.press("f", "m", "E", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen), within_s=2)
        go_on.set()
        await until(pilot, lambda: ended.is_set() and all(each.is_finished for each in pilot.app.workers))
        assert pilot.app.is_running


async def test_how_far_it_is_is_told(stored, opened, until, read, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr("themis_tui.screens.compare.MOVED_EVERY_S", 0.0)
    real = entry.paired

    def slow(*columns):
        go_on.wait(20)
        return real(*columns)

    monkeypatch.setattr(entry, "paired", slow)
    async with opened() as pilot:
        await listed(pilot, until, "plain", "cot-2")
        await pilot.press("c")
        await until(pilot, lambda: "reading local:cot-2 60" in said(read, pilot))
        assert "esc leaves at once." in said(read, pilot)
        go_on.set()
        await until(pilot, lambda: pilot.app.screen.made is not None)


async def test_the_command_opens_it(stored, opened, until, read, capsys):
    asked = main.parsed(["compare", "plain", "local:cot-2"])
    app = main._app(asked)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.made is not None)
        assert app.screen.request.runs == (Wanted(None, "plain"), Wanted("local", "cot-2"))
        assert app.screen.made.addresses == ["local:plain", "local:cot-2"]
    with pytest.raises(SystemExit):
        main.parsed(["compare", "plain"])
    assert "two runs or more" in capsys.readouterr().err


async def test_a_run_that_is_not_there_is_said(stored, opened, until, read):
    async with opened(compared=["plain", "nowhere"]) as pilot:
        await until(pilot, lambda: "There is no run 'nowhere'" in said(read, pilot))
        await pilot.press("Y")
        await until(pilot, lambda: "not compared yet" in said(read, pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


def test_a_filter_that_nobody_waits_for_ends():
    class Flips:
        looked = 0

        def where(self, *kinds, tag):
            import numpy as np

            return np.arange(10_000)

        def at(self, place):
            self.looked += 1
            raise AssertionError

    flips = Flips()
    assert places(flips, "all", None, "words", lambda: False) == []  # type: ignore[arg-type]
    assert flips.looked == 0


def test_the_other_treatment_of_errors():
    request = Request((Wanted("local", "a"), Wanted("local", "b")))
    assert request.other_errors == "zero"


async def test_a_run_is_compared_from_its_own_screen(stored, opened, until, read):
    async with opened() as pilot:
        await listed(pilot, until)
        assert pilot.app.screen.table.go_to_key("local:cot-2")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.view)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, OtherMenu))
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen.made)
        assert pilot.app.screen.made.addresses == ["local:plain", "local:cot-2"]
