"""Daemon threads that look again and again, and post what changed.

The loop's own worker threads are few, so what lives as long as a screen has a thread of its own.
"""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.message import Message

from themis.backends.storage.base import summarised
from themis.core.codec import paused_gc
from themis.core.errors import RunNotFound
from themis.core.progress import ProgressSnapshot
from themis.runs.catalog import RunRow, Store, list_rows, row_of
from themis.runs.samples import SampleRow, sample_rows
from themis.runs.watch import RunView, glance, look
from themis_tui.doors import Door

LIST_EVERY_S = 1.0
GLANCE_EVERY_S = 0.25
LOOK_EVERY_S = 1.0
BACK_OFF = 80
"""What took t seconds is done again after at least this many times t, so that looking costs about 1 %."""
SAMPLES_BACK_OFF = 25
MOST_CACHED = 300
"""Rows shown at once of what an earlier look saw; enough for any screen until the truth is there."""
MOST_LIVE = 50
"""Live runs looked at one by one between two looks at the whole store."""
ENDED_LOOK_EVERY_S = 5.0

Post = Callable[[Message], object]


@dataclass
class RunsListed(Message):
    """The runs of a store; ``cached`` if they are what an earlier look saw."""

    store: str
    rows: Sequence[RunRow]
    cached: bool


@dataclass
class RunSeen(Message):
    """A run as it is now."""

    store: str
    view: RunView


@dataclass
class Progressed(Message):
    """A live run got further."""

    progress: ProgressSnapshot


@dataclass
class SamplesRead(Message):
    """The samples of a run."""

    rows: Sequence[SampleRow]


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
            remembered = list(itertools.islice(list_rows(store, cached=True), MOST_CACHED))
            if remembered:
                self.post(RunsListed(store.name, remembered, True))
        if self._rows is None or time.monotonic() >= self._list_at:
            self._list(store)
        else:
            self._renew_live(store, self._rows)
        return LIST_EVERY_S

    def _list(self, store: Store) -> None:
        started = time.monotonic()
        with paused_gc():
            rows = list(list_rows(store))
        if rows != self._rows:
            self._rows = rows
            self.post(RunsListed(store.name, rows, False))
        ended = time.monotonic()
        self._list_at = ended + max(LIST_EVERY_S / 2, BACK_OFF * (ended - started))

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


class RunWatcher(Watcher):
    """One run: its progress file often, its store seldom, its samples as seldom as they are costly."""

    def __init__(self, door: Door, run_id: str, post: Post) -> None:
        super().__init__("themis-run", post)
        self._door = door
        self._run_id = run_id
        self._view: RunView | None = None
        self._seq = -1
        self._looked_at = 0.0
        self._samples_at = 0.0
        self._samples_cost = 0.0
        self._samples_of: object = None

    def step(self) -> float:
        now = time.monotonic()
        view = self._view
        live = view is None or view.status.live
        if view is None or now - self._looked_at >= (LOOK_EVERY_S if live else ENDED_LOOK_EVERY_S):
            view = self._look(now)
        elif live:
            self._glance(view)
        self._read_samples(view, now)
        return GLANCE_EVERY_S if view.status.live else LOOK_EVERY_S

    def look_now(self) -> None:
        self._looked_at = 0.0
        self._samples_of = None
        super().look_now()

    def _look(self, now: float) -> RunView:
        store = self._door.open()
        view = look(store.backend, self._run_id)
        self._looked_at = now
        if view != self._view:
            self._view = view
            self._seq = view.progress.seq if view.progress is not None else -1
            self.post(RunSeen(store.name, view))
        return view

    def _glance(self, view: RunView) -> None:
        progress = glance(view)
        if progress is not None and progress.seq != self._seq:
            self._seq = progress.seq
            if progress.status != "running":
                self._looked_at = 0.0
            self.post(Progressed(progress))

    def _read_samples(self, view: RunView, now: float) -> None:
        summary = view.metadata.get("summary") or {}
        version = (view.status.word, summary.get("done"), view.metadata.get("ended_at"))
        due = now - self._samples_at >= max(LOOK_EVERY_S, SAMPLES_BACK_OFF * self._samples_cost)
        if version == self._samples_of or not (due or not view.status.live):
            return
        started = time.perf_counter()
        with paused_gc():
            rows = sample_rows(self._door.open().backend, self._run_id, summary.get("headline"))
        self._samples_cost = time.perf_counter() - started
        self._samples_at = now
        self._samples_of = version
        self.post(SamplesRead(rows))
