"""Scores of one answer, and the record that keeps them."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from themis.core.codec import check_value
from themis.core.current import generation_key
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import ModelError, RecordRefused, described
from themis.metrics.base import JudgingMetric, Metric, Score

MOST_DETAIL = 2_000
"""Characters kept of a detail that JSON does not know."""
SLOW_S = 0.01
"""Seconds of scoring one answer above which metrics are called beside an event loop, not on it."""
SCORE = "score"
"""The stage of an error that left an answer without its scores."""
MOST_SCORE = 1e100
"""Scores beyond this would overflow the sums of a report."""


class Scores(NamedTuple):
    """What the metrics of a run say of one answer."""

    values: dict[str, float | int | bool | None]
    details: dict[str, Any]
    """Metric name to what was extracted, or to why there is no score."""
    failure: ModelError | None = None
    """Why a judge could not be had; asked again, it may be."""


class Scorer:
    """The metrics of a run, ready to be used. Pickles; may be used from many threads at once."""

    def __init__(self, metrics: list[Metric]) -> None:
        self.versions = {metric.name: metric.version for metric in metrics}
        self._plain = [(each.name, each.score) for each in metrics if not isinstance(each, JudgingMetric)]
        self._judging = [each for each in metrics if isinstance(each, JudgingMetric)]
        self._slow = False
        """Whether plain metrics have been seen to take so long that they would hold up a loop."""

    @property
    def judges(self) -> bool:
        """Whether some of the metrics ask a model."""
        return bool(self._judging)

    @property
    def secrets(self) -> tuple[str, ...]:
        """References to the secrets that judges need."""
        return tuple(each for metric in self._judging for each in metric.secrets)

    def scores(self, generation: GenerationRecord, reference: Any) -> Scores:
        """The scores of an answer. A metric that raises gives none, and the reason."""
        scores = self._plain_scores(generation, reference)
        for metric in self._judging:
            try:
                _take(scores, metric, metric.judge(generation.prompt, generation.response or "", reference))
            except ModelError as exc:
                scores = _failed(scores, metric, exc)
            except Exception as exc:  # a metric's fault leaves this score out, with the reason
                _leave_out(scores, metric.name, exc)
        return self._in_order(scores)

    async def scores_awaited(self, generation: GenerationRecord, reference: Any) -> Scores:
        """As :meth:`scores`, but judges are awaited, and metrics that take long hold up no loop."""
        scores = await self._plain_awaited(generation, reference)
        for metric in self._judging:
            response = generation.response or ""
            try:
                _take(scores, metric, await metric.judge_awaited(generation.prompt, response, reference))
            except ModelError as exc:
                scores = _failed(scores, metric, exc)
            except Exception as exc:  # as above
                _leave_out(scores, metric.name, exc)
        return self._in_order(scores)

    async def _plain_awaited(self, generation: GenerationRecord, reference: Any) -> Scores:
        if self._slow:
            from themis.backends.execution.loop_thread import in_thread  # hardly any run needs it

            return await in_thread(self._plain_scores, generation, reference)
        began = time.perf_counter()
        scores = self._plain_scores(generation, reference)
        self._slow = time.perf_counter() - began > SLOW_S
        return scores

    def _plain_scores(self, generation: GenerationRecord, reference: Any) -> Scores:
        response = generation.response or ""
        values: dict[str, float | int | bool | None] = {}
        scores = Scores(values, {})
        for name, score in self._plain:
            try:
                value, detail = score(response, reference)
                values[name] = value if type(value) is int and -1 <= value <= 1 else _number(value)
                if detail is not None:
                    scores.details[name] = detail if type(detail) is str else _kept(detail)
            except Exception as exc:  # as above
                _leave_out(scores, name, exc)
        return scores

    def _in_order(self, scores: Scores) -> Scores:
        # The first metric is the headline, whichever kind it is of.
        if not self._judging:
            return scores
        return scores._replace(values={name: scores.values[name] for name in self.versions})

    def record(
        self, generation: GenerationRecord, sample: Any, scores: Scores | None, revision: int = 1
    ) -> EvaluationRecord:
        """The evaluation record of a generation; ``None`` for one that is an error and has no scores.

        ``sample`` brings ``id``, ``hash``, ``group``, ``tags`` and ``reference``.
        """
        error = None
        if scores is None:
            scores, error = Scores(dict.fromkeys(self.versions), {}), error_of(generation)
        elif scores.failure is not None:
            error = {"kind": scores.failure.kind, "stage": SCORE}
        timing, usage = generation.timing, generation.usage
        return EvaluationRecord(
            generation_key(generation),
            generation.id,
            scores.values,
            sample.id,
            generation.epoch,
            sample.hash,
            sample.group,
            sample.tags,
            sample.reference,
            scores.details,
            self.versions,
            error,
            timing.get("model_s") if timing else None,
            usage.get("output_tokens") if usage else None,
            generation.cost,
            generation.attempt,
            revision,
            time.time(),
        )


def is_error(generation: GenerationRecord) -> bool:
    """Whether there is no answer to be scored."""
    return generation.error is not None or generation.response is None


def error_of(generation: GenerationRecord) -> dict[str, Any]:
    """The field ``error`` of the evaluation of a generation that is one."""
    error = generation.error or {}
    return {"kind": error.get("kind", "bad_response"), "stage": error.get("stage", "call")}


def lacks_judgement(evaluation: EvaluationRecord) -> bool:
    """Whether its answer was not scored because a judge could not be had."""
    return evaluation.error is not None and evaluation.error.get("stage") == SCORE


def _take(scores: Scores, metric: Metric, score: Score) -> None:
    scores.values[metric.name] = _number(score.value)
    if score.detail is not None:
        scores.details[metric.name] = _kept(score.detail)


def _failed(scores: Scores, metric: Metric, exc: ModelError) -> Scores:
    _leave_out(scores, metric.name, exc)
    return scores._replace(failure=scores.failure or exc)


def _leave_out(scores: Scores, name: str, exc: Exception) -> None:
    scores.values[name] = None
    scores.details[name] = described(exc)


def _number(value: Any) -> float | int | None:
    if value is None:
        return None
    number = value if type(value) is int else float(value)
    if not -MOST_SCORE <= number <= MOST_SCORE:
        raise ValueError(f"the score is {number:.6g}, which is not a number that can be averaged")
    return number


def _kept(detail: Any) -> Any:
    """A metric's detail, or its text if JSON does not know it: the score is worth keeping all the same."""
    try:
        check_value(detail)
    except RecordRefused:
        return repr(detail)[:MOST_DETAIL]
    return detail
