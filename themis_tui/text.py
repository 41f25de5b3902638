"""The only way by which text reaches a widget: made harmless, never read as markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.cells import cell_len, set_cell_size
from textual.app import App
from textual.content import Content

from themis.core.safe_text import safe_line, safe_text
from themis_tui.glyphs import ascii_wanted, drawn

Part = str | tuple[str, str]
"""A piece of a line: text, or text and its style, such as ``$bad`` or ``bold $accent``."""

_ascii_only: bool | None = None


def plain(text: object, limit: int = 1_000) -> str:
    """External text on one line, as this terminal can draw it."""
    return drawn(safe_line(text, limit), _ascii())


def plain_block(text: object) -> str:
    """External text with its line breaks, as this terminal can draw it."""
    return drawn(safe_text(text), _ascii())


def line(*parts: Part) -> Content:
    """One line made of pieces."""
    return Content.assemble(
        *(
            plain(part, 4_000) if isinstance(part, str) else (plain(part[0], 4_000), part[1])
            for part in parts
            if (part if isinstance(part, str) else part[0])
        )
    )


def lines(rows: Iterable[Content]) -> Content:
    """Lines one below the other."""
    return Content("\n").join(list(rows))


def block(text: object, style: str = "") -> Content:
    """External text with its line breaks."""
    return Content.styled(plain_block(text), style) if style else Content(plain_block(text))


def tell(app: App[Any], text: object, *, bad: bool = False) -> None:
    """Say something at the edge of the screen for a while."""
    app.notify(plain_block(text), severity="error" if bad else "information", markup=False)


def spread(left: Content, right: Content, width: int) -> Content:
    """Two pieces at both ends of a line; the left one gives way."""
    room = width - right.cell_length
    if room < 4:
        return left.truncate(width, ellipsis=True)
    kept = left.truncate(room - 1, ellipsis=True) if left.cell_length >= room else left
    return kept.pad_right(room - kept.cell_length).append(right)


def cut(text: str, width: int) -> str:
    """``text`` in exactly ``width`` cells, with an ellipsis where it was cut."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    if width < 2:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + drawn("…", _ascii())


def cut_middle(text: str, width: int, tail: int = 5) -> str:
    """``text`` in at most ``width`` cells, its end kept: what tells made ids apart stands there."""
    if cell_len(text) <= width or width < tail + 4:
        return text
    return set_cell_size(text, width - tail - 1).rstrip() + drawn("…", _ascii()) + text[-tail:]


def use_ascii(wanted: bool | None) -> None:
    """Draw with ASCII twins or not; ``None`` asks the environment."""
    global _ascii_only
    _ascii_only = wanted


def _ascii() -> bool:
    return ascii_wanted() if _ascii_only is None else _ascii_only
