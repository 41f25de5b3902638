"""Runs to compare, made of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from themis.backends.storage.base import StorageBackend
from themis.core.entities import EvaluationRecord, GenerationRecord

Scores = Sequence[float | int | None]


def save_run(
    backend: StorageBackend,
    run_id: str,
    scores: Mapping[str, Scores] | Scores,
    *,
    errors: Sequence[int] = (),
    epochs: int = 1,
    hashes: Mapping[int, str] | None = None,
    groups: Sequence[str | None] | None = None,
    tags: Sequence[list[str]] | None = None,
    versions: Mapping[str, str] | None = None,
    asked: Mapping[str, Any] | None = None,
    message: str = "server said 500",
    **metadata: Any,
) -> str:
    """A finished run of samples ``s000`` …; several epochs lie one after the other in each list."""
    by_metric = dict(scores) if isinstance(scores, Mapping) else {"ExactMatch": scores}
    metrics = {name: {"version": (versions or {}).get(name, "1"), "params": {}} for name in by_metric}
    document: dict[str, Any] = {
        "run_id": run_id,
        "schema_version": 1,
        "status": "completed",
        "created_at": 1.0,
        "asked": {
            "benchmark": "demo",
            "dataset": {"source": "demo", "fingerprint": "f"},
            "model": {"name": "m", "identity": "m"},
            "prompt": {"template": "{question}", "hash": "p"},
            "system": None,
            "sampling": {},
            "metrics": metrics,
            "limit": None,
            "epochs": epochs,
            "seed": None,
            **(asked or {}),
        },
        "summary": {"headline": next(iter(by_metric), None), "metrics": {}},
        **metadata,
    }
    backend.save_run_metadata(run_id, document)
    count = len(next(iter(by_metric.values()), ()))
    size = count // epochs
    generations, evaluations = [], []
    for number in range(count):
        place, epoch = number % size, number // size + 1
        sample = f"s{place:03d}"
        identity = sample if epoch == 1 else f"{sample}#{epoch}"
        failed = number in errors
        error = {"kind": "server", "stage": "call"} if failed else None
        generations.append(
            GenerationRecord(
                id=identity,
                prompt=f"question {place}",
                response=None if failed else f"answer {number}",
                sample_id=sample,
                epoch=epoch,
                cache_key=f"k{number}",
                error=None if error is None else {**error, "message": message},
            )
        )
        evaluations.append(
            EvaluationRecord(
                cache_key=f"k{number}",
                id=identity,
                scores={name: None if failed else each[number] for name, each in by_metric.items()},
                sample_id=sample,
                epoch=epoch,
                sample_hash=(hashes or {}).get(place, f"h{place}"),
                group=None if groups is None else groups[place],
                tags=[] if tags is None else tags[place],
                metric_versions={name: each["version"] for name, each in metrics.items()},
                error=error,
                latency_s=0.5 + number % 3,
                output_tokens=10 + number % 5,
            )
        )
    backend.save_generation_records(run_id, generations)
    backend.save_evaluation_records(run_id, evaluations)
    return run_id


def zeros_and_ones(right: int, of: int) -> list[int]:
    """So many right ones, spread evenly."""
    return [int((number + 1) * right // of > number * right // of) for number in range(of)]
