"""Stores by name, opened once and only off the loop."""

from __future__ import annotations

import threading

from themis.runs.catalog import Store, open_store


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
                self._store = open_store(self.name)
            return self._store


class Doors:
    """Every store that the app has to do with."""

    def __init__(self) -> None:
        self._doors: dict[str | None, Door] = {}

    def to(self, name: str | None) -> Door:
        """The door of a store."""
        return self._doors.setdefault(name, Door(name))
