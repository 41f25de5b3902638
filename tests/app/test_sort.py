"""The order of a list, by keys."""

from __future__ import annotations

from themis_tui.screens.runs import RunsScreen
from themis_tui.screens.sort_menu import SortMenu
from themis_tui.widgets.rows import Rows


def shown(pilot):
    return [row.run_id for row in pilot.app.screen.table.rows.shown]


async def choose(pilot, until, title):
    await pilot.press("S")
    await until(
        pilot, lambda: isinstance(pilot.app.screen, SortMenu) and pilot.app.screen.options.option_count
    )
    titles = [order.title for order in pilot.app.screen.values]
    here, there = pilot.app.screen.options.highlighted, titles.index(title)
    await pilot.press(*["j" if there > here else "k"] * abs(there - here), "enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_runs_are_sorted_by_any_column_and_the_cursor_stays_on_its_run(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.key == "local:third-run")
        await choose(pilot, until, "N")
        assert shown(pilot) == ["third-run", "second-run", "first-run"], "the largest first"
        await choose(pilot, until, "N")
        assert shown(pilot) == ["first-run", "second-run", "third-run"], "chosen again, it turns round"
        table = pilot.app.screen.table
        assert table.key == "local:third-run"
        assert table.cursor == 2
        await until(pilot, lambda: "N▴" in read(pilot))
        await choose(pilot, until, "RUN")
        assert shown(pilot) == ["first-run", "second-run", "third-run"]
        await choose(pilot, until, "")
        assert shown(pilot) == world


async def test_the_order_is_kept_when_runs_come_and_a_filter_is_typed(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.key == "local:third-run")
        await choose(pilot, until, "N")
        await choose(pilot, until, "N")
        await pilot.press("slash", *"-second", "enter")
        await until(pilot, lambda: shown(pilot) == ["first-run", "third-run"])


async def test_escape_leaves_the_order_as_it_is(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.key == "local:third-run")
        await pilot.press("S", "j", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        assert shown(pilot) == world
        assert pilot.app.screen.table.sorted_by == ("", False)


async def test_what_is_wrong_with_a_filter_is_said_beside_it(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: len(pilot.app.screen.table.rows.all) == 3)
        await pilot.press("slash", *"acc>0.")
        await until(pilot, lambda: len(shown(pilot)) == 3)
        await pilot.press(*"x")
        await until(pilot, lambda: "A number is wanted here." in read(pilot))
        assert len(shown(pilot)) == 3, "the filter before goes on"
        await pilot.press("backspace", *"9")
        await until(pilot, lambda: "A number" not in read(pilot))


def test_unknown_values_are_last_either_way():
    rows = Rows(key=str)
    rows.replace([3, None, 1, 2])
    rows.sort(lambda row: row)
    assert rows.shown == [1, 2, 3, None]
    rows.sort(lambda row: row, down=True)
    assert rows.shown == [3, 2, 1, None]
    rows.sort(None)
    assert rows.shown == [3, None, 1, 2]
