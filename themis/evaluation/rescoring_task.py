"""One stored answer, scored anew: the function that an executor spreads when a run is rescored."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

from themis.core.current import matches
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import described
from themis.evaluation.scoring import Scorer, Scores, error_of, is_error, lacks_judgement
from themis.evaluation.stop import stop_of
from themis.evaluation.task import Outcome
from themis.metrics.base import Metric
from themis.models.base import STOP

NOT_STORED = "the store refused what the metric says of it"


class Scored(NamedTuple):
    """A stored answer, or an error, with the scores that it has."""

    id: str
    """The generation's."""
    generation: GenerationRecord
    evaluation: EvaluationRecord

    @property
    def is_error(self) -> bool:
        """Whether it has no scores, and gets none."""
        error = self.evaluation.error
        return is_error(self.generation) or (error is not None and not lacks_judgement(self.evaluation))


class RescoringTask:
    """Sets or replaces the scores of some metrics and carries the others over. Never raises, and pickles."""

    def __init__(self, metrics: list[Metric], *, revision: int, token: str) -> None:
        """``revision``: of every record that is made, so that it outranks the one it takes the place of."""
        self.scorer = Scorer(metrics)
        self.revision = revision
        self.token = token

    def __call__(self, work: Scored) -> Outcome:
        """Score one answer, unless the run was stopped."""
        stop = stop_of(self.token)
        if stop is not None and stop.is_set():
            return Outcome(work.id, None, None)
        if self.scorer.judges:
            STOP.set(stop)
        if work.is_error:
            return self._renewed(work, self._unscored())
        return self._renewed(work, self.scorer.scores(work.generation, work.evaluation.reference))

    def failed(self, work: Scored, kind: str, message: str) -> Outcome:
        """No scores, and why: the executor gave the work up."""
        why = (
            message if kind == "model" else f"{kind}: {message}"
        )  # no model was asked: the metric is at fault
        return self._renewed(work, self._unscored(why))

    def refused_scores(self, evaluation: EvaluationRecord) -> EvaluationRecord:
        """The scores without what was said of them: all else in the record was stored before."""
        return replace(evaluation, details={**evaluation.details, **self._unscored(NOT_STORED).details})

    def _unscored(self, why: str | None = None) -> Scores:
        names = self.scorer.versions
        return Scores(dict.fromkeys(names), {} if why is None else dict.fromkeys(names, why))

    def _renewed(self, work: Scored, scores: Scores) -> Outcome:
        _, generation, before = work
        if scores.failure is not None:
            # It keeps the scores that it has until the judge can be had.
            return Outcome(work.id, None, None, scores.failure.fatal, described(scores.failure))
        named = self.scorer.versions
        carried, error = before.scores, before.error
        if not matches(before, generation):  # of an attempt that was redone since: an error, as this one is
            carried, error = dict.fromkeys(before.scores), error_of(generation)
        elif lacks_judgement(before) and not any(
            value is None for name, value in carried.items() if name not in named
        ):
            error = None  # what it lacked, it has now
        details = {name: each for name, each in before.details.items() if name not in named}
        renewed = replace(
            before,
            scores={**carried, **scores.values},
            details={**details, **scores.details},
            metric_versions={**before.metric_versions, **named},
            error=error,
            attempt=generation.attempt,
            revision=self.revision,
            scored_at=time.time(),
        )
        return Outcome(work.id, None, renewed)


class AwaitedRescoringTask(RescoringTask):
    """Also offers ``acall``, for metrics that ask a model and executors that can wait for many at once."""

    async def acall(self, work: Scored) -> Outcome:
        """As called, but judges are awaited."""
        stop = stop_of(self.token)
        if (stop is not None and stop.is_set()) or work.is_error:
            return self(work)
        if self.scorer.judges:
            STOP.set(stop)
        scores = await self.scorer.scores_awaited(work.generation, work.evaluation.reference)
        return self._renewed(work, scores)
