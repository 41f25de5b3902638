"""Stored answers scored anew: by other metrics, or by a new version of one, without asking the run's model.

A rescoring is a sitting at its run like any other: one runner at a time, with a heartbeat and progress. What
it writes, in this order:

1. the metadata: status ``running``, the reason naming the metrics, and a field ``rescoring``: ``metrics`` as
   in ``asked``, the ``revision`` of the records to come, and ``before``, what the metadata said until then;
2. an evaluation for each that was there, all of that one revision (one more than the highest there was): the
   named metrics set or replaced, all else carried over;
3. the report;
4. the metadata as they were ``before``, with ``asked.metrics``, ``asked_hash`` and ``summary`` renewed, and
   without ``rescoring``.

So ``asked`` names a metric only once every answer was scored by it. Whatever ends a rescoring early
(``kill -9``, Ctrl-C, a full disk) leaves the field ``rescoring``, and with it a run that is ``crashed`` or
``paused``, never ``completed``: its scores are of two kinds. Such a run is not resumed: :class:`RunConflict`
names the command that completes it. The same rescoring again goes on with what is left, which it knows by the
revision; one that names further metrics, or another version of them, begins anew; one that leaves one of the
metrics out is refused.

Afterwards a run has the status it had; one that had crashed is ``paused``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Event
from typing import Any, NamedTuple

from themis.backends.execution.base import ExecutionBackend
from themis.backends.registry import check_storage_writable
from themis.backends.storage.base import StorageBackend
from themis.backends.storage.foreign import whole
from themis.core.current import generation_key, matches
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import RunConflict, RunHeld, RunNotFound, UsageError
from themis.core.run_ids import checked_run_id
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.plan import (
    asked_hash,
    check_not_half_rescored,
    check_not_run_elsewhere,
    check_not_set_aside,
    storable_asked,
)
from themis.evaluation.progress import Meter
from themis.evaluation.rescoring_task import AwaitedRescoringTask, RescoringTask, Scored
from themis.evaluation.scoring import is_error
from themis.evaluation.session import OnProgress, OnStart, Session
from themis.evaluation.sitting import Sitting
from themis.evaluation.stop import StopSignal
from themis.evaluation.surroundings import (
    Metrics,
    begin_judging,
    close_judges,
    given_executor,
    given_metrics,
    given_stop,
    given_store,
    hold,
    this_process,
)
from themis.metrics import JudgingMetric, Metric

GRACE_S = 10.0
"""Seconds beyond what its judges allow themselves after which an executor gives an answer's scoring up."""

_BEFORE = ("status", "status_reason", "started_at", "ended_at", "where", "summary")
"""What a rescoring leaves as it was, but for the figures in the summary."""


class RescoringPlan(NamedTuple):
    """What a rescoring would do."""

    run_id: str
    metrics: dict[str, tuple[str | None, str]]
    """Named metric to its version until now, ``None`` if it is new, and the one to come."""
    answers: int
    """To be scored."""
    errors: int
    """Without an answer: they stay errors, without a score."""
    kept: int
    """Scored already by the same rescoring, which was cut short."""
    unknown: int
    """Answers without an evaluation record, so that no reference is known: left to a resume of the run."""


