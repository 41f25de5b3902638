"""Stores by name, opened once and only off the loop."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from themis.runs.catalog import RunRow, Store

MOST_REMEMBERED = 60
"""Rows shown at once of what an earlier look saw; enough for any screen until the truth is there."""

MOST_TAGS = 500
"""Tags that are offered."""


def wanted_stores(named: Sequence[str]) -> list[str]:
    """The names of the stores that a person means. Reads the profiles: off the loop only."""
    from themis.runs import stores

    return stores.wanted_stores(named)


class Door:
    """One store. Opening may take long or fail; it is tried again at the next call.

    What is open is forgotten once the user's profiles say something else of it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._stamp: object = None
        """Of the profiles by which it is open."""

    def open(self) -> Store:
        """The store. To be called from a worker, never on the loop."""
        from themis.backends.registry import profiles_stamp

        with self._lock:
            stamp = profiles_stamp()
            if self._store is not None and stamp != self._stamp and not self._store.is_current():
                _close_beside(self._store)
                self._store = None
            self._stamp = stamp
            if self._store is None:
                from themis.runs.catalog import open_store

                self._store = open_store(self.name)
            return self._store


class DefaultDoor(Door):
    """The store that is the default one now: the same as by its name."""

    def __init__(self, doors: Doors) -> None:
        super().__init__("")
        self._doors = doors

    def open(self) -> Store:
        from themis.backends.registry import default_storage, profiles_stamp

        with self._lock:
            stamp = profiles_stamp()
            if not self.name or stamp != self._stamp:
                self.name, self._stamp = default_storage(), stamp
        return self._doors.open(self.name)


def _close_beside(store: Store) -> None:
    """Closing may take long. Whoever still reads from it opens it again by that."""

    def close() -> None:
        with suppress(Exception):  # nobody is left to be told, and nothing was written here
            store.backend.close()

    threading.Thread(target=close, name="themis-close-store", daemon=True).start()


class Doors:
    """Every store that the app has to do with."""

    def __init__(self) -> None:
        self._doors: dict[str | None, Door] = {None: DefaultDoor(self)}
        self.listed: Sequence[RunRow] = ()
        """The runs of all stores, as last seen."""
        self.twins: Mapping[str, Sequence[RunRow]] = {}
        """See :meth:`themis.runs.union.Catalog.twins`."""

    def tags(self) -> list[str]:
        """Every tag of the runs as last seen, the most used first. Off the loop: they may be many."""
        used = Counter(tag for row in self.listed if row.annotations for tag in row.tags)
        return [tag for tag, _ in used.most_common(MOST_TAGS)]

    def also_in(self, uid: str | None, address: str) -> list[str]:
        """The stores that have the same run too, as far as they have been seen."""
        twins = self.twins.get(uid, ()) if uid is not None else ()
        return list(dict.fromkeys(row.store for row in twins if row.address != address))

    def to(self, name: str | None) -> Door:
        """The door of a store; ``None`` is the default one."""
        return self._doors.setdefault(name, Door(name or ""))

    def open(self, name: str) -> Store:
        """A store by its name. To be called from a worker, never on the loop."""
        return self.to(name).open()


class FirstLook(threading.Thread):
    """What a store remembers of its newest runs, read while the rest of the app is still being loaded."""

    def __init__(self, door: Door, named: Sequence[str] = ()) -> None:
        """``named``: the stores whose runs will be listed; all there are if none is."""
        super().__init__(name="themis-first-look", daemon=True)
        self._door = door
        self._named = named
        self.stores: list[str] = []
        self.rows: list[RunRow] = []

    def run(self) -> None:
        try:
            from themis.runs.catalog import remembered_rows

            self.rows = remembered_rows(self._door.open(), MOST_REMEMBERED)
            self.stores = wanted_stores(self._named)
        except Exception:  # the watcher asks the same again, and what it is told is shown
            return
