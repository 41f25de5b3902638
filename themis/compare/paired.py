"""Two runs over the same samples: the mean difference, how sure it is, and whether it could be chance.

Everything is computed from the differences of pairs. Most of the spread between samples is shared by both
runs and falls out of them, so that a paired interval is far narrower than what two separate ones suggest
(Miller 2024, "Adding Error Bars to Evals", arXiv 2411.00640, section 4.2).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from themis.compare.clusters import clustered, clusters_in
from themis.compare.extra import needed
from themis.compare.single import is_binary

if TYPE_CHECKING:
    from themis.compare.columns import Floats, Ints

FEWEST_BOOTSTRAPPED, MOST_BOOTSTRAPPED = 50, 2_000
"""Pairs for which graded scores are bootstrapped. With fewer the bootstrap holds the truth too seldom (91
times of 100 with 20 pairs, where t keeps its 95); beyond, both agree, and t is at once."""
RESAMPLES = 10_000
POWER = 0.8
_AT_ONCE = 4_000_000
"""Resampled values held at a time: 32 MB."""
_NOISE = 1e-12
"""Differences below this are rounding of means over epochs."""


@dataclass(frozen=True)
class Paired:
    """A mean difference, candidate minus baseline. ``None`` is what cannot be said."""

    n: int
    """Pairs in which both have a score."""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    """How the interval was made: ``Agresti–Min``, ``BCa bootstrap``, ``t`` or ``clustered t``."""
    stderr: float | None = None
    p: float | None = None
    """Of no difference, for this test by itself."""
    test: str | None = None
    """``exact McNemar``, ``paired t``, ``clustered t`` or ``sign``."""
    fixed: int | None = None
    """Pairs of 0/1 scores wrong in the baseline and right in the candidate."""
    broken: int | None = None
    groups: int | None = None
    """Clusters, where samples belong to some."""
    identical: bool = False
    """Whether no pair differs."""
    effect: float | None = None
    effect_name: str | None = None
    """``odds ratio`` (fixed to broken) for 0/1 scores; else ``Cohen's dz``, mean over spread of differences.
    """
    correlation: float | None = None
    """Of the two runs' scores: the higher, the more pairing gains."""


class _Interval(NamedTuple):
    low: float
    high: float
    method: str
    stderr: float


