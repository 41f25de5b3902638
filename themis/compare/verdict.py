"""What the numbers of a comparison mean, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from themis.compare.clusters import FEW_GROUPS

BETTER, WORSE, SAME = "better", "worse", "the same"
CANNOT_TELL, NOT_COMPARABLE = "cannot tell", "not comparable"


@dataclass(frozen=True)
class Verdict:
    """A word to decide by, and a sentence to read. Higher scores are better."""

    word: str
    """``better``, ``worse``, ``the same`` (on every sample), ``cannot tell`` or ``not comparable``."""
    text: str


@dataclass(frozen=True)
class Evidence:
    """What a verdict on one metric rests on."""

    metric: str
    n: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    """Adjusted for all tests."""
    tests: int
    confidence: float
    needed: int | None
    groups: int | None
    changed: int | None
    """Pairs of 0/1 scores that changed."""
    points: bool
    identical: bool
    """Whether no pair differs."""


def judged(seen: Evidence) -> Verdict:
    """The verdict on one metric: it is told apart from chance when the adjusted p is small enough."""
    metric = seen.metric
    if seen.n == 0 or seen.difference is None:
        return Verdict(CANNOT_TELL, f"cannot tell: no sample has a score of {metric} in both runs")
    if seen.identical:
        samples = f"all {seen.n:,} samples" if seen.n > 1 else "the one sample"
        return Verdict(SAME, f"the same: {metric} is equal on {samples} that both have")
    found = f"{amount(seen.difference, seen.points)} on {metric}{_interval(seen)}"
    if seen.groups is not None and seen.groups < FEW_GROUPS:
        return Verdict(
            CANNOT_TELL, f"cannot tell: {found}; too few groups ({seen.groups}; {FEW_GROUPS} or more tell)"
        )
    if seen.p is None:
        return Verdict(CANNOT_TELL, f"cannot tell: {found}; too few samples ({seen.n:,}) for a test")
    if seen.p < 1 - seen.confidence:
        word = BETTER if seen.difference > 0 else WORSE
        return Verdict(word, f"{word}: {found}, not by chance ({p_value(seen.p)}{_of(seen.tests)})")
    return Verdict(
        CANNOT_TELL,
        f"cannot tell: {found}, which may be chance ({p_value(seen.p)}{_of(seen.tests)}){_more(seen)}",
    )


def summed_up(verdicts: Sequence[tuple[str, str, Verdict]]) -> str:
    """Of baseline, candidate and verdict of each pair: one sentence for all."""
    if len(verdicts) == 1:
        return verdicts[0][2].text
    words = Counter(verdict.word for _, _, verdict in verdicts)
    counted = ", ".join(f"{count} {word}" for word, count in words.most_common())
    clear = [
        f"{candidate} {verdict.word} than {baseline}"
        for baseline, candidate, verdict in verdicts
        if verdict.word in (BETTER, WORSE)
    ]
    more = f"; and {len(clear) - 3} more" if len(clear) > 3 else ""
    told = f": {'; '.join(clear[:3])}{more}" if clear else ""
    return f"{len(verdicts)} pairs: {counted}{told}"


def amount(difference: float, points: bool) -> str:
    """``+3.5 points`` of a score from 0 to 1; else the difference itself."""
    return f"{difference * 100:+.1f} points" if points else f"{difference:+.3g}"


def bare(difference: float, points: bool) -> str:
    """The same without its unit."""
    return f"{difference * 100:+.1f}" if points else f"{difference:+.3g}"


def p_value(p: float) -> str:
    """``p .034``; at most four digits."""
    if p < 0.0001:
        return "p < .0001"
    digits = 4 if p < 0.001 else 3 if p < 0.1 else 2
    text = f"{p:.{digits}f}"
    return f"p {text.lstrip('0')}" if p < 0.995 else "p 1"


def rounded(count: int) -> str:
    """A number of samples to two digits, as it is no more exact than that."""
    scale = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // scale) * scale:,}"


def _interval(seen: Evidence) -> str:
    if seen.low is None or seen.high is None:
        return ""
    ends = f"{bare(seen.low, seen.points)} to {bare(seen.high, seen.points)}"
    return f" ({seen.confidence * 100:g}%: {ends})"


def _of(tests: int) -> str:
    return f", Holm of {tests}" if tests > 1 else ""


def _more(seen: Evidence) -> str:
    if seen.needed is not None and seen.needed > seen.n:
        return f"; not enough samples to tell, about {rounded(seen.needed)} needed"
    if seen.changed is not None and seen.changed < 6:
        return f"; only {seen.changed} samples changed"
    return ""
