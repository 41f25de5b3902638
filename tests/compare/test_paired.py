"""The figures of a paired comparison equal those of scipy and statsmodels, and published ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from themis.compare.correction import holm
from themis.compare.paired import (
    agresti_min,
    detectable,
    mcnemar_exact,
    paired_difference,
    samples_needed,
)
from themis.compare.single import single

ALONE = np.full(10_000, -1)
EXTRA_SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
"""Student (1908, Biometrika 6:1): hours of sleep gained by two drugs, ten patients."""


def compared(baseline, candidate, groups=None, **options):
    one, other = np.asarray(baseline, float), np.asarray(candidate, float)
    return paired_difference(one, other, ALONE[: len(one)] if groups is None else groups, **options)


def table(both, fixed, broken, neither):
    """0/1 scores of a baseline and a candidate with so many pairs of each kind."""
    pairs = [(1, 1)] * both + [(0, 1)] * fixed + [(1, 0)] * broken + [(0, 0)] * neither
    return np.array(pairs, float).T


def test_the_worked_example_of_fagerland_lydersen_and_laake():
    """Airway hyper-responsiveness before and after a transplant, 21 children (2014, Statistics in Medicine
    33:2850): exact McNemar p 0.0703."""
    found = compared(*table(both=1, fixed=7, broken=1, neither=12))
    assert found.difference == pytest.approx(6 / 21)
    assert (found.fixed, found.broken, found.test) == (7, 1, "exact McNemar")
    assert found.p == pytest.approx(0.0703, abs=5e-5)
    # Wald+2 of Agresti and Min by hand: 6/23 ± 1.96 √(9 - 36/23) / 23
    assert (found.low, found.high) == pytest.approx((0.0286, 0.4931), abs=5e-4)
    assert found.effect == 7


def test_the_worked_example_of_student():
    """The t of his paired differences is 4.06 (p 0.0028), the interval 0.70 to 2.46."""
    found = compared(*EXTRA_SLEEP)
    assert found.difference == pytest.approx(1.58)
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert found.stderr is not None
    assert found.difference / found.stderr == pytest.approx(4.0621, abs=5e-5)
    assert (found.interval, found.low, found.high) == (
        "t",
        pytest.approx(0.7001142, abs=5e-8),
        pytest.approx(2.4598858, abs=5e-8),
    )


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_newcombe_printed_it(right, of, low, high):
    """Newcombe (1998, Statistics in Medicine 17:857), table I, method 3."""
    found = single(np.array([1.0] * right + [0.0] * (of - right)), ALONE[:of], 0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    assert (found.low, found.high) == pytest.approx(proportion_confint(right, of, method="wilson"))
    assert (found.method, found.mean, found.n) == ("wilson", pytest.approx(right / of), of)


@pytest.mark.parametrize(("fixed", "broken"), [(0, 0), (1, 0), (5, 5), (12, 3), (86, 150), (900, 1_000)])
def test_mcnemar_equals_statsmodels_and_the_binomial_test(fixed, broken):
    ours = mcnemar_exact(fixed, broken)
    theirs = mcnemar([[10, broken], [fixed, 20]], exact=True).pvalue
    assert ours == pytest.approx(min(1, theirs))
    if fixed + broken:
        assert ours == pytest.approx(stats.binomtest(fixed, fixed + broken).pvalue)


def test_many_pairs_get_students_interval_and_test():
    random = np.random.default_rng(1)
    one, other = random.random(3_000), random.random(3_000)
    found, theirs = compared(one, other), stats.ttest_rel(other, one)
    interval = theirs.confidence_interval(0.95)
    assert (found.test, found.interval) == ("paired t", "t")
    assert (found.p, found.low, found.high) == pytest.approx((theirs.pvalue, interval.low, interval.high))
    assert found.correlation == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert found.effect == pytest.approx((other - one).mean() / (other - one).std(ddof=1))


def test_the_bootstrap_is_seeded_and_bca():
    random = np.random.default_rng(2)
    one, other = random.random(60), random.random(60) ** 2
    found = compared(one, other, seed=3)
    assert found == compared(one, other, seed=3)
    assert found.low != compared(one, other, seed=4).low
    reach = math.sqrt(60 / 59) * stats.t.isf(0.025, 59)
    theirs = stats.bootstrap(
        (other - one,),
        np.mean,
        n_resamples=10_000,
        confidence_level=1 - 2 * stats.norm.sf(reach),
        method="BCa",
        rng=np.random.default_rng(3),
    )
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval))


def test_clusters_make_it_less_sure():
    random = np.random.default_rng(5)
    groups = np.repeat(np.arange(30), 10)
    one = random.random(300)
    other = one + np.repeat(random.normal(0, 0.2, 30), 10)
    found = compared(one, other, groups)
    theirs = OLS(other - one, np.ones(300)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    assert (found.groups, found.test, found.interval) == (30, "clustered t", "clustered t")
    assert (found.p, found.stderr) == pytest.approx((theirs.pvalues[0], theirs.bse[0]))
    assert (found.low, found.high) == pytest.approx(tuple(theirs.conf_int()[0]))
    # t with G-1 degrees of freedom
    assert found.high - found.low == pytest.approx(2 * stats.t.isf(0.025, 29) * found.stderr)
    plain = compared(one, other)
    assert found.high - found.low > 2 * (plain.high - plain.low)


def test_unequal_clusters_by_leaving_out_one_after_the_other():
    random = np.random.default_rng(6)
    groups = np.repeat(np.arange(12), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30])
    one, other = random.random(len(groups)), random.random(len(groups))
    without = np.array([(other - one)[groups != group].mean() for group in range(12)])
    found = compared(one, other, groups)
    stderr = np.sqrt(11 / 12 * ((without - found.difference) ** 2).sum())
    assert found.stderr == pytest.approx(stderr)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.difference) / stderr, 11))


def test_a_sample_of_no_cluster_is_its_own_and_clusters_of_one_are_none():
    one, other = np.array([0.0, 0.2, 0.4, 0.1, 0.9, 0.3]), np.array([0.1, 0.5, 0.1, 0.2, 0.3, 0.8])
    assert compared(one, other, np.array([0, 0, -1, -1, 1, 1])).groups == 4
    assert compared(one, other, np.arange(6)).groups is None


def test_equal_runs_are_equal_and_not_an_error():
    graded = compared([0.5, 0.25, 1.0], [0.5, 0.25, 1.0])
    binary = compared([0, 1, 1], [0, 1, 1])
    groups = np.array([0, 0, 1, 1, 2, 2])
    clustered = compared([0, 1, 1, 0, 1, 0.5], [0, 1, 1, 0, 1, 0.5], groups)
    for found in (graded, binary, clustered):
        assert (found.difference, found.p, found.identical) == (0, 1.0, True)
        # Three equal ones are no proof that all are.
        assert (found.low, found.high) == pytest.approx((-0.392, 0.392), abs=1e-3)
    beyond = compared([5.0, 7.0], [5.0, 7.0])
    assert (beyond.p, beyond.low) == (1.0, None)
    assert not compared([0.1, 0.2, 0.3], [0.2, 0.1, 0.3]).identical


def test_all_pairs_differ_by_the_same():
    found = compared([0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5])
    assert (found.test, found.p, found.low) == ("sign", pytest.approx(2 * 0.5**4), None)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_for_anything(count):
    found = compared([0.5] * count, [0.25] * count)
    assert (found.n, found.p, found.low) == (count, None, None)


def test_holm_equals_the_textbook():
    """Holm's procedure by hand: 0.01·4, 0.02·3, 0.03·2, 0.04·1, never falling."""
    assert holm([0.04, None, 0.01, 0.03, 0.02]) == pytest.approx([0.06, None, 0.04, 0.06, 0.06])
    assert holm([0.03, None]) == [0.03, None]
    p = np.random.default_rng(0).random(50) ** 4
    assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1])
    assert holm([]) == []


def test_what_can_be_detected_and_what_is_needed_are_one_formula():
    """(1.96 + 0.84) standard errors."""
    reach = detectable(0.01, 0.95)
    assert reach == pytest.approx(0.028016, abs=1e-6)
    assert samples_needed(500, reach, 0.01, 0.95) in (500, 501)
    assert samples_needed(500, reach / 2, 0.01, 0.95) in (2_000, 2_001)
    assert samples_needed(500, 0.0, 0.01, 0.95) is None
    assert detectable(0.01, 0.95, tests=10) > reach


def test_the_interval_never_leaves_what_is_possible():
    low, high, *_ = agresti_min(0, 20, 20, 0.95)
    assert -1 <= low < high < 0