def paired_difference(
    baseline: Floats,
    candidate: Floats,
    groups: Ints,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Paired:
    """Compare two arrays of scores in which equal places are one sample; no NaN.

    - samples in clusters: clustered standard errors, see :mod:`themis.compare.clusters`;
    - 0/1 scores: McNemar's exact test, the binomial one on the pairs that changed (Bowyer et al. 2025, arXiv
      2503.01747, advise exact methods for small n), and the interval of Agresti and Min;
    - other scores: the paired t test; the interval by BCa bootstrap from :data:`FEWEST_BOOTSTRAPPED` to
      :data:`MOST_BOOTSTRAPPED` pairs, the same figures for the same ``seed``, and else by t.
    """
    np = needed("numpy")
    n = len(baseline)
    if n == 0:
        return Paired(0)
    differences = candidate - baseline
    differences = np.where(np.abs(differences) < _NOISE, 0.0, differences)
    difference = float(differences.mean())
    binary = is_binary(baseline) and is_binary(candidate)
    fixed, broken = (int((differences > 0).sum()), int((differences < 0).sum())) if binary else (None, None)
    effect, effect_name = _effect(np, differences, fixed, broken)
    common: dict[str, Any] = {
        "n": n,
        "difference": difference,
        "fixed": fixed,
        "broken": broken,
        "effect": effect,
        "effect_name": effect_name,
        "correlation": _correlation(np, baseline, candidate),
        "identical": not differences.any(),
    }
    clusters = clusters_in(groups)
    if clusters is not None:
        by_group = clustered(differences, clusters, confidence)
        common["groups"] = by_group.groups
        if by_group.stderr is not None:
            interval = (by_group.low, by_group.high, by_group.method, by_group.stderr)
            return Paired(**common, **_named(interval), p=by_group.p, test="clustered t")
        if not common["identical"]:
            return Paired(**common)
        return Paired(**common, **_unchanged(baseline, by_group.groups, confidence), p=1.0)
    if fixed is not None and broken is not None:
        found = agresti_min(fixed, broken, n, confidence)
        return Paired(**common, **_named(found), p=mcnemar_exact(fixed, broken), test="exact McNemar")
    if n < 2:
        return Paired(**common)
    if common["identical"]:
        return Paired(**common, **_unchanged(baseline, n, confidence), p=1.0, test="sign")
    if np.ptp(differences) < _NOISE:
        return Paired(**common, p=_sign_p(n), test="sign")
    bootstrapped = FEWEST_BOOTSTRAPPED <= n <= MOST_BOOTSTRAPPED
    graded = _bootstrap(np, differences, confidence, seed, resamples) if bootstrapped else None
    p = float(needed("scipy.stats").ttest_1samp(differences, 0.0).pvalue)
    return Paired(**common, **_named(graded or student(differences, confidence)), p=p, test="paired t")


def mcnemar_exact(fixed: int, broken: int) -> float:
    """McNemar's exact test: the two-sided binomial one of the pairs that changed, at one half.

    McNemar (1947, Psychometrika 12:153); nothing changed is p = 1.
    """
    if fixed == broken:
        return 1.0
    return float(needed("scipy.stats").binomtest(fixed, fixed + broken).pvalue)


def agresti_min(fixed: int, broken: int, n: int, confidence: float) -> _Interval:
    """The interval of a difference of paired shares, with half a pair more of each of the four kinds.

    With m = n + 2 and d = (fixed - broken)/m: d ± z √((fixed + broken + 1)/m - d²) / √m. Agresti and Min
    (2005, Statistics in Medicine 24:729). It never shrinks to a point, however few pairs changed, where the
    plain interval does.
    """
    z, more = _z(confidence), n + 2
    middle = (fixed - broken) / more
    stderr = math.sqrt(((fixed + broken + 1) / more - middle * middle) / more)
    low, high = max(-1.0, middle - z * stderr), min(1.0, middle + z * stderr)
    return _Interval(low, high, "Agresti–Min", stderr)


def detectable(stderr: float | None, confidence: float, tests: int = 1) -> float | None:
    """The smallest true difference that these samples would show with 80 % power.

    (z of confidence + z of power) · stderr (Miller 2024, arXiv 2411.00640, section 5), the confidence divided
    among the tests made at once.
    """
    return None if stderr is None else _reach(confidence, tests) * stderr


def samples_needed(
    n: int, difference: float | None, stderr: float | None, confidence: float, tests: int = 1
) -> int | None:
    """How many samples would show the difference that was seen, were it the true one, with 80 % power.

    The same formula the other way round: the standard error falls with the root of n.
    """
    if not difference or stderr is None:
        return None
    needed_n = n * (_reach(confidence, tests) * stderr / difference) ** 2
    return math.ceil(needed_n) if needed_n < 1e12 else None


def _reach(confidence: float, tests: int) -> float:
    ndtri = needed("scipy.special").ndtri
    return float(ndtri(1 - (1 - confidence) / (2 * max(1, tests))) + ndtri(POWER))


def student(differences: Floats, confidence: float) -> _Interval:
    """Student's interval of a mean (1908, Biometrika 6:1)."""
    n = len(differences)
    stderr = float(differences.std(ddof=1)) / math.sqrt(n)
    half = float(needed("scipy.stats").t.isf((1 - confidence) / 2, n - 1)) * stderr
    mean = float(differences.mean())
    return _Interval(mean - half, mean + half, "t", stderr)


def _bootstrap(
    np: Any, differences: Floats, confidence: float, seed: int, resamples: int
) -> _Interval | None:
    """The bias-corrected and accelerated bootstrap; ``None`` where it has no answer.

    Efron (1987, JASA 82:171), of the level at which normal data would get Student's interval: a bootstrap
    takes the spread of the sample for that of the world, and is too narrow by that when n is small
    (Hesterberg 2015, Am. Statistician 69:371, the "expanded" interval).
    """
    stats, special = needed("scipy.stats"), needed("scipy.special")
    n = len(differences)
    reach = math.sqrt(n / (n - 1)) * float(stats.t.isf((1 - confidence) / 2, n - 1))
    level = 1 - 2 * float(special.ndtr(-reach))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what has no answer comes back as NaN
        made = stats.bootstrap(
            (differences,),
            np.mean,
            n_resamples=resamples,
            batch=max(1, _AT_ONCE // n),
            confidence_level=level,
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    low, high = float(made.confidence_interval.low), float(made.confidence_interval.high)
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return _Interval(low, high, "BCa bootstrap", float(differences.std(ddof=1)) / math.sqrt(n))


def _unchanged(scores: Floats, units: int, confidence: float) -> dict[str, Any]:
    """Where no pair differs: of scores from 0 to 1, how much may be hidden, as if they were 0/1.

    So many equal pairs are no proof that all are; the fewer, the less.
    """
    bounded = scores.min() >= 0 and scores.max() <= 1
    return _named(agresti_min(0, 0, units, confidence)) if bounded and units > 1 else {}


def _sign_p(n: int) -> float:
    """Where all pairs differ by the same: the sign test, two-sided."""
    return min(1.0, 2.0 * 0.5**n)


def _effect(
    np: Any, differences: Floats, fixed: int | None, broken: int | None
) -> tuple[float | None, str | None]:
    """Effect sizes: the odds of a change being for the better; Cohen's dz (1988, section 2.3.5)."""
    if fixed is not None and broken is not None:
        return (fixed / broken if broken else None), "odds ratio"
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return (float(differences.mean()) / spread if spread > _NOISE else None), "Cohen's dz"


def _correlation(np: Any, baseline: Floats, candidate: Floats) -> float | None:
    if len(baseline) < 2 or np.ptp(baseline) < _NOISE or np.ptp(candidate) < _NOISE:
        return None
    return float(np.corrcoef(baseline, candidate)[0, 1])


def _named(interval: Any) -> dict[str, Any]:
    low, high, method, stderr = interval
    return {"low": low, "high": high, "interval": method, "stderr": stderr}


def _z(confidence: float) -> float:
    return float(needed("scipy.special").ndtri(1 - (1 - confidence) / 2))
