"""Threads that share one iterator: the executor for work that waits."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

from themis.backends.execution.base import TICK, ExecutionBackend, ExecutorStatus, R, T, TaskFailure
from themis.core.errors import UsageError, WorkersExhausted, described

DEFAULT_WORKERS = 16
MOST_UNREAD = 256
"""Results that wait to be read, above which no worker takes another item; each has a fair share."""
HAND_OVER_S = 0.001
"""Results of a worker are read together if they come faster than this: waking the reader costs more than a
small item does."""
WORTH_A_THREAD_S = 0.000_5
"""Items that take less on average gain nothing from another thread: they only fight for the interpreter."""
LOOK_AGAIN_S = 0.05
"""How often a waiting ``map`` looks for a cancel and for passed deadlines."""
FIRST_LOOK_S = 0.002
"""Without a result for this long, all threads are started."""

_IDLE = object()
_numbers = itertools.count(1)


class ThreadExecutionBackend(ExecutionBackend):
    """Up to ``max_workers`` threads, started as the work turns out to need them.

    Work that outlives its ``timeout`` cannot be stopped in Python: its thread is abandoned (it is a daemon,
    and ends when the work does) and replaced.

    Args:
        max_workers: How many threads work at once, at most.
    """

    keeps_timeout = True
    ticks = True

    def __init__(self, max_workers: int = DEFAULT_WORKERS) -> None:
        self.max_workers = self._concurrency = at_least_one(max_workers, "max_workers")
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
        workers = self.max_workers if max_workers is None else at_least_one(max_workers, "max_workers")
        self._concurrency = workers
        work = _Map(func, items, workers, timeout, kwargs.get("cancel"), kwargs.get("tick"))
        return self._results(work, bool(kwargs.get("return_exceptions", False)))

    def _results(self, work: _Map, return_exceptions: bool) -> Iterator[Any]:
        self._maps.add(work)
        try:
            yield from work.results(return_exceptions)
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
            running=sum(worker.current is not None for work in maps for worker in list(work.workers)),
            queued=0,
            nodes=1,
            concurrency=max((work.most_workers for work in maps), default=self._concurrency),
            reason="fixed",
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"max_workers": self.max_workers, "_concurrency": self.max_workers, "_maps": set()}

    def __repr__(self) -> str:
        return f"ThreadExecutionBackend(max_workers={self.max_workers})"


class _Map:
    """One call of ``map``: its iterator, its threads, its results.

    Workers take items themselves, one at a time, so that an item is made, worked on and done in one thread.
    Only the reader of ``results`` starts and abandons workers.
    """

    def __init__(
        self,
        func: Callable[[Any], Any],
        items: Iterable[Any],
        most_workers: int,
        timeout: float | None,
        cancel: threading.Event | None,
        tick: float | None,
    ) -> None:
        self.func = func
        self.items = iter(items)
        self.most_workers = most_workers
        self.timeout = timeout
        self.cancel = cancel
        self.tick = tick
        self.taking = threading.Lock()
        self.exhausted = False
        self.closed = False
        self.failure: BaseException | None = None
        self.ready: SimpleQueue[_Worker] = SimpleQueue()
        """Workers whose results are to be read."""
        self.share = MOST_UNREAD
        self.room = threading.Event()
        self.workers: list[_Worker] = []
        self.abandoned: list[_Worker] = []
        self.next_look = 0.0

    def stopped(self) -> bool:
        """Whether nothing more is to be taken."""
        return self.closed or (self.cancel is not None and self.cancel.is_set())

    def take(self, unread: deque[Any]) -> Any:
        """The next item, for a worker; ``_IDLE`` when it should end. Waits while results pile up unread."""
        while len(unread) >= self.share and not self.stopped():
            self.room.clear()
            if len(unread) >= self.share:
                self.room.wait(LOOK_AGAIN_S)
        with self.taking:
            if self.exhausted or self.closed or (self.cancel is not None and self.cancel.is_set()):
                return _IDLE
            try:
                return next(self.items)
            except StopIteration:
                self.exhausted = True
            except BaseException as exc:  # raised again when what is in flight has come back
                self.exhausted, self.failure = True, exc
            return _IDLE

    def results(self, return_exceptions: bool) -> Iterator[Any]:
        """Results and failures as they complete; raises what the iterable raised, after the last of them."""
        item_seconds = 0.0
        self._start_worker()
        while self.workers and not self.closed:
            unread = self._next_unread()
            if unread is None:
                return
            while unread:
                result, seconds = unread.popleft()
                if seconds is None:
                    self.workers.remove(result)
                    break
                item_seconds += (seconds - item_seconds) * 0.1
                if item_seconds > WORTH_A_THREAD_S and not self.exhausted:
                    self._start_worker()
                if type(result) is TaskFailure and not return_exceptions:
                    raise result.to_error()
                yield result
            if not self.room.is_set():
                self.room.set()
        if self.failure is not None:
            raise self.failure

    def _next_unread(self) -> deque[Any] | None:
        """Results to read, with the seconds they took; a worker and ``None`` when it has ended.

        ``None`` in place of results means to stop.
        """
        patience, waited = FIRST_LOOK_S, 0.0
        while True:
            overdue = self._overdue()
            if overdue is not None:
                return overdue
            try:
                return self.ready.get(timeout=patience).unread
            except Empty:
                waited += patience
            if self.stopped():
                return None
            while not self.exhausted and self._start_worker():
                pass
            if self.tick is not None and waited >= self.tick:
                return deque([(TICK, 0.0)])
            patience = LOOK_AGAIN_S

    def _overdue(self) -> deque[Any] | None:
        """What a worker holds that has begun something long: its results so far, and perhaps its deadline."""
        now = time.monotonic()
        if now < self.next_look:
            return None
        self.next_look = now + (LOOK_AGAIN_S if self.timeout is None else min(self.timeout, LOOK_AGAIN_S))
        for worker in self.workers:
            piece = worker.current
            if piece is None:
                continue
            if self.timeout is not None and now >= piece.started + self.timeout and piece.claim():
                # Behind its results, which are as good as any.
                reason = f"no result within {self.timeout:g} s"
                worker.unread.append((TaskFailure(piece.item, "timeout", reason), self.timeout))
                self.workers.remove(worker)
                self._abandon(worker, self.timeout)
            elif not worker.unread or now < piece.started + HAND_OVER_S:
                continue
            self.next_look = now  # there may be more of them
            return worker.unread
        return None

    def _abandon(self, worker: _Worker, timeout: float) -> None:
        self.abandoned = [each for each in self.abandoned if each.is_alive()] + [worker]
        if self.exhausted:
            return
        if len(self.abandoned) > self.most_workers:
            self.failure = out_of_patience(len(self.abandoned), timeout, self.most_workers)
            self.exhausted = True
        else:
            self._start_worker()

    def _start_worker(self) -> bool:
        if len(self.workers) >= self.most_workers:
            return False
        worker = _Worker(self)
        self.workers.append(worker)
        self.share = max(2, MOST_UNREAD // len(self.workers))
        worker.start()
        return True

    def close(self) -> None:
        """Let the threads end after what they are doing."""
        self.closed = True
        self.room.set()


class Piece:
    """One item being worked on."""

    __slots__ = ("_unclaimed", "item", "started")

    def __init__(self, item: Any, started: float) -> None:
        self.item = item
        self.started = started
        self._unclaimed = [None]

    def claim(self) -> bool:
        """Whether the caller is the first to settle it: its worker, or its deadline."""
        try:
            self._unclaimed.pop()
        except IndexError:
            return False
        return True


class _Worker(threading.Thread):
    """Takes items until there are none. ``current`` and ``unread`` are read by the map that owns it."""

    def __init__(self, work: _Map) -> None:
        super().__init__(name=f"themis-worker-{next(_numbers)}", daemon=True)
        self.work = work
        self.current: Piece | None = None
        self.unread: deque[tuple[Any, float | None]] = deque()

    def run(self) -> None:
        work, clock = self.work, time.monotonic
        func, take, unread, tell = work.func, work.take, self.unread, work.ready.put
        told = 0.0
        while (item := take(unread)) is not _IDLE:
            piece = self.current = Piece(item, clock())
            try:
                result = func(item)
            except BaseException as exc:  # even SystemExit is the item's failure, not the thread's end
                result = TaskFailure(item, "raised", described(exc), exc)
            self.current = None
            if not piece.claim():
                return
            now = clock()
            unread.append((result, now - piece.started))
            if now - told > HAND_OVER_S or len(unread) >= work.share:
                told = now
                tell(self)
        # Behind all its results: until this is read, there may be more to read.
        unread.append((self, None))
        tell(self)


def out_of_patience(abandoned: int, timeout: float, most: int) -> WorkersExhausted:
    """Why nothing more is begun, once more work is left behind than may be at work at once."""
    return WorkersExhausted(
        f"{abandoned} pieces of work passed their deadline of {timeout:g} s and still hang, more than there "
        f"may be workers ({most}). Give the model a time-out of its own, or allow more workers."
    )


def at_least_one(count: int, name: str) -> int:
    """``count``. Raises :class:`UsageError` that names it, if nothing could be done with it."""
    if count < 1:
        raise UsageError(f"{name} is {count}; it must be at least 1.")
    return count
