"""What a launched run does when its process is told something, or dies."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from themis.backends import LocalStorageBackend
from themis.core.errors import RunError, RunHeld, RunNotFound
from themis.evaluation.hold import held, holder_of, lock_path
from themis.evaluation.host import boot_id, host_name, process_started
from themis.runs.control import cancel, pause
from themis.runs.delete import delete, preview
from themis.runs.purge import purge
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
    deleted = delete(store, "r1")
    assert delete(store, "r1") == deleted
    purge(store, "r1")
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
        "storage": "mine",
    }
    return RunView("r1", {"where": {**here, **where}}, None, Status("running"))


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    return killed


@contextmanager
def held_by(pid: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A lock that names another process, as if that one held it."""
    with ExitStack() as holding:
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: pid)
            holding.enter_context(held("mine", "r1"))
        yield


@pytest.fixture
def held_by_parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with held_by(os.getppid(), monkeypatch):
        yield


@pytest.mark.usefixtures("held_by_parent")
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
        ({"pid": 1}, "its lock process .* none was told"),
        ({"storage": "another"}, "is not run from this login|is gone"),
    ],
)
@pytest.mark.usefixtures("held_by_parent")
def test_nobody_else_is_told(where, says, kills) -> None:
    with pytest.raises(RunError, match=says):
        cancel(seen(**where))
    assert kills == []


def test_a_process_that_only_a_store_names_is_left_alone(kills) -> None:
    with pytest.raises(RunError, match=r"is not run from this login|is gone"):
        cancel(seen(pid_started=None))
    assert kills == []


def test_a_lock_kept_by_a_child_of_a_dead_holder_kills_nobody(kills, monkeypatch) -> None:
    gone = 2**22 + 5
    with held_by(gone, monkeypatch), pytest.raises(RunError, match=f"its process {gone} is gone"):
        cancel(seen(pid=gone))
    assert kills == []


@pytest.mark.usefixtures("held_by_parent")
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
        with pytest.raises(RunHeld, match=f"is being run by process {os.getpid()}"):
            delete(store, "r1")
        with pytest.raises(RunHeld, match=f"is being run by process {os.getpid()}"):
            purge(store, "r1")
    delete(store, "r1")


def test_a_run_is_held_while_it_is_deleted(start, view, until, store, monkeypatch) -> None:
    run = start(limit=1)
    until(lambda: exited(run.pid))
    name, deleted = view().metadata["where"]["storage"], store.backend.delete_run

    def look_on(run_id: str) -> None:
        with pytest.raises(RunHeld), held(name, run_id):
            pass
        deleted(run_id)

    monkeypatch.setattr(store.backend, "delete_run", look_on)
    purge(store, "r1")
    assert holder_of(name, "r1") is None


# The lock


def test_a_lock_names_its_holder_and_leaves_nothing() -> None:
    assert holder_of("s", "r1") is None
    with held("s", "r1"):
        assert holder_of("s", "r1") == (os.getpid(), process_started(os.getpid()))
    assert holder_of("s", "r1") is None
    assert list(lock_path("s", "r1").parent.iterdir()) == []


def test_a_lock_left_by_a_process_that_was_killed_is_no_hindrance() -> None:
    path = lock_path("s", "r1")
    path.parent.mkdir(parents=True)
    path.write_text("process 1")
    assert holder_of("s", "r1") is None
    with held("s", "r1"):
        assert holder_of("s", "r1") is not None


def test_those_who_look_hinder_nobody_who_starts() -> None:
    over = threading.Event()

    def look_on() -> None:
        while not over.is_set():
            holder_of("s", "r1")

    looking = threading.Thread(target=look_on)
    looking.start()
    try:
        for _ in range(300):
            with held("s", "r1"):
                pass
    finally:
        over.set()
        looking.join()


def test_two_who_start_at_once_never_both_hold(tmp_path) -> None:
    inside, most = [], []

    def go() -> None:
        for _ in range(50):
            with suppress(RunHeld), held("s", "r1"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert max(most) == 1


def test_a_store_behind_a_symbolic_link_is_the_same_store(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with held(repr(LocalStorageBackend(tmp_path / "real")), "r1"):
        with pytest.raises(RunHeld), held(repr(LocalStorageBackend(tmp_path / "link")), "r1"):
            pass
    assert lock_path("S('db://ada:pw@h')", "r1") == lock_path("S('db://***@h')", "r1")
    # What is no path is taken as it stands.
    assert lock_path("LocalStorageBackend(?", "r1") != lock_path("LocalStorageBackend(3)", "r1")
