"""Text of which only what changed is drawn again: over a slow line, each cell counts."""

from __future__ import annotations

from itertools import zip_longest

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Region
from textual.widgets import Static

Drawn = list[tuple[str, tuple[str, ...]]]
"""Characters with their styles."""


class Steady(Static):
    """Lines that stand still where they read the same."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._lines: list[Drawn] = []
        self._only: list[Region] | None = None

    def draw(self, content: Content) -> None:
        """Show other text; a new layout, which draws the whole screen, only where the height changes."""
        fresh = [_drawn(each) for each in content.split("\n")]
        before, self._lines = self._lines, fresh
        if len(before) != len(fresh):
            self.update(content, layout=self._grows())
            return
        regions = [
            region
            for y, (old, new) in enumerate(zip(before, fresh, strict=True))
            if (region := _changed(old, new, y)) is not None
        ]
        if regions:
            self._only = regions
            try:
                self.update(content, layout=False)
            finally:
                self._only = None

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Steady:
        if self._only is not None and not regions and not layout:
            regions = tuple(self._only)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _grows(self) -> bool:
        return bool(self.styles.height is None or self.styles.height.is_auto)


def _drawn(content: Content) -> Drawn:
    styles: list[tuple[str, ...]] = [()] * len(content.plain)
    for span in content.spans:
        for place in range(max(0, span.start), min(span.end, len(styles))):
            styles[place] = (*styles[place], str(span.style))
    return list(zip(content.plain, styles, strict=True))


def _changed(old: Drawn, new: Drawn, y: int) -> Region | None:
    """From the first cell that differs to the last."""
    pairs = list(zip_longest(old, new))
    places = [place for place, (before, after) in enumerate(pairs) if before != after]
    if not places:
        return None
    first, last = places[0], places[-1]
    left = cell_len("".join(char for char, _ in new[:first]))
    right = max(cell_len("".join(char for char, _ in line[: last + 1])) for line in (old, new))
    if any(cell_len(char) != 1 for char, _ in (*old, *new)):
        right = max(cell_len("".join(char for char, _ in line)) for line in (old, new))
    return Region(left, y, max(1, right - left), 1)
