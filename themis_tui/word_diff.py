"""Where two texts differ, to be marked in each."""

from __future__ import annotations

from themis.compare.word_diff import ADDED, REMOVED, word_diff

MOST_CHARACTERS = 200_000
"""Of longer texts, all counts as one change from the first character on that is another."""

Span = tuple[int, int]
"""From which character to before which."""


def differing(one: str, other: str) -> tuple[list[Span], list[Span]]:
    """The stretches of each text that the other does not have there."""
    if max(len(one), len(other)) > MOST_CHARACTERS:
        pairs = enumerate(zip(one, other, strict=False))
        alike = next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
        return [(alike, len(one))] * (alike < len(one)), [(alike, len(other))] * (alike < len(other))
    first: list[Span] = []
    second: list[Span] = []
    place = there = 0
    for piece in word_diff(one, other):
        length, seen = len(piece.text), len(piece.text.rstrip())
        if piece.kind == REMOVED and seen:
            first.append((place, place + seen))
        elif piece.kind == ADDED and seen:
            second.append((there, there + seen))
        place += length * (piece.kind != ADDED)
        there += length * (piece.kind != REMOVED)
    return first, second
