"""Daemon threads that look again and again, and post what changed.

The loop's own worker threads are few, so what lives as long as a screen has a thread of its own.
"""

from __future__ import annotations

import gc
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual.message import Message

from themis.core.codec import paused_gc
from themis_tui.doors import Doors, wanted_stores

if TYPE_CHECKING:
    from themis.runs.news import News, Seen
    from themis.runs.row import RunRow
    from themis.runs.union import Catalog, StoreState

LOOK_EVERY_S = 1.0
PAUSE_S = 0.001
"""Rest between the chunks of a look, so that the loop gets its turn."""
MANY = 1_000
"""Rows among which looking for garbage would hold up the loop."""
SHOW_EVERY_S = 0.25
"""The list is drawn anew at most this often."""
FIRST_WITHIN_S = 0.1
"""What the stores say within this time is shown at once, not one after the other."""
SETTLED_WITHIN_S = 0.02
"""And then this much longer, lest what they remember is shown and at once corrected."""
CALM_AFTER_S = 30.0
"""Seconds after which garbage is looked for again, whatever the stores do."""
MARK_EVERY_S = 5.0
"""What has been on the screen is written down as seen at most this often."""

Post = Callable[[Message], object]


@dataclass
class RunsListed(Message):
    """The runs of all stores, newest first."""

    rows: Sequence[RunRow]
    """Those that are not in the trash."""
    everything: Sequence[RunRow] = ()
    """Those in the trash too."""
    stores: Sequence[StoreState] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)
    """How many of ``rows`` have which status: counted here, not on the loop whenever a line is drawn."""
    news: News | None = None
    """What is not as it was when the person last looked; ``None`` until every store has answered."""

    @property
    def settled(self) -> bool:
        """Whether every store has said something by now."""
        return bool(self.stores) and all(each.state != "looking" for each in self.stores)


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
    """The runs of all stores in one list: what was seen last at once, then the truth."""

    def __init__(self, doors: Doors, stores: Sequence[str], post: Post, first: Sequence[RunRow] = ()) -> None:
        """``stores``: all there are if none is named. ``first``: rows that are shown already."""
        super().__init__("themis-runs", post)
        self._doors, self._stores = doors, stores
        self._shown = first
        self._known: dict[str, list[RunRow]] = {}
        """Rows shown of a store until it says anything."""
        self._catalog: Catalog | None = None
        self._calm, self._calm_at = False, time.monotonic() + CALM_AFTER_S
        """Whether garbage is looked for again, and when it is at the latest."""
        self._held = ExitStack()
        self._ask_anew = False
        self._profiles: object = None
        """The stamp of the profiles by which the stores are listed."""
        self._look_at = self._mark_at = 0.0
        self._unmarked: RunsListed | None = None
        self._news: News | None = None
        self.seen: Seen | None = None
        """How the runs were before this app looked; ``None`` until the first look."""

    def step(self) -> float:
        self._hold_garbage(False)
        catalog = self._opened()
        now = time.monotonic()
        if now >= self._look_at:
            catalog.look(now=False)
            if not self._look_at:
                # A small store has soon said all it has; of a large one, what it remembers is enough.
                catalog.wait_heard(FIRST_WITHIN_S)
                catalog.wait(SETTLED_WITHIN_S)
            self._look_at = now + LOOK_EVERY_S
        if catalog.changes(within_s=max(0.0, self._look_at - now)):
            self._tell(catalog)
            return SHOW_EVERY_S
        if self._unmarked is not None and now >= self._mark_at:
            self._mark(self._unmarked)
        return 0.0

    def _opened(self) -> Catalog:
        """The catalog of the stores that are wanted, which are others where the profiles say so since."""
        from themis.backends.registry import profiles_stamp

        catalog, stamp = self._catalog, profiles_stamp()
        if catalog is not None and not self._ask_anew and stamp == self._profiles:
            return catalog
        self._ask_anew, others, self._profiles = False, stamp != self._profiles, stamp
        names = wanted_stores(self._stores)
        if catalog is None:
            from themis.runs.union import Catalog

            for row in self._shown:
                self._known.setdefault(row.store, []).append(row)
            self._catalog = catalog = Catalog(names, opener=self._doors.open, pause_s=PAUSE_S)
        elif others or catalog.names != names:
            for name in catalog.renew(names):
                self._known.pop(name, None)
            self._know_before(names)
            catalog.look()
        return catalog

    def _know_before(self, names: Sequence[str]) -> None:
        """How the runs of stores were before: read here, not on the loop when it is filtered by."""
        if self.seen is not None:
            for name in names:
                self.seen.last_look(name)

    def _tell(self, catalog: Catalog) -> None:
        states, rows = catalog.states(), catalog.rows()
        waited_for = [row for each in states if _is_silent(each) for row in self._known.get(each.name, ())]
        if waited_for:
            rows = sorted([*rows, *waited_for], key=lambda row: row.created, reverse=True)
        shown = [row for row in rows if not row.trashed]
        if len(shown) < len(rows):
            in_trash = Counter(row.store for row in rows if row.trashed)
            states = [replace(each, rows=max(0, each.rows - in_trash[each.name])) for each in states]
        listed = RunsListed(shown, rows, states, Counter(row.status.word for row in shown))
        if listed.settled and self._news is None:
            self._news = self._news_in(listed)
        listed.news = self._news
        self._shown = rows
        self._doors.listed, self._doors.twins = rows, catalog.twins()
        self.post(listed)
        self._hold_garbage(all(each.whole or each.state == "failed" for each in states))
        if listed.settled:
            self._unmarked = listed

    def _news_in(self, listed: RunsListed) -> News:
        from themis.runs.news import Seen

        self.seen = Seen()
        self._know_before([each.name for each in listed.stores])
        return self.seen.news(listed.rows)

    def _hold_garbage(self, settled: bool) -> None:
        """Look for no garbage until the stores have been read: their rows stay, and many are looked through
        for long. Then never in what was read by now.
        """
        if self._calm:
            return
        self._calm = settled or time.monotonic() > self._calm_at
        if not self._calm:
            if gc.isenabled():
                self._held.enter_context(paused_gc())
            return
        if len(self._shown) >= MANY:
            gc.freeze()
        self._held.close()

    def _mark(self, listed: RunsListed) -> None:
        """Remember what has been on the screen, of those stores that said it themselves."""
        from themis.runs.news import Seen

        ready = {each.name for each in listed.stores if each.verified and each.whole}
        # Another than ours, for which what is new stays so as long as the app is open.
        Seen().mark([row for row in listed.everything if row.store in ready], stores=ready)
        self._unmarked, self._mark_at = None, time.monotonic() + MARK_EVERY_S

    def look_now(self) -> None:
        self._ask_anew = True
        if self._catalog is not None:
            self._catalog.look()
        super().look_now()

    def rest(self, resting: bool) -> None:
        self._ask_anew = self._ask_anew or not resting
        super().rest(resting)

    def stop(self) -> None:
        super().stop()
        self._hold_garbage(True)
        if self._catalog is not None:
            self._catalog.close()


def _is_silent(store: StoreState) -> bool:
    return store.state == "looking" and not store.rows
