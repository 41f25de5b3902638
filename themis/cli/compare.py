"""``themis compare``: runs against a baseline, or each against each; the verdict first."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from themis.cli import output
from themis.cli.export import new_file
from themis.cli.show import prompt_text
from themis.compare import figures
from themis.compare.baselines import baselines
from themis.compare.comparison import Comparison, PairComparison
from themis.compare.entry import compare_runs
from themis.compare.error_clusters import error_clusters
from themis.compare.flips import BROKEN, FIXED, Flips, texts
from themis.compare.report import written
from themis.compare.source import Source, sources
from themis.compare.verdict import NOT_COMPARABLE
from themis.compare.word_diff import marked, word_diff
from themis.core.entities import GenerationRecord
from themis.core.errors import UsageError
from themis.core.safe_text import safe_line, safe_text
from themis.runs import exit_codes

WIDTH = 80
MOST_FLIPS = 20
"""Samples listed of each kind on a terminal; files have more."""


def compare(given: argparse.Namespace) -> int:
    """Print a comparison, or write it to a file; 3 where no pair can be compared."""
    runs, baseline = named_runs(given)
    comparison = compare_runs(
        runs,
        baseline=baseline,
        all_pairs=given.all_pairs,
        metrics=metric_names(given.metric),
        errors=given.errors.replace("-", " "),
        confidence=given.confidence,
        force=given.force,
        seed=given.seed,
    )
    if given.sample is not None:
        for text in sample_lines(comparison, given.sample):
            output.say(text)
        return exit_codes.DONE
    wanted = _format(given)
    if given.output != "-":
        text = written(comparison, wanted or "md", flips=given.flips)
        with new_file(given.output, replace=given.replace) as file:
            file.write(text)
        output.note(f"{output.cut(comparison.verdict, 400)}\nwritten to {output.cut(given.output, 200)}")
    elif wanted is not None:
        sys.stdout.write(written(comparison, wanted, flips=given.flips))
    else:
        for line in lines(comparison, flips=given.flips):
            output.say(line)
    comparable = any(each.verdict.word != NOT_COMPARABLE for each in comparison.pairs)
    return exit_codes.DONE if comparable else exit_codes.CANNOT_TELL


def named_runs(given: argparse.Namespace) -> tuple[list[Source], Source | None]:
    """The runs named, and the baseline apart; of one run alone, the one remembered for its benchmark."""
    runs = sources(given.run, given.storage)
    if given.baseline is not None:
        (baseline,) = sources([given.baseline], given.storage)
        # Named among the runs too, it is one of them.
        return runs, next((each for each in runs if each.address == baseline.address), baseline)
    if len(runs) > 1:
        return runs, None
    return runs, remembered(runs[0])


def remembered(run: Source) -> Source:
    """The baseline of a run's benchmark. Raises :class:`UsageError` with how to have one."""
    benchmark = benchmark_of(run)
    address = baselines().get(benchmark)
    if address is None:
        raise UsageError(
            f"There is no baseline for the benchmark {benchmark!r:.100}. Name a second run, or --baseline; "
            f"'themis gate RUN --make-baseline' remembers one."
        )
    (baseline,) = sources([address])
    return baseline


def benchmark_of(run: Source) -> str:
    """What a run asked. Raises :class:`UsageError` if it does not say."""
    asked = run.metadata().get("asked")
    benchmark = asked.get("benchmark") if isinstance(asked, dict) else None
    if not isinstance(benchmark, str) or not benchmark:
        raise UsageError(f"The run {run.address} does not say of which benchmark it is. Name --baseline.")
    return benchmark


def metric_names(given: Sequence[str] | None) -> list[str] | None:
    """Metrics named by ``--metric``, again or with commas."""
    names = [name for each in given or () for name in each.split(",") if name]
    return names or None


def _format(given: argparse.Namespace) -> str | None:
    if given.json:
        return "json"
    ending = given.output.rpartition(".")[2].lower() if "." in given.output else ""
    chosen: str | None = given.format or {"htm": "html", "markdown": "md"}.get(ending, ending)
    return chosen if chosen in ("md", "html", "csv", "json") else None


def lines(comparison: Comparison, *, flips: bool = False) -> Iterator[str]:
    """The comparison in lines of at most :data:`WIDTH` cells."""
    yield from wrapped("VERDICT  ", comparison.verdict)
    yield ""
    rows = ((output.cut(each[0], 26), *each[1:]) for each in map(figures.run_row, comparison.runs))
    yield from table(figures.RUN_HEADER, rows, (26, 14, 9, 6, 7, 10, 7))
    for pair in comparison.pairs:
        yield from _pair_lines(comparison, pair, flips)
    if flips and any(each.errors for each in comparison.runs):
        yield ""
        for kind, message, often in figures.error_rows(error_clusters(comparison)):
            yield from wrapped("errors   ", f"{often}: {kind}: {message}")
    yield ""
    yield from wrapped("", figures.footing(comparison))


