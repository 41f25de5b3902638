"""Two texts word by word: what they share, what only one has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

SAME, REMOVED, ADDED = "same", "removed", "added"
MOST_WORDS = 2_000
"""Words of each text that are compared: two long ones that have nothing in common take seconds."""

_WORD = re.compile(r"\s+|\w+\s*|[^\w\s]\s*")


class Piece(NamedTuple):
    """A stretch of text."""

    kind: str
    """``same``, ``removed`` (the first text has it) or ``added`` (the second has it)."""
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """What turns one text into the other, in order. Without what was added, it is the first text; without
    what was removed, the second.

    Between what both begin and end with, :data:`MOST_WORDS` words of each are looked at; the rest is told as
    removed and added whole.
    """
    one, other = _WORD.findall(before), _WORD.findall(after)
    start = _shared(one, other)
    end = _shared(one[start:][::-1], other[start:][::-1])
    head, tail = one[:start], one[len(one) - end :]
    middle = _middle(one[start : len(one) - end], other[start : len(other) - end])
    whole = [Piece(SAME, "".join(head)), *middle, Piece(SAME, "".join(tail))]
    return [piece for piece in whole if piece.text]


def _shared(one: list[str], other: list[str]) -> int:
    """How many words both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (left, right) in pairs if left != right), min(len(one), len(other)))


def _middle(one: list[str], other: list[str]) -> Iterator[Piece]:
    first, second = one[:MOST_WORDS], other[:MOST_WORDS]
    # Words that are everywhere are no anchors: with them, texts that repeat themselves take minutes.
    for kind, i, j, k, m in SequenceMatcher(None, first, second, autojunk=True).get_opcodes():
        if kind == "equal":
            yield Piece(SAME, "".join(first[i:j]))
        else:
            yield Piece(REMOVED, "".join(first[i:j]))
            yield Piece(ADDED, "".join(second[k:m]))
    yield Piece(REMOVED, "".join(one[MOST_WORDS:]))
    yield Piece(ADDED, "".join(other[MOST_WORDS:]))


def marked(pieces: list[Piece]) -> str:
    """The pieces as one text without colours: ``[-removed-]`` and ``{+added+}``."""
    signs = {SAME: "{}", REMOVED: "[-{}-]", ADDED: "{{+{}+}}"}
    return "".join(signs[kind].format(text) for kind, text in pieces)
