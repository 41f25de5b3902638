"""Which of several records with one identity counts: the current-record rule, in one place.

The current record has the highest ``attempt``; then an answer goes before an error; then the highest
``revision``; then the later in load order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from themis.core.entities import EvaluationRecord, GenerationRecord

Rank = tuple[int, bool, int]


def rank(record: GenerationRecord | EvaluationRecord) -> Rank:
    """The record's place by the rule; of equal ranks the later loaded wins."""
    return record.attempt, record.error is None, getattr(record, "revision", 1)


def identity(record: GenerationRecord | EvaluationRecord) -> str:
    """``id`` of a generation; ``cache_key`` of an evaluation."""
    if isinstance(record, EvaluationRecord):
        return record.cache_key
    return record.id


def current_generations(records: Iterable[GenerationRecord]) -> list[GenerationRecord]:
    """The current record of each identity, in the order in which identities first came."""
    return list(_current(records, "id").values())


def current_evaluations(records: Iterable[EvaluationRecord]) -> dict[str, EvaluationRecord]:
    """Cache key to current record, in the order in which keys first came."""
    return _current(records, "cache_key")


def matches(evaluation: EvaluationRecord | None, generation: GenerationRecord) -> bool:
    """Whether the evaluation belongs to this generation, the current one; else it is made again."""
    return evaluation is not None and evaluation.attempt == generation.attempt


def generation_key(generation: GenerationRecord) -> str:
    """The key under which a generation's evaluation stands: a stranger's record counts by its id."""
    return generation.id if generation.cache_key is None else generation.cache_key


def _current(records: Iterable[Any], name: str) -> dict[str, Any]:
    # One by one, so that what was rescored ten times takes no more memory than what was scored once.
    current: dict[str, Any] = {}
    for record in records:
        key = getattr(record, name)
        held = current.setdefault(key, record)
        if held is not record and rank(record) >= rank(held):
            current[key] = record
    return current
