"""What a launched run does when its process is told something, or dies."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

import pytest

from themis.core.errors import RunError, RunHeld, RunNotFound
from themis.evaluation.hold import held
from themis.evaluation.host import boot_id, host_name, process_started
from themis.runs.control import cancel, pause
from themis.runs.delete import delete, preview
from themis.runs.status import Status
from themis.runs.watch import RunView


def exited(pid: int) -> bool:
    return process_started(pid) is None


def some_done(view: Any) -> bool:
    progress = view().progress
    return progress is not None and progress.done > 0


def test_a_lost_terminal_changes_nothing(start, view, until) -> None:
    run = start(limit=40)
    until(lambda: some_done(view))
    os.kill(run.pid, signal.SIGHUP)
    until(lambda: view().status.word == "completed")
    assert view().progress.done == 40


def test_sigterm_pauses_and_the_run_goes_on_later(start, spec, view, until, store) -> None:
    run = start(limit=40)
    until(lambda: some_done(view))
    os.kill(run.pid, signal.SIGTERM)
    until(lambda: exited(run.pid))
    paused = view()
    assert paused.status == Status("paused", "interrupted")
    assert 0 < paused.progress.done < 40
    assert "Traceback" not in run.log.read_text()
    assert "r1: paused" in run.log.read_text()
    before = {each.id: each for each in store.backend.load_generation_records("r1")}
    again = start(limit=40)
    assert again.pid != run.pid
    until(lambda: view().status.word == "completed")
    after = {each.id: each for each in store.backend.load_generation_records("r1")}
    assert len(after) == 40
    # What was answered is kept as it was, not asked again.
    assert {name: after[name] for name in before} == before


def test_a_person_pauses_and_cancels(start, view, until) -> None:
    run = start(limit=100)
    assert pause(view()) == "r1 was told to pause; answers in flight are still saved."
    until(lambda: exited(run.pid))
    assert view().status == Status("paused", "interrupted")
    run = start(limit=100)
    assert cancel(view()) == "r1 was told to stop; answers in flight are still saved."
    until(lambda: exited(run.pid))
    assert view().status == Status("cancelled", "cancelled by a person")
    with pytest.raises(RunError, match="r1 is cancelled; there is nothing to stop"):
        cancel(view())


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "paused"), (signal.SIGUSR1, "cancelled"), (signal.SIGINT, "paused")]
)
@pytest.mark.parametrize("executor", ["threads", "sequential"])
def test_a_second_signal_waits_for_nobody(number, word, executor, start, view, until, store) -> None:
    # The answer takes ten minutes. Signals that wait to be delivered count as one, so there are more.
    run = start(model="fake-math-llm?latency=600", executor=executor, limit=3)
    os.kill(run.pid, number)

    def told_again() -> bool:
        with suppress(ProcessLookupError):
            os.kill(run.pid, number)
        return exited(run.pid)

    until(told_again)
    assert view().status.word == word
    assert store.backend.load_generation_records("r1") == []


def test_a_killed_runner_is_proven_gone(start, view, until, store) -> None:
    run = start(limit=100)
    until(lambda: some_done(view))
    os.kill(run.pid, signal.SIGKILL)
    until(lambda: view().status.word == "crashed")
    assert view().status.reason == f"process {run.pid} is gone"
    with pytest.raises(RunError, match="r1 is crashed; there is nothing to stop"):
        cancel(view())
    # Looking wrote nothing.
    assert store.backend.load_run_metadata("r1")["status"] == "running"
    assert preview(store, "r1").status == "crashed"
    start(limit=100, model="fake-math-llm")
    until(lambda: view().status.word == "completed")


def test_a_live_run_is_not_deleted(start, view, until, store) -> None:
    run = start(limit=100)
    with pytest.raises(RunHeld, match=r"r1 is running; cancel it first"):
        delete(store, "r1")
    cancel(view())
    until(lambda: exited(run.pid))
    assert preview(store, "r1").run_id == "r1"
    delete(store, "r1")
    with pytest.raises(RunNotFound):
        delete(store, "r1")
    with pytest.raises(RunNotFound):
        preview(store, "r1")


# Control without a process


def seen(**where: Any) -> RunView:
    here = {
        "host": host_name(),
        "boot_id": boot_id(),
        "pid": os.getppid(),
        "pid_started": process_started(os.getppid()),
        "detached": True,
        "user": "ada",
    }
    return RunView("r1", {"where": {**here, **where}}, None, Status("running"))


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    return killed


def test_the_process_that_runs_it_is_told(kills) -> None:
    cancel(seen())
    pause(seen())
    assert kills == [(os.getppid(), signal.SIGUSR1), (os.getppid(), signal.SIGTERM)]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({"host": "elsewhere"}, "r1 runs on elsewhere; stop it there"),
        ({"boot_id": "earlier"}, "stop it there"),
        ({"pid": None}, "stop it there"),
        ({"pid": os.getpid()}, "in this very process"),
        ({"detached": False}, "press Ctrl-C there"),
        ({"pid_started": 1}, "is gone"),
        ({"pid": 2**22 + 5}, "is gone"),
    ],
)
def test_nobody_else_is_told(where, says, kills) -> None:
    with pytest.raises(RunError, match=says):
        cancel(seen(**where))
    assert kills == []


@pytest.mark.parametrize(
    ("error", "says"), [(ProcessLookupError, "is gone"), (PermissionError, "r1 is run by ada, and only that")]
)
def test_a_signal_that_is_refused_is_told(error, says, monkeypatch) -> None:
    def refused(pid: int, number: int) -> None:
        raise error

    monkeypatch.setattr(os, "kill", refused)
    with pytest.raises(RunError, match=says):
        cancel(seen())


@pytest.mark.parametrize("word", ["paused", "completed", "failed", "cancelled", "crashed", "unknown"])
def test_what_does_not_run_is_not_told(word, kills) -> None:
    with pytest.raises(RunError, match=f"r1 is {word}; there is nothing to stop"):
        cancel(RunView("r1", seen().metadata, None, Status(word)))
    assert kills == []


def test_a_run_that_is_about_to_go_on_is_not_deleted(start, view, until, store) -> None:
    run = start(limit=1)
    until(lambda: exited(run.pid))
    with held(view().metadata["where"]["storage"], "r1"):
        with pytest.raises(RunHeld, match="held by a process of this host"):
            delete(store, "r1")
    delete(store, "r1")
