"""Metrics: versioned rules from an answer and a reference to a number."""

from themis.metrics.base import CallableMetric, Metric, Score, open_metrics

__all__ = ["CallableMetric", "Metric", "Score", "open_metrics"]

DEFAULT = ("ExactMatch", "Includes")
"""Used where neither the caller nor the benchmark names metrics."""
