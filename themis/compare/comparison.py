"""What a comparison says: plain data, the same for the shell, the app and the reports.

Differences are always candidate minus baseline. ``None`` is what cannot be said, never zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from themis.compare.columns import Columns
from themis.compare.guard import Guard, Unlike
from themis.compare.pairing import Pairing, Pairs
from themis.compare.single import Single
from themis.compare.source import Source
from themis.compare.verdict import Verdict

LEFT_OUT, ZERO = "left out", "zero"
TREATMENTS = (LEFT_OUT, ZERO)
"""What an answer that ended in an error counts: nothing, or zero."""


@dataclass(frozen=True)
class RunSide:
    """One run of a comparison, by itself."""

    address: str
    run_id: str
    status: str | None
    benchmark: str | None
    model: str | None
    samples: int
    epochs: int
    """The most that any sample has."""
    outcomes: int
    """Answers and errors."""
    errors: int
    errors_by_kind: dict[str, int]
    metrics: dict[str, dict[str, Single]]
    """Metric to treatment of errors to mean and interval, over all samples of the run, paired or not."""
    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_s: float | None
    """Summed over all outcomes, as are the next two."""
    output_tokens: float | None
    cost: float | None


@dataclass(frozen=True)
class Treated:
    """One metric of a pair of runs under one treatment of errors."""

    errors: str
    """``left out`` or ``zero``."""
    n: int
    """Pairs in which both have a score under it."""
    baseline_mean: float | None
    candidate_mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    interval: str | None
    """How the interval was made."""


@dataclass(frozen=True)
class MetricComparison:
    """One metric of a pair of runs. Its figures are of the treatment of errors that was asked for."""

    metric: str
    errors: str
    n: int
    """Pairs in which both have a score."""
    left_out: int
    """Pairs left out because an answer ended in an error."""
    unscored: int
    """Pairs left out because a metric gave an answer no score."""
    baseline_mean: float | None
    candidate_mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    interval: str | None
    p: float | None
    """Of this test by itself."""
    p_holm: float | None
    """Adjusted for all tests of the comparison: this one decides."""
    test: str | None
    effect: float | None
    effect_name: str | None
    correlation: float | None
    detectable: float | None
    """The smallest difference that these pairs would show with 80 % power."""
    needed: int | None
    """Samples that would show the difference seen, if it is the true one; said where it cannot be told."""
    fixed: int | None
    broken: int | None
    groups: int | None
    points: bool
    """Whether scores lie in 0 to 1, so that a difference reads as points of a hundred."""
    other: Treated | None
    """The same under the other treatment of errors; the same figures where there are no errors."""
    verdict: Verdict
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Resource:
    """What a pair of runs spent on a sample; the interval is Student's."""

    name: str
    """``latency_s``, ``output_tokens`` or ``cost``."""
    n: int
    baseline_mean: float
    candidate_mean: float
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PairComparison:
    """A candidate against a baseline."""

    baseline: str
    candidate: str
    """Addresses."""
    verdict: Verdict
    """That of the first metric."""
    guard: Guard
    pairing: Pairing
    metrics: list[MetricComparison]
    resources: list[Resource]
    config: list[Unlike]
    """Every field of what was asked and of where it ran that differs, by its dotted path."""
    pairs: Pairs = field(repr=False, compare=False)
    """The places of the pairs in the columns; not part of the JSON."""


@dataclass(frozen=True)
class Comparison:
    """Runs compared. :meth:`to_dict` is the JSON object."""

    verdict: str
    """In words, for all pairs."""
    runs: list[RunSide]
    pairs: list[PairComparison]
    baseline: str | None
    """Its address; ``None`` where all pairs are compared."""
    errors: str
    confidence: float
    tests: int
    """How many tests p values are adjusted for."""
    correction: str
    seed: int
    forced: bool
    metrics: list[str]
    sources: dict[str, Source] = field(repr=False, compare=False)
    """Address to where the run is; neither this nor the columns are part of the JSON."""
    columns: dict[str, Columns] = field(repr=False, compare=False)
    schema_version: int = 1

    def to_dict(self) -> dict[str, Any]:
        """JSON values only; its size does not grow with the number of samples."""
        return {
            each.name: _plain(getattr(self, each.name))
            for each in fields(self)
            if each.name not in ("sources", "columns")
        }

    def run(self, address: str) -> RunSide:
        """One of the runs."""
        return next(each for each in self.runs if each.address == address)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, PairComparison):
        return {
            each.name: _plain(getattr(value, each.name)) for each in fields(value) if each.name != "pairs"
        }
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
