"""Threads that share one queue: the executor for work that waits."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

from themis.backends.execution.base import ExecutionBackend, ExecutorStatus, R, T, TaskFailure
from themis.core.errors import UsageError, WorkersExhausted

DEFAULT_WORKERS = 16
LEAST_WINDOW = 64
"""Items taken in advance, at least: a worker that never waits for its next item needs no lock for it."""
WORTH_A_THREAD_S = 0.000_5
"""Items that take less on average gain nothing from another thread: they only fight for the interpreter."""
LOOK_AGAIN_S = 0.05
"""How often a waiting ``map`` looks for a cancel, and for work that needs one more thread."""
FIRST_LOOK_S = 0.002

_END = object()
_numbers = itertools.count(1)


class ThreadExecutionBackend(ExecutionBackend):
    """Up to ``max_workers`` threads, started as the work turns out to need them.

    Work that outlives its ``timeout`` cannot be stopped in Python: its thread is abandoned (it is a daemon,
    and ends when the work does) and replaced.
    """

    def __init__(self, max_workers: int = DEFAULT_WORKERS) -> None:
        self.max_workers = _checked(max_workers)
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
        workers = self.max_workers if max_workers is None else _checked(max_workers)
        work = _Map(func, items, workers, timeout, kwargs.get("cancel"))
        return self._results(work, bool(kwargs.get("return_exceptions", False)))

    def _results(self, work: _Map, return_exceptions: bool) -> Iterator[Any]:
        self._maps.add(work)
        try:
            for result in work.results():
                if isinstance(result, TaskFailure) and not return_exceptions:
                    raise result.to_error()
                yield result
        finally:
            self._maps.discard(work)
            work.close()

    def shutdown(self) -> None:
        for work in list(self._maps):
            work.close()

    def status(self) -> ExecutorStatus:
        maps = list(self._maps)
        return ExecutorStatus(
            "threads",
            workers=sum(len(work.workers) for work in maps),
            running=sum(worker.item is not _END for work in maps for worker in list(work.workers)),
            queued=sum(work.todo.qsize() for work in maps),
            nodes=1,
            concurrency=max((work.most_workers for work in maps), default=self.max_workers),
            reason="fixed",
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"max_workers": self.max_workers, "_maps": set()}

    def __repr__(self) -> str:
        return f"ThreadExecutionBackend(max_workers={self.max_workers})"


class _Map:
    """One call of ``map``: its queue of items, its threads, its results."""

    def __init__(
        self,
        func: Callable[[Any], Any],
        items: Iterable[Any],
        most_workers: int,
        timeout: float | None,
        cancel: threading.Event | None,
    ) -> None:
        self.func = func
        self.items = iter(items)
        self.most_workers = most_workers
        self.window = max(2 * most_workers, LEAST_WINDOW)
        self.timeout = timeout
        self.cancel = cancel
        self.todo: SimpleQueue[Any] = SimpleQueue()
        self.done: SimpleQueue[tuple[Any, float]] = SimpleQueue()
        self.workers: list[_Worker] = []
        self.abandoned: list[_Worker] = []
        self.closed = False
        self.failure: BaseException | None = None
        self.item_seconds = 0.0
        self.next_deadline = 0.0

    def results(self) -> Iterator[Any]:
        """Results and failures as they complete; raises what the iterable raised, after the last of them."""
        pending = 0
        more = True
        while not self.closed:
            while more and pending < self.window:
                more = self._take()
                pending += more
            if pending == 0:
                break
            outcome = self._next_done(pending)
            if outcome is None:
                return
            result, seconds = outcome
            self.item_seconds += (seconds - self.item_seconds) * 0.1
            if self.item_seconds > WORTH_A_THREAD_S and not self.todo.empty():
                self._start_worker()
            pending -= 1
            yield result
        if self.failure is not None:
            raise self.failure

    def _take(self) -> bool:
        try:
            item = next(self.items)
        except StopIteration:
            return False
        except BaseException as exc:  # raised again when what is in flight has come back
            self.failure = exc
            return False
        self.todo.put(item)
        if not self.workers:
            self._start_worker()
        return True

    def _next_done(self, pending: int) -> tuple[Any, float] | None:
        patience = FIRST_LOOK_S
        while True:
            if self.timeout is not None:
                failure = self._expired()
                if failure is not None:
                    return failure, self.timeout
            try:
                return self.done.get(timeout=patience)
            except Empty:
                pass
            if self.closed or (self.cancel is not None and self.cancel.is_set()):
                return None
            for _ in range(self.todo.qsize()):
                self._start_worker()
            patience = LOOK_AGAIN_S

    def _expired(self) -> TaskFailure | None:
        now = time.monotonic()
        if now < self.next_deadline:
            return None
        assert self.timeout is not None
        self.next_deadline = now + min(self.timeout, LOOK_AGAIN_S)
        for worker in self.workers:
            started, item = worker.started, worker.item
            if item is _END or now < started + self.timeout or not worker.claim():
                continue
            self.workers.remove(worker)
            self.abandoned = [each for each in self.abandoned if each.is_alive()] + [worker]
            if len(self.abandoned) >= self.most_workers and not self.todo.empty():
                raise WorkersExhausted(
                    f"{len(self.abandoned)} pieces of work passed their deadline of {self.timeout:g} s and "
                    f"still hang, as many as there may be workers ({self.most_workers}). Give the model a "
                    "time-out of its own, or allow more workers."
                )
            self.next_deadline = now
            return TaskFailure(item, "timeout", f"no result within {self.timeout:g} s")
        return None

    def _start_worker(self) -> None:
        if len(self.workers) < self.most_workers:
            worker = _Worker(self)
            self.workers.append(worker)
            worker.start()

    def close(self) -> None:
        """Drop what is queued and let the threads end after what they are doing."""
        self.closed = True
        try:
            while True:
                self.todo.get_nowait()
        except Empty:
            pass
        for _ in self.workers:
            self.todo.put(_END)


class _Worker(threading.Thread):
    """Takes items until told to end. ``item`` and ``started`` are read by the map that owns it."""

    def __init__(self, work: _Map) -> None:
        super().__init__(name=f"themis-worker-{next(_numbers)}", daemon=True)
        self.work = work
        self.item: Any = _END
        self.started = 0.0
        self._unclaimed: list[None] = []

    def claim(self) -> bool:
        """Whether the caller is the first to settle the present item: its worker, or its deadline."""
        try:
            self._unclaimed.pop()
        except IndexError:
            return False
        return True

    def run(self) -> None:
        work, clock = self.work, time.monotonic
        func, take, give = work.func, work.todo.get, work.done.put
        while True:
            item = take()
            if item is _END or work.closed:
                return
            started = self.started = clock()
            self._unclaimed = [None]
            self.item = item
            try:
                result = func(item)
            except BaseException as exc:  # even SystemExit is the item's failure, not the thread's end
                result = TaskFailure(item, "raised", f"{type(exc).__name__}: {exc}", exc)
            self.item = _END
            if not self.claim():
                return
            give((result, clock() - started))


def _checked(max_workers: int) -> int:
    if max_workers < 1:
        raise UsageError(f"max_workers is {max_workers}; it must be at least 1.")
    return max_workers
