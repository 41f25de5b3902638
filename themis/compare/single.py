"""One run by itself: a mean and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from themis.compare.clusters import clustered, clusters_in
from themis.compare.extra import needed

if TYPE_CHECKING:
    from themis.compare.columns import Floats, Ints


@dataclass(frozen=True)
class Single:
    """The mean of one metric over one run's samples. ``None`` is what cannot be said."""

    n: int
    """Samples with a score."""
    mean: float | None
    low: float | None
    high: float | None
    method: str | None
    """``wilson``, ``t`` or ``clustered t``."""
    groups: int | None = None
    """Clusters, where samples belong to some."""


def single(scores: Floats, groups: Ints, confidence: float) -> Single:
    """The mean of scores, NaN left out, and its interval.

    0/1 scores: the score interval of Wilson (1927), as Bowyer et al. (2025, arXiv 2503.01747) advise below
    some hundred samples; other scores: Student's t; scores in clusters: see :mod:`themis.compare.clusters`.
    """
    np = needed("numpy")
    known = ~np.isnan(scores)
    values, codes = scores[known], groups[known]
    n = len(values)
    if n == 0:
        return Single(0, None, None, None, None)
    mean = float(values.mean())
    clusters = clusters_in(codes)
    if clusters is not None:
        interval = clustered(values, clusters, confidence)
        if interval.low is None and is_binary(values) and interval.groups > 1:
            # All the same: as sure as so many independent ones, not as sure as certain.
            return replace(_wilson(mean, interval.groups, confidence), n=n, groups=interval.groups)
        return Single(n, mean, interval.low, interval.high, interval.method, interval.groups)
    if is_binary(values):
        return _wilson(mean, n, confidence)
    if n < 2 or np.ptp(values) == 0:
        return Single(n, mean, None, None, None)
    low, high = _t_interval(values, confidence)
    return Single(n, mean, low, high, "t")


def _t_interval(values: Floats, confidence: float) -> tuple[float, float]:
    """Student's interval; of scores from 0 to 1, with half a 0 and half a 1 more.

    That is what Agresti and Min (2005, Statistics in Medicine 24:729) add to shares. Scores near a bound are
    skewed, and the plain interval of 20 holds the truth too seldom; of hundreds both are the same.
    """
    n, mean, squares = len(values), float(values.mean()), float(((values - values.mean()) ** 2).sum())
    if values.min() >= 0 and values.max() <= 1:
        middle = (n * mean + 0.5) / (n + 1)
        squares += n * (mean - middle) ** 2 + 0.5 * (middle**2 + (1 - middle) ** 2)
        n, mean = n + 1, middle
    half = float(needed("scipy.stats").t.isf((1 - confidence) / 2, n - 1)) * (squares / (n - 1) / n) ** 0.5
    return mean - half, mean + half


def _wilson(mean: float, n: int, confidence: float) -> Single:
    share = needed("scipy.stats").binomtest(round(mean * n), n)
    low, high = share.proportion_ci(confidence, method="wilson")
    return Single(n, mean, float(low), float(high), "wilson")


def is_binary(values: Floats) -> bool:
    """Whether every value is 0 or 1."""
    return bool(((values == 0) | (values == 1)).all())
