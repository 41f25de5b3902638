"""Metrics: versioned rules from an answer and a reference to a number."""

from themis.metrics.base import CallableMetric, JudgingMetric, Metric, Score
from themis.metrics.registry import (
    BUILT_IN,
    DEFAULT,
    is_harmless,
    metric_names,
    metric_reference,
    open_metrics,
    split_names,
)

__all__ = [
    "BUILT_IN",
    "DEFAULT",
    "CallableMetric",
    "JudgingMetric",
    "Metric",
    "Score",
    "is_harmless",
    "metric_names",
    "metric_reference",
    "open_metrics",
    "split_names",
]
