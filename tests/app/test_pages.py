"""The pages of a run, and what a wide terminal shows beside a list."""

from __future__ import annotations

import pytest

from themis.backends import open_storage
from themis.runs.catalog import row_of
from themis.runs.samples import whole_samples
from themis_tui.screens.run import RunScreen
from themis_tui.screens.run_line import short_name
from themis_tui.screens.runs import RunsScreen
from themis_tui.widgets.reader import Reader


async def open_run(pilot, until):
    await until(pilot, lambda: pilot.app.screen.table.key == "local:third-run")
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.table.rows.all)
    return pilot.app.screen


async def test_a_run_has_pages_and_escape_goes_back_to_the_samples_first(world, opened, until, read):
    async with opened() as pilot:
        screen = await open_run(pilot, until)
        await pilot.press("2")
        await until(pilot, lambda: "model.identity" in read(pilot))
        assert "accuracy=0.5" in read(pilot)
        await pilot.press("3")
        await until(pilot, lambda: "There is no log of this run" in read(pilot))
        await pilot.press("escape")
        assert pilot.app.screen is screen
        assert screen.table.has_focus
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_what_is_of_the_samples_says_so_on_the_other_pages(world, opened, until, read):
    async with opened() as pilot:
        screen = await open_run(pilot, until)
        await pilot.press("2", "slash")
        await until(pilot, lambda: "1 goes back to the samples." in read(pilot))
        await pilot.press("1", "slash", *"demo-003", "enter")
        await until(pilot, lambda: len(screen.table.rows.shown) == 1)


@pytest.mark.parametrize("size", [(160, 45), (139, 45)])
async def test_the_sample_under_the_cursor_is_read_beside_the_list_where_there_is_room(
    world, opened, until, read, size
):
    async with opened(size=size) as pilot:
        screen = await open_run(pilot, until)
        beside = screen.query_one("#beside", Reader)
        assert beside.display == (size[0] >= 140)
        if beside.display:
            await pilot.press("j", "j")
            wanted = whole_samples(open_storage(), "third-run", [screen.table.key])[screen.table.key]
            await until(pilot, lambda: str(wanted[0].prompt)[:30] in beside.plain_text)
            assert "timing" in read(pilot)


async def test_a_wide_list_shows_the_run_beside_it(world, opened, until, read):
    async with opened(size=(160, 45)) as pilot:
        await until(pilot, lambda: "executor" in read(pilot))
        assert "✓ completed" in read(pilot)
        assert "BENCHMARK" in read(pilot)


async def test_eighty_columns_hold_benchmark_model_score_and_errors(world, opened, until, read):
    async with opened(size=(80, 24)) as pilot:
        await until(pilot, lambda: "third-run" in read(pilot))
        (title,) = [row for row in read(pilot).splitlines() if "BENCHMARK" in row]
        assert title.split()[:6] == ["RUN", "BENCHMARK", "MODEL", "N", "SCORE", "ERR"]
        assert title.split()[-1] == "AGE"


def named(run_id, **notes):
    return short_name(row_of("s", {"run_id": run_id, "annotations": notes}))


def test_a_made_id_is_short_in_the_list_and_a_given_one_whole():
    assert named("20260412-140533-gsm8k-smollm2-135m-x7ab") == "0412-1405-x7ab"
    assert named("smol-cot-2") == "smol-cot-2"
    assert named("20260412-140533-gsm8k-smollm2-135m-x7ab", name="night") == "night"


async def test_the_neighbours_of_a_sample_are_read_with_it(world, opened, until, monkeypatch):
    async with opened() as pilot:
        await open_run(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "_kept", None))
        screen = pilot.app.screen
        assert len(screen._kept) == 11
        monkeypatch.setattr("themis_tui.screens.sample.whole_samples", None)
        for _ in range(5):
            await pilot.press("j")
        assert screen._records[0].id == screen.row.id
