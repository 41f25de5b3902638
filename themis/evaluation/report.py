"""From sums to the report and the summary of a run."""

from __future__ import annotations

import time
from typing import Any

from themis.core.entities import SCHEMA_VERSION, ExperimentReport
from themis.evaluation.aggregate import RunAggregate

MOST_REASON = 300
"""Characters of the reason why a metric gave no score."""


def make_report(
    run_id: str, status: str, metadata: dict[str, Any], aggregate: RunAggregate
) -> ExperimentReport:
    """What a run says at its end."""
    started, ended = metadata.get("started_at"), metadata.get("ended_at") or time.time()
    return ExperimentReport(
        run_id=run_id,
        schema_version=SCHEMA_VERSION,
        status=status,
        created_at=metadata.get("created_at"),
        asked=metadata.get("asked", {}),
        counts={
            "asked": aggregate.done,
            "answered": aggregate.answered,
            "errors": aggregate.errors,
            "kept": aggregate.kept,
        },
        metrics={name: metric.summary() for name, metric in aggregate.metrics.items()},
        failures={
            kind: {"count": count, "sample_ids": aggregate.failed_ids[kind]}
            for kind, count in sorted(aggregate.failures.items())
        },
        by_tag=aggregate.by_tag(),
        usage=dict(aggregate.usage),
        cost=aggregate.cost,
        metadata=_unscored(aggregate),
        timing={
            "started_at": started,
            "ended_at": ended,
            "wall_s": ended - started if started is not None else None,
            "latency_p50_s": aggregate.latencies.quantile(0.5),
            "latency_p95_s": aggregate.latencies.quantile(0.95),
        },
    )


def _unscored(aggregate: RunAggregate) -> dict[str, Any]:
    if not aggregate.unscored:
        return {}
    return {
        "unscored": {
            name: {"count": count, "reason": None if reason is None else str(reason)[:MOST_REASON]}
            for name, (count, reason) in aggregate.unscored.items()
        }
    }


def make_summary(aggregate: RunAggregate, total: int | None, *, recent: bool = False) -> dict[str, Any]:
    """The field ``summary`` of the metadata: what a list of runs shows; ``recent`` while it goes on."""
    metrics = {
        name: {
            "mean": metric.mean,
            "stderr": metric.recent_stderr() if recent else metric.stderr(),
            "n": metric.count,
        }
        for name, metric in aggregate.metrics.items()
    }
    return {
        "headline": next(iter(metrics), None),
        "metrics": metrics,
        "errors": aggregate.errors,
        "done": aggregate.done,
        "total": total,
        "tokens": {
            "input": aggregate.usage.get("input_tokens"),
            "output": aggregate.usage.get("output_tokens"),
        },
        "cost": aggregate.cost,
    }
