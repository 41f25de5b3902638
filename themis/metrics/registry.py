"""From a name to a metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from themis.core.errors import UnknownName, UsageError
from themis.metrics.base import CallableMetric, Metric
from themis.metrics.text import ExactMatch, Includes

BUILT_IN: dict[str, type[Metric]] = {"ExactMatch": ExactMatch, "Includes": Includes}
DEFAULT = ("ExactMatch", "Includes")
"""Used where neither the caller nor the benchmark names metrics."""


def open_metrics(metrics: Iterable[str | Metric | Callable[[str, Any], Any]]) -> list[Metric]:
    """Metrics by name, instance or function. Raises :class:`UnknownName` with the names there are."""
    if isinstance(metrics, str):
        metrics = metrics.split(",")
    opened = [_opened(metric) for metric in metrics]
    names = [metric.name for metric in opened]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UsageError(f"The metric {repeated!r} is named twice.")
    return opened


def _opened(metric: str | Metric | Callable[[str, Any], Any]) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if not isinstance(metric, str):
        if not callable(metric):
            raise UsageError(
                f"A metric is a name or a function of response and reference, not {metric!r:.100}."
            )
        return CallableMetric(metric)
    cls = BUILT_IN.get(metric.strip())
    if cls is None:
        raise UnknownName(f"There is no metric {metric!r}. There are: {', '.join(sorted(BUILT_IN))}.")
    return cls()
