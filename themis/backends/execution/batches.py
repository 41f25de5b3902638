"""Items gathered into batches: the executor for models that answer many prompts at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from themis.backends.execution.base import ExecutionBackend, ExecutorStatus, R, T
from themis.backends.execution.coroutines import AsyncExecutionBackend
from themis.backends.execution.threads import ThreadExecutionBackend, at_least_one
from themis.core.errors import ExecutionError, UsageError

DEFAULT_SIZE = 32
DEFAULT_WAIT_S = 0.01
BATCHES_AT_ONCE = 2
"""One is at work while the next is gathered, so that what answers them is never idle."""


class BatchExecutionBackend(ExecutionBackend):
    """Gathers items for tasks that offer ``batch``: up to ``size`` of them, or what came within ``wait``.

    Batches are gathered all the time, not in rounds: as soon as items come back, others join the next one.
    Each item keeps a deadline of its own, from when it joined. A ``batch`` that raises is done again item by
    item, so that one bad item fails alone.

    A task without ``batch`` is awaited or called in threads, as :class:`AsyncExecutionBackend` does.

    Args:
        size: How many items make a batch, at most.
        wait: Seconds that the first item of a batch waits for others, at most.
        max_items: How many items are at work or being gathered at once, at most; two batches by default.
    """

    keeps_timeout = True
    ticks = True

    def __init__(
        self, size: int = DEFAULT_SIZE, *, wait: float = DEFAULT_WAIT_S, max_items: int | None = None
    ) -> None:
        self.size = at_least_one(size, "size")
        if not 0 <= wait <= threading.TIMEOUT_MAX:
            raise UsageError(f"wait is {wait!r}; it is a number of seconds, 0 or more.")
        self.wait = wait
        self.max_items = max_items if max_items is None else at_least_one(max_items, "max_items")
        most = self.max_items or BATCHES_AT_ONCE * size
        self._threads = ThreadExecutionBackend(most)
        self._others = AsyncExecutionBackend(most)
        self._last: _Gathering | None = None

    def map(
        self,
        func: Callable[[T], R],
        items: Iterable[T],
        *,
        max_workers: int | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Iterator[R]:
        if getattr(func, "batch", None) is None:
            self._last = None
            return self._others.map(func, items, max_workers=max_workers, timeout=timeout, **kwargs)
        most = max_workers or self._threads.max_workers
        # A larger batch than there may be items would always be waited for in vain.
        self._last = gathering = _Gathering(func, min(self.size, most), self.wait)
        return self._threads.map(gathering, items, max_workers=max_workers, timeout=timeout, **kwargs)

    def shutdown(self) -> None:
        self._threads.shutdown()
        self._others.shutdown()

    def status(self) -> ExecutorStatus:
        gathering = self._last
        if gathering is None:
            status = self._others.status()
            status.name = "batch"
            return status
        status = self._threads.status()
        status.name = "batch"
        status.reason = f"batches of up to {gathering.size}"
        status.details = {"batches": gathering.batches, "mean_batch": gathering.mean_batch}
        if gathering.batches:
            status.reason += f", {gathering.mean_batch:.1f} on average"
        return status

    def __getstate__(self) -> dict[str, Any]:
        return {"size": self.size, "wait": self.wait, "max_items": self.max_items}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["size"], wait=state["wait"], max_items=state["max_items"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"BatchExecutionBackend(size={self.size}, wait={self.wait:g})"


class _Gathering:
    """The function that threads call, each with one item: who comes first leads, the others join.

    So an item has its thread, and with it all that threads promise of a single item.
    """

    def __init__(self, func: Any, size: int, wait: float) -> None:
        self.size = size
        self.batches = self.gathered = 0
        self._func = func
        self._wait = wait
        self._joining = threading.Lock()
        self._open: _Batch | None = None

    @property
    def mean_batch(self) -> float:
        """Items in a batch, on average so far."""
        return self.gathered / max(1, self.batches)

    def __call__(self, item: Any) -> Any:
        """The result of one item."""
        batch, place = self._joined(item)
        if place == 0:
            if not batch.full.wait(self._wait):
                self._close(batch)
            self._work(batch)
        batch.done.wait()
        return batch.result(place) if batch.error is None else self._alone(batch, item)

    def _joined(self, item: Any) -> tuple[_Batch, int]:
        with self._joining:
            batch = self._open
            if batch is None:
                batch = self._open = _Batch()
            batch.items.append(item)
            place = len(batch.items) - 1
            if place + 1 >= self.size:
                self._open = None
                batch.full.set()
        return batch, place

    def _close(self, batch: _Batch) -> None:
        with self._joining:
            if self._open is batch:
                self._open = None

    def _work(self, batch: _Batch) -> None:
        with self._joining:
            self.batches += 1
            self.gathered += len(batch.items)
        try:
            batch.results = list(self._func.batch(list(batch.items)))
        except BaseException as exc:  # raised again by whom it belongs to
            batch.error = exc
        finally:
            batch.done.set()

    def _alone(self, batch: _Batch, item: Any) -> Any:
        if len(batch.items) == 1 and batch.error is not None:
            raise batch.error
        # Nobody knows which of them is to blame.
        return self._func(item)


class _Batch:
    """Items that are worked on together."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.results: list[Any] = []
        self.error: BaseException | None = None
        self.full = threading.Event()
        self.done = threading.Event()

    def result(self, place: int) -> Any:
        """What came of the item at a place; raises the exception that stands there."""
        if len(self.results) != len(self.items):
            raise ExecutionError(
                f"batch() gave {len(self.results)} results for {len(self.items)} items; it has to give one "
                "for each, in their order."
            )
        result = self.results[place]
        if isinstance(result, BaseException):
            raise result
        return result
