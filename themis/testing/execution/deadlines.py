"""Work that takes too long: it fails at its deadline, and everything else goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from themis.backends.execution.base import TaskFailure
from themis.core.errors import TaskTimeout, WorkersExhausted
from themis.testing.execution import work
from themis.testing.execution.place import PATIENCE_S, ExecutionPlace, in_thread, parted, read_into

SOON_S = 0.2
"""A deadline that is waited for."""


class Deadlines(ExecutionPlace):
    """**Deadline**: per item, from the start of its work."""

    def test_work_that_never_ends_fails_at_its_deadline(self) -> None:
        """The item is named, the others are done, and it took about as long as the deadline."""
        executor = self.open()
        function = self.hanging_from(9)
        began = time.monotonic()
        done, (failure,) = in_thread(
            lambda: parted(
                executor.map(function, range(10), max_workers=2, timeout=SOON_S, return_exceptions=True)
            )
        )
        assert time.monotonic() - began >= SOON_S
        assert (failure.item, failure.kind) == (9, "timeout")
        assert f"{SOON_S:g}" in failure.message
        assert done == list(range(9))

    def test_no_result_goes_with_the_work_that_hung_behind_it(self) -> None:
        """Quick items before one that hangs, in the same worker, while others keep coming: all are there."""
        executor = self.open()
        function = self.hanging_from(2_000)
        done, failures = in_thread(
            lambda: parted(
                executor.map(function, range(2_001), max_workers=4, timeout=SOON_S, return_exceptions=True)
            )
        )
        assert sorted(done) == list(range(2_000))
        assert [failure.item for failure in failures] == [2_000]

    def test_a_coroutine_that_never_ends_fails_at_its_deadline(self) -> None:
        """A task that offers one as well: whichever the executor uses, the deadline holds."""
        executor = self.open()
        function = work.AwaitedHangsFrom(9, self.hanging_from(9))
        done, (failure,) = in_thread(
            lambda: parted(
                executor.map(function, range(10), max_workers=2, timeout=SOON_S, return_exceptions=True)
            )
        )
        assert (failure.item, failure.kind) == (9, "timeout")
        assert done == list(range(9))

    def test_a_passed_deadline_raises_task_timeout(self) -> None:
        """Without ``return_exceptions``; it is also a ``TimeoutError``, with a note that names the item."""
        executor = self.open()
        function = self.hanging_from(7)
        with pytest.raises(TaskTimeout) as raised:
            in_thread(lambda: list(executor.map(function, [7], timeout=SOON_S)))
        assert isinstance(raised.value, TimeoutError)
        assert any("7" in note for note in raised.value.__notes__)

    def test_a_worker_that_hangs_is_replaced(self) -> None:
        """One hangs for good; after its deadline there are as many at work as before."""
        self.needs_shared_events()
        together = self.shared(threading.Barrier(2 if self.parallel else 1))
        released = self.shared(self.released)

        def hang_once(item: int) -> int:
            if item == 0:
                released.wait()
            elif item <= 4:
                time.sleep(0.4)  # the one worker left is busy until beyond the deadline
            else:
                together.wait(PATIENCE_S)
            return item

        executor = self.open()
        done, failures = in_thread(
            lambda: parted(
                executor.map(hang_once, range(25), max_workers=2, timeout=1.2, return_exceptions=True)
            )
        )
        assert [failure.item for failure in failures] == [0]
        assert done == list(range(1, 25))

    def test_a_late_result_is_dropped(self) -> None:
        """Each item comes back once: as a failure, if it was one, though its work ends after all."""
        self.needs_shared_events()
        failed, ended = threading.Event(), threading.Event()
        after_failure, at_end = self.shared(failed), self.shared(ended)

        def first_is_late(item: int) -> int:
            if item == 0:
                after_failure.wait(PATIENCE_S)
                at_end.set()
            return item

        def source() -> Iterator[int]:
            yield 0
            yield 1
            while not ended.is_set():
                yield 2

        outcomes: list[int] = []
        results: Iterator[Any] = self.open().map(
            first_is_late, source(), max_workers=2, timeout=SOON_S, return_exceptions=True
        )
        for result in results:
            if isinstance(result, TaskFailure):
                outcomes.append(result.item)
                failed.set()
                assert ended.wait(PATIENCE_S)
            elif result != 2:
                outcomes.append(result)
        assert sorted(outcomes) == [0, 1]

    def test_the_clock_starts_with_the_work(self) -> None:
        """Waiting for a free worker does not count: together these take longer than the deadline."""
        results = list(self.open().map(work.rest, [0.4] * 4, max_workers=1, timeout=1.5))
        assert results == [0.4] * 4

    def test_when_every_worker_hangs_it_is_said(self) -> None:
        """With two workers, and items that all hang, no endless number is left behind."""
        if not self.in_process:
            pytest.skip("workers in other processes can be killed, and so never run out")
        executor = self.open()
        function = self.hanging_from(0)
        given: list[TaskFailure] = []
        results = executor.map(function, range(1_000), max_workers=2, timeout=SOON_S, return_exceptions=True)
        with pytest.raises(WorkersExhausted):
            in_thread(lambda: read_into(given, results))
        assert len(given) <= 4
        assert {failure.kind for failure in given} <= {"timeout"}

    def test_an_executor_works_on_after_work_that_hangs(self) -> None:
        """What was left behind does not take the place of new workers."""
        executor = self.open()
        function = self.hanging_from(0)
        for _ in range(3):
            with pytest.raises(TaskTimeout):
                in_thread(lambda: list(executor.map(function, [1], max_workers=1, timeout=SOON_S)))
        assert in_thread(lambda: sorted(executor.map(work.double, range(50), timeout=PATIENCE_S))) == [
            2 * item for item in range(50)
        ]
