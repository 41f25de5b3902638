"""A short list to choose one line of, over the screen that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from themis_tui.screens.dialog import Dialog
from themis_tui.text import lines

T = TypeVar("T")


class Menu(Dialog[T | None]):
    """One line for each value; leaving it chooses ``None``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "back", tooltip="Choose nothing", id="menu.back"),
        Binding("j", "cursor(1)", "down", show=False, id="menu.down"),
        Binding("k", "cursor(-1)", "up", show=False, id="menu.up"),
    ]
    CSS_PATH = "menu.tcss"

    options = getters.query_one(OptionList)

    def __init__(self, title: Content, choices: Sequence[tuple[T, Content]], first: T) -> None:
        """``choices``: each value with its line. ``first``: where the cursor is at first, if that is one."""
        super().__init__()
        self._title = title
        self.values = [value for value, _ in choices]
        """In the order of their lines."""
        self._lines = [said for _, said in choices]
        self._first = self.values.index(first) if first in self.values else 0

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(lines([self._title]))
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        for said in self._lines:
            self.options.add_option(lines([said]))
        self.options.highlighted = self._first
        self.options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._leave(self.values[event.option_index])

    def action_cursor(self, step: int) -> None:
        if step > 0:
            self.options.action_cursor_down()
        else:
            self.options.action_cursor_up()

    def action_leave(self) -> None:
        self._leave(None)

    def _leave(self, value: T | None) -> None:
        if self.is_active:
            self.dismiss(value)
