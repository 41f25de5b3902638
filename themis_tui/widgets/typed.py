"""A line to type in, on lines where keys come in bursts."""

from __future__ import annotations

from typing import ClassVar

from textual.events import Key
from textual.widgets import Input

LEAVING = frozenset({"tab", "shift+tab", "enter", "escape", "up", "down"})
"""Keys that may move the focus."""


class Typed(Input):
    """Lets go of letters after a key that may have moved the focus: the app knows where they belong.

    Textual hands all keys of a burst to the widget that has the focus as the burst begins.
    """

    leaving: ClassVar[frozenset[str]] = LEAVING
    _leaving = False

    async def _on_key(self, event: Key) -> None:
        if event.key in self.leaving:
            self._leaving = True
        elif self._leaving and event.is_printable:
            event.prevent_default()

    def on_focus(self) -> None:
        self._leaving = False
