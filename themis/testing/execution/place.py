"""What every part of the execution suite stands on: the factory, the switches, and threads that end."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, TypeVar, cast

import pytest

from themis.backends.execution.base import ExecutionBackend, TaskFailure
from themis.testing.execution import work
from themis.testing.execution.shared import Desk

PATIENCE_S = 60.0
"""How long anything may take before it counts as hung; nothing waits this long when all is well."""

T = TypeVar("T")

with_and_without_deadline = pytest.mark.parametrize("timeout", [None, PATIENCE_S], ids=["", "deadline"])
"""Executors often go another way when there is a deadline; it must lead to the same place."""


class ExecutionPlace(ABC):
    """The factory and the switches. A subclass writes ``make`` and nothing else, in the usual case."""

    in_process: bool = True
    """False for an executor that calls functions in other processes."""

    carries_code: bool = False
    """Of one that does: whether functions that are defined in a test get there, to processes of this machine.
    Then work and test share objects as they do in one process; else the tests that need this are skipped."""

    parallel: bool = True
    """False for an executor that runs one item at a time whatever it is asked."""

    most_ahead: int = 1_000
    """The most items that may have been taken and not yet come back, with up to four workers."""

    items_in_memory: int = 200_000
    """How many items are sent through to see that memory does not grow."""

    _desk: Desk | None = None

    released: threading.Event
    """Set when the test ends, so that work which hangs until then ends too."""

    _opened: list[ExecutionBackend]

    @abstractmethod
    def make(self) -> ExecutionBackend:
        """An executor that nobody else uses."""

    @pytest.fixture(autouse=True)
    def execution_place(self) -> Iterator[None]:
        """Release what hangs, and shut down what was opened."""
        self.settle()
        yield
        self.released.set()
        for executor in self._opened:
            executor.shutdown()
        if self._desk is not None:
            self._desk.close()

    def settle(self) -> None:
        """Begin anew, as the fixture does before each test."""
        self.released = threading.Event()
        self._opened = []

    def open(self) -> ExecutionBackend:
        """What ``make`` gives, shut down when the test ends."""
        executor = self.make()
        self._opened.append(executor)
        return executor

    def needs_shared_events(self) -> None:
        """Skip a test in which work waits for the test, or tells it something."""
        if not self.in_process and not self.carries_code:
            pytest.skip("work runs in other processes, which share no events with the test")

    def shared(self, target: T) -> T:
        """An object of the test as work may hold it: itself, or what stands for it in another process."""
        if self.in_process:
            return target
        if self._desk is None:
            self._desk = Desk()
        return cast(T, self._desk.hand_out(target))

    def needs_company(self) -> None:
        """Skip a test that needs two items at work at once."""
        if not self.parallel:
            pytest.skip("the executor runs one item at a time")

    def hanging_from(self, first: int) -> Callable[[int], int]:
        """A function that gives back items below ``first``, and never ends for others, in the test's time."""
        if not self.in_process:
            return work.HangsFrom(first)

        def hang(item: int) -> int:
            if item >= first:
                self.released.wait()
            return item

        return hang


class Counted:
    """An iterator over the numbers from 0 that knows how many were taken."""

    def __init__(self, most: int | None = None) -> None:
        self._numbers = count() if most is None else iter(range(most))
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        number = next(self._numbers)
        self.taken += 1
        return number


def read_into(given: list[Any], results: Iterable[Any]) -> None:
    """Append results one by one, so that what came before an error is known."""
    for result in results:
        given.append(result)  # noqa: PERF402 - extending would lose them


def parted(results: Iterable[Any]) -> tuple[list[Any], list[TaskFailure]]:
    """What came of items, sorted, and the failures, by item."""
    outcomes = list(results)
    failures = [each for each in outcomes if isinstance(each, TaskFailure)]
    done = [each for each in outcomes if not isinstance(each, TaskFailure)]
    return sorted(done), sorted(failures, key=lambda failure: failure.item)


def in_thread(act: Callable[[], T], meanwhile: Callable[[], Any] = lambda: None) -> T:
    """What ``act`` returns when called in another thread. Fails if it does not return in time."""
    results: list[T] = []
    errors: list[BaseException] = []

    def called() -> None:
        try:
            results.append(act())
        except BaseException as exc:  # raised again below
            errors.append(exc)

    thread = threading.Thread(target=called, daemon=True)
    thread.start()
    meanwhile()
    thread.join(PATIENCE_S / 4)
    assert not thread.is_alive(), "it did not come back"
    if errors:
        raise errors[0]
    return results[0]
