"""Scores of one answer, and the record that keeps them."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from themis.core.codec import check_value
from themis.core.current import generation_key
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import RecordRefused, described
from themis.metrics.base import JudgingMetric, Metric, Score

MOST_DETAIL = 2_000
"""Characters kept of a detail that JSON does not know."""
MOST_SCORE = 1e100
"""Scores beyond this would overflow the sums of a report."""


class Scores(NamedTuple):
    """What the metrics of a run say of one answer."""

    values: dict[str, float | int | bool | None]
    details: dict[str, Any]
    """Metric name to what was extracted, or to why there is no score."""


class Scorer:
    """The metrics of a run, ready to be used. Pickles; may be used from many threads at once."""

    def __init__(self, metrics: list[Metric]) -> None:
        self.versions = {metric.name: metric.version for metric in metrics}
        self._plain = [(each.name, each.score) for each in metrics if not isinstance(each, JudgingMetric)]
        self._judging = [each for each in metrics if isinstance(each, JudgingMetric)]

    @property
    def judges(self) -> bool:
        """Whether some of the metrics ask a model."""
        return bool(self._judging)

    def scores(self, generation: GenerationRecord, reference: Any) -> Scores:
        """The scores of an answer. A metric that raises gives none, and the reason."""
        scores = self._plain_scores(generation, reference)
        for metric in self._judging:
            try:
                score = metric.judge(generation.prompt, generation.response or "", reference)
                _take(scores, metric.name, score)
            except Exception as exc:  # a metric's fault leaves this score out, with the reason
                _leave_out(scores, metric.name, exc)
        return self._in_order(scores)

    async def scores_awaited(self, generation: GenerationRecord, reference: Any) -> Scores:
        """As :meth:`scores`, but judges are awaited."""
        scores = self._plain_scores(generation, reference)
        for metric in self._judging:
            try:
                score = await metric.judge_awaited(generation.prompt, generation.response or "", reference)
                _take(scores, metric.name, score)
            except Exception as exc:  # as above
                _leave_out(scores, metric.name, exc)
        return self._in_order(scores)

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
        return Scores({name: scores.values[name] for name in self.versions}, scores.details)

    def record(
        self, generation: GenerationRecord, sample: Any, scores: Scores | None, revision: int = 1
    ) -> EvaluationRecord:
        """The evaluation record of a generation; ``None`` for one that is an error and has no scores.

        ``sample`` brings ``id``, ``hash``, ``group``, ``tags`` and ``reference``.
        """
        error = None
        if scores is None:
            scores, error = Scores(dict.fromkeys(self.versions), {}), error_of(generation)
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


def _take(scores: Scores, name: str, score: Score) -> None:
    scores.values[name] = _number(score.value)
    if score.detail is not None:
        scores.details[name] = _kept(score.detail)


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
