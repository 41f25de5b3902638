"""Means of values that come in clusters, such as several questions about one passage.

Values of one cluster rise and fall together, so that there are fewer independent ones than there are values;
an interval that does not know it is far too narrow (Miller 2024, arXiv 2411.00640, section 2.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from themis.compare.extra import needed

if TYPE_CHECKING:
    from themis.compare.columns import Floats, Ints

FEW_GROUPS = 10
"""With fewer clusters no interval is to be trusted (Cameron and Miller 2015, J. Human Resources 50:317)."""


@dataclass(frozen=True)
class Clustered:
    """A mean's uncertainty; ``None`` is what cannot be said."""

    groups: int
    stderr: float | None
    low: float | None
    high: float | None
    p: float | None
    """Of the mean being zero."""
    method: str | None = "clustered t"


def clusters_in(groups: Ints) -> Ints | None:
    """The cluster of each value, one that belongs to none being its own; ``None`` if all stand alone."""
    np = needed("numpy")
    if not len(groups) or groups.max() < 0:
        return None
    alone = groups < 0
    codes: Ints = np.where(alone, groups.max() + 1 + np.cumsum(alone), groups)
    _, numbered = np.unique(codes, return_inverse=True)
    made: Ints = numbered
    return None if made.max() + 1 == len(made) else made


def clustered(values: Floats, clusters: Ints, confidence: float) -> Clustered:
    """Interval and test of the mean by clustered standard errors and t with G-1 degrees of freedom.

    The squared standard error is (G-1)/G times the sum over clusters of (mean without the cluster - mean)²:
    the jackknife that leaves out one cluster at a time (MacKinnon, Nielsen and Webb 2023, J. Applied
    Econometrics 38:671). With clusters of one size it is √(G/(G-1)) times the formula of Miller (2024, arXiv
    2411.00640, section 2.2); with few and unequal ones that formula raises too many false alarms.
    """
    np = needed("numpy")
    groups, n = int(clusters.max()) + 1, len(values)
    if groups < 2 or np.ptp(values) == 0:
        return Clustered(groups, None, None, None, None, None)
    mean = float(values.mean())
    sizes = np.bincount(clusters, minlength=groups)
    sums = np.bincount(clusters, weights=values - mean, minlength=groups)
    stderr = math.sqrt((groups - 1) / groups * float(((sums / (n - sizes)) ** 2).sum()))
    # Clusters that all have the same sum say nothing of how they spread.
    if stderr < 1e-12 * (1 + float(np.abs(values).max())):
        return Clustered(groups, None, None, None, None, None)
    t = needed("scipy.stats").t
    half = float(t.isf((1 - confidence) / 2, groups - 1)) * stderr
    p = 2 * float(t.sf(abs(mean) / stderr, groups - 1))
    return Clustered(groups, stderr, mean - half, mean + half, p)
