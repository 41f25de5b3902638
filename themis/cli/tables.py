"""What came of a run, in tables."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from themis.cli import output
from themis.core.entities import ExperimentReport
from themis.runs.trash import expires_at


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Metric, mean, interval and count; of a report or a summary."""
    if not metrics:
        return "no metrics yet"
    rows = [
        (
            str(name),
            output.number(metric.get("mean")),
            _interval(metric),
            output.count(metric.get("count", metric.get("n"))),
        )
        for name, metric in metrics.items()
    ]
    return output.table(("METRIC", "MEAN", "95 % INTERVAL", "N"), rows, right={1, 3})


def _interval(metric: Mapping[str, Any]) -> str:
    low, high = metric.get("ci_low", metric.get("low")), metric.get("ci_high", metric.get("high"))
    if output.is_number(low) and output.is_number(high):
        return f"{output.number(low)} – {output.number(high)}"
    return (
        f"±{output.number(metric['stderr'])} SE" if output.is_number(metric.get("stderr")) else output.UNKNOWN
    )


def counts_lines(report: ExperimentReport, total: int | None = None) -> list[str]:
    """How many were answered, the errors by kind with the first samples that had them, and the answers that a
    metric gave no score, with the first reason.
    """
    counts, failures = report.counts, report.failures
    in_all = f"; {output.count(total)} in all" if total is not None and total != counts.get("asked") else ""
    kept = f", {output.count(counts['kept'])} of them earlier" if counts.get("kept") else ""
    answered, asked = output.count(counts.get("answered")), output.count(counts.get("asked"))
    lines = [f"answered {answered} of {asked} asked{kept}{in_all}"]
    for kind, failed in failures.items():
        ids = failed.get("sample_ids") or []
        shown = ", ".join(output.cut(str(each), 40) for each in ids[:3])
        more = ", …" if len(ids) > 3 else ""
        lines.append(
            f"errors  {output.count(failed.get('count'))} {output.cut(str(kind), 40)} ({shown}{more})"
        )
    unscored = report.metadata.get("unscored")
    for name, each in (unscored if isinstance(unscored, dict) else {}).items():
        reason = f": {output.cut(str(each['reason']), 160)}" if each.get("reason") else ""
        count = output.plural(int(each.get("count") or 0), "answer")
        lines.append(f"        {output.cut(str(name), 40)} gave {count} no score{reason}")
    return lines


def change_table(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> str:
    """Metric, mean before and after, and count; of summaries or reports."""
    rows = []
    for name, metric in after.items():
        old = before.get(name)
        was, now = old.get("mean") if isinstance(old, Mapping) else None, metric.get("mean")
        known = output.is_number(was) and output.is_number(now)
        change = f"{now - was:+.3f}" if known and was is not None and now is not None else output.UNKNOWN
        count = output.count(metric.get("count", metric.get("n")))
        rows.append((str(name), output.number(was), output.number(now), change, count))
    return output.table(("METRIC", "BEFORE", "AFTER", "CHANGE", "N"), rows, right={1, 2, 3, 4})


def kept_for(trash: Mapping[str, Any]) -> str:
    """How long a run in the trash stays at least: nothing but ``gc`` ever removes it."""
    if "purging" in trash:
        return "half deleted for good"
    until = expires_at(dict(trash))
    if until is None:
        return "gc leaves it there"
    left = until - time.time()
    return f"gc may take it in {output.duration(left)}" if left > 0 else "gc takes it"
