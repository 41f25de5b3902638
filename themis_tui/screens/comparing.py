"""What is to be compared, and the work of it; off the loop."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from themis.compare.comparison import LEFT_OUT, ZERO, Comparison, PairComparison
from themis.compare.entry import compare_runs
from themis.compare.error_clusters import ErrorCluster, error_clusters
from themis.compare.flips import BOTH_RIGHT, BOTH_WRONG, BROKEN, FIXED, Flips, TagFlips
from themis.compare.source import Source
from themis.core.errors import RunError
from themis.core.options import redacted
from themis.runs import exit_codes
from themis.runs.catalog import Store
from themis_tui.beside import Beside
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
LOOK_EVERY = 2_000
"""Samples after which it is looked whether anybody still waits."""


Told = Callable[[str, int], None]
"""What is being done, and how far it is."""


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
    stores: list[str]
    """Their names; an address has them without what is secret in them."""


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
    found, names = [], []
    for number, run in enumerate(request.runs):
        told(f"opening {run.run_id}", number)
        store = _store(doors, stores, run)
        names.append(store.name)
        found.append(Source(f"{redacted(store.name)}:{run.run_id}", run.run_id, store.backend))
    comparison = compare_runs(
        found,
        baseline=found[request.baseline],
        all_pairs=request.all_pairs,
        errors=request.errors,
        force=request.force,
        known=before,
        progress=lambda address, count: told(f"reading {address}", count),
    )
    return Compared(request, comparison, [each.address for each in found], names)


def _store(doors: Doors, stores: Sequence[str], run: Wanted) -> Store:
    if run.store is not None:
        return doors.open(run.store)
    from themis.runs.stores import only_store_with

    return only_store_with(run.run_id, wanted_stores(stores), opener=doors.open)


def flipped(comparison: Comparison, pair: PairComparison, metric: str) -> Flipped:
    """The samples of a pair."""
    flips = Flips(comparison, pair, metric)
    return Flipped(flips, flips.by_tag())


def places(
    flips: Flips, shown: str, tag: str | None, words: str, go_on: Callable[[], bool] = lambda: True
) -> list[int]:
    """The places of the samples of the kinds shown that carry a tag, if one is given, and hold all words.

    What it is asked while it reads words: whether to ``go_on``; if not, what it has found is all.
    """
    found: list[int] = flips.where(*SHOWS[shown], tag=tag).tolist()
    wanted = words.casefold().split()
    if not wanted:
        return found
    held: list[int] = []
    for start in range(0, len(found), LOOK_EVERY):
        if not go_on():
            break
        held += (place for place in found[start : start + LOOK_EVERY] if _holds(flips, place, wanted))
    return held


def _holds(flips: Flips, place: int, wanted: list[str]) -> bool:
    flip = flips.at(place)
    text = "\n".join((flip.sample_id, *flip.tags)).casefold()
    return all(word in text for word in wanted)


def faults(comparison: Comparison) -> list[ErrorCluster]:
    """What went wrong in all runs; reads those that have errors."""
    return error_clusters(comparison)


def command(made: Compared) -> str:
    """The shell's command for the same."""
    addresses = _baseline_first(made.request, made.addresses)
    return shlex.join(["themis", "compare", *addresses, *_options(made.request)])


def export_arguments(made: Compared, path: str) -> list[str]:
    """What ``themis`` is told to write the comparison to a new file, in the format of its ending.

    Of two runs the samples that changed are in it.
    """
    addresses = [f"{store}:{run.run_id}" for store, run in zip(made.stores, made.request.runs, strict=True)]
    flips = ["--flips"] if len(made.comparison.pairs) == 1 else []
    options = [*_options(made.request), *flips, f"--output={path}"]
    return ["compare", *options, "--", *_baseline_first(made.request, addresses)]


def free_path(made: Compared, ending: str) -> str:
    """A name of a file that is not there yet, in the folder where the app was started."""
    stem = "compare-" + "-".join(run.run_id[:60] for run in made.request.runs[:2])
    names = (f"{stem}{'' if number == 1 else f'-{number}'}.{ending}" for number in count(1))
    return next(path for name in names if not os.path.lexists(path := os.path.abspath(name)))


def export_ended(work: Beside, path: str) -> str:
    """What is said of it. Raises :class:`RunError` with why it could not be written."""
    if work.code in (exit_codes.DONE, exit_codes.CANNOT_TELL):
        return f"Written to {path}"
    raise RunError(work.problem or f"themis compare ended with {work.code}.")


def _baseline_first(request: Request, addresses: Sequence[str]) -> list[str]:
    others = list(addresses)
    return [others.pop(request.baseline), *others]


def _options(request: Request) -> list[str]:
    said = ["--all-pairs"] if request.all_pairs else []
    said += ["--errors=zero"] if request.errors == ZERO else []
    said += ["--force"] if request.force else []
    return said
