"""The samples of a run as lines of a list: enough to choose one by, and no more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from themis.backends.storage.base import StorageBackend
from themis.core.current import generation_key
from themis.core.entities import EvaluationRecord, GenerationRecord

R = TypeVar("R", GenerationRecord, EvaluationRecord)

MOST_ANSWER = 200
"""Characters of an answer kept in a line."""

RIGHT, PARTLY, WRONG, ERROR, UNSCORED = "right", "partly", "wrong", "error", "unscored"


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One outcome of a run. ``None`` is unknown."""

    id: str
    """The generation's id."""
    epoch: int
    verdict: str
    """``right``, ``partly``, ``wrong`` by the headline metric; ``error``; ``unscored``."""
    score: float | None
    """By the headline metric."""
    answer: str | None
    """The beginning of it."""
    extracted: str | None
    """What the headline metric took for the answer, where it says so."""
    reference: str | None
    error: str | None
    """Its kind."""
    latency_s: float | None
    output_tokens: int | None
    cut_off: bool
    """Whether the answer ended at the token limit."""


def sample_rows(backend: StorageBackend, run_id: str, headline: str | None) -> list[SampleRow]:
    """Every outcome stored so far, in the order in which they were saved."""
    evaluations = {each.cache_key: each for each in backend.iter_evaluation_records(run_id)}
    return [
        _row(generation, evaluations.get(generation_key(generation)), headline)
        for generation in backend.iter_generation_records(run_id)
    ]


Whole = tuple[GenerationRecord, EvaluationRecord | None]
"""One sample with its scores, where it has some."""


def whole_samples(backend: StorageBackend, run_id: str, ids: Collection[str]) -> dict[str, Whole]:
    """Some samples whole, by one look at the run's records that ends with the last of them."""
    generations: dict[str, GenerationRecord] = {}
    evaluations: dict[str, EvaluationRecord] = {}
    _pick(backend.iter_generation_records(run_id), ids, generations)
    _pick(backend.iter_evaluation_records(run_id), generations, evaluations)
    return {each: (generation, evaluations.get(each)) for each, generation in generations.items()}


def _pick(records: Iterable[R], ids: Collection[str], found: dict[str, R]) -> None:
    left = set(ids)
    for record in records if left else ():
        if record.id in left:
            found[record.id] = record
            left.remove(record.id)
            if not left:
                return


def _row(
    generation: GenerationRecord, evaluation: EvaluationRecord | None, headline: str | None
) -> SampleRow:
    scores = evaluation.scores if evaluation is not None else {}
    score = scores.get(headline) if headline is not None else next(iter(scores.values()), None)
    error = generation.error
    usage, timing = generation.usage or {}, generation.timing or {}
    return SampleRow(
        id=generation.id,
        epoch=generation.epoch,
        verdict=ERROR if error is not None else _verdict(score),
        score=None if score is None else float(score),
        answer=None if generation.response is None else generation.response[:MOST_ANSWER],
        extracted=_extracted(evaluation, headline),
        reference=_reference(evaluation.reference if evaluation is not None else None),
        error=None if error is None else str(error.get("kind") or "error"),
        latency_s=_number(timing.get("model_s")),
        output_tokens=usage.get("output_tokens") if isinstance(usage.get("output_tokens"), int) else None,
        cut_off=generation.finish_reason == "length",
    )


def _verdict(score: float | int | bool | None) -> str:
    if score is None:
        return UNSCORED
    return RIGHT if score >= 1 else WRONG if score <= 0 else PARTLY


def _extracted(evaluation: EvaluationRecord | None, headline: str | None) -> str | None:
    if evaluation is None:
        return None
    name = headline if headline is not None else next(iter(evaluation.scores), None)
    detail = None if name is None else evaluation.details.get(name)
    scored = name is not None and evaluation.scores.get(name) is not None
    return detail[:MOST_ANSWER] if scored and isinstance(detail, str) else None


def _reference(reference: Any) -> str | None:
    if reference is None:
        return None
    if isinstance(reference, list):
        return " | ".join(str(each)[:MOST_ANSWER] for each in reference[:5])
    return str(reference)[:MOST_ANSWER]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
