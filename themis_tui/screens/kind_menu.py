"""Which kind of profile a new one is to be."""

from __future__ import annotations

from typing import ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from themis_tui.screens.profile_line import NOUNS
from themis_tui.text import line

_ABOUT = {"storage": "where runs are kept", "executor": "how work is spread", "endpoint": "who answers"}


class KindMenu(ModalScreen[str | None]):
    """One line for each kind."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "back", tooltip="Add nothing", id="kinds.back"),
        Binding("j", "cursor(1)", "down", show=False, id="kinds.down"),
        Binding("k", "cursor(-1)", "up", show=False, id="kinds.up"),
    ]
    CSS_PATH = "sort_menu.tcss"

    options = getters.query_one(OptionList)

    def __init__(self, kind: str) -> None:
        """``kind``: the one under the cursor at first."""
        super().__init__()
        self._kind = kind

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(line(("Add a profile", "bold")))
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        for kind, noun in NOUNS.items():
            self.options.add_option(line(f"{noun:<16}", (_ABOUT[kind], "dim")))
        self.options.highlighted = list(NOUNS).index(self._kind)
        self.options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._leave(list(NOUNS)[event.option_index])

    def action_cursor(self, step: int) -> None:
        if step > 0:
            self.options.action_cursor_down()
        else:
            self.options.action_cursor_up()

    def action_leave(self) -> None:
        self._leave(None)

    def _leave(self, kind: str | None) -> None:
        if self.is_active:
            self.dismiss(kind)
