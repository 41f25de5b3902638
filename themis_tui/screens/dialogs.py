"""Questions that have to be answered before anything is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from themis_tui.screens.dialog import Dialog
from themis_tui.text import Part, line, lines
from themis_tui.widgets.key_line import KeyLine


class ConfirmDialog(Dialog[bool]):
    """A question with two answers; Cancel has the focus, so that a held Enter does no harm.

    Where something has to be typed first, the field has it: what a held Enter types is nothing.
    """

    CSS_PATH = "dialogs.tcss"
    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "answer(False)", "keep", tooltip="Change nothing", id="dialog.keep"),
        Binding("left,up", "app.focus_previous", "the answer before", show=False, id="dialog.previous"),
        Binding("right,down", "app.focus_next", "the next answer", show=False, id="dialog.next"),
    ]

    def __init__(
        self, title: str, facts: Sequence[Part], yes: str, no: str = "Cancel", typed: str | None = None
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
                yield Static(
                    line("Type ", (self._typed, "bold"), " to go on, then enter:"), id="dialog-wanted"
                )
                yield Input(id="dialog-typed", compact=True, select_on_focus=False)
                yield Static(id="dialog-problem")
            with Horizontal(id="dialog-answers"):
                yield Button(line(self._no), id="no", compact=True)
                yield Button(line(self._yes), id="yes", compact=True, classes="-bad")
            yield KeyLine()

    def on_mount(self) -> None:
        if self._typed is not None:
            self.set_focus(self.query_one(Input))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "yes":
            self._say_yes()
        else:
            self._leave(False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._say_yes()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._say("")

    def _say_yes(self) -> None:
        if self._typed is not None:
            said = self.query_one(Input).value.strip()
            if said.casefold() != self._typed.casefold():
                self._say(f"{said[:60]} is not {self._typed}." if said else "Nothing is typed yet.")
                self.set_focus(self.query_one(Input))
                return
        self._leave(True)

    def _say(self, problem: str) -> None:
        self.query_one("#dialog-problem", Static).update(line((problem, "$bad")))

    def action_answer(self, yes: bool) -> None:
        self._leave(yes)

    def _leave(self, answer: bool) -> None:
        if self.is_active:
            self.dismiss(answer)
