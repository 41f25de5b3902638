"""The model behind a table: rows with stable keys, a filter, and marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class Rows(Generic[R]):
    """All rows, and those that the filter lets through, in order."""

    def __init__(self, key: Callable[[R], str]) -> None:
        """``key``: what tells one row from another, whatever else of it changes."""
        self.key = key
        self.all: list[R] = []
        self.shown: list[R] = []
        self.marks: set[str] = set()
        self._to_mark: set[str] = set()
        self._test: Callable[[R], bool] | None = None
        self._order: Callable[[R], Any] | None = None
        self._down = False

    def replace(self, rows: Iterable[R]) -> None:
        """Put other rows in place of all; marks of rows that are gone go with them."""
        self.all = list(rows)
        if self.marks or self._to_mark:
            keys = {self.key(row) for row in self.all}
            self.marks = (self.marks | self._to_mark) & keys
            self._to_mark -= keys
        self._show()

    def mark_when_there(self, keys: Iterable[str]) -> None:
        """Mark rows that are still to come."""
        self._to_mark = set(keys)

    def filter(self, test: Callable[[R], bool] | None) -> None:
        """Show only rows that pass; ``None`` shows all."""
        self._test = test
        self._show()

    def sort(self, order: Callable[[R], Any] | None, down: bool = False) -> None:
        """Sort by a value, the largest first for ``down``; unknown ones are last. ``None``: as given."""
        self._order, self._down = order, down
        self._show()

    def place(self, key: str | None, near: int = 0) -> int | None:
        """Where among the shown rows a key stands; found the sooner, the nearer it is to ``near``."""
        if key is None:
            return None
        shown, key_of = self.shown, self.key
        near = min(max(0, near), len(shown))
        above, below = near - 1, near
        while above >= 0 or below < len(shown):
            if below < len(shown):
                if key_of(shown[below]) == key:
                    return below
                below += 1
            if above >= 0:
                if key_of(shown[above]) == key:
                    return above
                above -= 1
        return None

    def _show(self) -> None:
        test = self._test
        self.shown = self.all if test is None else [row for row in self.all if test(row)]
        if self._order is not None:
            self.shown = _sorted(self.shown, self._order, self._down)


def _sorted(rows: list[R], order: Callable[[R], Any], down: bool) -> list[R]:
    keyed = [(order(row), row) for row in rows]
    known = [each for each in keyed if each[0] is not None]
    known.sort(key=lambda each: each[0], reverse=down)
    return [row for _, row in known] + [row for value, row in keyed if value is None]
