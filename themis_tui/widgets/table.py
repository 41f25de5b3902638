"""A table that draws what is visible, from a model, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from themis_tui.actions import bindings
from themis_tui.glyphs import CURSOR, DOWN, MARK, UP
from themis_tui.text import cut, cut_middle, plain
from themis_tui.widgets.columns import GAP, TONES, Cell, Column, fitted
from themis_tui.widgets.rows import Rows

R = TypeVar("R")

MEASURED = 100
"""Rows whose texts are looked at to choose the widths of columns."""
GUTTER = 3
"""Cells at the left for cursor and mark."""


class Table(ScrollView, Generic[R], can_focus=True, inherit_bindings=False):
    """Rows of a model below a line of titles; the cursor stays on its row whatever comes and goes."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("table", direct=True)]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--title",
        "table--cursor",
        "table--mark",
        *(f"table--{tone}" for tone in TONES),
    }
    DEFAULT_CSS = """
    Table {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        scrollbar-color: $raised;
        scrollbar-color-hover: $faint;
        scrollbar-color-active: $faint;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
        & > .table--title { color: $faint; }
        & > .table--cursor { background: $raised; text-style: bold; }
        &:ansi > .table--cursor { background: ansi_cyan; color: ansi_black; text-style: none; }
        & > .table--mark { color: $accent; text-style: bold; }
        & > .table--plain { color: $foreground; }
        & > .table--dim { color: $dim; }
        & > .table--faint { color: $faint; }
        & > .table--bad { color: $bad; }
        & > .table--running { color: $running; }
        & > .table--accent { color: $accent; }
    }
    """

    cursor: reactive[int] = reactive(0, repaint=False)

    @dataclass
    class Opened(Message):
        """A row was chosen."""

        table: Table[object]
        key: str

        @property
        def control(self) -> Table[object]:
            return self.table

    @dataclass
    class CursorMoved(Message):
        """The cursor stands on another row, or on none."""

        table: Table[object]
        key: str | None

        @property
        def control(self) -> Table[object]:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[R]],
        key: Callable[[R], str],
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.rows: Rows[R] = Rows(key)
        self.key: str | None = None
        """Key of the row under the cursor."""
        self._layout: list[tuple[Column[R], int]] = []
        self._drawn: dict[int, tuple[Cell, ...]] = {}
        self._styles: dict[tuple[str, bool], Style] = {}
        self._last_mark: str | None = None
        self.sorted_by = ("", False)
        """Title of the column, and whether the largest is first."""
        self._needs: dict[str, int] = {}

    # What it shows

    def show(self, rows: Iterable[R]) -> None:
        """Show other rows; the cursor stays on its key, at its height on the screen where it can."""
        before = self.cursor
        old_key = self.key
        self.rows.replace(rows)
        self._measure()
        self._settle(before, old_key)

    def use(self, columns: Sequence[Column[R]]) -> None:
        """Show other columns of the same rows."""
        self.columns, self._layout = columns, []
        self._measure()
        self.refresh()

    def filter(self, test: Callable[[R], bool] | None) -> None:
        """Show only rows that pass."""
        old_key = self.key
        self.rows.filter(test)
        self._settle(self.cursor, old_key)

    def sort(self, title: str, down: bool) -> None:
        """Sort by a column, or by none; the cursor stays on its row."""
        column = next((each for each in self.columns if each.title == title), None)
        old_key = self.key
        self.sorted_by = (title, down) if column is not None else ("", False)
        self.rows.sort(None if column is None else column.order, down)
        self._settle(self.cursor, old_key)
        self.refresh()

    @property
    def sortable(self) -> list[tuple[str, bool]]:
        """The titles it can be sorted by, and whether the largest come first then."""
        return [(each.title, each.down) for each in self.columns if each.order is not None]

    @property
    def row(self) -> R | None:
        """The row under the cursor."""
        shown = self.rows.shown
        return shown[self.cursor] if 0 <= self.cursor < len(shown) else None

    @property
    def targets(self) -> list[R]:
        """What an action is for: the marked rows, else the one under the cursor."""
        marked = [row for row in self.rows.all if self.rows.key(row) in self.rows.marks]
        return marked or ([self.row] if self.row is not None else [])

    def go_to(self, place: int) -> None:
        """Put the cursor on the shown row at ``place``, or the nearest there is."""
        self.cursor = min(max(0, place), max(0, len(self.rows.shown) - 1))
        self._note_key()

    def go_to_key(self, key: str) -> bool:
        """Put the cursor on a row, if it is shown."""
        place = self.rows.place(key, self.cursor)
        if place is not None:
            self.go_to(place)
        return place is not None

    def redraw_changed(self) -> None:
        """Draw those visible lines again whose cells read otherwise now, as ages do."""
        shown, top = self.rows.shown, self.scroll_offset.y
        for y in range(1, self.size.height):
            place = y - 1 + top
            cells = self._cells(shown[place]) if place < len(shown) else None
            if cells != self._drawn.get(y):
                self.refresh(Region(0, y, self.size.width, 1))

    def _measure(self) -> None:
        """See how long texts get, by some of the rows; columns only ever widen, so that nothing jitters."""
        rows, needs = self.rows.all, dict(self._needs)
        for column in self.columns:
            if column.grow:
                for row in rows[:: max(1, len(rows) // MEASURED)]:
                    length = sum(len(piece) for piece, _ in column.cell(row))
                    needs[column.title] = max(needs.get(column.title, 0), min(length, column.most))
        if needs != self._needs:
            self._needs, self._layout = needs, []
            self.refresh()

    def _settle(self, before: int, old_key: str | None) -> None:
        place = self.rows.place(old_key, before)
        self._grow()
        if place is None:
            self.go_to(before)
        elif place != before:
            # Rows came or went above: the screen moves with the row, so that nothing jumps under the eye.
            self.set_scroll(None, max(0, self.scroll_offset.y + place - before) if self.scroll_y else 0)
            self.go_to(place)
            self.refresh()
        self.redraw_changed()
        self._note_key()

    def _grow(self) -> None:
        """Be as high as there are rows; without a new layout, which draws the whole screen, if it can be."""
        wanted = Size(self.size.width, len(self.rows.shown) + 1)
        scrolls = self.virtual_size.height > self.size.height
        if scrolls and wanted.height > self.size.height and self.show_vertical_scrollbar:
            self.set_reactive(Table.virtual_size, wanted)
            self._scroll_update(wanted)
        else:
            self.virtual_size = wanted

    def _note_key(self) -> None:
        row = self.row
        key = None if row is None else self.rows.key(row)
        if key != self.key:
            self.key = key
            self.post_message(self.CursorMoved(self, key))  # type: ignore[arg-type]

    # Moving

    def watch_cursor(self, before: int, now: int) -> None:
        top = self.scroll_offset.y
        for place in (before, now):
            self.refresh(Region(0, place - top + 1, self.size.width, 1))
        self._bring_into_view()

    def _bring_into_view(self, again: bool = True) -> None:
        page, top = self._page, self.scroll_offset.y
        wanted = min(max(top, self.cursor - page + 1), self.cursor)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, immediate=True)
            if again and self.scroll_offset.y != wanted:
                # Rows have just come: how far it scrolls is known only once they are laid out.
                self.call_after_refresh(self._bring_into_view, False)

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def action_cursor(self, step: int) -> None:
        self.go_to(self.cursor + step)

    def action_edge(self, side: int) -> None:
        self.go_to(0 if side < 0 else len(self.rows.shown) - 1)

    def action_page(self, step: int) -> None:
        self.go_to(self.cursor + step * self._page)

    def action_open(self) -> None:
        if self.key is not None:
            self.post_message(self.Opened(self, self.key))  # type: ignore[arg-type]

    def mark(self) -> None:
        """Mark or unmark the row under the cursor, and go one down."""
        if self.key is not None:
            self.rows.marks ^= {self.key}
            self._last_mark = self.key
            self.refresh()
            self.go_to(self.cursor + 1)

    def mark_range(self) -> None:
        """Mark from the last mark to the cursor."""
        start = self.rows.place(self._last_mark, self.cursor)
        first, last = sorted((self.cursor if start is None else start, self.cursor))
        self.rows.marks |= {self.rows.key(row) for row in self.rows.shown[first : last + 1]}
        self.refresh()

    def clear_marks(self) -> None:
        """Unmark every row."""
        self.rows.marks.clear()
        self._last_mark = None
        self.refresh()

    def on_click(self, event: Click) -> None:
        place = event.y - 1 + self.scroll_offset.y
        if event.y > 0 and place < len(self.rows.shown):
            again = place == self.cursor
            self.go_to(place)
            if again and event.chain > 1:
                self.action_open()

    # Drawing

    def on_resize(self) -> None:
        self._layout = []
        self.virtual_size = Size(self.size.width, len(self.rows.shown) + 1)
        self._bring_into_view()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self._layout:
            self._layout = fitted(self.columns, width - GUTTER - 1, self._needs)
        if y == 0:
            return self._title(width)
        place = y - 1 + self.scroll_offset.y
        if not 0 <= place < len(self.rows.shown):
            self._drawn.pop(y, None)
            return Strip([Segment(" " * width, self._style("plain", False))], width)
        row = self.rows.shown[place]
        cells = self._drawn[y] = self._cells(row)
        under = place == self.cursor
        marked = self.rows.key(row) in self.rows.marks
        lead = [
            (plain(CURSOR) if under else " ", "accent"),
            (plain(MARK) + " " if marked else "  ", "mark"),
        ]
        return self._strip(lead, cells, under and self.has_focus, width)

    def _cells(self, row: R) -> tuple[Cell, ...]:
        return tuple(column.cell(row) for column, _ in self._layout)

    def _title(self, width: int) -> Strip:
        titles = tuple(_titled(column, *self.sorted_by) for column, _ in self._layout)
        return self._strip([(" " * GUTTER, "title")], titles, False, width)

    def _strip(self, pieces: list[tuple[str, str]], cells: Sequence[Cell], under: bool, width: int) -> Strip:
        for number, (column, room) in enumerate(self._layout):
            if number:
                pieces.append((" " * GAP, ""))
            pieces += _laid(cells[number], column, room)
        segments = [Segment(text, self._style(tone, under)) for text, tone in _joined(pieces)]
        used = sum(cell_len(segment.text) for segment in segments)
        segments.append(Segment(" " * max(0, width - used), self._style("plain", under)))
        return Strip(segments, max(width, used)).crop(0, width)

    def _style(self, tone: str, under: bool) -> Style:
        style = self._styles.get((tone, under))
        if style is None:
            style = self.rich_style + self.get_component_rich_style(f"table--{tone}", partial=True)
            if under:
                style += self.get_component_rich_style("table--cursor", partial=True)
            self._styles[tone, under] = style
        return style

    def watch_has_focus(self, focused: bool) -> None:
        super().watch_has_focus(focused)
        self._styles.clear()
        self.refresh()


def _titled(column: Column[R], title: str, down: bool) -> Cell:
    if column.title != title or not title:
        return ((column.title, "title"),)
    return ((f"{title}{DOWN if down else UP}", "accent"),)


def _joined(pieces: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours of one tone as one piece; spaces have the tone of what is before them.

    Every piece is one change of colour more that has to go through the wire.
    """
    joined: list[tuple[str, str]] = []
    for text, tone in pieces:
        if joined and (joined[-1][1] == tone or not text.strip(" ")):
            joined[-1] = (joined[-1][0] + text, joined[-1][1])
        elif text:
            joined.append((text, tone))
    return joined


def _laid(cell: Cell, column: Column[R], room: int) -> list[tuple[str, str]]:
    """The pieces of a cell in exactly ``room`` cells."""
    pieces: list[tuple[str, str]] = []
    left = room
    for text, tone in cell:
        if left <= 0:
            break
        safe = plain(text)
        if column.tail:
            safe = cut_middle(safe, left)
        if cell_len(safe) > left:
            safe = cut(safe, left)
        left -= cell_len(safe)
        pieces.append((safe, tone))
    space = (" " * left, cell[0][1] if cell else "plain")
    return [space, *pieces] if column.right else [*pieces, space]
