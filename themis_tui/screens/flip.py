"""One sample as two runs answered it, side by side; in a narrow terminal one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import getters
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from themis.compare.comparison import Comparison, PairComparison
from themis.compare.flips import Flip, Flips, Texts, texts
from themis.core.safe_text import safe_line
from themis_tui import figures
from themis_tui.actions import bindings
from themis_tui.glyphs import BACK, TO
from themis_tui.screens.base import MOST_COPIED, WIDE, ThemisScreen
from themis_tui.screens.compare_line import KIND_SIGNS, KIND_TONES
from themis_tui.screens.flip_passages import Sides, sides, stacked
from themis_tui.text import Part, cut, line, plain, spread, tell
from themis_tui.widgets.key_line import KeyLine
from themis_tui.widgets.reader import Passage, Reader

LEAST_ID, BESIDE_ID = 12, 60
"""Cells that a sample's id has at least, and that are for what stands beside it."""

Shown = tuple[Sides, list[Passage]]
"""Side by side, and one above the other."""


class FlipScreen(ThemisScreen):
    """Both answers with the words in which they differ; the neighbours are a key away."""

    CSS_PATH = "flip.tcss"
    PLACES = ("flip",)
    TITLE_HELP = (
        "One sample as both runs answered it. Words that the other does not have are underlined. "
        "tab goes to the other side; both move together."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("flip")]

    left = getters.query_one("#left", Reader)
    right = getters.query_one("#right", Reader)

    def __init__(
        self,
        comparison: Comparison,
        pair: PairComparison,
        flips: Flips,
        places: Sequence[int],
        place: int,
        names: tuple[str, str],
    ) -> None:
        """``places``: of the samples in the list, in its order; ``place``: of the first shown.

        ``names``: what baseline and candidate are called.
        """
        super().__init__()
        self._comparison, self._pair, self._flips = comparison, pair, flips
        self._places = places
        self.number = next((n for n, each in enumerate(places) if each == place), 0)
        """Of the sample shown, in the list."""
        self._names = names
        self._shown: Shown | None = None

    @property
    def flip(self) -> Flip:
        """The sample shown."""
        return self._flips.at(self._places[self.number])

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        with Horizontal():
            yield Reader(id="left")
            yield Reader(id="right")
        yield KeyLine()

    def on_mount(self) -> None:
        self.watch(self.left, "scroll_y", self._follow_left, init=False)
        self.watch(self.right, "scroll_y", self._follow_right, init=False)
        self.left.focus()
        self._load()

    def on_resize(self) -> None:
        self._draw_head()
        self._draw()

    def _follow_left(self, y: float) -> None:
        if self.left.has_focus:
            self.right.scroll_to(y=y, animate=False, immediate=True)

    def _follow_right(self, y: float) -> None:
        if self.right.has_focus:
            self.left.scroll_to(y=y, animate=False, immediate=True)

    def _load(self) -> None:
        self._draw_head()
        comparison, pair, sample_id, names = self._comparison, self._pair, self.flip.sample_id, self._names

        def work() -> Shown:
            found: Texts = texts(comparison, pair, sample_id)
            return sides(found, names), stacked(found, names)

        self.ask("flip", work, self._show)

    def _show(self, shown: Shown) -> None:
        self._shown = shown
        self._draw()

    def failed(self, group: str, error: Exception) -> None:
        if group == "flip":
            self._shown = None
            self.right.show([])
            self.left.show([Passage(str(error), "cannot be read", tone="bad")])
        else:
            super().failed(group, error)

    def _draw(self) -> None:
        if self._shown is None:
            self.left.show([Passage("Reading the texts of both runs …", tone="dim")])
            return
        beside, above = self._shown
        if self.size.width >= WIDE:
            self.left.show(beside.baseline)
            self.right.show(beside.candidate)
        else:
            if self.right.has_focus:
                self.left.focus()
            self.left.show(above)

    def _draw_head(self) -> None:
        flip = self.flip
        where = f"   {figures.count(self.number + 1)} of {figures.count(len(self._places))}"
        name = plain(flip.sample_id)
        room = max(LEAST_ID, self.size.width - 2 - BESIDE_ID)
        name = cut(name, room).rstrip() if cell_len(name) > room else name
        left: list[Part] = [(f"{BACK} ", "$accent"), (name, "bold"), (where, "$dim")]
        tone = KIND_TONES[flip.kind]
        style = "$foreground" if tone == "plain" else f"${tone}"
        scores = f"   {self._flips.metric} {flip.baseline:.4g} {TO} {flip.candidate:.4g}"
        right = line((f"{KIND_SIGNS[flip.kind]} {flip.kind}", style), (scores, "$dim"))
        self.query_one("#head", Static).update(spread(line(*left), right, self.size.width - 2))

    # What can be done

    def action_next(self, step: int) -> None:
        """Go to a neighbour."""
        number = self.number + step
        if 0 <= number < len(self._places):
            self.number = number
            self._load()
        else:
            tell(self.app, "This is the last sample." if step > 0 else "This is the first sample.")

    def do_copy_id(self) -> None:
        self.send_to_clipboard(safe_line(self.flip.sample_id, MOST_COPIED), "Id")
