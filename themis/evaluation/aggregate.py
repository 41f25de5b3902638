"""Sums that a run keeps while it goes, so that its report never reads the records again.

All of them are exact whatever the order in which samples finish: a run that was interrupted and resumed
reports the same figures as one that was not.
"""

from __future__ import annotations

import bisect
import math
import re
from fractions import Fraction
from typing import Any

from themis.core.entities import EvaluationRecord, GenerationRecord

MOST_TAGS = 200
MOST_FAILED_IDS = 20
MOST_ERRORS = 5
Z = 1.9599639845400536
"""``statistics.NormalDist().inv_cdf(0.975)``, for 95 % intervals; that module is slow to load."""

_SPLIT = 2.0**27 + 1
"""Dekker (1971): what parts a float into two halves of 26 bits."""
_FEW_CLUSTERS = 1_000
_RECENT = 1.1
"""By how much a run with many clusters may have grown since the standard error that a snapshot tells."""


_NUMBERS = re.compile(r"\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F-]{4,}\b")


class ExactSum:
    """A sum of floats without rounding until it is read, so that order does not matter.

    The method is that of Shewchuk (1997), "Adaptive Precision Floating-Point Arithmetic": keep the
    sum as parts that do not overlap. Whole numbers are summed apart, as Python sums them exactly.
    """

    __slots__ = ("_parts", "whole")

    def __init__(self) -> None:
        self.whole = 0
        self._parts: list[float] = []

    def add(self, value: float | int) -> None:
        """Add one number, which must be finite."""
        if isinstance(value, int):
            self.whole += value
            return
        kept = 0
        parts = self._parts
        for part in parts:
            if abs(value) < abs(part):
                value, part = part, value
            high = value + part
            low = part - (high - value)
            if low:
                parts[kept] = low
                kept += 1
            value = high
        parts[kept:] = [value]

    @property
    def value(self) -> float | int:
        """The sum, rounded once."""
        return math.fsum((self.whole, *self._parts)) if self._parts else self.whole

    @property
    def exact(self) -> Fraction:
        """The sum, not rounded at all."""
        return sum(map(Fraction, self._parts), Fraction(self.whole))

    def add_square(self, value: float | int) -> None:
        """Add the square of a number, not rounded: what rounding takes from a product is a float itself."""
        if isinstance(value, int):
            self.whole += value * value
            return
        scaled = value * _SPLIT
        high = scaled - (scaled - value)
        low = value - high
        square = value * value
        self.add(square)
        lost = ((high * high - square) + 2 * high * low) + low * low
        if lost:
            self.add(lost)


