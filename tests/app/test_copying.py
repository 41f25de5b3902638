"""Copying runs to another store, by keys; the copy itself is a process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from textual.widgets import OptionList

from tests.app.test_hostile import FORBIDDEN
from themis.backends import open_storage
from themis.core.errors import RunError
from themis.profiles import profiles_path
from themis.runs.catalog import open_store
from themis_tui.beside import Beside, checked
from themis_tui.screens.copying import CopyDialog, copy_ended
from themis_tui.screens.run import RunScreen
from themis_tui.screens.runs import RunsScreen


@pytest.fixture
def stores(tmp_path: Path, world: list[str]) -> list[str]:
    """Three runs in the default store; one store to copy to, one that must not be changed."""
    path = profiles_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "kept").mkdir()
    path.write_text(
        f'[storage.team]\ntype = "local"\nroot = "{tmp_path / "team"}"\n\n'
        f'[storage.kept]\ntype = "local"\nroot = "{tmp_path / "kept"}"\nreadonly = true\n'
    )
    return world


def table(pilot):
    return pilot.app.screen.table


async def listed(pilot, until, count: int = 3) -> None:
    await until(pilot, lambda: len(table(pilot).rows.all) == count and pilot.app.screen._listed.settled)


async def test_marked_runs_are_copied_to_the_chosen_store(stores, opened, until, read):
    async with opened(size=(100, 30)) as pilot:
        await listed(pilot, until)
        await pilot.press("space", "space", "C")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyDialog))
        await until(pilot, lambda: "2 runs · 70 outcomes" in read(pilot))
        text = read(pilot)
        assert "kept    readonly in your profiles" in text
        assert "local   they are in it" in text
        assert "enter copy there" in text
        assert pilot.app.screen.query_one(OptionList).highlighted == 1
        await pilot.press("enter")
        await until(pilot, lambda: "2 runs copied to team" in read(pilot), within_s=60)
        await listed(pilot, until, 5)
        assert sorted(open_storage("team").list_runs()) == ["second-run", "third-run"]
        assert pilot.app.works == []


WAITING = (
    "import os, sys, time\n"
    "while not os.path.exists(sys.argv[1]): time.sleep(0.02)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


async def test_it_goes_on_when_the_screen_is_left_and_says_so_at_its_end(
    stores, opened, until, read, tmp_path, monkeypatch
):
    real, gate = Beside.command.fget, tmp_path / "gate"
    held = property(lambda self: [sys.executable, "-c", WAITING, str(gate), *real(self)])
    monkeypatch.setattr(Beside, "command", held)
    async with opened(size=(100, 30)) as pilot:
        await listed(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.view)
        await pilot.press("C")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyDialog))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.works)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        await until(pilot, lambda: "copying third-run to team" in read(pilot))
        gate.touch()
        await until(pilot, lambda: "1 run copied to team" in read(pilot), within_s=60)
        await until(pilot, lambda: "copying third-run to team" not in read(pilot).splitlines()[2])


async def test_a_run_that_is_there_already_is_refused_with_the_reason(stores, opened, until, read):
    from themis.runs.copy import copy_run

    copy_run(open_store("local"), "third-run", open_store("team"))
    async with opened(size=(100, 30)) as pilot:
        await listed(pilot, until, 4)
        await until(pilot, lambda: table(pilot).go_to_key("local:third-run"))
        await pilot.press("space", "j", "j")
        await pilot.press("C")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyDialog))
        await pilot.press("enter")
        await until(pilot, lambda: "has this very run, whole" in " ".join(read(pilot).split()), within_s=60)
        assert "goes on with what is missing" not in " ".join(read(pilot).split())


async def test_a_killed_copy_says_how_to_go_on(stores, opened, until, read):
    async with opened(size=(100, 30)) as pilot:
        await listed(pilot, until)
        app = pilot.app
        work = app.work_beside("copying", ["no-such"], lambda work: copy_ended(app, "team", work))
        await until(pilot, lambda: work.ended, within_s=60)
        work.code, work.problem = -9, ""
        copy_ended(app, "team", work)
        await until(pilot, lambda: "The copy to team failed" in read(pilot))
        await until(pilot, lambda: "The same copy again" in " ".join(read(pilot).split()))


async def test_escape_copies_nothing(stores, opened, until):
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("C")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyDialog))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        assert pilot.app.works == []


async def test_where_no_store_can_be_written_to_that_is_said(world, opened, until, read):
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("C")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyDialog))
        await until(pilot, lambda: "No other store can be written to" in read(pilot))
        await pilot.press("enter")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_a_hostile_problem_of_a_profile_is_shown_harmless(world, opened, until, read):
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text('[storage.odd]\ntype = "[bold]\\u001b[31m[/]"\n')
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("C")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyDialog))
        await pilot.pause()
        for strip in pilot.app.screen._compositor.render_strips():
            for segment in strip:
                assert not FORBIDDEN & set(segment.text), repr(segment.text)


class Told(Beside):
    """With another command."""

    def __init__(self, *command: str) -> None:
        self.given, self.posted = list(command), []
        super().__init__("test", ["runs", "copy"], self.posted.append, lambda work: None)

    @property
    def command(self) -> list[str]:
        return self.given


def test_progress_is_followed_and_the_answer_is_what_comes_after_it():
    code = (
        "import time\n"
        'print(\'{"progress": {"what": "a", "done": 1, "total": 2}}\', flush=True)\n'
        "time.sleep(1)\n"
        "print('{\\n  \"copied\": [1]\\n}')\n"
    )
    work = Told(sys.executable, "-c", code)
    work.run()
    assert work.progress == {"what": "a", "done": 1, "total": 2}
    assert len(work.posted) == 2
    assert checked(work) == {"copied": [1]}


def test_what_is_killed_or_fails_is_an_error_that_says_how():
    work = Told(sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")
    work.run()
    with pytest.raises(RunError, match="runs copy ended with -9"):
        checked(work)
    work = Told(sys.executable, "-c", "import sys; sys.exit('no such store')")
    work.run()
    with pytest.raises(RunError, match="no such store"):
        checked(work)
    work = Told(os.devnull)
    work.run()
    assert work.ended
    with pytest.raises(RunError, match="ermission"):
        checked(work)
