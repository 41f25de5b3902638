"""What is stored in place of records that a store would not take."""

from __future__ import annotations

from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.safe_text import storable


def refused(
    generation: GenerationRecord, evaluation: EvaluationRecord, why: str
) -> tuple[GenerationRecord, EvaluationRecord]:
    """Error records in place of two that the store would not take, with nothing that it could mind."""
    error = {
        "kind": "refused_by_store",
        "stage": "store",
        "message": _plain(why)[:2_000],
        "status": None,
        "calls": 1,
    }
    usage, timing = generation.usage, generation.timing
    return (
        GenerationRecord(
            id=generation.id,
            prompt=_plain(str(generation.prompt)),
            response=None,
            metadata={},
            sample_id=generation.sample_id,
            epoch=generation.epoch,
            sample_hash=generation.sample_hash,
            cache_key=generation.cache_key,
            attempt=generation.attempt,
            error=error,
            usage=usage,
            timing=timing,
        ),
        refused_scores(evaluation),
    )


def refused_scores(evaluation: EvaluationRecord) -> EvaluationRecord:
    """An error record in place of an evaluation that the store would not take."""
    return EvaluationRecord(
        cache_key=evaluation.cache_key,
        id=evaluation.id,
        scores=dict.fromkeys(evaluation.scores),
        sample_id=evaluation.sample_id,
        epoch=evaluation.epoch,
        sample_hash=evaluation.sample_hash,
        group=evaluation.group,
        tags=[_plain(tag) for tag in evaluation.tags],
        metric_versions=evaluation.metric_versions,
        error={"kind": "refused_by_store", "stage": "store"},
        attempt=evaluation.attempt,
        scored_at=evaluation.scored_at,
    )


def _plain(text: str) -> str:
    return storable(text)[:10_000]
