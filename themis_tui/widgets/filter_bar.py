"""The line in which a filter is typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantBlur
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from themis_tui.glyphs import UP
from themis_tui.text import Part, line, lines, plain
from themis_tui.widgets.steady import Steady
from themis_tui.widgets.table import Table
from themis_tui.widgets.typed import LEAVING, Typed

if TYPE_CHECKING:
    from themis.runs.completion import Completion

AFTER_S = 0.06
"""Seconds without a key after which a long list is filtered."""


MOST_SHOWN = 12
"""Completions told below the line."""

Complete = Callable[[str, int], "list[Completion]"]
"""What may be meant by the word at a place of a text."""


class Words(Typed):
    """Where tab completes a word, and what is typed after it stays here."""

    leaving = LEAVING - {"tab"}


class FilterBar(Vertical):
    """Hidden until it is asked for; stays while it holds words.

    Below the words stands what is wrong with them, under the letter where it is, or what they may become.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "clear", tooltip="Drop the filter", key_display="esc", id="filter.clear"),
        Binding(
            "tab", "complete", "complete", tooltip="Complete the word, or take the next", id="filter.tab"
        ),
        Binding("down", "leave", "to the list", show=False, id="filter.leave"),
    ]
    DEFAULT_CSS = """
    FilterBar {
        height: auto;
        padding: 0 1;
        display: none;
        &.-open { display: block; }
        & > Horizontal { height: 1; }
        & > Horizontal > Static { width: 2; color: $accent; }
        & > .below { height: 1; display: none; color: $dim; }
        &.-wrong > .below, &.-completing > .below { display: block; }
        & Input { width: 1fr; background: $background; color: $foreground; }
        & Input:focus { background: $background; }
    }
    """

    @dataclass
    class Changed(Message):
        """Other words stand in it."""

        words: str

    class Left(Message):
        """The person goes back to the list."""

    def __init__(self, hint: str, complete: Complete | None = None) -> None:
        """``complete``: asked when tab is pressed; without it, tab goes on to the next widget."""
        super().__init__()
        self._hint = hint
        self._complete = complete
        self._timer: Timer | None = None
        self._problem: tuple[str, int] | None = None
        self._found: list[Completion] = []
        self._taken = -1
        """Which of what was found stands in the words now."""
        self._completed = ""
        """The words since then."""
        self._from = ""
        """The words that it was looked up for."""

    def compose(self) -> ComposeResult:
        typed = Typed if self._complete is None else Words
        with Horizontal():
            yield Static("/")
            yield typed(compact=True, placeholder=self._hint, select_on_focus=False)
        below = Steady()
        below.add_class("below")
        yield below

    def on_mount(self) -> None:
        self.set_class(self._complete is not None, "-completing")
        self._close()  # hidden, it must not come by the focus when that is lost elsewhere

    def say(self, problem: str | None, place: int = 0) -> None:
        """Show what cannot be meant, and before which letter it begins; or that nothing is wrong."""
        self._problem = None if problem is None else (problem, place)
        self.set_class(problem is not None, "-wrong")
        self._draw_below()

    @property
    def words(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    def open(self) -> None:
        """Show it and type into it."""
        self.add_class("-open")
        self.screen.add_class("-filtering")
        # At once, or the letters typed ahead on a slow line would be keys of the list: "q" leaves.
        self.display = True
        self.query_one(Input).can_focus = True
        self.screen.set_focus(self.query_one(Input))
        self.call_after_refresh(self.query_one(Input).scroll_home, animate=False)
        self._look_up()

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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "complete" or self._complete is not None

    def action_complete(self) -> None:
        words = self.words
        if words != self._completed or len(self._found) < 2:
            self._look_up()
        if not self._found:
            return
        self._taken = (self._taken + 1) % len(self._found)
        taken, field = self._found[self._taken], self.query_one(Input)
        before, after = self._from[: taken.start], self._from[taken.end :]
        field.value = self._completed = f"{before}{taken.text}{after}"
        field.cursor_position = taken.start + len(taken.text)
        self._draw_below()

    def _look_up(self) -> None:
        """See what the word at the cursor may become."""
        if self._complete is not None:
            self._from = self.words
            self._found = self._complete(self._from, self.query_one(Input).cursor_position)
            self._taken = -1
            self._draw_below()

    def _draw_below(self) -> None:
        width = max(1, self.size.width - 2)
        below = self.query_one(".below", Steady)
        if self._problem is not None:
            below.draw(lines([self._problem_line(*self._problem, width)]))
        else:
            below.draw(lines([self._found_line(width)] if self.query_one(Input).has_focus else []))

    def _problem_line(self, problem: str, place: int, width: int) -> Content:
        field = self.query_one(Input)
        letter = cell_len(plain(self.words[:place])) - int(field.scroll_offset.x)
        column = max(0, min(2 + letter, width - 1))
        sign, said = (UP, "bold $bad"), (problem, "$bad")
        length = cell_len(problem) + 1
        if column + 1 + length <= width or length > column:
            return line(" " * column, sign, " ", said).truncate(width, ellipsis=True)
        return line(" " * (column - length), said, " ", sign)

    def _found_line(self, width: int) -> Content:
        first = max(0, self._taken - MOST_SHOWN + 1)
        shown = self._found[first : first + MOST_SHOWN]
        parts: list[Part] = ["  "]
        for number, each in enumerate(shown, first):
            parts += [(each.text, "$accent" if number == self._taken else "$dim"), "  "]
        if len(shown) == 1 and shown[0].about:
            parts.append((shown[0].about, "$faint"))
        return line(*parts).truncate(width, ellipsis=True)

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
        if self.words != self._completed and self.query_one(Input).has_focus:
            self._look_up()
        self.post_message(self.Changed(self.words))

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        self._draw_below()
        if not self.words:
            self._close()

    def _close(self) -> None:
        self.remove_class("-open")
        self.screen.remove_class("-filtering")
        self.display = self.query_one(Input).can_focus = False
