"""Stores by name, opened once and only off the loop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from themis.runs.catalog import RunRow, Store

MOST_REMEMBERED = 60
"""Rows shown at once of what an earlier look saw; enough for any screen until the truth is there."""


class Door:
    """One store. Opening may take long or fail; it is tried again at the next call."""

    def __init__(self, name: str | None) -> None:
        """``name``: ``None`` is the default store."""
        self.name = name
        self._lock = threading.Lock()
        self._store: Store | None = None

    def open(self) -> Store:
        """The store. To be called from a worker, never on the loop."""
        with self._lock:
            if self._store is None:
                from themis.runs.catalog import open_store

                self._store = open_store(self.name)
            return self._store


class Doors:
    """Every store that the app has to do with."""

    def __init__(self) -> None:
        self._doors: dict[str | None, Door] = {}

    def to(self, name: str | None) -> Door:
        """The door of a store."""
        return self._doors.setdefault(name, Door(name))


class FirstLook(threading.Thread):
    """What a store remembers of its newest runs, read while the rest of the app is still being loaded."""

    def __init__(self, door: Door) -> None:
        super().__init__(name="themis-first-look", daemon=True)
        self._door = door
        self.store = ""
        self.rows: list[RunRow] = []

    def run(self) -> None:
        try:
            store = self._door.open()
            from themis.runs.catalog import remembered_rows

            self.rows = remembered_rows(store, MOST_REMEMBERED)
            self.store = store.name
        except Exception:  # the watcher asks the same again, and what it is told is shown
            return
