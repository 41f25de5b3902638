"""The order of a list, chosen by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from themis_tui.glyphs import DOWN, UP
from themis_tui.text import line


class Order(NamedTuple):
    """By which column, and whether the largest comes first; no title is the store's own order."""

    title: str = ""
    down: bool = False


class SortMenu(ModalScreen[Order | None]):
    """One line for each column; the one in use, chosen again, turns round."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,S", "leave", "back", tooltip="Leave the order as it is", id="sort.back"),
        Binding("j", "cursor(1)", "down", show=False, id="sort.down"),
        Binding("k", "cursor(-1)", "up", show=False, id="sort.up"),
    ]
    CSS_PATH = "sort_menu.tcss"

    options = getters.query_one(OptionList)

    def __init__(self, titles: Sequence[tuple[str, bool]], now: Order) -> None:
        """``titles``: of each column, and whether its largest values come first at first."""
        super().__init__()
        self._orders = [Order(), *(Order(title, down) for title, down in titles)]
        self._now = now

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(line(("Sort by", "bold"), ("   again: reversed", "$faint")))
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        for order in self._orders:
            self.options.add_option(_line(order, self._now))
        titles = [order.title for order in self._orders]
        self.options.highlighted = titles.index(self._now.title) if self._now.title in titles else 0
        self.options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        order = self._orders[event.option_index]
        if order.title and order.title == self._now.title:
            order = Order(order.title, not self._now.down)
        self._leave(order)

    def action_cursor(self, step: int) -> None:
        if step > 0:
            self.options.action_cursor_down()
        else:
            self.options.action_cursor_up()

    def action_leave(self) -> None:
        self._leave(None)

    def _leave(self, order: Order | None) -> None:
        if self.is_active:
            self.dismiss(order)


def _line(order: Order, now: Order) -> Content:
    chosen = order.title == now.title
    sign = "" if not order.title else f"  {DOWN if now.down else UP}" if chosen else ""
    return line((order.title.lower() or "newest first, as stored", "bold" if chosen else ""), (sign, "bold"))
