"""``compare_runs``: read, guard, pair, test, correct, and say it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from themis.compare.clusters import FEW_GROUPS
from themis.compare.columns import RESOURCES, Columns, read_columns
from themis.compare.comparison import (
    LEFT_OUT,
    TREATMENTS,
    ZERO,
    Comparison,
    MetricComparison,
    PairComparison,
    Resource,
    RunSide,
    Treated,
)
from themis.compare.correction import holm
from themis.compare.extra import needed
from themis.compare.guard import Guard, guarded
from themis.compare.paired import Paired, detectable, paired_difference, samples_needed, student
from themis.compare.pairing import Pairs, described, paired
from themis.compare.single import single
from themis.compare.source import Run, Source, sources
from themis.compare.verdict import NOT_COMPARABLE, Evidence, Verdict, judged, summed_up
from themis.core.codec import paused_gc
from themis.core.entities import EvaluationRecord
from themis.core.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from themis.compare.columns import Floats

MOST_RUNS = 20
TOLD_EVERY = 1_000
"""Records after which it is told how far the reading is."""

Told = Callable[[str, int, int | None], object]
"""What is being done, how far it is, and of how much if that is known."""


def compare_runs(
    runs: Sequence[Run],
    *,
    baseline: Run | None = None,
    all_pairs: bool = False,
    metrics: Sequence[str] | None = None,
    errors: str = LEFT_OUT,
    confidence: float = 0.95,
    force: bool = False,
    seed: int = 0,
    storage: str | None = None,
    told: Told | None = None,
    read: Mapping[str, Columns] | None = None,
) -> Comparison:
    """Compare two to :data:`MOST_RUNS` runs over the samples they share.

    Args:
        runs: Addresses ``STORE:RUN_ID``, or pairs of a storage backend and a run id.
        baseline: What the others are compared with; the first run if not given.
        all_pairs: Compare each with each instead; the earlier one of two is the baseline.
        metrics: Which; all that any two runs have in common if not given.
        errors: ``left out``, or ``zero``: what an answer that ended in an error counts. The other
            is there too.
        confidence: Of every interval, and one minus the chance of a false alarm among all tests together.
        force: Compare metrics of different versions too, and say so.
        seed: Of the bootstrap: the same figures for the same seed.
        storage: The store of addresses that name none.
        told: Called again and again with what is being done, how far it is, and of how much if that is
            known; what it raises ends the comparison.
        read: The columns of runs that were read for a comparison before, by address.

    Raises:
        UsageError: Fewer than two runs, one of them twice, an option outside its range.
        UnknownName: A metric that no run has, with those there are.
        RunNotFound: There is no such run.
        MissingExtra: The packages of the extra ``compare`` are not installed.
        StorageError: A store could not be read.
    """
    _check(errors, confidence)
    named = [*([baseline] if baseline is not None and baseline not in runs else []), *runs]
    if not 2 <= len(named) <= MOST_RUNS:
        raise UsageError(f"{len(named)} runs were named; a comparison is of 2 to {MOST_RUNS}.")
    found = sources(named, storage)
    against = found[named.index(baseline)] if baseline is not None else found[0]
    sides = {each.address: _read(each, told, read or {}) for each in found}
    wanted = _metric_names(list(sides.values()), against.address, metrics)
    asked = _Asked(errors, confidence, force, seed, wanted)
    chosen = list(combinations(found, 2)) if all_pairs else [(against, o) for o in found if o is not against]
    drafts = []
    for number, (one, other) in enumerate(chosen):
        if told is not None:
            told("comparing", number, len(chosen))
        drafts.append(_compared(sides[one.address], sides[other.address], asked))
    pairs, tests = _corrected(drafts, asked)
    return Comparison(
        verdict=summed_up([(each.baseline, each.candidate, each.verdict) for each in pairs]),
        runs=[_run_side(each, asked) for each in sides.values()],
        pairs=pairs,
        baseline=None if all_pairs else against.address,
        errors=errors,
        confidence=confidence,
        tests=tests,
        correction="Holm",
        seed=seed,
        forced=force and any(each.guard.blocked for each in pairs),
        metrics=wanted,
        sources={each.address: each for each in found},
        columns={each.source.address: each.columns for each in sides.values()},
    )


@dataclass(frozen=True)
class _Side:
    source: Source
    metadata: dict[str, Any]
    columns: Columns


@dataclass(frozen=True)
class _Asked:
    errors: str
    confidence: float
    force: bool
    seed: int
    metrics: list[str]


@dataclass(frozen=True)
class _Measured:
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


@dataclass(frozen=True)
class _Draft:
    sides: tuple[_Side, _Side]
    pairs: Pairs
    guard: Guard
    measured: list[_Measured]


def _check(errors: str, confidence: float) -> None:
    if errors not in TREATMENTS:
        raise UsageError(f"errors={errors!r} is none of {', '.join(map(repr, TREATMENTS))}.")
    if not 0.5 <= confidence < 1:
        raise UsageError(f"confidence={confidence!r} has to be from 0.5 to below 1, such as 0.95.")


def _read(source: Source, told: Told | None, read: Mapping[str, Columns]) -> _Side:
    metadata = source.metadata()
    columns = read.get(source.address)
    if columns is None:
        records = source.backend.iter_evaluation_records(source.run_id)
        with paused_gc():
            columns = read_columns(records if told is None else _telling(records, source, metadata, told))
    return _Side(source, metadata, columns)


def _telling(
    records: Iterable[EvaluationRecord], source: Source, metadata: Mapping[str, Any], told: Told
) -> Iterator[EvaluationRecord]:
    summary = metadata.get("summary")
    total = summary.get("done") if isinstance(summary, Mapping) else None
    for number, record in enumerate(records):
        if number % TOLD_EVERY == 0:
            told(f"reading {source.run_id}", number, total if isinstance(total, int) else None)
        yield record


def _metric_names(sides: list[_Side], baseline: str, metrics: Sequence[str] | None) -> list[str]:
    ordered = sorted(sides, key=lambda side: side.source.address != baseline)
    there = [name for side in ordered for name in (*_headline(side), *side.columns.scores)]
    known = list(dict.fromkeys(there))
    if metrics:
        for name in metrics:
            if name not in known:
                raise UnknownName(
                    f"No run has a metric {name!r:.100}. There are: {', '.join(known) or 'none'}."
                )
        return list(dict.fromkeys(metrics))
    return [name for name in known if sum(name in side.columns.scores for side in sides) > 1]


def _headline(side: _Side) -> Iterator[str]:
    summary = side.metadata.get("summary")
    name = summary.get("headline") if isinstance(summary, Mapping) else None
    if isinstance(name, str) and name in side.columns.scores:
        yield name


def _compared(baseline: _Side, candidate: _Side, asked: _Asked) -> _Draft:
    columns = baseline.columns, candidate.columns
    pairs = paired(*columns)
    guard = guarded(baseline.metadata, candidate.metadata, columns, pairs, asked.metrics)
    measured = [
        _measured(name, columns, pairs, guard, asked)
        for name in asked.metrics
        if all(name in each.scores for each in columns)
    ]
    return _Draft((baseline, candidate), pairs, guard, measured)


def _measured(
    name: str, columns: tuple[Columns, Columns], pairs: Pairs, guard: Guard, asked: _Asked
) -> _Measured:
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
    return _Measured(
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


def _difference(np: Any, scores: list[Floats], groups: Any, asked: _Asked, *, blocked: bool) -> Paired:
    known = ~np.isnan(scores[0]) & ~np.isnan(scores[1])
    if blocked:
        return Paired(int(known.sum()))
    found = paired_difference(
        scores[0][known], scores[1][known], groups[known], confidence=asked.confidence, seed=asked.seed
    )
    few = found.groups is not None and found.groups < FEW_GROUPS
    return replace(found, p=None, test=None) if few and found.p != 1.0 else found


def _treated(np: Any, treatment: str, found: Paired, scores: list[Floats]) -> Treated:
    known = ~np.isnan(scores[0]) & ~np.isnan(scores[1])
    means = [float(each[known].mean()) if known.any() else None for each in scores]
    return Treated(
        treatment, found.n, means[0], means[1], found.difference, found.low, found.high, found.interval
    )


def _corrected(drafts: list[_Draft], asked: _Asked) -> tuple[list[PairComparison], int]:
    """All tests are known now: adjust, judge, and say how many there were."""
    p_values = [each.found.p for draft in drafts for each in draft.measured]
    tests = sum(p is not None for p in p_values)
    adjusted = iter(holm(p_values))
    pairs = []
    for draft in drafts:
        metrics = [_finished(each, next(adjusted), tests, draft.guard, asked) for each in draft.measured]
        pairs.append(
            PairComparison(
                draft.sides[0].source.address,
                draft.sides[1].source.address,
                metrics[0].verdict if metrics else _nothing(draft),
                draft.guard,
                described(draft.pairs),
                metrics,
                list(_resources(draft, asked)),
                draft.pairs,
            )
        )
    return pairs, tests


def _nothing(draft: _Draft) -> Verdict:
    shared = "no metric" if len(draft.pairs.baseline) else "no sample"
    return Verdict(NOT_COMPARABLE, f"not comparable: the runs have {shared} in common")


def _finished(
    measured: _Measured, p_holm: float | None, tests: int, guard: Guard, asked: _Asked
) -> MetricComparison:
    found, chosen = measured.found, measured.chosen
    want = samples_needed(found.n, found.difference, found.stderr, asked.confidence, tests)
    changed = None if found.fixed is None or found.broken is None else found.fixed + found.broken
    identical = found.p == 1.0 and not found.difference and (changed == 0 or found.interval is None)
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
                identical=identical,
            )
        )
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


def _notes(measured: _Measured, forced: list[str]) -> Iterator[str]:
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


def _resources(draft: _Draft, asked: _Asked) -> Iterator[Resource]:
    np = needed("numpy")
    for name in RESOURCES:
        spent = [
            side.columns.resources[name][at]
            for side, at in zip(draft.sides, (draft.pairs.baseline, draft.pairs.candidate), strict=True)
        ]
        known = ~np.isnan(spent[0]) & ~np.isnan(spent[1])
        if known.any():
            one, other = spent[0][known], spent[1][known]
            low, high = student(other - one, asked.confidence)[:2] if len(one) > 1 else (None, None)
            yield Resource(
                name,
                len(one),
                float(one.mean()),
                float(other.mean()),
                float(other.mean() - one.mean()),
                low,
                high,
            )


def _run_side(side: _Side, asked: _Asked) -> RunSide:
    np = needed("numpy")
    columns, said = side.columns, side.metadata.get("asked")
    facts = said if isinstance(said, Mapping) else {}
    model = facts.get("model")
    latency = columns.resources["latency_s"]
    timed = latency[~np.isnan(latency)]
    quantiles = np.quantile(timed, (0.5, 0.95)).tolist() if len(timed) else (None, None)
    return RunSide(
        address=side.source.address,
        run_id=side.source.run_id,
        status=_text(side.metadata.get("status")),
        benchmark=_text(facts.get("benchmark")),
        model=_text(model.get("name") if isinstance(model, Mapping) else model),
        samples=len(columns),
        epochs=int(columns.epochs.max()) if len(columns) else 0,
        outcomes=int(columns.epochs.sum()),
        errors=int(columns.errors.sum()),
        errors_by_kind=columns.error_kinds,
        metrics={
            name: {
                LEFT_OUT: single(scores.left_out, columns.groups, asked.confidence),
                ZERO: single(scores.as_zero, columns.groups, asked.confidence),
            }
            for name, scores in columns.scores.items()
            if name in asked.metrics
        },
        latency_p50_s=quantiles[0],
        latency_p95_s=quantiles[1],
        latency_s=columns.totals["latency_s"],
        output_tokens=columns.totals["output_tokens"],
        cost=columns.totals["cost"],
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
