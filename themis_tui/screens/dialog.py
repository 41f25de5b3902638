"""What every question over a screen does alike."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from themis_tui.widgets.key_line import KeyLine

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A question with keys of its own, which its help shows: those of the app end at a dialog."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "help", "help", key_display="?", tooltip="Show these keys", id="app.help")
    ]

    def on_screen_resume(self) -> None:
        for each in self.query(KeyLine):
            each.renew()

    def action_help(self) -> None:
        """Show every key."""
        from themis_tui.screens.help import HelpPage

        self.app.push_screen(HelpPage(self, ""))
