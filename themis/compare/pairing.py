"""Which sample of one run belongs to which of another: by its id, and never by its position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from themis.compare.columns import Columns
from themis.compare.extra import needed

if TYPE_CHECKING:
    from themis.compare.columns import Ints

MOST_LISTED = 20
"""Sample ids named of those that have no partner; all are counted."""


@dataclass(frozen=True)
class Pairs:
    """The samples that two runs share, as places in the arrays of each."""

    baseline: Ints
    candidate: Ints
    set_aside: list[str]
    """Samples of one id whose input or reference differ."""
    only_baseline: list[str]
    only_candidate: list[str]
    unverified: int
    """Pairs of which at least one does not say what its input was."""


@dataclass(frozen=True)
class Pairing:
    """How two runs were paired, in numbers."""

    pairs: int
    """Samples in both runs, with the same input and reference as far as that is known."""
    set_aside: int
    """Samples of one id whose input or reference differ: not compared."""
    set_aside_ids: list[str]
    only_baseline: int
    only_baseline_ids: list[str]
    only_candidate: int
    only_candidate_ids: list[str]
    unverified: int
    """Pairs of which at least one run does not say what the input was; compared."""


def paired(baseline: Columns, candidate: Columns) -> Pairs:
    """The pairs of two runs, in the order of the baseline."""
    np = needed("numpy")
    there = candidate.places
    partner = np.fromiter((there.get(each, -1) for each in baseline.ids), np.int64, len(baseline))
    ours = np.flatnonzero(partner >= 0)
    theirs = partner[ours]
    first, second = baseline.hashes[ours], candidate.hashes[theirs]
    known = (first != 0) & (second != 0) & (baseline.hashed_by == candidate.hashed_by)
    differ = known & (first != second)
    keep = ~differ
    return Pairs(
        ours[keep],
        theirs[keep],
        [baseline.ids[place] for place in ours[differ].tolist()],
        [baseline.ids[place] for place in np.flatnonzero(partner < 0).tolist()],
        [each for each in candidate.ids if each not in baseline.places],
        int((~known).sum()),
    )


def described(pairs: Pairs) -> Pairing:
    """A pairing in numbers, with the first ids of what was left out."""
    return Pairing(
        pairs=len(pairs.baseline),
        set_aside=len(pairs.set_aside),
        set_aside_ids=pairs.set_aside[:MOST_LISTED],
        only_baseline=len(pairs.only_baseline),
        only_baseline_ids=pairs.only_baseline[:MOST_LISTED],
        only_candidate=len(pairs.only_candidate),
        only_candidate_ids=pairs.only_candidate[:MOST_LISTED],
        unverified=pairs.unverified,
    )
