"""A comparison for a spreadsheet: a line for each metric of each pair, or for each sample."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from themis.compare.comparison import Comparison
from themis.compare.flips import Flips
from themis.core.spreadsheet import cell

HEADER = (
    *("baseline", "candidate", "metric", "errors", "n", "baseline_mean", "candidate_mean", "difference"),
    *("low", "high", "interval", "p", "p_holm", "test", "effect", "effect_name", "fixed", "broken"),
    *("groups", "detectable", "needed", "verdict"),
)
OTHER = ("other_errors", "other_n", "other_difference", "other_low", "other_high")
SAMPLE_HEADER = (
    "baseline",
    "candidate",
    "metric",
    "sample",
    "kind",
    "baseline_score",
    "candidate_score",
    "tags",
)


def as_csv(comparison: Comparison, *, flips: bool = False) -> str:
    """The figures; with ``flips``, the samples instead, one a line."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(SAMPLE_HEADER if flips else (*HEADER, *OTHER))
    rows = _samples(comparison) if flips else _figures(comparison)
    writer.writerows([cell(value) for value in row] for row in rows)
    return file.getvalue()


def _figures(comparison: Comparison) -> Iterator[Iterable[Any]]:
    for pair in comparison.pairs:
        for metric in pair.metrics:
            own = (getattr(metric, name) for name in HEADER[2:-1])
            other = metric.other
            rest: tuple[Any, ...] = (None,) * len(OTHER)
            if other is not None:
                rest = (other.errors, other.n, other.difference, other.low, other.high)
            yield (pair.baseline, pair.candidate, *own, metric.verdict.word, *rest)


def _samples(comparison: Comparison) -> Iterator[Iterable[Any]]:
    for pair in comparison.pairs:
        for metric in pair.metrics:
            for flip in Flips(comparison, pair, metric.metric).listed():
                at = pair.baseline, pair.candidate, metric.metric
                yield (*at, flip.sample_id, flip.kind, flip.baseline, flip.candidate, " ".join(flip.tags))
