"""The rows of a comparison as text: the same words in the shell, in Markdown and in HTML.

Names in them are a store's; whoever prints them makes them harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from themis.compare.comparison import Comparison, MetricComparison, PairComparison, Resource, RunSide, Treated
from themis.compare.error_clusters import ErrorCluster
from themis.compare.verdict import amount, p_value, rounded

UNKNOWN = "–"
METRIC_HEADER = ("METRIC", "BASELINE", "CANDIDATE", "DIFFERENCE", "INTERVAL", "P (HOLM)", "N")
MOST_FAULTS = 20
"""Kinds of error that a document lists."""
MOST_VALUE = 120
"""Characters of a configuration's value."""


def metric_row(metric: MetricComparison) -> tuple[str, ...]:
    """A metric as the cells of :data:`METRIC_HEADER`."""
    return (
        metric.metric,
        number(metric.baseline_mean),
        number(metric.candidate_mean),
        signed(metric.difference),
        interval(metric.low, metric.high),
        UNKNOWN if metric.p_holm is None else p_value(metric.p_holm).removeprefix("p "),
        f"{metric.n:,}",
    )


def treatment(errors: str) -> str:
    """``errors left out`` or ``errors as zero``."""
    return "errors as zero" if errors == "zero" else "errors left out"


def other_line(metric: MetricComparison, other: Treated) -> str:
    """What the other treatment of errors gives."""
    return (
        f"{treatment(other.errors)}: {number(other.baseline_mean)} and {number(other.candidate_mean)}, "
        f"{signed(other.difference)} ({interval(other.low, other.high)}), n {other.n:,}"
    )


def has_other(metric: MetricComparison) -> bool:
    """Whether the other treatment says anything else."""
    other = metric.other
    return other is not None and (other.n, other.difference) != (metric.n, metric.difference)


def power_line(metric: MetricComparison) -> str:
    """What these samples can show, and how it was found out."""
    said = [f"by {metric.test}" if metric.test else "not tested"]
    if metric.interval:
        said.append(f"interval by {metric.interval}")
    if metric.effect is not None:
        said.append(f"{metric.effect_name} {metric.effect:.2f}")
    if metric.correlation is not None:
        said.append(f"correlation {metric.correlation:.2f}")
    if metric.groups is not None:
        said.append(f"{metric.groups:,} groups")
    if metric.detectable is not None:
        least = amount(metric.detectable, metric.points).removeprefix("+")
        said.append(f"can show {least} or more")
    if metric.needed is not None:
        said.append(f"about {rounded(metric.needed)} samples needed to tell")
    return "; ".join(said)


def differing(pair: PairComparison) -> Iterator[tuple[str, str, str]]:
    """What differs between the runs, and what it is in each."""
    for unlike in pair.guard.differs:
        mark = " (blocks)" if unlike.metric is not None else ""
        yield f"{unlike.what}{mark}", value(unlike.baseline), value(unlike.candidate)


def same_line(pair: PairComparison) -> str:
    """What the runs have in common; of metrics, those that have all of it."""
    same = pair.guard.same
    facts = [each for each in same if " of " not in each]
    metrics = [each.metric for each in pair.metrics if each.metric not in pair.guard.blocked]
    alike = [name for name in metrics if f"version of {name}" in same]
    return ", ".join(facts + ([f"rules of {', '.join(alike)}"] if alike else []))


def error_rows(clusters: Sequence[ErrorCluster]) -> list[tuple[str, ...]]:
    """The faults that errors come down to: kind, message, and how often in which run."""
    return [
        (each.kind, each.message, ", ".join(f"{count:,} in {run}" for run, count in each.counts.items()))
        for each in clusters[:MOST_FAULTS]
    ]


