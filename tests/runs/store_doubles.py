"""Stores that are slow, broken, strange or change while they are read; each by an event, none by a sleep."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from themis.backends import MemoryStorageBackend
from themis.runs.catalog import Store


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def summary(run_id: str, created: float | None = None, **more: Any) -> dict[str, Any]:
    asked = {"benchmark": "gsm8k", "model": {"name": "smol"}}
    return {
        "run_id": run_id,
        "status": "completed",
        "schema_version": 1,
        "created_at": created,
        "asked": asked,
        **more,
    }


def memory(*runs: dict[str, Any]) -> MemoryStorageBackend:
    backend = MemoryStorageBackend()
    for run in runs:
        backend.save_run_metadata(run["run_id"], run)
    return backend


class Hanging(MemoryStorageBackend):
    """Lists nothing until it is let go; says when it has been asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def list_summaries(self) -> Iterator[dict[str, Any]]:
        self.asked.set()
        assert self.let_go.wait(60)
        return super().list_summaries()

    def run_exists(self, run_id: str) -> bool:
        self.asked.set()
        assert self.let_go.wait(60)
        return super().run_exists(run_id)


class Failing(MemoryStorageBackend):
    """Raises what it was given, as long as there is something."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.error = error

    def list_summaries(self) -> Iterator[dict[str, Any]]:
        if self.error is not None:
            raise self.error
        return super().list_summaries()

    def run_exists(self, run_id: str) -> bool:
        if self.error is not None:
            raise self.error
        return super().run_exists(run_id)


class Listed(MemoryStorageBackend):
    """Lists what it was given, whatever that is."""

    def __init__(self, *summaries: Any) -> None:
        super().__init__()
        self.summaries = list(summaries)

    def list_summaries(self) -> Iterator[dict[str, Any]]:
        return iter(self.summaries)


def opener(**stores: Any) -> Callable[[str], Store]:
    """Open stores by name; an exception in place of one is raised."""

    def opened(name: str) -> Store:
        found = stores[name]
        if isinstance(found, BaseException):
            raise found
        return Store(name, found)

    return opened
