from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from themis.backends import AsyncExecutionBackend, SequentialExecutionBackend, ThreadExecutionBackend
from themis.core.errors import UsageError
from themis.testing import ExecutionBackendSuite
from themis.testing.execution import work
from themis.testing.execution.place import in_thread, parted


class TestSequential(ExecutionBackendSuite):
    parallel = False

    def make(self) -> SequentialExecutionBackend:
        return SequentialExecutionBackend()


class TestThreads(ExecutionBackendSuite):
    def make(self) -> ThreadExecutionBackend:
        return ThreadExecutionBackend(max_workers=4)


class TestAsync(ExecutionBackendSuite):
    """Plain functions, in threads."""

    def make(self) -> AsyncExecutionBackend:
        return AsyncExecutionBackend(4, max_threads=4)


class Awaited:
    """A plain function as a task that is awaited: it waits in a thread, as a coroutine waits for a server."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, item: Any) -> Any:
        raise AssertionError("a coroutine was offered")

    async def acall(self, item: Any) -> Any:
        if self.function in (work.double, work.same, work.size, work.only_even, work.leaves):
            return self.function(item)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()

        def settle(result: Any, error: BaseException | None) -> None:
            if not done.done():
                done.set_exception(error) if error is not None else done.set_result(result)

        def call() -> None:
            result, error = None, None
            try:
                result = self.function(item)
            except BaseException as exc:
                error = exc
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, result, error)

        threading.Thread(target=call, daemon=True).start()
        return await done


class OfCoroutines(AsyncExecutionBackend):
    """Every function is offered as a coroutine, so that the whole suite goes over the loop."""

    def map(self, func, items, **kwargs):  # type: ignore[no-untyped-def]
        return super().map(func if hasattr(func, "acall") else Awaited(func), items, **kwargs)


class TestCoroutines(ExecutionBackendSuite):
    def make(self) -> OfCoroutines:
        return OfCoroutines(4)

    def test_when_every_worker_hangs_it_is_said(self) -> None:
        """What hangs here is cancelled at its deadline, so that workers never run out."""
        results = self.open().map(
            self.hanging_from(0), range(8), max_workers=2, timeout=0.1, return_exceptions=True
        )
        _, failures = in_thread(lambda: parted(results))
        assert [(each.item, each.kind) for each in failures] == [(item, "timeout") for item in range(8)]


def test_sequential_keeps_the_order():
    assert list(SequentialExecutionBackend().map(str, range(20))) == [str(n) for n in range(20)]


@pytest.mark.parametrize("workers", [0, -1])
def test_threads_refuse_to_have_no_workers(workers: int):
    with pytest.raises(UsageError, match=f"max_workers is {workers}"):
        ThreadExecutionBackend(workers)
    with pytest.raises(UsageError, match=f"max_workers is {workers}"):
        list(ThreadExecutionBackend().map(str, [1], max_workers=workers))


def test_executors_say_what_they_are():
    assert repr(ThreadExecutionBackend(3)) == "ThreadExecutionBackend(max_workers=3)"
    assert repr(SequentialExecutionBackend()) == "SequentialExecutionBackend()"
    assert ThreadExecutionBackend(3).status().name == "threads"
    assert SequentialExecutionBackend().status().name == "sequential"


def test_how_many_worked_is_known_after_the_work() -> None:
    backend = ThreadExecutionBackend()
    assert list(backend.map(abs, [-1], max_workers=3)) == [1]
    assert backend.status().concurrency == 3


def test_an_async_executor_says_how_many_threads_called_plain_functions() -> None:
    backend = AsyncExecutionBackend(50, max_threads=5)
    assert list(backend.map(abs, [-1])) == [1]
    assert backend.status().concurrency == 5
    backend.shutdown()