def pairing_line(pair: PairComparison) -> str:
    """How many pairs there are, and what was left out."""
    pairing = pair.pairing
    unmatched = pairing.only_baseline + pairing.only_candidate
    said = [f"{pairing.pairs:,} pairs", f"{unmatched:,} unmatched"]
    if unmatched:
        said[-1] += f" ({pairing.only_baseline:,} in the baseline only, {pairing.only_candidate:,} not in it)"
    if pairing.set_aside:
        said.append(f"{pairing.set_aside:,} set aside: their input or reference differs")
    if pairing.unverified:
        said.append(f"{pairing.unverified:,} whose input nobody can compare")
    return "; ".join(said)


RESOURCE_NAMES = {"latency_s": "latency, ms", "output_tokens": "tokens out", "cost": "cost"}


def resource_rows(pair: PairComparison) -> list[tuple[str, ...]]:
    """What a sample took: name, baseline, candidate, difference, interval, n."""
    return [_resource_row(each) for each in pair.resources]


def _resource_row(resource: Resource) -> tuple[str, ...]:
    is_latency = resource.name == "latency_s"
    scale, form = (1_000, ".0f") if is_latency else (1, ".4g")
    low, high = resource.low, resource.high
    ends = UNKNOWN
    if low is not None and high is not None:
        ends = f"{low * scale:+{form}} to {high * scale:+{form}}"
    return (
        RESOURCE_NAMES[resource.name],
        f"{resource.baseline_mean * scale:{form}}",
        f"{resource.candidate_mean * scale:{form}}",
        f"{resource.difference * scale:+{form}}",
        ends,
        f"{resource.n:,}",
    )


RUN_HEADER = ("RUN", "MODEL", "SAMPLES", "ERRORS", "MEDIAN", "TOKENS OUT", "COST")


def run_row(run: RunSide) -> tuple[str, ...]:
    """A run as the cells of :data:`RUN_HEADER`; its mean stands with the metrics."""
    return (
        run.address,
        run.model or UNKNOWN,
        f"{run.samples:,}" if run.epochs < 2 else f"{run.samples:,} × {run.epochs}",
        f"{run.errors:,}",
        UNKNOWN if run.latency_p50_s is None else f"{run.latency_p50_s * 1_000:,.0f} ms",
        UNKNOWN if run.output_tokens is None else f"{run.output_tokens:,.0f}",
        UNKNOWN if run.cost is None else f"{run.cost:.4g}",
    )


def mean_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Run, metric, mean and interval of each run by itself."""
    made: list[tuple[str, ...]] = []
    for run in comparison.runs:
        for name, treated in run.metrics.items():
            one = treated[comparison.errors]
            low_high = UNKNOWN if one.low is None else f"{number(one.low)} to {number(one.high)}"
            made.append((run.address, name, number(one.mean), low_high, one.method or UNKNOWN, f"{one.n:,}"))
    return made


def footing(comparison: Comparison) -> str:
    """What all figures rest on."""
    tests = f"{comparison.tests} test{'' if comparison.tests == 1 else 's'}"
    forced = "; FORCED over different metric versions" if comparison.forced else ""
    return (
        f"{treatment(comparison.errors)}; intervals {comparison.confidence * 100:g}%; p adjusted for {tests} "
        f"({comparison.correction}); seed {comparison.seed}{forced}"
    )


def number(mean: float | None) -> str:
    """A score."""
    return UNKNOWN if mean is None else f"{mean:.3f}"


def signed(difference: float | None) -> str:
    """A difference of scores."""
    return UNKNOWN if difference is None else f"{difference:+.3f}"


def interval(low: float | None, high: float | None) -> str:
    """The ends of an interval of differences."""
    return UNKNOWN if low is None or high is None else f"{low:+.3f} to {high:+.3f}"


def value(of: Any) -> str:
    """A value of a configuration in one short text."""
    if of is None:
        return UNKNOWN
    text = of if isinstance(of, str) else _to_json(of)
    return f"{text[:MOST_VALUE]}…" if len(text) > MOST_VALUE else text


def _to_json(of: Any) -> str:
    import json

    return json.dumps(of, default=str, ensure_ascii=False)
