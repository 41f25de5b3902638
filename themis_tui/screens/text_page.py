"""One long text, such as a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from themis_tui.actions import bindings
from themis_tui.glyphs import BACK
from themis_tui.screens.base import ThemisScreen
from themis_tui.text import line
from themis_tui.widgets.key_line import KeyLine
from themis_tui.widgets.reader import Passage, Reader


class TextPage(ThemisScreen):
    """Passages to read; nothing to do but go back."""

    PLACES = ("text",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("text")]
    DEFAULT_CSS = "TextPage > #head { height: 1; padding: 0 1; margin-bottom: 1; }"

    reader = getters.query_one(Reader)

    def __init__(self, name: str, passages: Sequence[Passage]) -> None:
        super().__init__()
        self._name_shown = name
        self._passages = passages

    def compose(self) -> ComposeResult:
        yield Static(line((f"{BACK} ", "$accent"), (self._name_shown, "bold")), id="head")
        yield Reader()
        yield KeyLine()

    def on_mount(self) -> None:
        self.reader.show(self._passages)
        self.reader.focus()
