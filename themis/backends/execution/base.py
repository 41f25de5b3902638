"""What every executor promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from themis.core.errors import ExecutionError, TaskTimeout, WorkerLost

TICK: Any = object()
"""Yielded by ``map`` in place of a result, if ``tick`` was asked, when none came for so long."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class TaskFailure:
    """In place of a result: the item that failed, and how."""

    item: Any
    kind: str
    """``raised``, ``timeout`` or ``worker_lost``."""
    message: str
    error: BaseException | None = None
    """What was raised, where it could be carried here."""

    def to_error(self) -> BaseException:
        """What ``map`` raises for this failure: the item's own error, with a note that names the item."""
        error = self.error or _ERRORS.get(self.kind, ExecutionError)(self.message)
        error.add_note(f"The item was {self.item!r:.200}")
        return error


_ERRORS: dict[str, type[ExecutionError]] = {"timeout": TaskTimeout, "worker_lost": WorkerLost}


@dataclass
class ExecutorStatus:
    """What an executor is doing now, for people."""

    name: str
    workers: int | None = None
    running: int | None = None
    queued: int | None = None
    nodes: int | None = None
    concurrency: int | None = None
    reason: str | None = None
    """Why the concurrency is what it is."""
    details: dict[str, Any] = field(default_factory=dict)


class ExecutionBackend(ABC):
    """How work is spread.

    ``map`` and ``shutdown`` are enough: such a backend works in ``evaluate``. Of it the library relies only
    on this: ``func`` is called with each item, and its results come back, in any order. The rest are
    promises of Themis's own executors, tested by :class:`themis.testing.ExecutionBackendSuite`.

    **Lazy.** Items are taken from the iterable as there is room: at most ``max_workers`` running and a
    bounded number waiting, so that a generator of a million items costs constant memory. Results come as
    they complete.

    **Failures are of the item, not of the run.** With ``return_exceptions=True`` a failed item yields a
    :class:`TaskFailure` that names it; without, ``map`` raises the item's own error there, with a note that
    names the item. A lost worker is a different failure (:class:`WorkerLost`), and its unfinished items run
    again.

    **Deadline.** ``timeout`` is seconds for one item, from the start of its work. At the deadline the item
    fails; its work is cancelled where it can be, and where it cannot it is abandoned and its worker replaced.
    When more than ``max_workers`` pieces of work are abandoned and still hang, ``map`` raises
    :class:`WorkersExhausted`.

    **Stopping.** Closing the iterator, or setting the ``cancel`` event (:class:`threading.Event`), stops
    promptly: nothing more is taken or started; after ``cancel`` what is running may still be yielded.

    **Anywhere.** Works from the main thread, from another, and under a running event loop; touches
    neither signal handlers nor the terminal.

    **Tasks.** ``func`` may also offer ``acall(item)``, a coroutine function, and ``batch(items)``, a list
    of results in the order of the items, with an exception in place of one that failed; an executor uses
    what suits it. ``secrets`` names the references that ``func`` reads where it is called
    (:mod:`themis.profiles.secrets`): an executor that calls it elsewhere first sees whether they can be read.
    """

    keeps_timeout: bool = False
    """Whether ``map`` keeps the promise of a deadline; else each piece of work keeps its own."""
    ticks: bool = False
    """Whether ``map`` knows ``tick``: seconds without a result after which it yields :data:`TICK`, so that
    whoever reads it can look about. An executor that does not is read from a thread beside."""

    @abstractmethod
    def map(
        self,
        func: Callable[[T], R],
        items: Iterable[T],
        *,
        max_workers: int | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Iterator[R]:
        """Call ``func`` with each item and yield the results as they complete.

        Keywords of our own executors: ``return_exceptions: bool = False``,
        ``cancel: threading.Event | None = None``, and ``tick: float | None = None`` where the class
        says that it ``ticks``; others are ignored.
        """

    @abstractmethod
    def shutdown(self) -> None:
        """Let go of workers. An executor that was shut down starts them again when used."""

    def status(self) -> ExecutorStatus:
        """What the executor is doing now."""
        return ExecutorStatus(name=type(self).__name__)
