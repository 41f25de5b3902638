"""Runs in processes of their own; none of them outlives its test."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from themis.core.directories import state_dir
from themis.evaluation.host import process_started
from themis.runs.catalog import Store, open_store
from themis.runs.launch import Launched, launch
from themis.runs.spec import RunSpec
from themis.runs.watch import RunView, look

Until = Callable[..., Any]
Launch = Callable[..., Launched]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def until() -> Until:
    """Wait for a condition to give something true, and return that; fail when it does not in time."""

    def wait(condition: Callable[[], Any], within_s: float = 30.0) -> Any:
        deadline = time.monotonic() + within_s
        while not (found := condition()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)
        return found

    return wait


@pytest.fixture
def spec() -> Callable[..., RunSpec]:
    """A run that takes 0.02 s a sample, one after another."""

    def make(**more: Any) -> RunSpec:
        fields = {
            "benchmark": "demo",
            "model": "fake-math-llm?latency=20ms",
            "max_workers": 1,
            "run_id": "r1",
            **more,
        }
        return RunSpec(**fields)

    return make


@pytest.fixture
def start(spec: Callable[..., RunSpec]) -> Iterator[Launch]:
    """Launch a run; what still runs after the test is killed."""
    pids: list[tuple[int, int | None]] = []

    def launched(within_s: float = 60.0, **fields: Any) -> Launched:
        run = launch(spec(**fields), within_s=within_s)
        pids.append((run.pid, process_started(run.pid)))
        return run

    yield launched
    for pid, began in pids:
        if began is not None and process_started(pid) == began:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def store() -> Store:
    """The default store."""
    return open_store()


@pytest.fixture
def view(store: Store) -> Callable[..., RunView]:
    """One look at a run of the default store."""
    return lambda run_id="r1": look(store.backend, run_id)


@pytest.fixture
def left_behind() -> Callable[[], list[str]]:
    """What launches left in their folder."""
    return lambda: sorted(each.name for each in (state_dir() / "launches").glob("*"))
