"""The order of a list, chosen by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.content import Content

from themis_tui.glyphs import DOWN, UP
from themis_tui.screens.menu import Menu
from themis_tui.text import line


class Order(NamedTuple):
    """By which column, and whether the largest comes first; no title is the store's own order."""

    title: str = ""
    down: bool = False


class SortMenu(Menu[Order]):
    """One line for each column; the one in use, chosen again, turns round."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("S", "leave", "back", tooltip="Leave the order as it is", show=False, id="sort.back"),
    ]

    def __init__(self, titles: Sequence[tuple[str, bool]], now: Order) -> None:
        """``titles``: of each column, and whether its largest values come first at first."""
        # What the line of the order in use means is that order, turned round.
        turned = Order(now.title, not now.down) if now.title else now
        orders = [turned if title == now.title else Order(title, down) for title, down in [Order(), *titles]]
        title = line(("Sort by", "bold"), ("   again: reversed", "$faint"))
        super().__init__(title, [(order, _line(order, now)) for order in orders], turned)


def _line(order: Order, now: Order) -> Content:
    chosen = order.title == now.title
    sign = "" if not order.title else f"  {DOWN if now.down else UP}" if chosen else ""
    return line((order.title.lower() or "newest first, as stored", "bold" if chosen else ""), (sign, "bold"))