class MetricAggregate:
    """Count, mean and spread of one metric."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.count = 0
        self.errors = 0
        """Samples that ended in an error and have no score."""
        self.binary = True
        """Whether every score was 0 or 1."""
        self._sum = ExactSum()
        self._squares = ExactSum()
        self._clusters: dict[str, list[Any]] = {}
        self._in_clusters = [ExactSum(), ExactSum(), ExactSum()]
        """Count, sum and sum of squares of the scores that belong to a cluster."""
        self._recent: tuple[int, float | None] = (0, None)

    def add(self, value: float | int, cluster: str | None) -> None:
        """Take in one score."""
        self.count += 1
        if value == 0 or value == 1:
            if value:  # most scores are right or wrong: these two lines are all they cost
                self._sum.whole += 1
                self._squares.whole += 1
        else:
            self.binary = False
            self._sum.add(value)
            self._squares.add_square(value)
        if cluster is not None:
            held = self._clusters.get(cluster)
            if held is None:
                held = self._clusters[cluster] = [0, ExactSum()]
            held[0] += 1
            held[1].add(value)
            count, total, squares = self._in_clusters
            count.add(1)
            total.add(value)
            squares.add_square(value)

    @property
    def clusters(self) -> int | None:
        """How many clusters there are, a score that belongs to none being one of its own."""
        if not self._clusters:
            return None
        return len(self._clusters) + self.count - int(self._in_clusters[0].value)

    @property
    def mean(self) -> float | None:
        """Mean over scored answers."""
        return self._sum.value / self.count if self.count else None

    def stderr(self) -> float | None:
        """Standard error of the mean; with clusters, the clustered one.

        Clustered: the root of the sum over clusters of (sum of deviations)², divided by n (Miller 2024,
        "Adding Error Bars to Evals", arXiv 2411.00640, section 2.2), times √(C/(C-1)) for few clusters.
        """
        n, mean, c = self.count, self.mean, self.clusters
        if mean is None:
            return None
        if c is not None:
            if c < 2:
                return None
            squares = [(held[1].value - held[0] * mean) ** 2 for held in self._clusters.values()]
            if c > len(squares):
                count, total, of_squares = (
                    whole - within.exact
                    for whole, within in zip(
                        (Fraction(n), self._sum.exact, self._squares.exact), self._in_clusters, strict=True
                    )
                )
                exact = Fraction(mean)
                squares.append(float(of_squares - 2 * exact * total + count * exact * exact))
            return math.sqrt(math.fsum(squares) * c / (c - 1)) / n
        if n < 2:
            return None
        total = self._sum.exact
        return math.sqrt((self._squares.exact - total * total / n) / (n * (n - 1)))

    def recent_stderr(self) -> float | None:
        """The standard error, perhaps of a moment ago: with many clusters it takes a while to work out."""
        at, stderr = self._recent
        if len(self._clusters) <= _FEW_CLUSTERS or self.count > at * _RECENT:
            stderr = self.stderr()
            self._recent = self.count, stderr
        return stderr

    def interval(self, *, recent: bool = False) -> tuple[float | None, float | None, str | None]:
        """Low and high end of the 95 % interval, and its method; ``recent``: see ``recent_stderr``.

        ``wilson``: the score interval of Wilson (1927) for a share; ``normal``: mean ± z·stderr.
        """
        n, mean = self.count, self.mean
        if mean is None:
            return None, None, None
        if self.binary and not self._clusters:
            return *wilson(mean, n), "wilson"
        stderr = self.recent_stderr() if recent else self.stderr()
        if stderr is None:
            return None, None, None
        if not stderr and self.binary and self.clusters:
            # All the same: as sure as so many independent ones, not as sure as certain.
            return *wilson(mean, self.clusters), "wilson"
        half = Z * stderr
        return mean - half, mean + half, "normal"

    def summary(self) -> dict[str, Any]:
        """The fields of :class:`themis.core.entities.MetricSummary`."""
        low, high, method = self.interval()
        asked = self.count + self.errors
        return {
            "version": self.version,
            "count": self.count,
            "mean": self.mean,
            "stderr": self.stderr(),
            "ci_low": low,
            "ci_high": high,
            "ci_method": method,
            "clusters": self.clusters,
            "mean_errors_as_zero": self._sum.value / asked if asked else None,
        }


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval for a share of ``n``: Wilson (1927), JASA 22, 209-212."""
    z2 = Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # Rounding must not put the share itself outside.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


