"""What a table shows of a row, and how much of it there is room for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

R = TypeVar("R")

Cell = tuple[tuple[str, str], ...]
"""Pieces of text, each with its tone."""
TONES = ("plain", "dim", "faint", "bad", "running", "accent")
GAP = 2
BRIEF_RANK = 5
"""Columns of this rank and above go before any column is made brief."""


@dataclass(frozen=True)
class Column(Generic[R]):
    """One column."""

    title: str
    cell: Callable[[R], Cell]
    width: int
    """Cells it needs."""
    right: bool = False
    grow: bool = False
    """Whether it takes of the room that is left over, as far as its texts need it."""
    most: int = 60
    rank: int = 0
    """Where there is too little room, the highest rank goes first; 0 stays."""
    tail: bool = False
    """Whether the end of a text too long matters more than its middle."""
    order: Callable[[R], Any] | None = None
    """What rows are sorted by; ``None`` comes last."""
    down: bool = False
    """Whether the largest comes first when it is sorted by this."""
    brief: Callable[[R], Cell] | None = None
    """One cell wide and without a title, where there is too little room for the rest otherwise."""


def cell(text: str, tone: str = "plain") -> Cell:
    """A cell of one piece."""
    return ((text, tone),)


def fitted(
    columns: Sequence[Column[R]], room: int, needs: Mapping[str, int] | None = None
) -> list[tuple[Column[R], int]]:
    """The columns that fit into ``room`` cells, with their widths.

    ``needs``: the cells that the longest text under a title takes; no column grows beyond it.
    """
    needed = needs or {}
    widths = {id(column): _least(column, needed.get(column.title)) for column in columns}
    kept = list(columns)
    brief = False
    while _taken(widths, kept) > room:
        rank = max(column.rank for column in kept)
        if rank < BRIEF_RANK and not brief:
            brief = True
            kept = [_brief(column) for column in kept]
            widths |= {id(column): column.width for column in kept if id(column) not in widths}
            continue
        if rank == 0:
            break
        kept.remove(next(column for column in reversed(kept) if column.rank == rank))
    _share_out(kept, widths, needed, room - _taken(widths, kept))
    return [(column, widths[id(column)]) for column in kept]


def _brief(column: Column[R]) -> Column[R]:
    return column if column.brief is None else replace(column, title="", cell=column.brief, width=1)


def _least(column: Column[R], need: int | None) -> int:
    """A column that can grow takes less than its width where its texts are short."""
    if need is None or not column.grow:
        return column.width
    return max(len(column.title), min(column.width, need))


def _share_out(
    kept: Sequence[Column[R]], widths: dict[int, int], needed: Mapping[str, int], spare: int
) -> None:
    while spare > 0:
        growing = [
            column
            for column in kept
            if column.grow and widths[id(column)] < min(column.most, needed.get(column.title, column.most))
        ]
        if not growing:
            return
        for column in growing:
            step = min(spare, 1)
            widths[id(column)] += step
            spare -= step


def _taken(widths: Mapping[int, int], columns: Sequence[Column[R]]) -> int:
    return sum(widths[id(column)] for column in columns) + GAP * max(0, len(columns) - 1)