@dataclass(frozen=True)
class Rescored:
    """What came of a rescoring."""

    plan: RescoringPlan
    finished: bool
    """Whether it was done to its end; else the same call again goes on with it."""
    report: ExperimentReport
    """Of the run, with the new scores; of what was scored so far if it is not finished."""
    before: dict[str, dict[str, Any]]
    """Metric to ``mean``, ``stderr`` and ``n`` before the rescoring."""
    unscored: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Named metric to how many answers it gave no score, where some, and the first reason."""


def rescore(
    run_id: str,
    *,
    metrics: Metrics,
    storage_backend: StorageBackend | None = None,
    execution_backend: ExecutionBackend | None = None,
    storage: str | None = None,
    executor: str | None = None,
    max_workers: int | None = None,
    on_progress: OnProgress | None = None,
    on_start: OnStart | None = None,
    cancel: Event | None = None,
) -> Rescored:
    """Score the stored answers of a run by ``metrics``, without asking its model; see the module's text.

    The references are those in the evaluation records, not the data set's. The store, the executor, progress
    and ``cancel`` are as in :func:`themis.evaluate`; ended early, the run is ``paused``. By default metrics
    that ask a model are spread by ``async``, others by ``threads``.

    Raises:
        UsageError: No metrics, or nothing to score; nothing was stored.
        RunNotFound: There is no such run, or it was deleted meanwhile.
        RunConflict: It does not say what it asked, or is half rescored by metrics that are not named here.
        RunHeld: Another process is running it.
        StorageError: The store failed; the run is left as ``paused`` where it could be said.
    """
    if max_workers is not None and (type(max_workers) is not int or max_workers < 1):
        raise UsageError(f"max_workers is {max_workers!r}; it must be a whole number of at least 1.")
    if storage_backend is None:
        check_storage_writable(storage, "rescoring")
    named, ours = _named(metrics)
    begin_judging(named)
    judging = any(isinstance(metric, JudgingMetric) for metric in named)
    with ExitStack() as opened:
        store, store_name = given_store(storage_backend, storage, opened)
        spread, executor_name = given_executor(
            execution_backend, executor, opened, "async" if judging else None
        )
        close_judges(ours, opened)
        hold(store, store_name, checked_run_id(run_id), opened)
        rescoring = Rescoring(
            run_id=run_id,
            metrics=named,
            storage=whole(store),
            executor=spread,
            where={
                "storage": store_name,
                "executor": executor_name,
                "max_workers": max_workers,
                "detached": False,
            },
            stop=given_stop(cancel, opened),
            on_start=on_start,
        )
        rescoring.prepare()
        return rescoring.execute(max_workers=max_workers, on_progress=on_progress)


def plan_rescoring(
    run_id: str,
    *,
    metrics: Metrics,
    storage_backend: StorageBackend | None = None,
    storage: str | None = None,
) -> RescoringPlan:
    """What :func:`rescore` would do. Writes nothing; raises as that does."""
    with ExitStack() as opened:
        named, _ = _named(metrics)
        store, _ = given_store(storage_backend, storage, opened)
        spread, _ = given_executor(None, "sequential", opened)
        rescoring = Rescoring(
            run_id=checked_run_id(run_id),
            metrics=named,
            storage=whole(store),
            executor=spread,
            where={},
            stop=StopSignal(),
            on_start=None,
        )
        return rescoring.prepare()


def _named(metrics: Metrics) -> tuple[list[Metric], list[Metric]]:
    named, ours = given_metrics(metrics)
    if not named:
        raise UsageError("Rescoring needs at least one metric.")
    return named, ours


class Rescoring(Sitting):
    """One sitting at which a run's answers are scored anew."""

    def __init__(
        self,
        *,
        run_id: str,
        metrics: list[Metric],
        storage: StorageBackend,
        executor: ExecutionBackend,
        where: dict[str, Any],
        stop: StopSignal,
        on_start: OnStart | None,
    ) -> None:
        super().__init__(run_id, storage, executor, stop, on_start)
        self.metrics = metrics
        self.named = storable_asked({metric.name: metric.asked for metric in metrics})
        self.where = where
        self.revision = 1
        self.before: dict[str, Any] = {}
        self.asked: dict[str, Any] = {}
        """What the run asked until now."""
        self.renewed: dict[str, Any] = {}
        """What it asked once the rescoring is done."""
        self.left: dict[str, EvaluationRecord] = {}
        """Cache key to the evaluation that is to be renewed."""
        self._finished = False
        self._scoring: Session | None = None

    def prepare(self) -> RescoringPlan:
        """Look at what is stored. Writes nothing; raises as :func:`rescore`."""
        self.metadata = self._stored()
        self.asked = self.metadata["asked"]
        before = _object(self.asked, "metrics")
        self.renewed = {**self.asked, "metrics": {**before, **self.named}}
        check_not_half_rescored(self.run_id, self.metadata, self.named)
        half = _object(self.metadata, "rescoring")
        self.before = _object(half, "before") or _as_it_was(self.metadata)
        versions = {name: _version(each) for name, each in before.items()}
        self.aggregate = RunAggregate(
            {**versions, **{metric.name: metric.version for metric in self.metrics}},
            clustered_by_sample=_at_least(self.asked.get("epochs"), 1) > 1,
        )
        same = half.get("metrics") == self.named
        self.plan = self._read(_at_least(half.get("revision"), 1) if same else None, versions)
        return self.plan

    def _stored(self) -> dict[str, Any]:
        try:
            metadata = self.storage.load_run_metadata(self.run_id)
        except RunNotFound:
            if not self.storage.run_exists(self.run_id):
                raise
            metadata = {}
        check_not_set_aside(self.storage, self.run_id, metadata)
        check_not_run_elsewhere(self.run_id, metadata)
        if metadata.get("status") == "queued":
            raise RunHeld(
                f"The run {self.run_id!r} is queued: it is about to be run. Wait for it, or cancel it."
            )
        if not isinstance(metadata.get("asked"), dict):
            raise RunConflict(
                f"The metadata of the run {self.run_id!r} do not say what was asked, so there is nothing to "
                "put the new metrics beside. Resume the run first, with what it asked."
            )
        return metadata

    def _read(self, revision: int | None, versions: dict[str, str]) -> RescoringPlan:
        """Take in what is done and gather what is left; ``revision``: of the rescoring to go on with.

        As a resume does, it holds all evaluations and sees generations one by one.
        """
        evaluations: dict[str, EvaluationRecord] = self.storage.load_evaluation_records(self.run_id)
        highest = max((each.revision for each in evaluations.values()), default=0)
        self.revision = highest + 1 if revision is None else revision
        answers = errors = kept = unknown = 0
        for generation in self.storage.iter_generation_records(self.run_id):
            self.aggregate.add_usage(generation)
            evaluation = evaluations.pop(generation_key(generation), None)
            if evaluation is None or not (matches(evaluation, generation) or is_error(generation)):
                unknown += not is_error(generation)
            elif revision is not None and evaluation.revision >= revision and matches(evaluation, generation):
                kept += 1
                self.aggregate.add(evaluation, kept=True)
            else:
                is_answer = not Scored(generation.id, generation, evaluation).is_error
                answers, errors = answers + is_answer, errors + (not is_answer)
                self.left[generation_key(generation)] = evaluation
        if not self.left and not kept:
            raise UsageError(
                f"The run {self.run_id!r} has no evaluation records, and so no references to score its "
                f"{unknown} answers by. Resume it: that scores stored answers."
            )
        changes = {metric.name: (versions.get(metric.name), metric.version) for metric in self.metrics}
        return RescoringPlan(self.run_id, changes, answers, errors, kept, unknown)

    def execute(self, *, max_workers: int | None, on_progress: OnProgress | None) -> Rescored:
        """Score what is left to score, and say how it ended."""
        now = time.time()
        self.metadata |= {
            "status": "running",
            "status_reason": self._what(),
            "started_at": now,
            "ended_at": None,
            "updated_at": now,
            "where": {**_object(self.before, "where"), **self.where, **this_process()},
            "rescoring": self._half_done(),
        }
        total = self.aggregate.done + len(self.left)
        self.meter = Meter(self.run_id, total, self.aggregate, self.executor)
        token = os.urandom(16).hex()
        self._scoring = self._session(token, max_workers, on_progress)
        report = self._sit(self._scoring, token, on_progress)
        means = _object(_object(self.before, "summary"), "metrics")
        unscored = {name: each for name, each in self.aggregate.unscored.items() if name in self.named}
        return Rescored(self.plan, self._finished, report, means, unscored)

    def _session(self, token: str, max_workers: int | None, on_progress: OnProgress | None) -> Session:
        judging = [metric.timeout for metric in self.metrics if isinstance(metric, JudgingMetric)]
        return Session(
            run_id=self.run_id,
            storage=self.storage,
            executor=self.executor,
            task=(AwaitedRescoringTask if judging else RescoringTask)(
                self.metrics, revision=self.revision, token=token
            ),
            # Begun here: a store of a stranger's is read whole by this call, and in this thread.
            work=self._work(self.storage.iter_generation_records(self.run_id)),
            metadata=self.metadata,
            aggregate=self.aggregate,
            meter=self.meter,
            stop=self.stop,
            max_workers=max_workers,
            timeout=sum(judging) + GRACE_S if judging else None,
            on_start=self.on_start,
            on_progress=on_progress,
            summary=self.before.get("summary"),
        )

    def _work(self, generations: Iterator[GenerationRecord]) -> Iterator[Scored]:
        for generation in generations:
            evaluation = self.left.pop(generation_key(generation), None)
            if evaluation is not None:
                yield Scored(generation.id, generation, evaluation)

    def _half_done(self) -> dict[str, Any]:
        return {"metrics": self.named, "revision": self.revision, "before": self.before}

    def _what(self) -> str:
        return f"rescoring by {', '.join(self.named)}"[:300]

    def _concluded(self, status: str, reason: str | None) -> tuple[str, str | None]:
        scoring = self._scoring
        if status == "completed" and scoring is not None and scoring.left:
            status, reason = "paused", f"{scoring.left} answers were not judged: {scoring.left_why}"
        self._finished = status == "completed"
        if not self._finished:
            self.metadata |= {
                "ended_at": time.time(),
                "rescoring": self._half_done(),
                "asked": self.asked,
                "asked_hash": asked_hash(self.asked),
            }
            return "paused", f"{self._what()}: {reason or status}"
        self.metadata |= {**self.before, "asked": self.renewed, "asked_hash": asked_hash(self.renewed)}
        del self.metadata["rescoring"]
        total = _object(self.before, "summary").get("total")
        self.meter.total = total if type(total) is int else self.aggregate.done
        return str(self.before.get("status")), self.before.get("status_reason")

    def _summary(self) -> dict[str, Any]:
        before = _object(self.before, "summary")
        return super()._summary() if self._finished or not before else before

    def _only_refused(self) -> bool:
        return False  # no model was asked

    def _keep_report(self, report: ExperimentReport) -> None:
        if not self._finished:
            return  # the stored one is of the scores before
        if not self.storage.run_exists(self.run_id):
            raise RunNotFound(f"{self.run_id}: the run was deleted while it was rescored.")
        super()._keep_report(report)


def _as_it_was(metadata: dict[str, Any]) -> dict[str, Any]:
    """What is to stand in the metadata again when the rescoring is done."""
    before = {name: metadata.get(name) for name in _BEFORE}
    if before["status"] == "running":
        # Its runner is gone, or it would not be rescored now. Nobody could prove that any more afterwards.
        beat = _object(metadata, "heartbeat").get("at") or metadata.get("updated_at")
        reason = "its process ended without a word, before it was rescored"
        before |= {"status": "paused", "status_reason": reason, "ended_at": beat}
    return before


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    # A stranger's run may have anything there.
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _version(metric: Any) -> str:
    return str(metric.get("version")) if isinstance(metric, dict) else "unknown"


def _at_least(value: Any, least: int) -> int:
    return value if type(value) is int and value > least else least
