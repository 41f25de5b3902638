"""Questions that have to be answered before anything is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

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

    def __init__(
        self, title: str, facts: Sequence[str], yes: str, no: str = "Cancel", typed: str | None = None
    ) -> None:
        """``typed``: what has to be typed before the answer can be yes."""
        super().__init__()
        self._title = title
        self._facts = facts
        self._yes = yes
        self._no = no
        self._typed = typed

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(line((self._title, "bold")), id="dialog-title")
            with VerticalScroll(id="dialog-facts", can_focus=False):
                yield Static(lines(line(fact) for fact in self._facts))
            if self._typed is not None:
                yield Static(line("Type ", (self._typed, "bold"), " to go on:"), id="dialog-wanted")
                yield Input(id="dialog-typed", compact=True, select_on_focus=False)
            with Horizontal(id="dialog-answers"):
                yield Button(line(self._no), id="no", compact=True)
                yield Button(line(self._yes), id="yes", compact=True, classes="-bad")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "yes" and self._typed is not None and self._typed != self._said():
            self.query_one(Input).focus()
            return
        self._leave(event.button.id == "yes")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one("#yes" if self._typed == self._said() else "#no", Button).focus()

    def _said(self) -> str:
        return self.query_one(Input).value.strip()

    def action_answer(self, yes: bool) -> None:
        self._leave(yes)

    def _leave(self, answer: bool) -> None:
        if self.is_active:
            self.dismiss(answer)
