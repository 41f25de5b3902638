"""What is to be compared, and the work of it; off the loop."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from themis.compare.comparison import LEFT_OUT, ZERO, Comparison, PairComparison
from themis.compare.entry import Told, compare_runs
from themis.compare.error_clusters import ErrorCluster, error_clusters
from themis.compare.flips import BOTH_RIGHT, BOTH_WRONG, BROKEN, FIXED, Flips, TagFlips
from themis.compare.guard import Unlike, config_diff
from themis.compare.report import written
from themis.compare.source import Source
from themis.core.options import redacted
from themis_tui.doors import Doors, wanted_stores

SHOWS: dict[str, tuple[str, ...]] = {
    "changed": (FIXED, BROKEN),
    FIXED: (FIXED,),
    BROKEN: (BROKEN,),
    BOTH_RIGHT: (BOTH_RIGHT,),
    BOTH_WRONG: (BOTH_WRONG,),
    "all": (),
}
"""What ``f`` goes through, and the kinds it shows; none are all."""
MOST_FILES = 1_000
"""Names that are tried for a file before it is given up."""


class Wanted(NamedTuple):
    """A run to be compared, and what a person calls it."""

    store: str | None
    run_id: str
    name: str = ""


@dataclass(frozen=True)
class Request:
    """A comparison as it was asked for."""

    runs: tuple[Wanted, ...]
    baseline: int = 0
    """Its place among the runs."""
    all_pairs: bool = False
    errors: str = LEFT_OUT
    force: bool = False

    @property
    def other_errors(self) -> str:
        """The other treatment of errors."""
        return LEFT_OUT if self.errors == ZERO else ZERO


class Compared(NamedTuple):
    """What came of it."""

    request: Request
    comparison: Comparison
    addresses: list[str]
    """Of the runs, in the order of the request."""


class Flipped(NamedTuple):
    """One pair of runs by one metric, sample by sample."""

    flips: Flips
    by_tag: list[TagFlips]


def compare(
    doors: Doors, stores: Sequence[str], request: Request, told: Told, before: Comparison | None
) -> Compared:
    """Read the runs, unless that was done ``before``, and compare them.

    ``stores``: where runs are looked for that name none. What ``told`` raises ends it.
    """
    found = []
    for number, run in enumerate(request.runs):
        told(f"opening {run.run_id}", number, len(request.runs))
        found.append(_source(doors, stores, run))
    comparison = compare_runs(
        found,
        baseline=found[request.baseline],
        all_pairs=request.all_pairs,
        errors=request.errors,
        force=request.force,
        told=told,
        read=before.columns if before is not None else None,
    )
    return Compared(request, comparison, [each.address for each in found])


def _source(doors: Doors, stores: Sequence[str], run: Wanted) -> Source:
    if run.store is not None:
        store = doors.open(run.store)
    else:
        from themis.runs.stores import only_store_with

        store = only_store_with(run.run_id, wanted_stores(stores), opener=doors.open)
    return Source(f"{redacted(store.name)}:{run.run_id}", run.run_id, store.backend)


def flipped(comparison: Comparison, pair: PairComparison, metric: str) -> Flipped:
    """The samples of a pair."""
    flips = Flips(comparison, pair, metric)
    return Flipped(flips, flips.by_tag())


def places(flips: Flips, shown: str, tag: str | None, words: str) -> list[int]:
    """The places of the samples of the kinds shown that carry a tag, if one is given, and hold all words."""
    found: list[int] = flips.where(*SHOWS[shown], tag=tag).tolist()
    wanted = words.casefold().split()
    if wanted:
        found = [place for place in found if _holds(flips, place, wanted)]
    return found


def _holds(flips: Flips, place: int, wanted: list[str]) -> bool:
    flip = flips.at(place)
    text = "\n".join((flip.sample_id, *flip.tags)).casefold()
    return all(word in text for word in wanted)


def settings(comparison: Comparison, pair: PairComparison) -> list[Unlike]:
    """Every setting in which the runs of a pair differ."""
    return config_diff(*(comparison.sources[each].metadata() for each in (pair.baseline, pair.candidate)))


def faults(comparison: Comparison) -> list[ErrorCluster]:
    """What went wrong in all runs; reads those that have errors."""
    return error_clusters(comparison)


def command(made: Compared) -> str:
    """The shell's command for the same."""
    request, addresses = made.request, list(made.addresses)
    first = addresses.pop(request.baseline)
    said = ["themis", "compare", first, *addresses]
    said += ["--all-pairs"] if request.all_pairs else []
    said += ["--errors", "zero"] if request.errors == ZERO else []
    said += ["--force"] if request.force else []
    return shlex.join(said)


def export(made: Compared, ending: str) -> str:
    """Write the comparison to a new file here, in the format of that ending; its path.

    Of two runs the samples that changed are in it. Raises ``OSError``.
    """
    comparison = made.comparison
    text = written(comparison, ending, flips=len(comparison.pairs) == 1)
    stem = "compare-" + "-".join(run.run_id[:60] for run in made.request.runs[:2])
    for number in range(1, MOST_FILES):
        path = os.path.abspath(f"{stem}{'' if number == 1 else f'-{number}'}.{ending}")
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"There are {MOST_FILES} files named {stem} here already.")
