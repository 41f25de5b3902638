"""The line in which a filter is typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import DescendantBlur
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from themis_tui.text import line
from themis_tui.widgets.table import Table
from themis_tui.widgets.typed import Typed

AFTER_S = 0.06
"""Seconds without a key after which a long list is filtered."""


class FilterBar(Horizontal):
    """Hidden until it is asked for; stays while it holds words."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "clear", tooltip="Drop the filter", key_display="esc", id="filter.clear"),
        Binding("down", "leave", "to the list", show=False, id="filter.leave"),
    ]
    DEFAULT_CSS = """
    FilterBar {
        height: 1;
        padding: 0 1;
        display: none;
        &.-open { display: block; }
        & > Static { width: 2; color: $accent; }
        & > .problem { width: auto; max-width: 60%; padding-left: 1; color: $bad; display: none; }
        &.-wrong > .problem { display: block; }
        & > Input { width: 1fr; background: $background; color: $foreground; }
        & > Input:focus { background: $background; }
    }
    """

    @dataclass
    class Changed(Message):
        """Other words stand in it."""

        words: str

    class Left(Message):
        """The person goes back to the list."""

    def __init__(self, hint: str) -> None:
        super().__init__()
        self._hint = hint
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static("/")
        yield Typed(compact=True, placeholder=self._hint, select_on_focus=False)
        yield Static(classes="problem")

    def on_mount(self) -> None:
        self._close()  # hidden, it must not come by the focus when that is lost elsewhere

    def say(self, problem: str | None) -> None:
        """Show beside it what cannot be meant, or that nothing is wrong."""
        self.set_class(problem is not None, "-wrong")
        if problem is not None:
            self.query_one(".problem", Static).update(line(problem))

    @property
    def words(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    def open(self) -> None:
        """Show it and type into it."""
        self.add_class("-open")
        # At once, or the letters typed ahead on a slow line would be keys of the list: "q" leaves.
        self.display = True
        self.query_one(Input).can_focus = True
        self.screen.set_focus(self.query_one(Input))
        self.call_after_refresh(self.query_one(Input).scroll_home, animate=False)

    def clear(self) -> None:
        """Empty it and hide it."""
        with self.prevent(Input.Changed):
            self.query_one(Input).value = ""
        self._close()
        self._tell()

    def action_clear(self) -> None:
        # Likewise: what is typed after it must not go to a field that is hidden.
        self.screen.set_focus(self.screen.query_one(Table))
        self.clear()
        self.post_message(self.Left())

    def action_leave(self) -> None:
        self.screen.set_focus(self.screen.query_one(Table))
        self.post_message(self.Left())

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(AFTER_S, self._tell)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._tell()
        self.post_message(self.Left())

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self.post_message(self.Changed(self.words))

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        if not self.words:
            self._close()

    def _close(self) -> None:
        self.remove_class("-open")
        self.display = self.query_one(Input).can_focus = False
