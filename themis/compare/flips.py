"""Which samples changed: fixed, broken, right in both, wrong in both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from themis.compare.columns import Columns
from themis.compare.comparison import ZERO, Comparison, PairComparison
from themis.compare.extra import needed
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from themis.compare.columns import Floats, Ints

FIXED, BROKEN, BOTH_RIGHT, BOTH_WRONG = "fixed", "broken", "both right", "both wrong"
KINDS = (FIXED, BROKEN, BOTH_RIGHT, BOTH_WRONG)
RIGHT_FROM = 0.5
"""The score from which a sample is right: of graded scores, and of means over epochs."""
MOST_TAGS = 200
"""Tags told apart, the most frequent."""


class Flip(NamedTuple):
    """One sample."""

    sample_id: str
    kind: str
    baseline: float
    candidate: float
    """Scores."""
    tags: tuple[str, ...]


@dataclass(frozen=True)
class TagFlips:
    """The pairs that carry a tag. The figures are not tested: they are for looking where to look."""

    tag: str
    n: int
    baseline_mean: float
    candidate_mean: float
    difference: float
    fixed: int
    broken: int


@dataclass(frozen=True)
class FlipCounts:
    """How many samples changed, as JSON has it."""

    metric: str
    fixed: int
    broken: int
    both_right: int
    both_wrong: int
    by_tag: list[TagFlips]


class Flips:
    """The samples of a pair of runs by what became of them, under one metric.

    Made of arrays: a look at any stretch of a hundred thousand takes no time. Errors count as the comparison
    counts them; pairs without a score in both are in none of the kinds.
    """

    def __init__(self, comparison: Comparison, pair: PairComparison, metric: str | None = None) -> None:
        """Raises :class:`UnknownName` for a metric that the pair does not have."""
        names = [each.metric for each in pair.metrics]
        self.metric = metric if metric is not None else next(iter(names), "")
        if self.metric not in names:
            raise UnknownName(
                f"The runs have no metric {self.metric!r:.100} in common. "
                f"There are: {', '.join(names) or 'none'}."
            )
        np = needed("numpy")
        self._np = np
        self._baseline = comparison.columns[pair.baseline]
        self._places = pair.pairs.baseline
        columns = (self._baseline, comparison.columns[pair.candidate])
        scores = [
            _scores(each, self.metric, comparison.errors)[at]
            for each, at in zip(columns, (pair.pairs.baseline, pair.pairs.candidate), strict=True)
        ]
        known = np.flatnonzero(~np.isnan(scores[0]) & ~np.isnan(scores[1]))
        self._places = pair.pairs.baseline[known]
        self._scores = scores[0][known], scores[1][known]
        was, now = (each >= RIGHT_FROM for each in self._scores)
        self._kinds: Ints = np.select([~was & now, was & ~now, was & now], [0, 1, 2], 3)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def counts(self) -> dict[str, int]:
        """Kind to number of samples."""
        found = self._np.bincount(self._kinds, minlength=len(KINDS)).tolist()
        return dict(zip(KINDS, found, strict=True))

    @property
    def tags(self) -> list[str]:
        """The tags there are, the most frequent first."""
        return [each.tag for each in self.by_tag()]

    def where(self, *kinds: str, tag: str | None = None) -> Ints:
        """The places of the samples of these kinds, all if none is named; with a tag, if one is."""
        for kind in kinds:
            if kind not in KINDS:
                raise UsageError(f"{kind!r:.60} is none of {', '.join(KINDS)}.")
        np = self._np
        chosen = np.ones(len(self), dtype=bool)
        if kinds:
            chosen &= np.isin(self._kinds, [KINDS.index(each) for each in kinds])
        if tag is not None:
            chosen &= self._with_tag(tag)
        found: Ints = np.flatnonzero(chosen)
        return found

    def at(self, place: int) -> Flip:
        """One of them, by a place that :meth:`where` gave."""
        of_run = int(self._places[place])
        return Flip(
            self._baseline.ids[of_run],
            KINDS[int(self._kinds[place])],
            float(self._scores[0][place]),
            float(self._scores[1][place]),
            self._baseline.tag_sets[int(self._baseline.tags[of_run])],
        )

    def listed(self, *kinds: str, tag: str | None = None, most: int | None = None) -> Iterator[Flip]:
        """The samples of these kinds, one by one, in the order of the baseline."""
        return (self.at(int(place)) for place in islice(self.where(*kinds, tag=tag), most))

    def by_tag(self) -> list[TagFlips]:
        """The same for each of the :data:`MOST_TAGS` most frequent tags."""
        np = self._np
        tags = list(dict.fromkeys(tag for tags in self._baseline.tag_sets for tag in tags))
        chosen = {tag: self._with_tag(tag) for tag in tags[: 10 * MOST_TAGS]}
        counts = {tag: int(each.sum()) for tag, each in chosen.items()}
        frequent = sorted((tag for tag in chosen if counts[tag]), key=lambda tag: -counts[tag])[:MOST_TAGS]
        made = []
        for tag in frequent:
            kinds = np.bincount(self._kinds[chosen[tag]], minlength=len(KINDS))
            means = [float(each[chosen[tag]].mean()) for each in self._scores]
            made.append(
                TagFlips(
                    tag=tag,
                    n=counts[tag],
                    baseline_mean=means[0],
                    candidate_mean=means[1],
                    difference=means[1] - means[0],
                    fixed=int(kinds[0]),
                    broken=int(kinds[1]),
                )
            )
        return made

    def summary(self) -> FlipCounts:
        """The counts as plain data."""
        fixed, broken, both_right, both_wrong = self.counts.values()
        return FlipCounts(self.metric, fixed, broken, both_right, both_wrong, self.by_tag())

    def _with_tag(self, tag: str) -> Any:
        np = self._np
        sets = [number for number, tags in enumerate(self._baseline.tag_sets) if tag in tags]
        return np.isin(self._baseline.tags[self._places], sets)


Whole = tuple[GenerationRecord, EvaluationRecord | None]


@dataclass(frozen=True)
class Texts:
    """One sample as two runs have it: their epochs in order, ``[]`` where one has lost it."""

    sample_id: str
    baseline: list[Whole]
    candidate: list[Whole]


def texts(comparison: Comparison, pair: PairComparison, sample_id: str) -> Texts:
    """Prompts and answers of one sample. Reads through both runs' records until it has it."""
    from themis.runs.samples import whole_samples

    made = []
    for address in (pair.baseline, pair.candidate):
        source, columns = comparison.sources[address], comparison.columns[address]
        place = columns.places.get(sample_id)
        epochs = int(columns.epochs[place]) if place is not None else 0
        ids = [sample_id, *(f"{sample_id}#{number}" for number in range(2, epochs + 1))]
        found = whole_samples(source.backend, source.run_id, ids)
        made.append([found[each] for each in ids if each in found])
    return Texts(sample_id, *made)


def _scores(columns: Columns, metric: str, errors: str) -> Floats:
    scores = columns.scores[metric]
    return scores.as_zero if errors == ZERO else scores.left_out
