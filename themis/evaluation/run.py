"""One run: what of it there is already, one session of it, and how that ends."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from themis.backends.execution.base import ExecutionBackend
from themis.backends.storage.base import StorageBackend
from themis.core.entities import SCHEMA_VERSION, ExperimentReport
from themis.core.errors import BenchmarkError, RunConflict, RunNotFound, StorageError, StoreFull, described
from themis.core.safe_text import storable, storable_value
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.budget import over_budget
from themis.evaluation.host import boot_id, host_name, process_started
from themis.evaluation.plan import Earlier, Question, asked_hash, check_may_go_on, read_earlier, work_of
from themis.evaluation.progress import Meter
from themis.evaluation.report import make_report, make_summary
from themis.evaluation.session import OnProgress, Session, stored_progress
from themis.evaluation.stop import INTERRUPTED, StopSignal, interrupts, register, unregister
from themis.evaluation.task import AwaitedSampleTask, SampleTask
from themis.metrics.base import JudgingMetric


class Run:
    """One session of one run: what is asked, where it goes, and how it ends."""

    def __init__(
        self,
        *,
        run_id: str,
        question: Question,
        storage: StorageBackend,
        executor: ExecutionBackend,
        where: dict[str, Any],
        budget: dict[str, float] | None,
        stop: StopSignal,
        on_start: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        self.run_id = run_id
        self.question = question
        self.storage = storage
        self.executor = executor
        self.where = where
        self.budget = budget
        self.stop = stop
        self.on_start = on_start
        self.over_budget = over_budget(budget)
        self.earlier = Earlier()
        self.metadata: dict[str, Any] = {}
        self.aggregate = RunAggregate(
            {metric.name: metric.version for metric in question.metrics},
            clustered_by_sample=question.epochs > 1,
        )

    def prepare(self, *, resume: bool) -> None:
        """Look at what is stored and make the metadata. Writes nothing."""
        asked = self.question.asked()
        before = check_may_go_on(self.storage, self.run_id, asked, resume=resume)
        if before is not None:
            self.earlier = read_earlier(
                self.storage,
                self.run_id,
                self.aggregate,
                keep_hashes=asked["dataset"]["fingerprint"] is None,
            )
        self.metadata = _metadata(self.run_id, asked, self.where, self.budget, before or {})

    def execute(
        self, *, timeout: float | None, max_workers: int | None, on_progress: OnProgress | None
    ) -> ExperimentReport:
        """Ask what is left to ask, and say how it ended."""
        question = self.question
        token = os.urandom(16).hex()
        # A judge that is slow must not turn an answer into a time-out: then the model keeps its own deadline.
        judging = [metric.timeout for metric in question.metrics if isinstance(metric, JudgingMetric)]
        deadline = None if timeout is None else timeout + sum(judging)
        meter = Meter(
            self.run_id,
            question.benchmark.total(question.limit, question.epochs),
            self.aggregate,
            self.executor,
            budget=self.budget,
        )
        session = Session(
            run_id=self.run_id,
            storage=self.storage,
            executor=self.executor,
            task=(AwaitedSampleTask if question.model.awaits else SampleTask)(
                model=question.model,
                template=question.template,
                metrics=question.metrics,
                sampling=question.sampling,
                seed=question.seed,
                timeout=timeout,
                token=token,
                own_deadline=bool(judging) or not self.executor.keeps_timeout,
            ),
            work=work_of(question, self.earlier),
            metadata=self.metadata,
            aggregate=self.aggregate,
            meter=meter,
            stop=self.stop,
            max_workers=max_workers,
            timeout=deadline,
            on_start=self.on_start,
            on_progress=on_progress,
            over_budget=self.over_budget,
            unredone=self.earlier.errors,
        )
        register(token, self.stop)
        try:
            with interrupts(self.stop):
                session.run()
        except BaseException as exc:
            # An executor of a stranger's may still hold work; whatever it starts now is not asked.
            self.stop.pause("the run ended early")
            self._end_badly(exc, meter)
            raise
        finally:
            if not self.stop.is_set():
                unregister(token)
        return self._end(meter, on_progress)

    def _end(self, meter: Meter, on_progress: OnProgress | None) -> ExperimentReport:
        status, reason = "completed", None
        if self.stop.is_set() and not self._all_done(meter):
            status, reason = self.stop.status, self.stop.reason
        self._count_unredone()
        self.metadata["ended_at"] = time.time()
        report = make_report(self.run_id, status, self.metadata, self.aggregate)
        try:
            self.storage.flush()
            self.storage.save_report(self.run_id, report)
            self._save_end(status, reason, meter)
            self.storage.flush()
        except BaseException as exc:
            self._end_badly(exc, meter)
            raise
        if on_progress is not None:
            on_progress(meter.snapshot(status, reason))
        if reason == INTERRUPTED and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return report

    def _count_unredone(self) -> None:
        # Errors of earlier sessions that nobody came to ask again are still errors of the run.
        for evaluation in self.earlier.errors.values():
            self.aggregate.add(evaluation, kept=True)
        self.earlier.errors.clear()

    def _all_done(self, meter: Meter) -> bool:
        return meter.total is not None and self.aggregate.done >= meter.total

    def _end_badly(self, exc: BaseException, meter: Meter) -> None:
        """Say in the store, if it still listens, that the run stopped and why."""
        status, reason = _ending(exc)
        self._count_unredone()
        self.metadata["ended_at"] = time.time()
        try:
            self.storage.flush()
        except Exception as second:  # the first error is the one to raise
            exc.add_note(f"The last records may not be durable: {second}")
        if isinstance(exc, RunNotFound):
            return  # it was deleted: saying how it ended would bring it back
        try:
            self._save_end(status, reason, meter)
        except Exception as second:
            exc.add_note(f"The run could not be marked {status}: {second}")

    def _save_end(self, status: str, reason: str | None, meter: Meter) -> None:
        meter.in_flight = 0
        snapshot = meter.snapshot(status, reason)
        self.metadata.update(
            status=status,
            status_reason=None if reason is None else storable(reason)[:500],
            updated_at=time.time(),
            progress=stored_progress(snapshot),
            summary=storable_value(make_summary(self.aggregate, meter.total)),
        )
        self.storage.save_run_metadata(self.run_id, self.metadata)


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _ending(exc: BaseException) -> tuple[str, str]:
    if isinstance(exc, (BenchmarkError, RunConflict)):
        return "failed", str(exc)
    if isinstance(exc, KeyboardInterrupt):
        return "paused", INTERRUPTED
    if isinstance(exc, StoreFull) or (isinstance(exc, OSError) and exc.errno in _FULL):
        return "paused", "disk full"
    if isinstance(exc, StorageError):
        return "paused", f"store: {exc}"
    return "paused", described(exc)


def _metadata(
    run_id: str,
    asked: dict[str, Any],
    where: dict[str, Any],
    budget: dict[str, float] | None,
    before: dict[str, Any],
) -> dict[str, Any]:
    now = time.time()
    from themis import __version__

    metadata = {
        "run_id": run_id,
        "schema_version": SCHEMA_VERSION,
        "uid": before.get("uid") or os.urandom(16).hex(),
        "status": "running",
        "status_reason": None,
        "created_at": before.get("created_at") or now,
        "started_at": now,
        "ended_at": None,
        "updated_at": now,
        "asked": asked,
        "asked_hash": asked_hash(asked),
        "where": {
            **where,
            "host": host_name(),
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "pid_started": process_started(os.getpid()),
            "user": storable(os.environ.get("USER") or str(os.getuid())),
            "python": sys.version.partition(" ")[0],
            "themis": __version__,
            "git_commit": None,
        },
        "lease_epoch": before.get("lease_epoch", 0),
        "budget": budget,
        "summary": before.get("summary"),
        "audit": before.get("audit", []),
    }
    if "annotations" in before:
        metadata["annotations"] = before["annotations"]
    return metadata
