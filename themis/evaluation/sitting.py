"""One sitting at a run: a session under its stop signal, and how that ends.

What asking a run's samples (:mod:`themis.evaluation.run`) and scoring its answers anew
(:mod:`themis.evaluation.rescoring`) have in common.
"""

from __future__ import annotations

import errno
import threading
import time
from abc import ABC, abstractmethod
from typing import Any

from themis.backends.execution.base import ExecutionBackend
from themis.backends.storage.base import StorageBackend
from themis.backends.storage.journalled import JournalledStorage
from themis.backends.storage.updates import update_metadata
from themis.core.entities import ExperimentReport
from themis.core.errors import (
    BenchmarkError,
    RunConflict,
    RunNotFound,
    StorageError,
    StoreFull,
    StoreUnreachable,
    described,
)
from themis.core.safe_text import storable, storable_value
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.progress import Meter
from themis.evaluation.report import make_report, make_summary
from themis.evaluation.session import OnProgress, OnStart, Session, stored_progress
from themis.evaluation.stop import INTERRUPTED, StopSignal, interrupts, register, unregister
from themis.models.base import REFUSALS


class Sitting(ABC):
    """Whatever happens in it, the store is told how the run stands, if it still listens."""

    metadata: dict[str, Any]
    aggregate: RunAggregate
    meter: Meter

    def __init__(
        self,
        run_id: str,
        storage: StorageBackend,
        executor: ExecutionBackend,
        stop: StopSignal,
        on_start: OnStart | None,
    ) -> None:
        self.run_id = run_id
        self.storage = storage
        self.executor = executor
        self.stop = stop
        self.on_start = on_start

    @abstractmethod
    def _concluded(self, status: str, reason: str | None) -> tuple[str, str | None]:
        """The status and reason to be stored when the work ended so; brings the metadata to their end.

        Called again with another status if the end itself could not be stored.
        """

    def _keep_report(self, report: ExperimentReport) -> None:
        """Save the report at the end of the sitting."""
        self.storage.save_report(self.run_id, report)

    def _sit(self, session: Session, token: str, on_progress: OnProgress | None) -> ExperimentReport:
        """Run the session to its end, and say how it ended."""
        register(token, self.stop)
        try:
            with interrupts(self.stop):
                session.run()
        except BaseException as exc:
            # An executor of a stranger's may still hold work; whatever it starts now is not asked.
            self.stop.pause("the run ended early")
            self._end_badly(exc)
            raise
        finally:
            if not self.stop.is_set():
                unregister(token)
        return self._end(on_progress)

    def _end(self, on_progress: OnProgress | None) -> ExperimentReport:
        ended, why = "completed", None
        if self.stop.is_set() and not self._all_done():
            ended, why = self.stop.status, self.stop.reason
        elif self._only_refused():
            ended, why = "paused", f"fatal: nothing was answered, only refused: {self._refusal()}"
        status, reason = self._concluded(ended, why)
        report = make_report(self.run_id, status, self.metadata, self.aggregate)
        try:
            self._flush(on_progress)
            self._keep_report(report)
            self._save_end(status, reason)
            self._flush(on_progress)
        except BaseException as exc:
            self._end_badly(exc)
            raise
        if on_progress is not None:
            on_progress(self.meter.snapshot(status, reason))
        if why == INTERRUPTED and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return report

    def _flush(self, on_progress: OnProgress | None) -> None:
        """Wait until the store has everything; tell of it where it takes long."""
        store = self.storage
        if not isinstance(store, JournalledStorage):
            store.flush()
            return

        def tell() -> None:
            self.meter.waiting = {"reason": storable(store.trouble() or "the store"), "until": None}
            if on_progress is not None:
                on_progress(self.meter.snapshot())
            trouble = store.trouble()
            if self.stop.now.is_set() and trouble is not None:
                raise StoreUnreachable(trouble)

        store.flush(tell)
        self.meter.waiting = None

    def _only_refused(self) -> bool:
        aggregate = self.aggregate
        return bool(aggregate.failures) and not aggregate.answered and aggregate.failures.keys() <= REFUSALS

    def _refusal(self) -> str:
        errors = self.aggregate.top_errors()
        return str(errors[0]["message"]) if errors else ", ".join(self.aggregate.failures)

    def _all_done(self) -> bool:
        return self.meter.total is not None and self.aggregate.done >= self.meter.total

    def _end_badly(self, exc: BaseException) -> None:
        """Say in the store, if it still listens, that the run stopped and why."""
        status, reason = self._concluded(*_ending(exc))
        try:
            if not (isinstance(exc, StoreUnreachable) and isinstance(self.storage, JournalledStorage)):
                self.storage.flush()  # else it would only be waited for once more
        except Exception as second:  # the first error is the one to raise
            exc.add_note(f"The last records may not be durable: {second}")
        if isinstance(exc, RunNotFound):
            return  # it was deleted: saying how it ended would bring it back
        try:
            self._save_end(status, reason)
        except Exception as second:
            exc.add_note(f"The run could not be marked {status}: {second}")

    def _save_end(self, status: str, reason: str | None) -> None:
        self.meter.in_flight, self.meter.waiting = 0, None
        snapshot = self.meter.snapshot(status, reason)
        self.metadata.update(
            status=status,
            status_reason=None if reason is None else storable(reason)[:500],
            updated_at=time.time(),
            progress=stored_progress(snapshot),
            summary=self._summary(),
        )
        update_metadata(self.storage, self.run_id, self.metadata)

    def _summary(self) -> dict[str, Any]:
        """What the metadata say of the run at its end."""
        return dict(storable_value(make_summary(self.aggregate, self.meter.total)))


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _ending(exc: BaseException) -> tuple[str, str]:
    if isinstance(exc, (BenchmarkError, RunConflict)):
        return "failed", described(exc)
    if isinstance(exc, KeyboardInterrupt):
        return "paused", INTERRUPTED
    if isinstance(exc, StoreFull) or (isinstance(exc, OSError) and exc.errno in _FULL):
        return "paused", "disk full"
    if isinstance(exc, StorageError):
        return "paused", f"store: {described(exc)}"
    return "paused", described(exc)
