"""Metrics: versioned rules from an answer and a reference to a number."""

from themis.metrics.base import CallableMetric, JudgingMetric, Metric, Score
from themis.metrics.registry import BUILT_IN, DEFAULT, open_metrics

__all__ = ["BUILT_IN", "DEFAULT", "CallableMetric", "JudgingMetric", "Metric", "Score", "open_metrics"]
