"""``compare_runs``: read, guard, pair, test, correct, and say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from themis.compare.columns import Columns
from themis.compare.comparison import LEFT_OUT, TREATMENTS, Comparison, PairComparison
from themis.compare.correction import holm
from themis.compare.guard import Guard, config_diff, guarded
from themis.compare.measuring import Asked, Measured, finished, measure, resources
from themis.compare.pairing import Pairs, described, paired
from themis.compare.reading import Side, read, run_side
from themis.compare.source import Run, sources
from themis.compare.verdict import NOT_COMPARABLE, Verdict, summed_up
from themis.core.errors import UnknownName, UsageError

MOST_RUNS = 20


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
    known: Comparison | None = None,
    progress: Callable[[str, int], None] | None = None,
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
        known: An earlier comparison: runs that it read are not read again, as when only an option changes.
        progress: Told the address of a run and how many of its records have been read, each
            thousand. What it raises ends the comparison.

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
    sides = {each.address: read(each, known, progress) for each in found}
    wanted = _metric_names(list(sides.values()), against.address, metrics)
    asked = Asked(errors, confidence, force, seed, wanted)
    chosen = list(combinations(found, 2)) if all_pairs else [(against, o) for o in found if o is not against]
    drafts = [_compared(sides[one.address], sides[other.address], asked) for one, other in chosen]
    pairs, tests = _corrected(drafts, asked)
    return Comparison(
        verdict=summed_up([(each.baseline, each.candidate, each.verdict) for each in pairs]),
        runs=[run_side(each, wanted, confidence) for each in sides.values()],
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
class _Draft:
    sides: tuple[Side, Side]
    pairs: Pairs
    guard: Guard
    measured: list[Measured]


def _check(errors: str, confidence: float) -> None:
    if errors not in TREATMENTS:
        raise UsageError(f"errors={errors!r} is none of {', '.join(map(repr, TREATMENTS))}.")
    if not 0.5 <= confidence < 1:
        raise UsageError(f"confidence={confidence!r} has to be from 0.5 to below 1, such as 0.95.")


def _metric_names(sides: list[Side], baseline: str, metrics: Sequence[str] | None) -> list[str]:
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


def _headline(side: Side) -> Iterator[str]:
    summary = side.metadata.get("summary")
    name = summary.get("headline") if isinstance(summary, Mapping) else None
    if isinstance(name, str) and name in side.columns.scores:
        yield name


def _compared(baseline: Side, candidate: Side, asked: Asked) -> _Draft:
    columns = baseline.columns, candidate.columns
    pairs = paired(*columns)
    guard = guarded(baseline.metadata, candidate.metadata, columns, pairs, asked.metrics)
    measured = [
        measure(name, columns, pairs, guard, asked)
        for name in asked.metrics
        if all(name in each.scores for each in columns)
    ]
    return _Draft((baseline, candidate), pairs, guard, measured)


def _corrected(drafts: list[_Draft], asked: Asked) -> tuple[list[PairComparison], int]:
    """All tests are known now: adjust, judge, and say how many there were."""
    p_values = [each.found.p for draft in drafts for each in draft.measured]
    tests = sum(p is not None for p in p_values)
    adjusted = iter(holm(p_values))
    pairs = []
    for draft in drafts:
        metrics = [finished(each, next(adjusted), tests, draft.guard, asked) for each in draft.measured]
        pairs.append(
            PairComparison(
                draft.sides[0].source.address,
                draft.sides[1].source.address,
                metrics[0].verdict if metrics else _nothing(draft),
                draft.guard,
                described(draft.pairs),
                metrics,
                list(resources(_columns(draft), draft.pairs, asked.confidence)),
                config_diff(*(side.metadata for side in draft.sides)),
                draft.pairs,
            )
        )
    return pairs, tests


def _columns(draft: _Draft) -> tuple[Columns, Columns]:
    return draft.sides[0].columns, draft.sides[1].columns


def _nothing(draft: _Draft) -> Verdict:
    shared = "no metric" if len(draft.pairs.baseline) else "no sample"
    return Verdict(NOT_COMPARABLE, f"not comparable: the runs have {shared} in common")
