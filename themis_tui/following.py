"""Following one run, in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from textual.message import Message

from themis.backends.storage.annotations import annotations_in
from themis.backends.storage.base import StorageBackend
from themis.core.codec import paused_gc
from themis.core.errors import RunNotFound, StoreCorrupt
from themis.core.progress import ProgressSnapshot
from themis.runs.samples import SampleRow, sample_rows
from themis.runs.watch import RunView, glance, look
from themis_tui.doors import Door
from themis_tui.watching import Post, Watcher

GLANCE_EVERY_S = 0.25
LOOK_EVERY_S = 1.0
ENDED_LOOK_EVERY_S = 5.0
SAMPLES_BACK_OFF = 25
"""What took t seconds is done again after at least this many times t."""


@dataclass
class RunSeen(Message):
    """A run as it is now."""

    store: str
    view: RunView
    notes: dict[str, Any] = field(default_factory=dict)
    """What people said of it."""


@dataclass
class Progressed(Message):
    """A live run got further."""

    progress: ProgressSnapshot


@dataclass
class SamplesRead(Message):
    """The samples of a run."""

    rows: Sequence[SampleRow]


class RunWatcher(Watcher):
    """One run: its progress file often, its store seldom, its samples as seldom as they are costly."""

    def __init__(self, door: Door, run_id: str, post: Post) -> None:
        super().__init__("themis-run", post)
        self._door = door
        self._run_id = run_id
        self._view: RunView | None = None
        self._notes: dict[str, Any] | None = None
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
        notes = _notes(store.backend, view)
        self._looked_at = now
        if (view, notes) != (self._view, self._notes):
            self._view, self._notes = view, notes
            self._seq = view.progress.seq if view.progress is not None else -1
            self.post(RunSeen(store.name, view, notes))
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


def _notes(backend: StorageBackend, view: RunView) -> dict[str, Any]:
    try:
        return annotations_in(backend, view.run_id, view.metadata)
    except (RunNotFound, StoreCorrupt):  # the run itself can still be seen
        return {}
