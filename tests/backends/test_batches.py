"""Items gathered into batches, and the promises of an executor kept for each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from themis.backends import BatchExecutionBackend, open_executor
from themis.core.errors import ExecutionError, UsageError
from themis.testing import ExecutionBackendSuite
from themis.testing.execution import work
from themis.testing.execution.place import in_thread, parted

AT_ONCE = ThreadPoolExecutor(64)
QUICK = (work.double, work.same, work.size, work.only_even, work.leaves)


class Together:
    """A plain function as a task that works on a batch at once, as a model does with prompts."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, item: Any) -> Any:
        return self.function(item)

    def batch(self, items: list[Any]) -> list[Any]:
        if self.function in QUICK or len(items) == 1:
            return [self.function(item) for item in items]
        asked = [AT_ONCE.submit(self.function, item) for item in items]
        return [each.exception() or each.result() for each in asked]


class OfBatches(BatchExecutionBackend):
    """Every function is offered as one of batches, so that the whole suite goes through gathering.

    Batches are as large as half of those who may be at work, so that one can hang while another goes on.
    """

    def map(self, func, items, *, max_workers=None, **kwargs):  # type: ignore[no-untyped-def]
        self.size = max(1, (max_workers or 4) // 2)
        func = func if hasattr(func, "acall") else Together(func)
        return super().map(func, items, max_workers=max_workers, **kwargs)


class TestPlainFunctions(ExecutionBackendSuite):
    def make(self) -> BatchExecutionBackend:
        return BatchExecutionBackend(4, max_items=4)


class TestBatches(ExecutionBackendSuite):
    items_in_memory = 20_000

    def make(self) -> OfBatches:
        return OfBatches(2, wait=0.001, max_items=4)

    def test_no_result_goes_with_the_work_that_hung_behind_it(self) -> None:
        """As in the suite, but who is in one batch with what hangs is given up with it."""
        executor = self.open()
        function = self.hanging_from(2_000)
        done, failures = in_thread(
            lambda: parted(
                executor.map(function, range(2_001), max_workers=4, timeout=0.5, return_exceptions=True)
            )
        )
        failed = {failure.item for failure in failures}
        assert {2_000} <= failed <= {1_999, 2_000}
        assert sorted([*done, *failed]) == list(range(2_001))


class Noting:
    """Remembers the batches it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.alone: list[int] = []

    def __call__(self, item: int) -> int:
        self.alone.append(item)
        if item == 3:
            raise work.OddRefused("3 is odd")
        return 2 * item

    def batch(self, items: list[int]) -> list[Any]:
        self.batches.append(items)
        return [2 * item for item in items]


def run(task: Any, items: Any, executor: BatchExecutionBackend, **options: Any) -> list[Any]:
    return in_thread(lambda: list(executor.map(task, items, **options)))


def test_items_are_gathered_to_the_size() -> None:
    task = Noting()
    executor = BatchExecutionBackend(8, wait=5)
    assert sorted(run(task, range(64), executor)) == [2 * item for item in range(64)]
    assert [len(batch) for batch in task.batches] == [8] * 8
    assert task.alone == []
    assert executor.status().details == {"batches": 8, "mean_batch": 8.0}
    assert "8.0 on average" in (executor.status().reason or "")


def test_what_came_in_time_goes_when_no_more_come() -> None:
    """A batch that is not full is not waited for longer than ``wait``."""
    task = Noting()
    began = time.monotonic()
    assert sorted(run(task, range(5), BatchExecutionBackend(100, wait=0.1))) == [0, 2, 4, 6, 8]
    assert time.monotonic() - began < 5
    assert sum(map(len, task.batches)) == 5


def test_batches_are_gathered_while_others_are_at_work() -> None:
    """Two batches are at work at once, so that what answers them is never idle."""
    both = threading.Barrier(2)

    class Meeting(Noting):
        def batch(self, items: list[int]) -> list[Any]:
            both.wait(10)
            return super().batch(items)

    task = Meeting()
    assert len(run(task, range(16), BatchExecutionBackend(4, wait=5))) == 16
    assert len(task.batches) == 4


def test_an_exception_in_the_place_of_a_result_is_the_failure_of_that_item() -> None:
    class Odd(Noting):
        def batch(self, items: list[int]) -> list[Any]:
            return [work.OddRefused(f"{item} is odd") if item % 2 else item for item in items]

    done, failures = parted(run(Odd(), range(8), BatchExecutionBackend(4), return_exceptions=True))
    assert done == [0, 2, 4, 6]
    assert [(each.item, each.kind) for each in failures] == [(item, "raised") for item in (1, 3, 5, 7)]


def test_a_batch_that_raises_is_done_again_item_by_item() -> None:
    class Raising(Noting):
        def batch(self, items: list[int]) -> list[Any]:
            if 3 in items:
                raise ValueError("one of them")
            return super().batch(items)

    task = Raising()
    done, failures = parted(run(task, range(8), BatchExecutionBackend(8, wait=5), return_exceptions=True))
    assert done == [0, 2, 4, 8, 10, 12, 14]
    assert [each.item for each in failures] == [3]
    assert isinstance(failures[0].error, work.OddRefused)
    assert sorted(task.alone) == list(range(8))


def test_a_batch_that_loses_results_is_told() -> None:
    class Short(Noting):
        def batch(self, items: list[int]) -> list[Any]:
            return items[1:]

    with pytest.raises(ExecutionError, match="3 results for 4 items"):
        run(Short(), range(4), BatchExecutionBackend(4, wait=5))


def test_items_of_a_batch_that_hangs_fail_at_their_deadline_and_the_others_are_done() -> None:
    release = threading.Event()

    class Hanging(Noting):
        def batch(self, items: list[int]) -> list[Any]:
            if 0 in items:
                release.wait(30)
            return super().batch(items)

    executor = BatchExecutionBackend(4, wait=0.5)
    results = run(Hanging(), range(20), executor, timeout=1.5, return_exceptions=True)
    release.set()
    done, failures = parted(results)
    assert 0 in [each.item for each in failures]
    assert len(failures) <= 4
    assert {each.kind for each in failures} == {"timeout"}
    assert len(done) + len(failures) == 20


def test_one_at_a_time_waits_for_nobody() -> None:
    task = Noting()
    began = time.monotonic()
    assert run(task, range(20), BatchExecutionBackend(32, wait=5), max_workers=1) == [
        2 * n for n in range(20)
    ]
    assert time.monotonic() - began < 5


def test_it_is_opened_by_name() -> None:
    executor = open_executor("batch?size=16&wait=20ms")
    assert repr(executor) == "BatchExecutionBackend(size=16, wait=0.02)"
    assert executor.status().name == "batch"


@pytest.mark.parametrize("options", ["size=0", "wait=-1", "max_items=0"])
def test_options_that_mean_nothing_are_refused(options: str) -> None:
    with pytest.raises(UsageError, match=options.partition("=")[0]):
        open_executor(f"batch?{options}")
