"""``themis gate``: does a run hold against a baseline?"""

from __future__ import annotations

import argparse

from themis.cli import output
from themis.cli.compare import benchmark_of, metric_names, remembered, wrapped
from themis.cli.export import new_file
from themis.compare import figures
from themis.compare.baselines import baselines, remember
from themis.compare.gate import FAILED, PASSED, as_junit, gate
from themis.compare.gate import Gate as Decided
from themis.compare.source import Source, sources
from themis.core.safe_text import safe_text
from themis.runs import exit_codes

_CODES = {PASSED: exit_codes.DONE, FAILED: exit_codes.FAILED}


def gate_run(given: argparse.Namespace) -> int:
    """0 if the run passes, 1 if it fails, 3 if it cannot be told."""
    (run,) = sources([given.run], given.storage)
    first = given.make_baseline and given.baseline is None and benchmark_of(run) not in baselines()
    if first:
        _make_baseline(run, given)
        return exit_codes.DONE
    baseline = _baseline(run, given)
    if given.make_baseline and baseline.address == run.address:
        _say_it_is(run, given)
        return exit_codes.DONE
    decided = gate(
        run,
        baseline=baseline,
        max_drop=given.max_drop,
        metrics=metric_names(given.metric),
        errors=given.errors.replace("-", " "),
        confidence=given.confidence,
        force=given.force,
        seed=given.seed,
    )
    if given.junit is not None:
        with new_file(given.junit, replace=True) as file:
            file.write(as_junit(decided))
    if given.json:
        output.say_json(decided.to_dict())
    else:
        _say(decided)
    if given.make_baseline and decided.word == PASSED:
        _make_baseline(run, given, quiet=given.json)
    return _CODES.get(decided.word, exit_codes.CANNOT_TELL)


def _baseline(run: Source, given: argparse.Namespace) -> Source:
    if given.baseline is None:
        return remembered(run)
    (baseline,) = sources([given.baseline], given.storage)
    return baseline


def _make_baseline(run: Source, given: argparse.Namespace, *, quiet: bool = False) -> None:
    remember(benchmark_of(run), run.address)
    if not quiet:
        _say_it_is(run, given)


def _say_it_is(run: Source, given: argparse.Namespace) -> None:
    benchmark = benchmark_of(run)
    if given.json:
        output.say_json({"benchmark": benchmark, "baseline": run.address})
    else:
        output.say(safe_text(f"{run.address} is the baseline of {benchmark}."))


def _say(decided: Decided) -> None:
    (pair,) = decided.comparison.pairs
    for line in wrapped(f"{decided.word.upper()}  ", decided.text.removeprefix(f"{decided.word}: ")):
        output.say(line)
    output.say()
    for line in wrapped("", f"{decided.candidate} against {decided.baseline} (baseline)"):
        output.say(line)
    for what, one, other in figures.differing(pair):
        for line in wrapped("differs  ", f"{what}: {one} → {other}"):
            output.say(line)
    for line in (
        *wrapped("paired   ", figures.pairing_line(pair)),
        *wrapped("", figures.footing(decided.comparison)),
    ):
        output.say(line)
