"""Long text, wrapped once and drawn where it is visible."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import ClassVar, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from themis_tui.actions import bindings
from themis_tui.glyphs import RULE
from themis_tui.text import plain, plain_block

MOST_WIDTH = 120
"""Cells a line is wrapped at in a wide terminal: longer ones are hard to read."""


class Passage(NamedTuple):
    """A piece of text under a heading; no heading continues the passage before."""

    text: str
    heading: str = ""
    note: str = ""
    """At the right end of the heading."""
    tone: str = "plain"
    indent: int = 0
    """Cells by which what is wrapped is set in."""
    marks: tuple[tuple[int, int], ...] = ()
    """Stretches that stand out, in order, as places in a text that is harmless already."""


class Reader(ScrollView, can_focus=True, inherit_bindings=False):
    """Passages one below the other."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("reader", direct=True)]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"reader--{tone}" for tone in ("plain", "dim", "faint", "bad", "running", "accent", "heading", "mark")
    }
    DEFAULT_CSS = """
    Reader {
        height: 1fr;
        padding: 0 1;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        scrollbar-color: $raised;
        scrollbar-color-hover: $faint;
        scrollbar-color-active: $faint;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
        & > .reader--plain { color: $foreground; }
        & > .reader--dim { color: $dim; }
        & > .reader--faint { color: $faint; }
        & > .reader--bad { color: $bad; }
        & > .reader--running { color: $running; }
        & > .reader--accent { color: $accent; }
        & > .reader--heading { color: $accent; }
        & > .reader--mark { color: $accent; text-style: bold underline; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._passages: list[Passage] = []
        self._lines: list[list[tuple[str, str]]] = []

    def show(self, passages: Iterable[Passage], *, keep_place: bool = False) -> None:
        """Show other passages, from the top unless told otherwise."""
        self._passages = list(passages)
        self._wrap()
        if not keep_place:
            self.scroll_to(y=0, animate=False, immediate=True)

    def follow(self, passages: Iterable[Passage]) -> None:
        """Show more of the same text; a person at its end stays there."""
        fresh = list(passages)
        if fresh != self._passages:
            first, at_end = not self._passages, self.scroll_offset.y >= self.max_scroll_y
            self.show(fresh, keep_place=True)
            if at_end and not first:
                self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)

    @property
    def plain_text(self) -> str:
        """What can be read, without its look."""
        return "\n".join("".join(text for text, _ in pieces).rstrip() for pieces in self._lines)

    def on_resize(self) -> None:
        self._wrap()

    def action_scroll_lines(self, step: int) -> None:
        self.scroll_relative(y=step, animate=False)

    def action_scroll_pages(self, step: int) -> None:
        self.scroll_relative(y=step * max(1, self.size.height - 1), animate=False)

    def action_scroll_edge(self, side: int) -> None:
        self.scroll_to(y=0 if side < 0 else self.max_scroll_y, animate=False)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        place = y + self.scroll_offset.y
        base = self.rich_style
        if place >= len(self._lines):
            return Strip.blank(width, base)
        segments = [Segment(text, base + self._tone(tone)) for text, tone in self._lines[place]]
        return Strip(segments).adjust_cell_length(width, base)

    def _tone(self, tone: str) -> Style:
        return self.get_component_rich_style(f"reader--{tone}", partial=True)

    def _wrap(self) -> None:
        width = min(MOST_WIDTH, self.size.width - 1)
        if width < 1:
            return
        self._lines = []
        for passage in self._passages:
            if passage.heading:
                if self._lines:
                    self._lines.append([])
                self._lines.append(_heading(passage, width))
            tone, start = passage.tone, 0
            for text in plain_block(passage.text).split("\n"):
                parts = _set_in(text, width, passage.indent)
                if passage.marks:
                    self._lines += _marked(parts, start, passage)
                    start += len(text) + 1
                else:
                    self._lines += ([(part, tone)] for part in parts)
        self.virtual_size = Size(self.size.width, len(self._lines))
        self.refresh()


def _marked(parts: Iterable[str], start: int, passage: Passage) -> Iterator[list[tuple[str, str]]]:
    """Pieces of one line, the first of which begins at ``start`` of the passage's text."""
    for part in parts:
        end = start + len(part)
        pieces, place = [], start
        for first, last in passage.marks[bisect_right(passage.marks, start, key=itemgetter(1)) :]:
            if first >= end:
                break
            first, last = max(first, place), min(last, end)
            pieces += [(part[place - start : first - start], passage.tone)] if first > place else []
            pieces.append((part[first - start : last - start], "mark"))
            place = last
        if place < end or not pieces:
            pieces.append((part[place - start :], passage.tone))
        yield pieces
        start = end


def _set_in(text: str, width: int, indent: int) -> Iterator[str]:
    if not 0 < indent < width // 2:
        yield from wrapped(text, width)
        return
    first = next(wrapped(text, width))
    yield first
    rest = text[len(first) :]
    if rest:
        yield from (" " * indent + part for part in wrapped(rest, width - indent))


def wrapped(text: str, width: int) -> Iterator[str]:
    """One line in pieces of at most ``width`` cells, broken at spaces where there are any."""
    start = 0
    while len(text) - start > width or cell_len(text[start : start + width + 1]) > width:
        end = _end(text, start, width)
        yield text[start:end]
        start = end
    yield text[start:]


def _end(text: str, start: int, width: int) -> int:
    piece = text[start : start + width]
    if cell_len(piece) > width:
        piece = piece[: len(set_cell_size(piece, width).rstrip(" "))] or piece[:1]
        while len(piece) > 1 and cell_len(piece) > width:
            piece = piece[:-1]
    if start + len(piece) >= len(text):
        return len(text)
    space = piece.rfind(" ")
    return start + (space + 1 if space > len(piece) // 3 else len(piece))


def _heading(passage: Passage, width: int) -> list[tuple[str, str]]:
    rule = plain(RULE)
    name, note = plain(passage.heading), plain(passage.note)
    note = f" {note} " if note else rule
    fill = max(2, width - cell_len(name) - cell_len(note) - 5)
    lead, end = (rule * 2 + " ", "faint"), (" " + rule * fill, "faint")
    return [lead, (name, "heading"), end, (note, "dim" if passage.note else "faint"), (rule, "faint")]
