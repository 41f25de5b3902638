"""One run: what of it there is already, one session of it, and how that ends."""

from __future__ import annotations

import os
import time
from typing import Any

from themis.backends.execution.base import ExecutionBackend
from themis.backends.storage.base import StorageBackend
from themis.core.entities import SCHEMA_VERSION, ExperimentReport
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.batched_task import task_class
from themis.evaluation.budget import over_budget
from themis.evaluation.plan import Earlier, Question, asked_hash, check_may_go_on, read_earlier, work_of
from themis.evaluation.progress import Meter
from themis.evaluation.session import OnProgress, OnStart, Session
from themis.evaluation.sitting import Sitting
from themis.evaluation.stop import StopSignal
from themis.evaluation.surroundings import this_process
from themis.metrics.base import JudgingMetric


class Run(Sitting):
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
        on_start: OnStart | None,
    ) -> None:
        super().__init__(run_id, storage, executor, stop, on_start)
        self.question = question
        self.where = where
        self.budget = budget
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
        # Neither a slow judge nor the wait for an endpoint's first answer must turn answers into time-outs.
        judging = [metric.timeout for metric in question.metrics if isinstance(metric, JudgingMetric)]
        deadline = None if timeout is None or question.model.keeps_time else timeout + sum(judging)
        self.meter = Meter(
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
            task=task_class(question.model, judging=bool(judging))(
                model=question.model,
                template=question.template,
                metrics=question.metrics,
                sampling=question.sampling,
                seed=question.seed,
                timeout=timeout,
                token=token,
                own_deadline=not self.executor.keeps_timeout,
            ),
            work=work_of(question, self.earlier),
            metadata=self.metadata,
            aggregate=self.aggregate,
            meter=self.meter,
            stop=self.stop,
            max_workers=max_workers,
            timeout=deadline,
            on_start=self.on_start,
            on_progress=on_progress,
            over_budget=self.over_budget,
            unredone=self.earlier.errors,
            trouble=question.model.trouble,
        )
        return self._sit(session, token, on_progress)

    def _concluded(self, status: str, reason: str | None) -> tuple[str, str | None]:
        # Errors of earlier sessions that nobody came to ask again are still errors of the run.
        for evaluation in self.earlier.errors.values():
            self.aggregate.add(evaluation, kept=True)
        self.earlier.errors.clear()
        self.metadata["ended_at"] = time.time()
        return status, reason


def _metadata(
    run_id: str,
    asked: dict[str, Any],
    where: dict[str, Any],
    budget: dict[str, float] | None,
    before: dict[str, Any],
) -> dict[str, Any]:
    now = time.time()
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
        "where": {**where, **this_process()},
        "lease_epoch": before.get("lease_epoch", 0),
        "budget": budget,
        "summary": before.get("summary"),
        "audit": before.get("audit", []),
    }
    if "annotations" in before:
        metadata["annotations"] = before["annotations"]
    return metadata
