"""A run as a comparison has it: its metadata, its columns, and what it is by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from themis.compare.columns import Columns, read_columns
from themis.compare.comparison import LEFT_OUT, ZERO, Comparison, RunSide
from themis.compare.extra import needed
from themis.compare.single import single
from themis.compare.source import Source
from themis.core.codec import paused_gc
from themis.core.entities import EvaluationRecord

TOLD_EVERY = 1_000
"""Records after which progress is told."""


@dataclass(frozen=True)
class Side:
    """One of the runs."""

    source: Source
    metadata: dict[str, Any]
    columns: Columns


def read(source: Source, known: Comparison | None, progress: Callable[[str, int], None] | None) -> Side:
    """Read a run, or take what an earlier comparison has read of it."""
    metadata = source.metadata()
    if known is not None and known.sources.get(source.address) == source:
        return Side(source, metadata, known.columns[source.address])
    records = source.backend.iter_evaluation_records(source.run_id)
    if progress is not None:
        records = _told(records, partial(progress, source.address))
    with paused_gc():
        return Side(source, metadata, read_columns(records))


def _told(records: Iterable[EvaluationRecord], tell: Callable[[int], None]) -> Iterator[EvaluationRecord]:
    read = 0
    for record in records:
        if read % TOLD_EVERY == 0:
            tell(read)
        read += 1
        yield record
    tell(read)


def run_side(side: Side, metrics: list[str], confidence: float) -> RunSide:
    """What a run is by itself."""
    np = needed("numpy")
    columns, said = side.columns, side.metadata.get("asked")
    facts = said if isinstance(said, Mapping) else {}
    model = facts.get("model")
    latency = columns.resources["latency_s"]
    timed = latency[~np.isnan(latency)]
    quantiles = np.quantile(timed, (0.5, 0.95)).tolist() if len(timed) else (None, None)
    return RunSide(
        address=side.source.address,
        run_id=side.source.run_id,
        status=_text(side.metadata.get("status")),
        benchmark=_text(facts.get("benchmark")),
        model=_text(model.get("name") if isinstance(model, Mapping) else model),
        samples=len(columns),
        epochs=int(columns.epochs.max()) if len(columns) else 0,
        outcomes=int(columns.epochs.sum()),
        errors=int(columns.errors.sum()),
        errors_by_kind=columns.error_kinds,
        metrics={
            name: {
                LEFT_OUT: single(scores.left_out, columns.groups, confidence),
                ZERO: single(scores.as_zero, columns.groups, confidence),
            }
            for name, scores in columns.scores.items()
            if name in metrics
        },
        latency_p50_s=quantiles[0],
        latency_p95_s=quantiles[1],
        latency_s=columns.totals["latency_s"],
        output_tokens=columns.totals["output_tokens"],
        cost=columns.totals["cost"],
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
