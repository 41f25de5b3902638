"""Questions that have to be answered before anything is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from themis_tui.text import line, lines


class ConfirmDialog(ModalScreen[bool]):
    """A question with two answers; Cancel has the focus, so that a held Enter does no harm."""

    CSS_PATH = "dialogs.tcss"
    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "answer(False)", "keep", tooltip="Change nothing", id="dialog.keep"),
        Binding("left,up", "app.focus_previous", "other answer", show=False, id="dialog.previous"),
        Binding("right,down", "app.focus_next", "other answer", show=False, id="dialog.next"),
    ]

    def __init__(self, title: str, facts: Sequence[str], yes: str, no: str = "Cancel") -> None:
        super().__init__()
        self._title = title
        self._facts = facts
        self._yes = yes
        self._no = no

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(line((self._title, "bold")), id="dialog-title")
            with VerticalScroll(id="dialog-facts", can_focus=False):
                yield Static(lines(line(fact) for fact in self._facts))
            with Horizontal(id="dialog-answers"):
                yield Button(line(self._no), id="no", compact=True)
                yield Button(line(self._yes), id="yes", compact=True, classes="-bad")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self._leave(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self._leave(yes)

    def _leave(self, answer: bool) -> None:
        if self.is_active:
            self.dismiss(answer)
