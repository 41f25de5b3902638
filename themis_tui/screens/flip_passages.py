"""The answers of two runs to one sample, with the words in which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from themis.compare.flips import Texts
from themis.runs.samples import Whole
from themis_tui.glyphs import DOT
from themis_tui.screens.sample_line import answered, as_text, prompted, scored, wanted_passage
from themis_tui.text import plain_block
from themis_tui.widgets.reader import Passage
from themis_tui.word_diff import Span, differing

LOST = "(the store no longer has it)"


class Sides(NamedTuple):
    """One sample in both runs."""

    baseline: list[Passage]
    candidate: list[Passage]


class _Answer(NamedTuple):
    text: str
    note: str
    failed: bool


def sides(found: Texts, names: tuple[str, str]) -> Sides:
    """To be read side by side: answers first, then how they were scored, then what was asked."""
    made = Sides([], [])
    pairs = list(zip_longest(found.baseline, found.candidate)) or [(None, None)]
    for number, pair in enumerate(pairs):
        epoch = f" {DOT} epoch {number + 1}" if len(pairs) > 1 else ""
        headings = tuple(f"{name}{epoch}" for name in names)
        for side, passage, whole in zip(made, _answers(pair, headings), pair, strict=True):
            side.append(passage)
            side.extend(_scored(whole))
    for side, passages in zip(made, _prompts(pairs[0]), strict=True):
        side.extend(passages)
    return made


def stacked(found: Texts, names: tuple[str, str]) -> list[Passage]:
    """To be read one above the other; what both share stands once."""
    made: list[Passage] = []
    pairs = list(zip_longest(found.baseline, found.candidate)) or [(None, None)]
    for number, pair in enumerate(pairs):
        epoch = f" {DOT} epoch {number + 1}" if len(pairs) > 1 else ""
        made += _answers(pair, tuple(f"{name}{epoch}" for name in names))
        made += _scores_of_both(pair, names)
    first, second = _prompts(pairs[0])
    made += first if _texts(first) == _texts(second) else [*first, *second]
    return made


def _scores_of_both(pair: Sequence[Whole | None], names: tuple[str, str]) -> Iterator[Passage]:
    """Reference and scores; once, as far as both runs have the same."""
    both = [list(_scored(whole)) for whole in pair]
    if not all(both):
        yield from (each for passages in both for each in passages)
        return
    for one, other in zip(*both, strict=True):
        if one.text == other.text:
            yield one
        else:
            for name, passage in zip(names, (one, other), strict=True):
                yield passage._replace(heading=f"{passage.heading} {DOT} {name}")


def _answers(pair: Sequence[Whole | None], headings: Sequence[str]) -> list[Passage]:
    both = [_answer(whole) for whole in pair]
    marks: tuple[list[Span], list[Span]] = ([], [])
    if not any(each.failed for each in both):
        marks = differing(both[0].text, both[1].text)
    return [
        Passage(each.text, heading, each.note, "bad" if each.failed else "plain", marks=tuple(spans))
        for each, heading, spans in zip(both, headings, marks, strict=True)
    ]


def _answer(whole: Whole | None) -> _Answer:
    if whole is None:
        return _Answer(LOST, "", True)
    generation = whole[0]
    if generation.error is not None:
        kind = generation.error.get("kind")
        return _Answer(plain_block(str(generation.error.get("message") or kind)), f"error: {kind}", True)
    return _Answer(plain_block(generation.response or "(an empty answer)"), answered(generation), False)


def _scored(whole: Whole | None) -> Iterator[Passage]:
    if whole is not None and whole[1] is not None:
        yield wanted_passage(whole[1])
        yield Passage(scored(whole[1]), "scores", f"attempt {whole[1].attempt}")


def _prompts(pair: Sequence[Whole | None]) -> list[list[Passage]]:
    """What was asked, of each; where that differs, with the words in which it does."""
    both = [[] if whole is None else prompted(whole[0].prompt) for whole in pair]
    if len(both[0]) != len(both[1]) or _texts(both[0]) == _texts(both[1]):
        return both
    made: list[list[Passage]] = [[], []]
    for one, other in zip(*both, strict=True):
        texts = [plain_block(as_text(each.text)) for each in (one, other)]
        spans = differing(*texts)
        for side, passage, text, marks in zip(made, (one, other), texts, spans, strict=True):
            side.append(passage._replace(text=text, marks=tuple(marks)))
    return made


def _texts(passages: Sequence[Passage]) -> list[str]:
    return [each.text for each in passages]
