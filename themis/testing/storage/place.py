"""What every part of the storage suite stands on: the factory, the switches, and helper processes."""

from __future__ import annotations

import multiprocessing
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from themis.backends.storage.base import StorageBackend
from themis.backends.storage.foreign import whole

PATIENCE_S = 60.0
"""How long anything may take before it counts as hung; nothing waits this long when all is well."""


class StoragePlace(ABC):
    """The factory and the switches. A subclass writes ``make`` and nothing else, in the usual case."""

    shared_between_processes: bool = True
    """False for a store that lives in one process only, such as memory."""

    eleven_methods_only: bool = False
    """True for a backend without ``thread_safe = True``. It is tested inside ``whole``, and what ``whole``
    cannot add (several processes, refusals, checked run ids and schemas, pickling) is skipped."""

    holds_any_text: bool = True
    """False for a backend of the eleven methods that refuses some texts; ``evaluate`` then stores error
    records in their place."""

    runs_listed: int = 1_500
    """How many runs the listing is tested with. More than a thousand, where many stores cut off."""

    large_text: int = 10 * 1024 * 1024
    """Characters of the largest text."""

    tmp_path: Path
    """A folder of this test's own."""

    name: str
    """A name of this test's own, for a prefix, schema or key."""

    _opened: list[StorageBackend]

    @abstractmethod
    def make(self) -> StorageBackend:
        """Open this test's store anew: a later call sees what was saved through an earlier one."""

    @pytest.fixture(autouse=True)
    def storage_place(self, tmp_path: Path) -> Iterator[None]:
        """Give each test a place of its own, and close what it opened."""
        self.settle(tmp_path)
        yield
        for backend in self._opened:
            backend.close()

    def settle(self, tmp_path: Path) -> None:
        """Take a place, as the fixture does before each test."""
        self.tmp_path = tmp_path
        self.name = f"themis-{uuid.uuid4().hex[:12]}"
        self._opened = []

    def open(self) -> StorageBackend:
        """What ``make`` opens, made whole, and closed when the test ends."""
        backend = whole(self.make())
        self._opened.append(backend)
        return backend

    def needs_all_promises(self, promise: str) -> None:
        """Skip a test of what a backend of the eleven methods alone need not do."""
        if self.eleven_methods_only:
            pytest.skip(f"a backend of the eleven methods alone need not do this: {promise}")

    def needs_processes(self, promise: str) -> None:
        """Skip a test that needs a store which several processes share."""
        self.needs_all_promises(promise)
        if not self.shared_between_processes:
            pytest.skip(f"the store lives in one process: {promise}")

    def needs_any_text(self) -> None:
        """Skip a test of texts that the backend says it refuses."""
        if not self.holds_any_text:
            pytest.skip("the backend says that it does not hold every text")


class OtherProcess:
    """Another process that works on the same store, and the pipe to it."""

    def __init__(self, process: SpawnProcess, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe

    def says(self) -> Any:
        """The next thing the helper reports. Fails if it ends or is silent for too long."""
        assert self.pipe.poll(PATIENCE_S), f"no word from the helper within {PATIENCE_S:g} s"
        try:
            said = self.pipe.recv()
        except EOFError:
            self.process.join(PATIENCE_S)
            pytest.fail(f"the helper ended early with exit code {self.process.exitcode}")
        if isinstance(said, Exception):
            raise AssertionError(f"the helper failed: {said!r}") from said
        return said

    def kill(self) -> list[Any]:
        """End it with ``SIGKILL``, and return what it had reported and nobody had read."""
        self.process.kill()
        self.process.join(PATIENCE_S)
        assert self.process.exitcode == -9
        unread = []
        try:
            while self.pipe.poll(0):
                unread.append(self.pipe.recv())
        except (EOFError, OSError):
            pass
        return unread


@contextmanager
def helper(work: Callable[..., None], *args: Any) -> Iterator[OtherProcess]:
    """Run ``work(pipe, *args)`` in a spawned process; ended, in whatever way, when the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, *args), daemon=True)
    process.start()
    theirs.close()
    try:
        yield OtherProcess(process, ours)
    finally:
        process.kill()
        process.join(PATIENCE_S)
        process.close()
        ours.close()
