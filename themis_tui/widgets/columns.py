"""What a table shows of a row, and how much of it there is room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")

Cell = tuple[tuple[str, str], ...]
"""Pieces of text, each with its tone."""
TONES = ("plain", "dim", "faint", "bad", "running", "accent")
GAP = 2


@dataclass(frozen=True)
class Column(Generic[R]):
    """One column."""

    title: str
    cell: Callable[[R], Cell]
    width: int
    """Cells it needs."""
    right: bool = False
    grow: int = 0
    """Its share of the room that is left over."""
    most: int = 60
    rank: int = 0
    """Where there is too little room, the highest rank goes first; 0 stays."""
    tail: bool = False
    """Whether the end of a text too long matters more than its middle."""


def cell(text: str, tone: str = "plain") -> Cell:
    """A cell of one piece."""
    return ((text, tone),)


def fitted(columns: Sequence[Column[R]], room: int) -> list[tuple[Column[R], int]]:
    """The columns that fit into ``room`` cells, with their widths."""
    kept = list(columns)
    while _needed(kept) > room:
        rank = max(column.rank for column in kept)
        if rank == 0:
            break
        kept.remove(next(column for column in reversed(kept) if column.rank == rank))
    spare = max(0, room - _needed(kept))
    widths = [column.width for column in kept]
    while spare > 0:
        growing = [n for n, column in enumerate(kept) if column.grow and widths[n] < column.most]
        if not growing:
            break
        for n in growing:
            step = min(spare, kept[n].grow, kept[n].most - widths[n])
            widths[n] += step
            spare -= step
    return list(zip(kept, widths, strict=True))


def _needed(columns: Sequence[Column[R]]) -> int:
    return sum(column.width for column in columns) + GAP * max(0, len(columns) - 1)
