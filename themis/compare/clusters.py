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

    The standard error is the root of the sum over clusters of (sum of deviations)², over n, times √(G/(G-1)):
    statsmodels' cluster-robust covariance of a regression on a constant (Miller 2024, arXiv 2411.00640,
    section 2.2; degrees of freedom: Cameron and Miller 2015, J. Human Resources 50:317, section VI).
    """
    np = needed("numpy")
    groups = int(clusters.max()) + 1
    if groups < 2 or np.ptp(values) == 0:
        return Clustered(groups, None, None, None, None, None)
    model = needed("statsmodels.regression.linear_model").OLS(values, np.ones(len(values)))
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": True}, use_t=True)
    stderr = float(fit.bse[0])
    # Clusters that all have the same sum say nothing of how they spread.
    if not math.isfinite(stderr) or stderr < 1e-12 * (1 + float(np.abs(values).max())):
        return Clustered(groups, None, None, None, None, None)
    low, high = fit.conf_int(alpha=1 - confidence)[0]
    return Clustered(groups, stderr, float(low), float(high), float(fit.pvalues[0]))
