"""One metric of a pair of runs: measured first, and judged when it is known how many tests there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from themis.compare.clusters import FEW_GROUPS
from themis.compare.columns import RESOURCES, Columns
from themis.compare.comparison import LEFT_OUT, TREATMENTS, ZERO, MetricComparison, Resource, Treated
from themis.compare.extra import needed
from themis.compare.guard import Guard
from themis.compare.paired import Paired, detectable, paired_difference, samples_needed, student
from themis.compare.pairing import Pairs
from themis.compare.verdict import BETTER, NOT_COMPARABLE, WORSE, Evidence, Verdict, amount, judged

if TYPE_CHECKING:
    from themis.compare.columns import Floats


@dataclass(frozen=True)
class Asked:
    """The options of a comparison that its figures depend on."""

    errors: str
    confidence: float
    force: bool
    seed: int
    metrics: list[str]


@dataclass(frozen=True)
class Measured:
    """One metric of a pair before it is known how many tests there are."""

    metric: str
    blocked: str | None
    """Why it is not comparable."""
    found: Paired
    chosen: Treated
    other: Treated
    left_out: int
    unscored: int
    points: bool


def measure(
    name: str, columns: tuple[Columns, Columns], pairs: Pairs, guard: Guard, asked: Asked
) -> Measured:
    """A metric that both runs have, under both treatments of errors."""
    np = needed("numpy")
    places = pairs.baseline, pairs.candidate
    blocking = [each.what for each in guard.blocking if each.metric == name]
    blocked = " and ".join(blocking) if blocking and not asked.force else None
    scores = {
        treatment: [
            (each.scores[name].as_zero if treatment == ZERO else each.scores[name].left_out)[at]
            for each, at in zip(columns, places, strict=True)
        ]
        for treatment in TREATMENTS
    }
    groups = _groups(np, columns, pairs)
    treated: dict[str, tuple[Paired, Treated]] = {}
    failed = (columns[0].errors[places[0]] > 0) | (columns[1].errors[places[1]] > 0)
    for treatment in (asked.errors, ZERO if asked.errors == LEFT_OUT else LEFT_OUT):
        if treated and not failed.any():  # the same figures, without resampling them
            found = treated[asked.errors][0]
        else:
            found = _difference(np, scores[treatment], groups, asked, blocked=blocked is not None)
        treated[treatment] = found, _treated(np, treatment, found, scores[treatment])
    known = {t: ~np.isnan(s[0]) & ~np.isnan(s[1]) for t, s in scores.items()}
    whole = np.concatenate([each[~np.isnan(each)] for each in scores[LEFT_OUT]])
    found, chosen = treated[asked.errors]
    other = next(each for t, (_, each) in treated.items() if t != asked.errors)
    return Measured(
        name,
        blocked,
        found,
        chosen,
        other,
        int((known[ZERO] & ~known[LEFT_OUT]).sum()) if asked.errors == LEFT_OUT else 0,
        int((~known[ZERO]).sum()),
        bool(((whole >= 0) & (whole <= 1)).all()),
    )


def _groups(np: Any, columns: tuple[Columns, Columns], pairs: Pairs) -> Any:
    """The cluster of each pair: as the baseline says, and where it says nothing, as the candidate does."""
    ours, theirs = columns[0].groups[pairs.baseline], columns[1].groups[pairs.candidate]
    if not (theirs >= 0).any() or (ours >= 0).all():
        return ours
    numbers = {name: number for number, name in enumerate(columns[0].group_names)}
    translated = np.array(
        [numbers.setdefault(name, len(numbers)) for name in columns[1].group_names], dtype=np.int64
    )
    return np.where(ours >= 0, ours, np.where(theirs >= 0, translated[theirs], -1))


def _difference(np: Any, scores: list[Floats], groups: Any, asked: Asked, *, blocked: bool) -> Paired:
    known = ~np.isnan(scores[0]) & ~np.isnan(scores[1])
    if blocked:
        return Paired(int(known.sum()))
    found = paired_difference(
        scores[0][known], scores[1][known], groups[known], confidence=asked.confidence, seed=asked.seed
    )
    few = found.groups is not None and found.groups < FEW_GROUPS
    return replace(found, p=None, test=None) if few and not found.identical else found


def _treated(np: Any, treatment: str, found: Paired, scores: list[Floats]) -> Treated:
    known = ~np.isnan(scores[0]) & ~np.isnan(scores[1])
    means = [float(each[known].mean()) if known.any() else None for each in scores]
    return Treated(
        treatment, found.n, means[0], means[1], found.difference, found.low, found.high, found.interval
    )


def finished(
    measured: Measured, p_holm: float | None, tests: int, guard: Guard, asked: Asked
) -> MetricComparison:
    """The same with its verdict, of a p value that is adjusted for so many tests."""
    found, chosen = measured.found, measured.chosen
    want = samples_needed(found.n, found.difference, found.stderr, asked.confidence, tests)
    changed = None if found.fixed is None or found.broken is None else found.fixed + found.broken
    if measured.blocked is not None:
        said = f"not comparable: the {measured.blocked} differs between the runs"
        verdict = Verdict(NOT_COMPARABLE, said)
    else:
        verdict = judged(
            Evidence(
                metric=measured.metric,
                n=found.n,
                difference=found.difference,
                low=found.low,
                high=found.high,
                p=p_holm,
                tests=tests,
                confidence=asked.confidence,
                needed=want,
                groups=found.groups,
                changed=changed,
                points=measured.points,
                identical=found.identical,
            )
        )
    turned = _turned(measured, verdict)
    if turned:
        verdict = Verdict(verdict.word, f"{verdict.text}; but {turned}")
    forced = [each.what for each in guard.blocking if each.metric == measured.metric and asked.force]
    if forced:
        verdict = Verdict(verdict.word, f"{verdict.text}; FORCED although {' and '.join(forced)} differ")
    undecided = p_holm is not None and p_holm >= 1 - asked.confidence
    return MetricComparison(
        metric=measured.metric,
        errors=asked.errors,
        n=chosen.n,
        left_out=measured.left_out,
        unscored=measured.unscored,
        baseline_mean=chosen.baseline_mean,
        candidate_mean=chosen.candidate_mean,
        difference=found.difference,
        low=found.low,
        high=found.high,
        interval=found.interval,
        p=found.p,
        p_holm=p_holm,
        test=found.test,
        effect=found.effect,
        effect_name=found.effect_name,
        correlation=found.correlation,
        detectable=detectable(found.stderr, asked.confidence, tests),
        needed=want if undecided and want is not None and want > found.n else None,
        fixed=found.fixed,
        broken=found.broken,
        groups=found.groups,
        points=measured.points,
        other=measured.other,
        verdict=verdict,
        notes=list(_notes(measured, forced)),
    )


def _turned(measured: Measured, verdict: Verdict) -> str | None:
    """What is to be said beside a clear verdict that the other treatment of errors turns around."""
    chosen, other = measured.found.difference, measured.other.difference
    if verdict.word not in (BETTER, WORSE) or chosen is None or other is None or chosen * other >= 0:
        return None
    how = "left out" if measured.other.errors == LEFT_OUT else "counted as zero"
    return f"{amount(other, measured.points)} with errors {how}"


def _notes(measured: Measured, forced: list[str]) -> Iterator[str]:
    found = measured.found
    if forced:
        yield f"forced: {' and '.join(forced)} differ"
    if found.groups is not None and found.groups < FEW_GROUPS:
        yield f"too few groups: {found.groups}"
    if found.fixed is not None and found.broken is not None and 0 < found.fixed + found.broken < 10:
        yield f"few samples changed: {found.fixed + found.broken}"
    if measured.left_out:
        yield f"{measured.left_out} pairs left out for an error"
    if measured.unscored:
        yield f"{measured.unscored} pairs without a score"


def resources(columns: tuple[Columns, Columns], pairs: Pairs, confidence: float) -> Iterator[Resource]:
    """What the samples of a pair of runs took, of what both know."""
    np = needed("numpy")
    for name in RESOURCES:
        spent = [
            each.resources[name][at]
            for each, at in zip(columns, (pairs.baseline, pairs.candidate), strict=True)
        ]
        known = ~np.isnan(spent[0]) & ~np.isnan(spent[1])
        if known.any():
            one, other = spent[0][known], spent[1][known]
            low, high = student(other - one, confidence)[:2] if len(one) > 1 else (None, None)
            yield Resource(
                name,
                len(one),
                float(one.mean()),
                float(other.mean()),
                float(other.mean() - one.mean()),
                low,
                high,
            )
