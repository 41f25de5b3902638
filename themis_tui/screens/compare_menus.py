"""What is chosen over a comparison: the other run, the baseline, the format of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from themis.core.options import redacted
from themis_tui import figures
from themis_tui.screens.menu import Menu
from themis_tui.screens.run_line import short_name, status_part
from themis_tui.text import cut, line

if TYPE_CHECKING:
    from themis.runs.row import RunRow

MOST_OFFERED = 200
NAME = 24

FORMATS = {
    "md": "Markdown, for a note or a pull request",
    "html": "HTML: one file, no script, charts inside",
    "csv": "CSV: a line for each figure and each sample",
    "json": "JSON: all of it, for other programs",
}


def others(row: RunRow, listed: Sequence[RunRow]) -> list[RunRow]:
    """The runs that one can be compared with: the newest of the same benchmark first, then the others."""
    known = [each for each in listed if each.address != row.address and not each.trashed]
    known.sort(key=lambda each: (each.benchmark != row.benchmark, -(each.created_at or 0.0)))
    return known[:MOST_OFFERED]


class OtherMenu(Menu["RunRow"]):
    """The run that another is held against."""

    def __init__(self, row: RunRow, offered: Sequence[RunRow], now: float, *, stores: bool) -> None:
        """``stores``: whether runs of several stores are among them, so that each says of which it is."""
        wide = min(NAME, max(len(short_name(each)) for each in offered))
        choices = [
            (
                each,
                line(
                    f"{cut(short_name(each), wide)}  ",
                    (
                        f"{cut(each.benchmark or '?', 12)}  ",
                        "$foreground" if each.benchmark == row.benchmark else "dim",
                    ),
                    (f"{figures.score(each.score):>5}  ", "bold"),
                    status_part(each.status.word),
                    (f"  {figures.ago(None if each.created_at is None else now - each.created_at)}", "dim"),
                    (f"  {redacted(each.store)}" if stores else "", "dim"),
                ),
            )
            for each in offered
        ]
        title = line("Compare ", (cut(short_name(row), 30).rstrip(), "bold"), " with")
        super().__init__(title, choices, offered[0])


class BaselineMenu(Menu[int]):
    """The run that all others are compared with."""

    def __init__(self, names: Sequence[str], now: int) -> None:
        super().__init__(
            line(("Baseline", "bold")), [(place, line(name)) for place, name in enumerate(names)], now
        )


class ExportMenu(Menu[str]):
    """One line for each format."""

    def __init__(self) -> None:
        choices: Mapping[str, str] = FORMATS
        super().__init__(
            line(("Write the comparison to a file here", "bold")),
            [(ending, line(f".{ending:<6}", (about, "dim"))) for ending, about in choices.items()],
            "md",
        )
