"""The list of runs, by keys alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Button

from themis import evaluate
from themis.backends import open_storage
from themis.profiles import profiles_path
from themis.runs.catalog import open_store
from themis.runs.delete import delete
from themis.runs.trash import is_trashed
from themis_tui.screens.dialogs import ConfirmDialog
from themis_tui.screens.run import RunScreen
from themis_tui.screens.runs import RunsScreen


def table(pilot):
    return pilot.app.screen.table


async def test_runs_are_listed_newest_first_with_score_and_errors(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.shown] == world)
        await until(pilot, lambda: "first-run" in read(pilot))
        text = read(pilot)
        assert "themis   local · 3 runs" in text
        assert "✓  third-run" in text
        assert "± " not in text
        assert "±." in text


async def test_an_empty_store_says_which_key_to_press(opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: "No runs here yet." in read(pilot))
        assert "Press + to launch" in read(pilot)


async def test_keys_move_and_stop_at_the_ends(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        await pilot.press("k")
        assert table(pilot).key == f"local:{world[0]}"
        await pilot.press("j", "down")
        assert table(pilot).key == f"local:{world[2]}"
        await pilot.press("j")
        assert table(pilot).key == f"local:{world[2]}"
        await pilot.press("g")
        assert table(pilot).key == f"local:{world[0]}"
        await pilot.press("G")
        assert table(pilot).key == f"local:{world[2]}"


async def test_the_filter_narrows_as_it_is_typed_and_escape_drops_it(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: len(table(pilot).rows.all) == 3)
        await pilot.press("slash", *"second")
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.shown] == ["second-run"])
        assert "1 of 3" in read(pilot)
        await pilot.press("enter")
        assert table(pilot).has_focus
        await pilot.press("escape")
        await until(pilot, lambda: len(table(pilot).rows.shown) == 3)
        assert table(pilot).key == "local:second-run", "the cursor stays on its run"


async def test_a_filter_that_matches_nothing_says_how_to_drop_it(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: len(table(pilot).rows.all) == 3)
        await pilot.press("slash", *"status:failed", "enter")
        await until(pilot, lambda: "No run matches." in read(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: len(table(pilot).rows.shown) == 3)


async def test_the_cursor_stays_on_its_run_when_others_come(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: len(table(pilot).rows.all) == 3)
        await pilot.press("j")
        evaluate("demo", model="fake-math-llm", limit=1, run_id="newer-run")
        await pilot.press("r")
        await until(pilot, lambda: len(table(pilot).rows.all) == 4)
        assert table(pilot).key == f"local:{world[1]}"
        assert table(pilot).cursor == 2


async def test_enter_opens_a_run_and_escape_comes_back(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        assert pilot.app.screen.run_id == world[1]
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        assert table(pilot).key == f"local:{world[1]}"


async def test_deleting_asks_with_the_focus_on_cancel(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        assert isinstance(pilot.app.focused, Button)
        assert pilot.app.focused.id == "no"
        await until(pilot, lambda: "Move this run to the trash?" in read(pilot))
        for said in ("third-run", "40 outcomes", "store local", "30 days", "z brings"):
            assert said in read(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        assert open_storage().run_exists("third-run")


async def test_marked_runs_are_deleted_together(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        await pilot.press("space", "space")
        assert "2 marked" in read(pilot)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        assert "Move 2 runs to the trash?" in read(pilot)
        await pilot.press("right", "enter")
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.all] == ["first-run"])
        kept = [each["run_id"] for each in open_storage().list_summaries() if not is_trashed(each)]
        assert kept == ["first-run"]


async def test_what_was_deleted_comes_back(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        await pilot.press("z")
        await until(pilot, lambda: "There is nothing to undo" in read(pilot))
        await pilot.press("space", "space", "D", "right", "enter")
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.all] == ["first-run"])
        await pilot.press("z")
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.all] == world)


async def test_what_lies_in_the_trash_is_seen_brought_back_and_deleted_for_good(world, opened, until, read):
    for run_id in world[:2]:
        delete(open_store("local"), run_id)
    async with opened() as pilot:
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.all] == ["first-run"])
        await pilot.press("slash", *"is:trashed", "enter")
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.shown] == world[:2])
        await pilot.press("g", "z")
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.shown] == world[1:2])
        await pilot.press("D")
        await until(pilot, lambda: "Delete this run for good?" in read(pilot))
        assert "This cannot be undone." in read(pilot)
        await pilot.press("right", "enter")
        await until(pilot, lambda: not open_storage().run_exists(world[1]), within_s=60)
        assert open_storage().run_exists(world[0])


async def test_a_protected_store_wants_its_name(world, opened, until, read, tmp_path):
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    root = open_storage("local").root
    profiles_path().write_text(f'[storage.team]\ntype = "local"\nroot = "{root}"\nprotected = true\n')
    async with opened(storage="team") as pilot:
        await until(pilot, lambda: table(pilot).key == f"team:{world[0]}")
        await pilot.press("D")
        await until(pilot, lambda: "Type team to go on" in read(pilot))
        await pilot.press("right", "enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, ConfirmDialog)
        await pilot.press(*"team", "enter")
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.all] == world[1:])


async def test_a_finished_run_cannot_be_cancelled_and_the_key_says_why(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        assert "cancel" not in read(pilot)
        await pilot.press("x")
        await until(pilot, lambda: "there is nothing to stop" in read(pilot))


async def test_the_id_and_the_command_go_to_the_clipboard(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        await pilot.press("y")
        assert pilot.app.clipboard == "third-run"
        await pilot.press("Y")
        await until(pilot, lambda: pilot.app.clipboard.startswith("themis eval demo --model"))


async def test_a_store_that_cannot_be_read_shows_its_reason_and_the_app_lives_on(
    tmp_path: Path, opened, until, read
):
    root = tmp_path / "store"
    root.mkdir()
    (root / "themis-store.json").write_text('{"layout": 99}')
    async with opened(storage=str(root)) as pilot:
        await until(pilot, lambda: "This store cannot be read." in read(pilot))
        assert "layout 99" in " ".join(read(pilot).split())
        (root / "themis-store.json").write_text('{"layout": 1}')
        await pilot.press("r")
        await until(pilot, lambda: "No runs here yet." in read(pilot))


async def test_an_unknown_store_says_which_there_are(opened, until, read):
    async with opened(storage="nowhere") as pilot:
        await until(pilot, lambda: "There is no storage backend 'nowhere'" in read(pilot))


async def test_q_leaves(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: len(table(pilot).rows.all) == 3)
        await pilot.press("q")
    assert pilot.app.return_code == 0


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 50), (20, 5)])
async def test_every_screen_mounts_at_every_size(world, opened, until, size):
    async with opened(size=size) as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and table(pilot).rows.shown)
        await pilot.press("enter")
        await until(pilot, lambda: hasattr(pilot.app.screen, "reader"))
        await pilot.press("r", "question_mark", "escape", "escape", "escape", "plus")
        await until(pilot, lambda: getattr(pilot.app.screen, "checked", None))
        await pilot.resize_terminal(100, 30)
        await pilot.press("escape", "D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
