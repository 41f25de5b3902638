"""One item after the other, in the calling thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from themis.backends.execution.base import ExecutionBackend, ExecutorStatus, R, T, TaskFailure
from themis.backends.execution.threads import ThreadExecutionBackend
from themis.core.errors import described


class SequentialExecutionBackend(ExecutionBackend):
    """Runs items in order, one at a time: for debugging, and for models that bear no company.

    With a ``timeout`` the work runs in one thread beside the caller, since nothing else can leave it behind.
    """

    keeps_timeout = True

    def __init__(self) -> None:
        self._running = 0
        self._beside = ThreadExecutionBackend(max_workers=1)

    def map(
        self,
        func: Callable[[T], R],
        items: Iterable[T],
        *,
        max_workers: int | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Iterator[R]:
        if timeout is not None:
            return self._beside.map(func, items, timeout=timeout, **kwargs)
        return self._map(func, items, kwargs.get("return_exceptions", False), kwargs.get("cancel"))

    def _map(
        self,
        func: Callable[[T], R],
        items: Iterable[T],
        return_exceptions: bool,
        cancel: threading.Event | None,
    ) -> Iterator[R]:
        for item in items:
            if cancel is not None and cancel.is_set():
                return
            self._running = 1
            try:
                result: Any = func(item)
            except (Exception, SystemExit) as exc:  # an item's failure is carried to the caller
                result = TaskFailure(item, "raised", described(exc), exc)
                if not return_exceptions:
                    raise result.to_error()  # noqa: B904 - it is the item's own error
            finally:
                self._running = 0
            yield result

    def shutdown(self) -> None:
        self._running = 0
        self._beside.shutdown()

    def status(self) -> ExecutorStatus:
        running = self._running + (self._beside.status().running or 0)
        return ExecutorStatus(
            "sequential", workers=1, running=running, queued=0, nodes=1, concurrency=1, reason="fixed"
        )

    def __repr__(self) -> str:
        return "SequentialExecutionBackend()"