def _pair_lines(comparison: Comparison, pair: PairComparison, flips: bool) -> Iterator[str]:
    yield ""
    if len(comparison.pairs) > 1:
        yield from wrapped("── ", f"{pair.candidate} against {pair.baseline} (baseline)")
        yield from wrapped("VERDICT  ", pair.verdict.text)
    else:
        yield from wrapped("", f"{pair.candidate} against {pair.baseline} (baseline)")
    differing = list(figures.differing(pair))
    for what, one, other in differing:
        yield from wrapped("differs  ", f"{what}: {one} → {other}")
    if not differing:
        yield "differs  in nothing that was asked"
    yield from wrapped("same     ", figures.same_line(pair) or "nothing")
    if pair.guard.unknown:
        yield from wrapped("unknown  ", ", ".join(pair.guard.unknown))
    yield from wrapped("paired   ", figures.pairing_line(pair))
    yield ""
    yield from table(figures.METRIC_HEADER, map(figures.metric_row, pair.metrics), (16, 8, 9, 10, 16, 8, 7))
    for metric in pair.metrics:
        yield from wrapped(f"  {output.cut(metric.metric, 16)}: ", figures.power_line(metric), indent=4)
        if metric.other is not None and figures.has_other(metric):
            yield from wrapped("    ", figures.other_line(metric, metric.other))
    if pair.resources:
        yield ""
        header = ("PER SAMPLE", "BASELINE", "CANDIDATE", "DIFFERENCE", "INTERVAL", "N")
        yield from table(header, figures.resource_rows(pair), (16, 8, 9, 10, 18, 7))
    yield ""
    for metric in pair.metrics:
        yield from _flip_lines(Flips(comparison, pair, metric.metric), flips)


def _flip_lines(flips: Flips, listed: bool) -> Iterator[str]:
    counted = " · ".join(f"{kind} {count:,}" for kind, count in flips.counts.items())
    yield from wrapped("flips    ", f"{counted}  ({flips.metric})")
    for kind in (FIXED, BROKEN) if listed else ():
        for flip in flips.listed(kind, most=MOST_FLIPS):
            tags = f"  {output.cut(' '.join(flip.tags), 24)}" if flip.tags else ""
            scores = f"{flip.baseline:g} → {flip.candidate:g}"
            yield f"  {kind:<7} {scores:<11} {output.cut(flip.sample_id, 32)}{tags}"
        more = flips.counts[kind] - MOST_FLIPS
        if more > 0:
            yield f"  {kind:<7} … and {more:,} more; --format csv --flips has all"


def sample_lines(comparison: Comparison, sample_id: str) -> Iterator[str]:
    """One sample as the runs of each pair answered it, with what differs between the answers.

    Raises :class:`UsageError` if no run has it.
    """
    if not any(sample_id in each.places for each in comparison.columns.values()):
        raise UsageError(f"No run has a sample {sample_id!r:.100}. --flips lists what changed.")
    for pair in comparison.pairs:
        found = texts(comparison, pair, sample_id)
        yield from wrapped("", f"{pair.candidate} against {pair.baseline} (baseline)")
        first = next((whole for side in (found.baseline, found.candidate) for whole in side), None)
        if first is not None:
            yield f"\n── prompt\n{safe_text(prompt_text(first[0].prompt))}"
        reference = first[1].reference if first is not None and first[1] is not None else None
        if reference is not None:
            said = reference if isinstance(reference, str) else output.to_json(reference)
            yield f"\n── reference\n{safe_text(said)}"
        for name, side in (("baseline", found.baseline), ("candidate", found.candidate)):
            for generation, evaluation in side:
                scores = evaluation.scores if evaluation is not None else {}
                scored = ", ".join(f"{metric} {output.number(score)}" for metric, score in scores.items())
                yield f"\n── {name}, epoch {generation.epoch}: {output.cut(scored, 200) or 'no scores'}"
                yield safe_text(_answer(generation))
        if found.baseline and found.candidate:
            pieces = word_diff(_answer(found.baseline[0][0]), _answer(found.candidate[0][0]))
            yield f"\n── [-baseline-] {{+candidate+}}\n{safe_text(marked(pieces))}"


def _answer(generation: GenerationRecord) -> str:
    error = generation.error
    if error is not None:
        return f"{error.get('kind')}: {error.get('message')}"
    return generation.response or ""


def wrapped(head: str, text: str, *, indent: int | None = None) -> list[str]:
    """A text that may be a store's, in lines of :data:`WIDTH` cells."""
    line = safe_line(text, 2_000)
    hang = " " * (len(head) if indent is None else indent)
    made = textwrap.wrap(line, WIDTH, initial_indent=head, subsequent_indent=hang, break_on_hyphens=False)
    # Wide signs take two cells: what is still too long is cut by them.
    return [output.cut(each, WIDTH) if output.cells_of(each) > WIDTH else each for each in made] or [head]


def table(header: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """Columns of at most these widths, all but the first aligned right."""
    cut = [[output.cut(cell, most) for cell, most in zip(row, widths, strict=True)] for row in rows]
    return output.table(header, cut, right=range(1, len(header))).split("\n")
