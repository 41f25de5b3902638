"""In which words two texts differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

MOST_WORDS = 2_000
"""Words of each text, less what both begin and end with, that are compared one by one; more count
as one change. The time grows with the square of them."""
MOST_CHARACTERS = 200_000
"""Of longer texts, all counts as one change from the first character on that is another."""

Span = tuple[int, int]
"""From which character to before which."""

_WORD = re.compile(r"\w+|[^\w\s]")


def differing(one: str, other: str) -> tuple[list[Span], list[Span]]:
    """The stretches of each text that the other does not have there. Equal spacing is not asked for."""
    if max(len(one), len(other)) > MOST_CHARACTERS:
        pairs = enumerate(zip(one, other, strict=False))
        alike = next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
        return [(alike, len(one))] * (alike < len(one)), [(alike, len(other))] * (alike < len(other))
    first, second = list(_WORD.finditer(one)), list(_WORD.finditer(other))
    begun = _alike(zip(first, second, strict=False))
    ended = _alike(zip(reversed(first[begun:]), reversed(second[begun:]), strict=False))
    left, right = first[begun : len(first) - ended], second[begun : len(second) - ended]
    if max(len(left), len(right)) > MOST_WORDS:
        return _spans(left, [(0, len(left))]), _spans(right, [(0, len(right))])
    changes = [
        (i1, i2, j1, j2)
        for what, i1, i2, j1, j2 in SequenceMatcher(
            None, [each[0] for each in left], [each[0] for each in right]
        ).get_opcodes()
        if what != "equal"
    ]
    return _spans(left, [each[:2] for each in changes]), _spans(right, [each[2:] for each in changes])


def _alike(pairs: Iterator[tuple[re.Match[str], re.Match[str]]]) -> int:
    count = 0
    for one, other in pairs:
        if one[0] != other[0]:
            break
        count += 1
    return count


def _spans(words: Sequence[re.Match[str]], stretches: Sequence[Span]) -> list[Span]:
    return [(words[start].start(), words[end - 1].end()) for start, end in stretches if end > start]
