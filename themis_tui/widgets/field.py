"""One field of a form: its name, what is typed, what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from themis_tui.text import cut, line, plain
from themis_tui.widgets.typed import Typed


class Hinted(Typed):
    """Says what could stand in it, as far as there is room."""

    def __init__(self, value: str, hint: str, offered: Sequence[str]) -> None:
        super().__init__(
            value,
            compact=True,
            select_on_focus=False,
            suggester=SuggestFromList(offered) if offered else None,
        )
        self._hint = hint

    def on_resize(self) -> None:
        self.placeholder = cut(self._hint, max(1, self.content_size.width)).rstrip()


class Field(Vertical):
    """A line to type in; below it the reason, where what is typed cannot be meant."""

    DEFAULT_CSS = """
    Field {
        height: auto;
        & Horizontal { height: 1; }
        & .field-name { width: 13; color: $dim; }
        & Input { width: 1fr; max-width: 64; background: $field; color: $foreground; padding: 0 1; }
        & Input:focus { background: $raised; }
        & .field-problem { height: auto; max-height: 3; padding-left: 13; color: $bad; display: none; }
        &.-wrong .field-problem { display: block; }
        &.-wrong .field-name { color: $bad; }
        &.-typing .field-name { color: $accent; }
    }
    """

    def __init__(self, name: str, title: str, value: str, hint: str, offered: Sequence[str] = ()) -> None:
        super().__init__(classes="field-" + re.sub(r"[^A-Za-z0-9_-]", "-", name[:100]))
        self.field = name
        self._title = title
        self._value = value
        self._shown = plain(value, 4_000)
        self._hint = hint
        self._offered = offered

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(line(self._title), classes="field-name")
            yield Hinted(self._shown, plain(self._hint), self._offered)
        yield Static(classes="field-problem")

    def on_descendant_focus(self) -> None:
        self.add_class("-typing")

    def on_descendant_blur(self) -> None:
        self.remove_class("-typing")

    @property
    def value(self) -> str:
        """What is typed; what was given, to the letter, if nothing was."""
        for typed in self.query(Input):
            return self._value if typed.value == self._shown else typed.value
        return self._value  # it is not there yet

    def offer(self, names: Sequence[str]) -> None:
        """Complete what is typed from now on to one of these."""
        for typed in self.query(Input):
            typed.suggester = SuggestFromList(names)

    def mask(self, wanted: bool) -> None:
        """Show dots for what is typed, or the text of it."""
        for typed in self.query(Input):
            typed.password = wanted

    def say(self, problem: str | None) -> None:
        """Show what is wrong, or that nothing is."""
        self.set_class(problem is not None, "-wrong")
        if problem is not None:
            for shown in self.query(".field-problem").results(Static):
                shown.update(line(problem))
