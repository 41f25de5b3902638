"""What the async executor does with coroutines, beyond the suite: many at once, cancelled, or in the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from themis.backends import AsyncExecutionBackend
from themis.backends.execution.base import TaskFailure
from themis.core.errors import UsageError, WorkersExhausted
from themis.testing.execution.place import PATIENCE_S, in_thread, read_into

SOON_S = 0.2


class Task:
    """A task of a coroutine function alone."""

    def __init__(self, acall: Callable[[Any], Awaitable[Any]]) -> None:
        self.acall = acall

    def __call__(self, item: Any) -> Any:
        raise AssertionError("it offers a coroutine")


@pytest.fixture
def executor():
    executor = AsyncExecutionBackend(8)
    yield executor
    executor.shutdown()


def test_a_thousand_wait_at_once(executor):
    inside, all_in = 0, asyncio.Event()

    async def wait_for_all(item):
        nonlocal inside
        inside += 1
        if inside == 1_000:
            all_in.set()
        await all_in.wait()
        return item

    results = in_thread(lambda: sorted(executor.map(Task(wait_for_all), range(1_000), max_workers=1_000)))
    assert results == list(range(1_000))


def test_never_more_at_once_than_asked(executor):
    inside = most = 0

    async def count(item):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.001)
        inside -= 1
        return item

    assert len(list(executor.map(Task(count), range(100), max_workers=5))) == 100
    assert most == 5


def test_at_its_deadline_a_coroutine_is_cancelled(executor):
    cancelled = threading.Event()

    async def hang(item):
        if item:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
        return item

    results = list(executor.map(Task(hang), [0, 1, 0], timeout=SOON_S, return_exceptions=True))
    failure = next(each for each in results if isinstance(each, TaskFailure))
    assert (failure.item, failure.kind) == (1, "timeout")
    assert [each for each in results if each == 0] == [0, 0]
    assert cancelled.wait(PATIENCE_S)


def test_closing_cancels_what_is_awaited(executor):
    cancelled = threading.Semaphore(0)

    async def hang(item):
        if item == 0:
            return item
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.release()
            raise

    results = executor.map(Task(hang), range(100), max_workers=3)
    assert next(results) == 0
    in_thread(results.close)
    assert cancelled.acquire(timeout=PATIENCE_S)
    assert not executor.status().running


def test_one_that_blocks_the_loop_is_left_behind_and_the_others_go_on(executor):
    released = threading.Event()

    async def block(item):
        if item == 0:
            released.wait(PATIENCE_S)  # no await: the loop stands still
        return item

    try:
        results = in_thread(
            lambda: list(
                executor.map(
                    Task(block), range(20), max_workers=1, timeout=SOON_S, return_exceptions=True, tick=0.1
                )
            )
        )
    finally:
        released.set()
    failures = [each for each in results if isinstance(each, TaskFailure)]
    assert [(each.item, each.kind) for each in failures] == [(0, "timeout")]
    assert sorted(each for each in results if type(each) is int) == list(range(1, 20))


def test_what_was_done_before_the_loop_was_blocked_is_given(executor):
    released = threading.Event()

    async def block(item):
        if item == 5:
            released.wait(PATIENCE_S)
        return item

    try:
        results = in_thread(
            lambda: list(
                executor.map(Task(block), range(60), max_workers=4, timeout=SOON_S, return_exceptions=True)
            )
        )
    finally:
        released.set()
    assert len(results) == 60
    failed = {each.item for each in results if isinstance(each, TaskFailure)}
    assert 5 in failed
    assert len(failed) <= 4, "those that stood on the same loop"


def test_coroutines_that_will_not_be_cancelled_run_out_of_patience(executor):
    over = False

    async def stubborn(item):
        while not over:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                pass
        return item

    given: list[TaskFailure] = []
    results = executor.map(
        Task(stubborn), range(1_000), max_workers=2, timeout=SOON_S, return_exceptions=True
    )
    try:
        with pytest.raises(WorkersExhausted):
            in_thread(lambda: read_into(given, results))
    finally:
        over = True
    assert {each.kind for each in given} == {"timeout"}
    assert len(given) < 20


def test_a_coroutine_that_cancels_itself_fails_alone(executor):
    async def give_up(item):
        if item == 3:
            raise asyncio.CancelledError
        return item

    results = list(executor.map(Task(give_up), range(10), return_exceptions=True))
    assert [each.item for each in results if isinstance(each, TaskFailure)] == [3]
    assert len(results) == 10


@pytest.mark.parametrize("given", [{"max_concurrent": 0}, {"max_threads": -1}])
def test_it_refuses_to_do_nothing(given):
    with pytest.raises(UsageError, match="must be at least 1"):
        AsyncExecutionBackend(**given)