class RunAggregate:
    """Everything a report and a progress snapshot say about the samples so far."""

    def __init__(self, versions: dict[str, str], *, clustered_by_sample: bool) -> None:
        """``versions``: metric name to version. ``clustered_by_sample``: whether there are epochs."""
        self.metrics = {name: MetricAggregate(version) for name, version in versions.items()}
        self.done = 0
        self.kept = 0
        self.answered = 0
        self.failures: dict[str, int] = {}
        self.failed_ids: dict[str, list[str]] = {}
        self.messages: dict[tuple[str, str], int] = {}
        self.unscored: dict[str, tuple[int, Any]] = {}
        """Metric to how many answers it gave no score, and the first reason."""
        self.usage: dict[str, int] = {}
        self.latencies = Latencies()
        self._cost: ExactSum | None = None
        self._tags: dict[str, dict[str, list[Any]]] = {}
        self._last_tag = ""
        self._by_sample = clustered_by_sample

    def add(self, evaluation: EvaluationRecord, *, kept: bool = False) -> None:
        """Take in the scores of one outcome; ``kept`` if an earlier session of the run made it."""
        self.done += 1
        self.kept += kept
        error = evaluation.error
        if error is None:
            self.answered += 1
        else:
            self._failed(str(error.get("kind", "model")), evaluation.id)
        if evaluation.latency_s is not None:
            self.latencies.add(evaluation.latency_s)
        cluster = evaluation.group
        if cluster is None and self._by_sample:
            cluster = evaluation.sample_id or evaluation.id
        scores = evaluation.scores
        for name, aggregate in self.metrics.items():
            value = scores.get(name)
            if value is not None:
                aggregate.add(value, cluster)
            elif error is not None:
                aggregate.errors += 1
            else:
                count, reason = self.unscored.get(name, (0, evaluation.details.get(name)))
                self.unscored[name] = count + 1, reason
        if evaluation.tags:
            self._tagged(evaluation)

    def add_usage(self, generation: GenerationRecord) -> None:
        """Take in what one generation used and cost."""
        if generation.usage:
            for name, count in generation.usage.items():
                if isinstance(count, int):
                    self.usage[name] = self.usage.get(name, 0) + count
        if generation.cost is not None:
            self._cost = self._cost or ExactSum()
            self._cost.add(generation.cost)
        if generation.error is not None:
            # Ids and numbers make one fault look like many, and would keep a later flood off the list.
            message = _NUMBERS.sub("#", str(generation.error.get("message"))[:200])
            key = (str(generation.error.get("kind")), message)
            if key in self.messages or len(self.messages) < MOST_TAGS:
                self.messages[key] = self.messages.get(key, 0) + 1

    @property
    def cost(self) -> float | None:
        """What all answers cost, where it is known."""
        return None if self._cost is None else float(self._cost.value)

    @property
    def errors(self) -> int:
        """Outcomes that are errors."""
        return self.done - self.answered

    def top_errors(self) -> list[dict[str, Any]]:
        """The most frequent messages."""
        most = sorted(self.messages.items(), key=lambda each: -each[1])[:MOST_ERRORS]
        return [{"kind": kind, "message": message, "count": count} for (kind, message), count in most]

    def by_tag(self) -> dict[str, dict[str, Any]]:
        """Tag to metric name to count and mean."""
        return {
            tag: {
                name: {"count": count, "mean": total.value / count}
                for name, (count, total) in sorted(sums.items())
            }
            for tag, sums in sorted(self._tags.items())
        }

    def _failed(self, kind: str, sample_id: str) -> None:
        self.failures[kind] = self.failures.get(kind, 0) + 1
        ids = self.failed_ids.setdefault(kind, [])
        # The first twenty by name, not by time, so that the report does not depend on the order.
        if len(ids) < MOST_FAILED_IDS or sample_id < ids[-1]:
            bisect.insort(ids, sample_id)
            del ids[MOST_FAILED_IDS:]

    def _tagged(self, evaluation: EvaluationRecord) -> None:
        for tag in evaluation.tags:
            sums = self._tags.get(tag)
            if sums is None:
                sums = self._sums_of_new(tag)
                if sums is None:
                    continue
            for name, value in evaluation.scores.items():
                if value is not None:
                    held = sums.get(name)
                    if held is None:
                        held = sums[name] = [0, ExactSum()]
                    held[0] += 1
                    held[1].add(value)

    def _sums_of_new(self, tag: str) -> dict[str, list[Any]] | None:
        # As with failed ids: the first by name are kept, whatever order they come in.
        if len(self._tags) >= MOST_TAGS:
            if tag > self._last_tag:
                return None
            del self._tags[self._last_tag]
            self._last_tag = ""
        sums: dict[str, list[Any]] = {}
        self._tags[tag] = sums
        self._last_tag = max(self._last_tag, tag) if self._last_tag else max(self._tags)
        return sums


class Latencies:
    """Quantiles of seconds in constant memory: counts in bins whose edges grow by 10 % each."""

    _STEP = math.log(1.1)
    _LEAST = 1e-6

    def __init__(self) -> None:
        self._bins: dict[int, int] = {}
        self.count = 0

    def add(self, seconds: float) -> None:
        """Take in one latency."""
        index = int(math.log(seconds / self._LEAST) / self._STEP) if seconds > self._LEAST else 0
        self._bins[index] = self._bins.get(index, 0) + 1
        self.count += 1

    def quantile(self, share: float) -> float | None:
        """The latency that ``share`` of all stay below, to within 5 %."""
        if not self.count:
            return None
        below = 0
        for index in sorted(self._bins):
            below += self._bins[index]
            if below >= share * self.count:
                break
        return float(self._LEAST * math.exp((index + 0.5) * self._STEP))
