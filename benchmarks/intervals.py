"""Whether the intervals and tests of ``themis compare`` keep what they promise, by simulation.

    python benchmarks/intervals.py [--datasets 10000] [--bootstrapped 1000] [--resamples 1000] [--seed 1]

Worlds whose true difference is known are sampled again and again, and the functions that comparisons use
are asked for their 95 % intervals: how many hold the truth? The share of right answers is drawn anew for each
data set, from 5 to 95 %, so that coverage is an average over it. Then worlds without any difference: how
often is one of six tests at once called a difference after Holm's correction? Prints the table of
docs/comparing.md.

0/1 scores: a normal latent of which half the variance is the sample's, shared by both runs; right above zero.
Graded scores: the same latent through the normal distribution function, and as many again exactly 0 or 1, as
F1 has. Clusters: a third of the sample's variance is its cluster's, and clusters have a taste of their own in
each run; sizes are unequal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from themis.compare.clusters import clustered
from themis.compare.correction import holm
from themis.compare.paired import agresti_min, mcnemar_exact, paired_difference, student
from themis.compare.single import single

SIZES = (20, 50, 100, 200, 500, 2_000)
GROUPS = ((10, 5), (20, 10), (50, 10), (100, 20))
"""Clusters, and samples in one of them on average."""
FAMILY = 6
AT_ONCE = 2_000_000
"""Values sampled at a time."""

Floats = np.ndarray
exact, between = lru_cache(maxsize=None)(mcnemar_exact), lru_cache(maxsize=None)(agresti_min)


class World(NamedTuple):
    """Data sets: scores of two runs, one row a data set, and the true mean of each."""

    scores: tuple[Floats, Floats]
    truth: tuple[Floats, Floats]


def world(
    random: np.random.Generator,
    rows: int,
    n: int,
    *,
    graded: bool,
    clusters: Floats | None = None,
    null: bool = False,
) -> World:
    """Two runs over the same samples; without any difference if ``null``."""
    share = random.uniform(0.05, 0.95, rows)
    other = share if null else np.clip(share + random.uniform(-0.1, 0.1, rows), 0.05, 0.95)
    sample = random.standard_normal((rows, n))
    own = [random.standard_normal((rows, n)) for _ in range(2)]
    if clusters is not None:
        count = int(clusters.max()) + 1
        sample = np.sqrt(2 / 3) * sample + np.sqrt(1 / 3) * random.standard_normal((rows, count))[:, clusters]
        own = [
            np.sqrt(0.7) * each + np.sqrt(0.3) * random.standard_normal((rows, count))[:, clusters]
            for each in own
        ]
    scores, truth = [], []
    for mean, noise in zip((share, other), own, strict=True):
        latent = np.sqrt(0.5) * (sample + noise) + ndtri(mean)[:, None]
        if not graded:
            scores.append((latent > 0).astype(float))
            truth.append(mean)
            continue
        # Of a standard normal around m, the mean of ndtr(x) is ndtr(m / √2); half are all or nothing.
        whole = random.random((rows, n)) < 0.5
        scores.append(np.where(whole, latent > 0, ndtr(latent)))
        truth.append(0.5 * mean + 0.5 * ndtr(ndtri(mean) / np.sqrt(2)))
    return World((scores[0], scores[1]), (truth[0], truth[1]))


def batches(total: int, n: int) -> Iterator[int]:
    size = max(1, AT_ONCE // n)
    for start in range(0, total, size):
        yield min(size, total - start)


def unequal(groups: int, each: int) -> Floats:
    """Clusters of half, once and one and a half times the size."""
    sizes = [max(1, round(each * (0.5, 1, 1.5)[number % 3])) for number in range(groups)]
    return np.repeat(np.arange(groups), sizes)


def covered(intervals: Iterator[tuple[float | None, float | None]], truth: Floats) -> tuple[int, int]:
    """How many intervals hold the truth, and how many data sets had none."""
    held = missing = 0
    for (low, high), true in zip(intervals, truth.tolist(), strict=True):
        if low is None or high is None:
            missing += 1
        else:
            held += low <= true <= high
    return held, missing


class Row(NamedTuple):
    """A line of the table."""

    what: str
    n: str
    coverage: float
    sets: int
    missing: int


def coverage(what: str, n: int, sets: int, once: Callable[[int], tuple[int, int]], label: str = "") -> Row:
    held, missing = np.sum([once(rows) for rows in batches(sets, n)], axis=0)
    return Row(what, label or f"{n:,}", held / (sets - missing), sets, int(missing))


def coverages(random: np.random.Generator, sets: int, bootstrapped: int, resamples: int) -> Iterator[Row]:
    for n in SIZES:
        alone = np.full(n, -1)

        def wilson(rows: int, n: int = n, alone: Floats = alone) -> tuple[int, int]:
            made = world(random, rows, n, graded=False)
            found = (single(each, alone, 0.95) for each in made.scores[0])
            return covered(((each.low, each.high) for each in found), made.truth[0])

        yield coverage("one run, 0/1: Wilson", n, sets, wilson)
    for n in SIZES:
        alone = np.full(n, -1)

        def of_one(rows: int, n: int = n, alone: Floats = alone) -> tuple[int, int]:
            made = world(random, rows, n, graded=True)
            found = (single(each, alone, 0.95) for each in made.scores[0])
            return covered(((each.low, each.high) for each in found), made.truth[0])

        yield coverage("one run, graded: t", n, sets, of_one)
    for n in SIZES:

        def shares(rows: int, n: int = n) -> tuple[int, int]:
            made = world(random, rows, n, graded=False)
            change = made.scores[1] - made.scores[0]
            counts = zip((change > 0).sum(1).tolist(), (change < 0).sum(1).tolist(), strict=True)
            found = (between(fixed, broken, n, 0.95)[:2] for fixed, broken in counts)
            return covered(found, made.truth[1] - made.truth[0])

        yield coverage("paired, 0/1: Agresti–Min", n, sets, shares)
    for n in SIZES:

        def means(rows: int, n: int = n) -> tuple[int, int]:
            made = world(random, rows, n, graded=True)
            found = (student(each, 0.95)[:2] for each in made.scores[1] - made.scores[0])
            return covered(found, made.truth[1] - made.truth[0])

        yield coverage("paired, graded: t", n, sets, means)
    for n in SIZES[1:]:  # fewer are not bootstrapped
        alone = np.full(n, -1)

        def resampled(rows: int, n: int = n, alone: Floats = alone) -> tuple[int, int]:
            made = world(random, rows, n, graded=True)
            found = (
                paired_difference(one, other, alone, seed=int(random.integers(2**31)), resamples=resamples)
                for one, other in zip(*made.scores, strict=True)
            )
            return covered(((each.low, each.high) for each in found), made.truth[1] - made.truth[0])

        yield coverage("paired, graded: BCa bootstrap", n, bootstrapped, resampled)
    for graded in (False, True):
        for groups, each in GROUPS:
            clusters = unequal(groups, each)

            def grouped(rows: int, clusters: Floats = clusters, graded: bool = graded) -> tuple[int, int]:
                made = world(random, rows, len(clusters), graded=graded, clusters=clusters)
                found = (clustered(d, clusters, 0.95) for d in made.scores[1] - made.scores[0])
                return covered(((f.low, f.high) for f in found), made.truth[1] - made.truth[0])

            what = f"paired, clustered, {'graded' if graded else '0/1'}: t(G-1)"
            yield coverage(what, len(clusters), sets, grouped, f"{len(clusters):,} in {groups}")


def alarms(random: np.random.Generator, sets: int) -> Iterator[Row]:
    """Families of six tests where nothing differs: how many of them raise an alarm."""
    tests: list[tuple[str, bool, tuple[int, ...], Floats | None]] = [
        ("0/1: exact McNemar", False, (20, 200, 2_000), None),
        ("graded: paired t", True, (20, 200, 2_000), None),
    ]
    tests += [
        (f"clustered, {'graded' if graded else '0/1'}: t(G-1)", graded, (len(unequal(*g)),), unequal(*g))
        for graded in (False, True)
        for g in GROUPS[:3]
    ]
    for what, graded, sizes, clusters in tests:
        for n in sizes:
            alarmed = 0
            for rows in batches(sets, n * FAMILY):
                p = np.array([_nulls(random, rows, n, graded, clusters) for _ in range(FAMILY)]).T
                adjusted = (holm([None if np.isnan(x) else x for x in row]) for row in p.tolist())
                alarmed += sum(any(x is not None and x < 0.05 for x in each) for each in adjusted)
            label = f"{n:,}" if clusters is None else f"{n:,} in {int(clusters.max()) + 1}"
            yield Row(what, label, alarmed / sets, sets, 0)


def _nulls(
    random: np.random.Generator, rows: int, n: int, graded: bool, clusters: Floats | None
) -> list[float]:
    made = world(random, rows, n, graded=graded, clusters=clusters, null=True)
    change = made.scores[1] - made.scores[0]
    if clusters is not None:
        found = (clustered(each, clusters, 0.95).p for each in change)
        return [np.nan if each is None else each for each in found]
    if not graded:
        counts = zip((change > 0).sum(1).tolist(), (change < 0).sum(1).tolist(), strict=True)
        return [exact(*each) for each in counts]
    from scipy.stats import ttest_1samp

    # What paired_difference asks, for all data sets in one call.
    return list(ttest_1samp(change, 0.0, axis=1).pvalue)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--datasets", type=int, default=10_000)
    parser.add_argument("--bootstrapped", type=int, default=1_000)
    parser.add_argument("--resamples", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    started = time.monotonic()
    print("| 95 % interval | n | holds the truth | data sets | without an interval |")
    print("|---|---|---|---|---|")
    for row in coverages(random, given.datasets, given.bootstrapped, given.resamples):
        flag = "" if row.coverage >= 0.93 else " (!)"
        print(
            f"| {row.what} | {row.n} | {row.coverage:.1%}{flag} | {row.sets:,} | {row.missing} |", flush=True
        )
    print(f"\n| {FAMILY} tests at once, Holm, nothing differs | n | an alarm in | families |")
    print("|---|---|---|---|")
    for row in alarms(random, given.datasets):
        flag = "" if row.coverage <= 0.055 else " (!)"
        print(f"| {row.what} | {row.n} | {row.coverage:.1%}{flag} | {row.sets:,} |", flush=True)
    print(f"\nseed {given.seed}, {time.monotonic() - started:,.0f} s")


if __name__ == "__main__":
    main()
