"""Coroutines on an event loop of their own: the executor for thousands of requests in flight."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from themis.backends.execution.base import TICK, ExecutionBackend, ExecutorStatus, R, T, TaskFailure
from themis.backends.execution.loop_thread import GRACE_S, LoopThread
from themis.backends.execution.threads import (
    DEFAULT_WORKERS,
    Piece,
    ThreadExecutionBackend,
    at_least_one,
    out_of_patience,
)
from themis.core.errors import described

DEFAULT_CONCURRENT = 64
MOST_UNREAD = 256
"""Results that wait to be read, above which no more items are taken."""
MOST_WAITING = 256
"""Items taken ahead at the most; never more than may be at work at once."""
LOOK_AGAIN_S = 0.05
"""How often whoever waits looks for a cancel, and for a loop that stands still."""
HAND_OVER_S = 0.002
"""Results that come within this are read together: waking the reader holds up the loop."""

_END = object()


class AsyncExecutionBackend(ExecutionBackend):
    """Up to ``max_concurrent`` coroutines at once, on a loop in a thread of its own.

    A task that offers ``acall`` is awaited there. A plain function would stop the loop, so it is called in
    up to ``max_threads`` threads, as :class:`ThreadExecutionBackend` does. ``max_workers`` of ``map`` takes
    the place of either.

    At its deadline a coroutine is cancelled. One that blocks the loop cannot be: the loop is left behind
    with all that stands on it, each failing at its own deadline, and a new one goes on with the rest.

    Args:
        max_concurrent: How many coroutines are awaited at once, at most.
        max_threads: How many threads call plain functions at once, at most.
    """

    keeps_timeout = True
    ticks = True

    def __init__(
        self, max_concurrent: int = DEFAULT_CONCURRENT, *, max_threads: int = DEFAULT_WORKERS
    ) -> None:
        self.max_concurrent = self._concurrency = at_least_one(max_concurrent, "max_concurrent")
        self.max_threads = at_least_one(max_threads, "max_threads")
        self._threads = ThreadExecutionBackend(max_threads)
        self._loop: LoopThread | None = None
        self._starting = threading.Lock()
        self._maps: set[_Map] = set()

    def map(
        self,
        func: Callable[[T], R],
        items: Iterable[T],
        *,
        max_workers: int | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Iterator[R]:
        if max_workers is not None:
            at_least_one(max_workers, "max_workers")
        acall = getattr(func, "acall", None)
        if acall is None:
            self._concurrency = max_workers or self.max_threads
            return self._threads.map(func, items, max_workers=max_workers, timeout=timeout, **kwargs)
        self._concurrency = max_workers or self.max_concurrent
        work = _Map(self, acall, items, self._concurrency, timeout, kwargs.get("cancel"), kwargs.get("tick"))
        return self._results(work, bool(kwargs.get("return_exceptions", False)))

    def _results(self, work: _Map, return_exceptions: bool) -> Iterator[Any]:
        self._maps.add(work)
        try:
            for result in work.results():
                if type(result) is TaskFailure and not return_exceptions:
                    raise result.to_error()
                yield result
        finally:
            self._maps.discard(work)
            work.close()

    def loop(self) -> LoopThread:
        """The loop that new work goes to."""
        with self._starting:
            if self._loop is None or not self._loop.runs:
                self._loop = LoopThread()
            return self._loop

    def leave(self, loop: LoopThread) -> bool:
        """Send no more work to a loop that stands still; whether that is news. It ends if it moves again."""
        with self._starting:
            if self._loop is not loop:
                return False
            self._loop = None
        loop.stop()
        return True

    def shutdown(self) -> None:
        for work in list(self._maps):
            work.close()
        self._threads.shutdown()
        with self._starting:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()

    def status(self) -> ExecutorStatus:
        maps = list(self._maps)
        if not maps and self._threads.status().workers:
            status = self._threads.status()
            status.name = "async"
            return status
        running = sum(len(work.running) for work in maps)
        return ExecutorStatus(
            "async",
            workers=self._concurrency if maps else 0,
            running=running,
            queued=0,
            nodes=1,
            concurrency=self._concurrency,
            reason="fixed",
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"max_concurrent": self.max_concurrent, "max_threads": self.max_threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["max_concurrent"], max_threads=state["max_threads"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"AsyncExecutionBackend(max_concurrent={self.max_concurrent})"


class _Awaited(Piece):
    """One item that a coroutine works on."""

    __slots__ = ("handle", "loop", "task")

    def __init__(self, item: Any, loop: LoopThread) -> None:
        super().__init__(item, time.monotonic())
        self.loop = loop
        self.task: asyncio.Task[Any] | None = None
        self.handle: asyncio.TimerHandle | None = None


class _Map:
    """One call of ``map``. A thread of its own takes the items, as an iterable may wait; the loop does them;
    whoever reads ``results`` gets them through a queue."""

    def __init__(
        self,
        owner: AsyncExecutionBackend,
        acall: Callable[[Any], Coroutine[Any, Any, Any]],
        items: Iterable[Any],
        concurrency: int,
        timeout: float | None,
        cancel: threading.Event | None,
        tick: float | None,
    ) -> None:
        self.owner = owner
        self.acall = acall
        self.items = iter(items)
        self.concurrency = concurrency
        self.timeout = timeout
        self.cancel = cancel
        self.tick = tick
        self.closed = False
        self.taken = self.received = 0
        self.done_now: deque[Any] = deque()
        """What is done and was not handed over yet."""
        self._called_to_fill = False
        self.failure: BaseException | None = None
        self.running: set[_Awaited] = set()
        self.waiting: deque[Any] = deque()
        """Items taken ahead, so that the loop begins the next as soon as one is done."""
        self.most_waiting = min(concurrency, MOST_WAITING)
        self.most_out = concurrency + self.most_waiting + MOST_UNREAD
        self.abandoned = 0
        self.exhausted = False
        """Whether so much was abandoned that nothing more is begun."""
        self.room = threading.Condition()
        self.ready: SimpleQueue[Any] = SimpleQueue()

    def stopped(self) -> bool:
        """Whether nothing more is to be taken."""
        return self.closed or (self.cancel is not None and self.cancel.is_set())

    def results(self) -> Iterator[Any]:
        """Results and failures as they complete; raises what the iterable raised, after the last of them."""
        if self.stopped():
            return
        threading.Thread(target=self._feed, name="themis-feeder", daemon=True).start()
        waited, ended = 0.0, False
        while not ended or self.received < self.taken:
            if self.exhausted and not self.running and self.ready.empty():
                break
            try:
                handed = self.ready.get(timeout=LOOK_AGAIN_S)
            except Empty:
                if self.stopped():
                    return
                self._look_for_standstill()
                self._hand_over()  # what lies with a loop that was left
                waited += LOOK_AGAIN_S
                if self.tick is not None and waited >= self.tick:
                    waited = 0.0
                    yield TICK
                continue
            if handed is _END:
                ended = True
                continue
            waited = 0.0
            for result in handed:
                self.received += 1
                yield result
            with self.room:
                self.room.notify()
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Take no more, and cancel what is awaited."""
        self.closed = True
        with self.room:
            self.room.notify()
        for piece in list(self.running):
            if piece.task is not None:
                piece.loop.call(piece.task.cancel)

    # In the feeder's thread

    def _feed(self) -> None:
        try:
            while self._has_room():
                try:
                    item = next(self.items)
                except StopIteration:
                    return
                self.waiting.append(item)
                self.taken += 1
                if len(self.running) < self.concurrency and not self._called_to_fill:
                    self._call_to_fill()
        except BaseException as exc:  # raised again when what is in flight has come back
            self.failure = self.failure or exc
        finally:
            self.ready.put(_END)
            self._call_to_fill()

    def _has_room(self) -> bool:
        with self.room:
            while not self.stopped() and self.failure is None:
                if len(self.waiting) < self.most_waiting and self.taken - self.received < self.most_out:
                    return True
                self.room.wait(LOOK_AGAIN_S)
        return False

    def _call_to_fill(self) -> None:
        self._called_to_fill = True
        loop = self.owner.loop()
        while not loop.call(self._fill, loop) and not self.stopped():
            loop = self.owner.loop()

    # On the loop

    def _fill(self, loop: LoopThread) -> None:
        self._called_to_fill = False
        while (
            len(self.running) < self.concurrency and loop.runs and not self.exhausted and not self.stopped()
        ):
            try:
                item = self.waiting.popleft()
            except IndexError:
                break
            self._start(_Awaited(item, loop))

    def _start(self, piece: _Awaited) -> None:
        self.running.add(piece)
        loop = asyncio.get_running_loop()
        piece.task = loop.create_task(self._called(piece.item))
        piece.task.add_done_callback(lambda task: self._done(piece, task))
        if self.timeout is not None:
            piece.handle = loop.call_later(self.timeout, self._expire, piece)

    async def _called(self, item: Any) -> Any:
        try:
            return await self.acall(item)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # even SystemExit is the item's failure, not the loop's end
            return TaskFailure(item, "raised", described(exc), exc)

    def _done(self, piece: _Awaited, task: asyncio.Task[Any]) -> None:
        if piece.handle is not None:
            piece.handle.cancel()
        if not piece.claim():
            return
        if task.cancelled() and not piece.loop.runs and not self.closed:
            result: Any = self._too_late(piece)  # it stood behind the one that blocked the loop
        elif task.cancelled():  # by our closing, or by the coroutine itself
            gone = asyncio.CancelledError("the coroutine was cancelled")
            result = TaskFailure(piece.item, "raised", described(gone), None)
        else:
            result = task.result()
        self._settle(piece, result)

    def _expire(self, piece: _Awaited) -> None:
        if piece.task is None or not piece.claim():
            return
        piece.task.cancel()
        self._settle(piece, self._too_late(piece))
        asyncio.get_running_loop().call_later(GRACE_S, self._look_after, piece.task)

    def _look_after(self, task: asyncio.Task[Any]) -> None:
        if not task.done():
            self._abandon()
            task.add_done_callback(lambda _: self._came_back())

    def _settle(self, piece: _Awaited, result: Any) -> None:
        if not self.done_now:
            asyncio.get_running_loop().call_later(HAND_OVER_S, self._hand_over)
        self.done_now.append(result)
        self.running.discard(piece)
        if piece.loop.runs:
            self._fill(piece.loop)
        if len(self.waiting) * 2 <= self.most_waiting:
            with self.room:
                self.room.notify()

    # From anywhere

    def _hand_over(self) -> None:
        handed = []
        with suppress(IndexError):
            while True:
                handed.append(self.done_now.popleft())
        if handed:
            self.ready.put(handed)

    def _too_late(self, piece: _Awaited) -> TaskFailure:
        return TaskFailure(piece.item, "timeout", f"no result within {self.timeout:g} s")

    def _look_for_standstill(self) -> None:
        if self.timeout is None:
            return
        late = time.monotonic() - self.timeout - GRACE_S
        for piece in [each for each in list(self.running) if each.started < late]:
            if piece.claim():
                if self.owner.leave(piece.loop):
                    self._abandon()
                self.ready.put([self._too_late(piece)])
                self.running.discard(piece)
                self._call_to_fill()

    def _abandon(self) -> None:
        self.abandoned += 1
        if self.abandoned > self.concurrency and not self.exhausted:
            self.exhausted = True
            self.failure = out_of_patience(self.abandoned, self.timeout or 0.0, self.concurrency)

    def _came_back(self) -> None:
        self.abandoned -= 1
