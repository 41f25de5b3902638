"""Daemon threads that look again and again, and post what changed.

The loop's own worker threads are few, so what lives as long as a screen has a thread of its own.
"""

from __future__ import annotations

import gc
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.message import Message

from themis.backends.storage.base import summarised
from themis.core.codec import paused_gc
from themis.core.errors import RunNotFound
from themis.runs.catalog import RunRow, Store, list_rows, remembered_rows, row_of
from themis_tui.doors import MOST_REMEMBERED, Door

LIST_EVERY_S = 1.0
BACK_OFF = 80
"""What took t seconds is done again after at least this many times t, so that looking costs about 1 %."""
CHUNK = 100
"""Rows read before the loop gets its turn."""
PAUSE_S = 0.001
MANY = 1_000
"""Rows among which looking for garbage would hold up the loop."""
SHOW_EVERY_S = 0.25
"""Seconds after which the rows that a long first look has found so far are shown."""
MOST_LIVE = 50
"""Live runs looked at one by one between two looks at the whole store."""

Post = Callable[[Message], object]


@dataclass
class RunsListed(Message):
    """The runs of a store."""

    store: str
    rows: Sequence[RunRow]
    cached: bool
    """Whether they are what an earlier look saw."""
    whole: bool = True
    """Whether these are all of them."""


@dataclass
class LookFailed(Message):
    """A store could not say what was asked; it is asked again."""

    error: Exception


class Watcher(threading.Thread, ABC):
    """Calls ``step`` until it is stopped; a failure is posted, and the next try waits longer."""

    def __init__(self, name: str, post: Post) -> None:
        super().__init__(name=name, daemon=True)
        self._post = post
        self._wake = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self.stopped = threading.Event()

    @abstractmethod
    def step(self) -> float:
        """Look once; returns how many seconds to wait."""

    def run(self) -> None:
        failures = 0
        while not self.stopped.is_set():
            self._awake.wait()
            self._wake.clear()
            if self.stopped.is_set():
                return
            try:
                pause = self.step()
                failures = 0
            except Exception as exc:  # whatever a store raises is shown; the next look may go well
                failures += 1
                pause = min(30.0, 2.0**failures)
                self.post(LookFailed(exc))
            self._wake.wait(pause)

    def post(self, message: Message) -> None:
        """Hand a message to the screen, unless it is gone."""
        if not self.stopped.is_set():
            try:
                self._post(message)
            except RuntimeError:  # the loop has ended
                self.stopped.set()

    def look_now(self) -> None:
        """Do not wait for the next turn."""
        self._wake.set()

    def rest(self, resting: bool) -> None:
        """Look no more while nobody sees it; look at once when somebody does again."""
        if resting:
            self._awake.clear()
        else:
            self._awake.set()
            self._wake.set()

    def stop(self) -> None:
        """End at the next chance. Nothing waits for it."""
        self.stopped.set()
        self._awake.set()
        self._wake.set()


class RunsWatcher(Watcher):
    """The runs of one store: what was seen last at once, then the truth."""

    def __init__(self, door: Door, post: Post) -> None:
        super().__init__("themis-runs", post)
        self._door = door
        self._rows: list[RunRow] | None = None
        self._list_at = 0.0

    def step(self) -> float:
        store = self._door.open()
        if self._rows is None:
            remembered = remembered_rows(store, MOST_REMEMBERED)
            if remembered:
                self.post(RunsListed(store.name, remembered, True, False))
        if self._rows is None or time.monotonic() >= self._list_at:
            self._list(store)
        else:
            self._renew_live(store, self._rows)
        return LIST_EVERY_S

    def _list(self, store: Store) -> None:
        started = time.monotonic()
        rows = self._read(store)
        if rows != self._rows:
            self._rows = rows
            self.post(RunsListed(store.name, rows, False))
        ended = time.monotonic()
        self._list_at = ended + max(LIST_EVERY_S / 2, BACK_OFF * (ended - started))

    def _read(self, store: Store) -> list[RunRow]:
        """Every run. The loop gets its turn between any two chunks, and what a first look has found."""
        rows: list[RunRow] = []
        known = {row.run_id: row for row in self._rows or ()}
        first, shown_at = self._rows is None, time.monotonic()
        with paused_gc():
            for row in list_rows(store):
                # What is as it was stays the object it was, which garbage is no longer looked for in.
                before = known.get(row.run_id)
                rows.append(before if before == row else row)
                if len(rows) % CHUNK == 0:
                    if self.stopped.is_set():
                        break
                    time.sleep(PAUSE_S)
                    if first and time.monotonic() - shown_at > SHOW_EVERY_S:
                        shown_at = time.monotonic()
                        self.post(RunsListed(store.name, list(rows), False, False))
        if first and len(rows) >= MANY:
            gc.freeze()
        return rows

    def _renew_live(self, store: Store, rows: list[RunRow]) -> None:
        renewed = list(rows)
        live = [place for place, row in enumerate(rows) if row.status.live][:MOST_LIVE]
        for place in live:
            run_id = rows[place].run_id
            try:
                metadata = store.backend.load_run_metadata(run_id)
            except RunNotFound:
                self._list_at = 0.0
                return
            renewed[place] = row_of(store.name, summarised(run_id, metadata))
        if any(renewed[place] != rows[place] for place in live):
            self._rows = renewed
            self.post(RunsListed(store.name, renewed, False))

    def look_now(self) -> None:
        self._list_at = 0.0
        if self._rows is not None:
            self._rows = []  # so that the answer is posted even if nothing changed
        super().look_now()
