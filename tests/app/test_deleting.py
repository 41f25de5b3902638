"""Deleting runs of several stores at once, of which some refuse; by keys."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from themis import evaluate
from themis.backends import open_storage
from themis.profiles import profiles_path
from themis.runs.annotations import set_name
from themis.runs.catalog import open_store
from themis.runs.delete import delete, preview
from themis.runs.trash import DAY_S
from themis.runs.union import State, StoreState
from themis_tui.screens.deleting import MOST_NAMED, Doomed, Plan, facts
from themis_tui.screens.dialogs import ConfirmDialog
from themis_tui.screens.runs import RunsScreen
from themis_tui.screens.runs_head import badges
from themis_tui.stays import MOST_REASONS, Stays, stays_said
from themis_tui.watching import LookFailed
from themis_tui.words import trash_said


def table(pilot):
    return pilot.app.screen.table


def addresses(pilot):
    return {row.address for row in table(pilot).rows.all}


ALL = {"local:l1", "local:l2", "team:t1", "ro:r1"}


@pytest.fixture
def stores(tmp_path: Path) -> set[str]:
    """Two runs in the default store, one in a second, one in a readonly one."""
    path = profiles_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    profiles = "".join(
        f'[storage.{name}]\ntype = "local"\nroot = "{tmp_path / name}"\n' for name in ("team", "ro")
    )
    path.write_text(profiles)
    for address in sorted(ALL):
        storage, _, run_id = address.partition(":")
        evaluate("demo", model="fake-math-llm", limit=2, run_id=run_id, storage=storage)
    path.write_text(profiles + "readonly = true\n")
    return ALL


async def ready(pilot, until) -> None:
    await until(pilot, lambda: addresses(pilot) == ALL and pilot.app.screen._listed.settled)


async def mark_all(pilot, until) -> None:
    await pilot.press("g", "space", "G", "v")
    await until(pilot, lambda: len(table(pilot).rows.marks) == len(table(pilot).rows.shown))


async def asked(pilot, until, read, said: str) -> str:
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog) and said in read(pilot))
    return " ".join(read(pilot).replace("▌", " ").split())


async def test_what_stays_is_told_before_and_after_and_the_rest_comes_back_marked(
    stores, opened, until, read
):
    async with opened() as pilot:
        await ready(pilot, until)
        await mark_all(pilot, until)
        await pilot.press("D")
        text = await asked(pilot, until, read, "Move 3 runs to the trash?")
        assert "ro:r1 stays: its store is readonly in your profiles." in text
        assert "Delete 3" in text
        assert "local:l1 completed, 2 outcomes" in text, "runs of several stores say of which"
        await pilot.press("right", "enter")
        await until(pilot, lambda: addresses(pilot) == {"ro:r1"})
        await until(pilot, lambda: "3 runs moved to the trash; z brings them back." in read(pilot))
        assert "ro:r1 stays" in read(pilot)
        await pilot.press("z")
        await until(pilot, lambda: addresses(pilot) == ALL)
        await until(pilot, lambda: table(pilot).rows.marks == ALL - {"ro:r1"})
        await until(pilot, lambda: "3 runs brought back" in read(pilot))


async def test_what_lies_in_the_trash_stays_there_when_others_go_there(stores, opened, until, read):
    thrown = delete(open_store("team"), "t1")
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot) == ALL - {"team:t1"})
        await pilot.press("slash", *"is:trashed | demo", "enter")
        await until(pilot, lambda: len(table(pilot).rows.shown) == 4)
        await mark_all(pilot, until)
        await pilot.press("D")
        text = await asked(pilot, until, read, "Move 2 runs to the trash?")
        assert "team:t1 stays: it lies in the trash already." in text
        assert "ro:r1 stays" in text
        await pilot.press("right", "enter")
        await until(pilot, lambda: "2 runs moved to the trash" in read(pilot))
        await pilot.press("z")
        await until(pilot, lambda: "2 runs brought back" in read(pilot))
        trashed = preview(open_store("team"), "t1").trashed
        assert trashed is not None, "undo brings back only what this deletion took"
        assert trashed["at"] == thrown.at


async def test_where_nothing_can_go_nothing_is_asked(stores, opened, until, read):
    async with opened() as pilot:
        await ready(pilot, until)
        await until(pilot, lambda: table(pilot).go_to_key("ro:r1"))
        await pilot.press("D")
        await until(pilot, lambda: "ro:r1 stays: its store is readonly" in " ".join(read(pilot).split()))
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_a_store_that_is_gone_keeps_no_other_run_from_going_or_coming_back(
    stores, opened, until, read, tmp_path
):
    async with opened() as pilot:
        await ready(pilot, until)
        await until(pilot, lambda: table(pilot).go_to_key("ro:r1"))
        await mark_all(pilot, until)
        await pilot.press("D")
        await asked(pilot, until, read, "Move 3 runs to the trash?")
        shutil.move(tmp_path / "team" / "runs" / "t1", tmp_path / "elsewhere")
        await pilot.press("right", "enter")
        await until(pilot, lambda: "2 runs moved to the trash" in read(pilot))
        assert "team:t1 stays" in read(pilot)
        await pilot.press("z")
        await until(pilot, lambda: {"local:l1", "local:l2"} <= addresses(pilot))


async def test_many_are_deleted_for_good_beside_the_app_and_told_in_one_line(stores, opened, until, read):
    for run_id in ("l1", "l2"):
        delete(open_store("local"), run_id)
    delete(open_store("team"), "t1")
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot) == {"ro:r1"})
        await pilot.press("slash", *"is:trashed", "enter")
        await until(pilot, lambda: len(table(pilot).rows.shown) == 3)
        await mark_all(pilot, until)
        await pilot.press("D")
        text = await asked(pilot, until, read, "Delete 3 runs for good?")
        assert "This cannot be undone." in text
        await pilot.press("right", "enter")
        await until(pilot, lambda: pilot.app.works and "deleting 2 runs of local for good" in read(pilot))
        await until(pilot, lambda: "2 runs of local deleted for good" in read(pilot), within_s=60)
        await until(pilot, lambda: "1 run of team deleted for good" in read(pilot), within_s=60)
        assert not any(open_storage(name).list_runs() for name in ("local", "team"))


async def test_what_was_deleted_for_good_since_is_told_to_be_gone(stores, opened, until, read):
    async with opened() as pilot:
        await ready(pilot, until)
        await until(pilot, lambda: table(pilot).go_to_key("local:l1"))
        await pilot.press("D")
        await asked(pilot, until, read, "Move this run to the trash?")
        await pilot.press("right", "enter")
        await until(pilot, lambda: "1 run moved to the trash; z brings it back." in read(pilot))
        open_storage("local").delete_run("l1")
        pilot.app.clear_notifications()
        await pilot.press("z")
        await until(pilot, lambda: "1 run cannot come back: deleted for good." in read(pilot))
        await pilot.press("z")
        await until(pilot, lambda: "There is nothing to undo." in read(pilot))


async def test_of_several_stores_one_that_refuses_tags_is_told_and_the_others_taken_back(
    stores, opened, until, read
):
    async with opened() as pilot:
        await ready(pilot, until)
        await mark_all(pilot, until)
        await pilot.press("t")
        await until(pilot, lambda: "of 4 runs" in read(pilot))
        await pilot.press(*"best", "f5")
        await until(pilot, lambda: "3 runs tagged; z takes it back." in read(pilot))
        await until(pilot, lambda: "ro:r1 stays" in read(pilot))
        await pilot.press("z")
        await until(pilot, lambda: "3 runs annotated as before." in read(pilot))


async def test_runs_chosen_in_the_trash_come_back_though_one_store_refuses(stores, opened, until, read):
    text = profiles_path().read_text()
    profiles_path().write_text(text.replace("readonly = true\n", ""))
    for storage, run_id in (("local", "l1"), ("ro", "r1")):
        delete(open_store(storage), run_id)
    profiles_path().write_text(text)
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot) == {"local:l2", "team:t1"})
        await pilot.press("slash", *"is:trashed", "enter")
        await until(pilot, lambda: len(table(pilot).rows.shown) == 2)
        await mark_all(pilot, until)
        await pilot.press("z")
        await until(pilot, lambda: "1 run brought back" in read(pilot))
        await until(pilot, lambda: "ro:r1 stays" in read(pilot))


async def test_escape_before_the_question_has_come_takes_it_back_and_nothing_else(
    stores, opened, until, read, monkeypatch
):
    import threading

    from themis_tui.screens import deleting

    gate, real = threading.Event(), deleting.plan
    monkeypatch.setattr(deleting, "plan", lambda *given: (gate.wait(10), real(*given))[1])
    async with opened() as pilot:
        await ready(pilot, until)
        await pilot.press("space", "D", "escape")
        gate.set()
        await until(pilot, lambda: all(each.is_finished for each in pilot.app.workers))
        await pilot.pause(0.05)
        assert isinstance(pilot.app.screen, RunsScreen)
        assert len(table(pilot).rows.marks) == 1


def test_many_runs_are_named_up_to_a_number(stores):
    store = open_store("local")
    set_name(store, "l1", "of no matter")
    doomed = [Doomed(preview(store, "l1"), False)] * (MOST_NAMED + 3)
    said = [part if isinstance(part, str) else part[0] for part in facts(Plan(doomed, [], False))]
    assert "and 3 more" in said
    assert sum("l1" in each for each in said) == MOST_NAMED


def test_refusals_are_one_line_for_each_reason():
    same = [Stays(f"local:r{number}", "it is running.") for number in range(40)]
    assert stays_said(same) == ["40 runs stay, local:r0 first: it is running."]
    others = [Stays(f"local:r{number}", f"reason {number}") for number in range(MOST_REASONS + 2)]
    said = stays_said(others)
    assert len(said) == MOST_REASONS + 1
    assert said[-1] == "And 2 more stay, for other reasons."
    assert "secret" not in stays_said([Stays("postgresql://me:secret@host/db:r", "no")])[0]


@pytest.mark.parametrize("size", [(80, 24), (160, 40)])
async def test_a_row_of_the_trash_says_so_and_when_by_whom_and_for_how_long(
    size, stores, opened, until, read, monkeypatch
):
    monkeypatch.setenv("USER", "ada")
    delete(open_store("local"), "l1")
    async with opened(size=size) as pilot:
        await until(pilot, lambda: addresses(pilot) == ALL - {"local:l1"})
        await until(pilot, lambda: "● local 1" in read(pilot))
        assert "3 stores · 3 runs" in read(pilot)
        await pilot.press("slash", *"is:trashed", "enter")
        await until(pilot, lambda: len(table(pilot).rows.shown) == 1)
        await until(pilot, lambda: "▽" in read(pilot).splitlines()[5])
        await until(pilot, lambda: "deleted now by ada@" in read(pilot) or "ago by ada@" in read(pilot))
        assert "30 days left" in read(pilot)
        assert "✓ completed" in read(pilot), "what it was is known still"


@pytest.mark.parametrize("size", [(80, 24), (160, 40)])
async def test_a_run_with_a_name_shows_its_id_too(size, stores, opened, until, read):
    set_name(open_store("local"), "l1", "the very long name of a run that nobody would ever remember again")
    async with opened(size=size) as pilot:
        await ready(pilot, until)
        await until(pilot, lambda: table(pilot).go_to_key("local:l1"))
        await until(pilot, lambda: "  l1" in read(pilot))
        assert "the very long name of a run" in read(pilot)
        if size[0] == 80:
            assert "✓ completed" in read(pilot).splitlines()[-5]


@pytest.mark.parametrize(
    ("trash", "said"),
    [
        ({"at": 0.0, "by": "ada@box", "until": 30 * DAY_S}, "deleted 1d ago by ada@box; 29 days left"),
        ({"at": 0.0, "until": 1.4 * DAY_S}, "deleted 1d ago; hours left"),
        ({"at": 0.0, "until": DAY_S}, "deleted 1d ago; 'themis runs gc' deletes it for good"),
        ({"at": 0.0, "by": 7, "until": "never"}, "deleted 1d ago; 29 days left"),
        ({"at": "yesterday", "by": "ada"}, "deleted by ada"),
        ({"at": 0.0, "purging": 1.0}, "deleted 1d ago, and being deleted for good"),
        ({}, ""),
    ],
)
def test_what_a_stranger_stored_as_trash_is_said_as_far_as_it_goes(trash, said):
    assert trash_said({"trash": trash}, DAY_S) == said


async def test_why_the_list_is_not_refreshed_stands_below_it_says_so(world, opened, until, read):
    async with opened(storage="local") as pilot:
        await until(pilot, lambda: len(table(pilot).rows.all) == 3 and pilot.app.screen._listed.settled)
        pilot.app.screen.post_message(LookFailed(OSError("the disk is on fire")))
        await until(pilot, lambda: "! not refreshed" in read(pilot).splitlines()[0])
        await until(pilot, lambda: "! the disk is on fire" in read(pilot).splitlines()[1])


async def test_the_detail_grows_older_with_its_row(world, opened, until, read):
    moment = [time.time()]
    async with opened(clock=lambda: moment[0]) as pilot:
        await until(pilot, lambda: len(table(pilot).rows.all) == 3 and pilot.app.screen._listed.settled)
        moment[0] += 3_600 * 5
        pilot.app.screen._age()
        await until(pilot, lambda: read(pilot).count("5h") == 4)
        assert "5h ago" in read(pilot)


def test_a_reason_that_is_cut_names_the_key_that_tells_all_of_it():
    broken = StoreState("broken", State.FAILED, "no " * 40, None, 0, True, True, None, None)
    local = StoreState("local", State.READY, None, None, 3, True, True, None, None)
    said = badges([local, broken], 78)
    assert said.plain.endswith("I tells all")
    assert said.cell_length <= 78
    assert "I tells" not in badges([local, broken], 30).plain


async def test_runs_are_pinned_and_let_go_whatever_one_store_refuses(stores, opened, until, read):
    async with opened() as pilot:
        await ready(pilot, until)
        await mark_all(pilot, until)
        await pilot.press("asterisk")
        await until(pilot, lambda: "3 runs pinned; z takes it back." in read(pilot))
        await until(pilot, lambda: "ro:r1 stays" in read(pilot))
        await until(pilot, lambda: sum("★" in row for row in read(pilot).splitlines()[3:8]) == 3)
        await pilot.press("z")
        await until(pilot, lambda: "3 runs no longer pinned" in read(pilot))
        await until(pilot, lambda: not any(row.pinned for row in table(pilot).rows.all))
        await pilot.press("ctrl+backslash", "g")
        await until(pilot, lambda: table(pilot).go_to_key("local:l1"))
        await pilot.press("asterisk")
        await until(pilot, lambda: "1 run pinned" in read(pilot))
        await until(pilot, lambda: table(pilot).row.pinned)
        await pilot.press("asterisk")
        await until(pilot, lambda: "1 run no longer pinned; z takes it back." in read(pilot))
