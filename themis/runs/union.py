"""The runs of any number of stores in one list, newest first, and how it changes.

Each store is looked at in a thread of its own, so that one that is slow or broken holds up no other. What a
store remembers of its last look is there at once, and corrected when the store has been read.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from themis.backends.storage.base import summarised, unreadable
from themis.backends.storage.files import nearest_existing
from themis.core.errors import (
    AccessDenied,
    RunNotFound,
    SchemaTooNew,
    StoreCorrupt,
    StoreUnreachable,
    described,
)
from themis.core.options import redacted
from themis.runs.catalog import Store, all_rows, open_store, remembered_rows
from themis.runs.row import RunRow, row_of, seen_now
from themis.runs.stores import MOST_AT_ONCE, SLOW_AFTER_S

REMEMBERED = 100
"""Rows of a store that are shown before it has been read; enough for any screen."""
FIRST_ROWS = 50
"""Rows after which a store that is being read for the first time shows what there is, and"""
SHOW_EVERY_S = 0.25
"""seconds after which it does so again."""
TURN_S = 0.2
"""Seconds that a store on this machine may be read before the next is read beside it."""
CHUNK = 100
"""Rows made between two pauses."""
BACK_OFF = 80
"""A look that took t seconds is repeated after at least this many times t: looking costs about 1 %."""
MOST_RETRY_S = 30.0
"""A store that failed is tried again after 1, 2, 4 … seconds, at most this many."""
MOST_LIVE = 50
"""Live runs of a store that are looked at one by one between two looks at all of it."""


class State(StrEnum):
    """How a store is doing."""

    LOOKING = "looking"
    """It has not said anything yet."""
    READY = "ready"
    SLOW = "slow"
    """It has been asked, and nothing was heard for :data:`SLOW_AFTER_S` seconds."""
    FAILED = "failed"


@dataclass(frozen=True)
class StoreState:
    """One store of a catalog at one moment."""

    name: str
    state: State
    reason: str | None
    """Why it failed, without passwords."""
    error: BaseException | None
    rows: int
    """How many of its runs are known, perhaps from before it failed."""
    verified: bool
    """Whether they are as the store said, not as an earlier look remembered them."""
    whole: bool
    """Whether they are all there are."""
    took_s: float | None
    """How long its last whole look took."""
    store: Store | None
    """Where it could be opened."""


class Change(NamedTuple):
    """What became different in one store: for a screen that keeps its cursor."""

    store: StoreState
    added: list[RunRow]
    changed: list[RunRow]
    """Rows that say something else than before."""
    gone: list[RunRow]


@dataclass(eq=False)
class _Shelf:
    """One store of a catalog. Its rows are never changed in place: another list takes their place."""

    name: str
    store: Store | None = None
    rows: Sequence[RunRow] = ()
    told: Sequence[RunRow] = ()
    """The rows that the listener knows."""
    told_state: StoreState | None = None
    error: BaseException | None = None
    verified: bool = False
    whole: bool = False
    stamps: dict[str, Any] = field(default_factory=dict)
    wanted: bool = False
    """Whether it is to be looked at as soon as there is room."""
    looking: bool = False
    heard_at: float = 0.0
    took_s: float | None = None
    due_at: float = 0.0
    failures: int = 0
    ours: bool = True
    """Whether the catalog opened it, and closes it."""
    left: bool = False
    """Whether it is no longer of the catalog, and closed as soon as nobody looks at it."""


class Catalog:
    """The runs of several stores.

    ::

        with Catalog(["local", "s3://bucket/evals"]) as catalog:
            catalog.look()
            for change in catalog.changes(within_s=1.0):
                ...
            catalog.rows()

    Any thread may call anything; :meth:`changes` has one listener. Nothing here waits for a store: a thread
    that hangs in one is a daemon, and keeps no program from ending.
    """

    def __init__(
        self,
        stores: Iterable[str | Store],
        *,
        opener: Callable[[str], Store] = open_store,
        clock: Callable[[], float] = time.monotonic,
        remember: int = REMEMBERED,
        pause_s: float = 0.0,
    ) -> None:
        """``stores``: names, or stores that are open and stay so; one named twice counts once.

        ``clock``: seconds, for what is slow and what is due. ``remember``: rows shown before a store has been
        read. ``pause_s``: rest after every :data:`CHUNK` rows, so that a screen's loop gets its turn.
        """
        self._opener, self._clock = opener, clock
        self._remember, self._pause_s = remember, pause_s
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._closed = False
        self._merged: tuple[list[Sequence[RunRow]], list[RunRow]] = ([], [])
        self._twins: tuple[list[RunRow], Mapping[str, Sequence[RunRow]]] = ([], {})
        self._shelves: dict[str, _Shelf] = {}
        self._untold: list[_Shelf] = []
        """Those that left, as long as the listener does not know."""
        for each in stores:
            given = isinstance(each, Store)
            name = each.name if isinstance(each, Store) else each
            shelf = _Shelf(name, each if isinstance(each, Store) else None, ours=not given)
            self._shelves.setdefault(name, shelf)

    @property
    def names(self) -> list[str]:
        """The names of the stores."""
        return list(self._shelves)

    def renew(self, names: Iterable[str]) -> list[str]:
        """Take these stores instead, in this order; the names of those that left or are begun anew.

        A store that stays keeps what is known of it, unless its name means another by now. Reads the
        profiles; looks at nothing, see :meth:`look`.
        """
        before = self._shelves
        shelves = {name: self._renewed(before.get(name), name) for name in names}
        with self._changed:
            gone = [shelf for name, shelf in before.items() if shelves.get(name) is not shelf]
            for shelf in gone:
                shelf.left = True
            self._untold += [shelf for shelf in gone if shelf.name not in shelves and shelf.told_state]
            self._shelves = shelves
            idle = [shelf for shelf in gone if not shelf.looking]
            self._changed.notify_all()
        _close_all(idle)
        return [each.name for each in gone if each.name not in shelves or not shelves[each.name].rows]

    def _renewed(self, shelf: _Shelf | None, name: str) -> _Shelf:
        """The shelf of a store: as it is, if its name means what it meant when it was opened."""
        if shelf is None:
            return _Shelf(name)
        store = shelf.store
        if not shelf.ours or (not shelf.looking if store is None else store.is_current()):
            return shelf  # one that is being opened may be so by what the profile said before
        anew = _Shelf(name, told=shelf.told, told_state=shelf.told_state)
        if store is not None and store.is_in_place():
            anew.rows, anew.whole = shelf.rows, shelf.whole  # until it has been read by its new rules
        return anew

    def look(self, *, now: bool = True, stores: Iterable[str] | None = None) -> None:
        """Look at the stores (all, or those named); returns at once.

        ``now=False`` is for calling again and again: a store is then left alone until it is due, by what its
        last look cost and how often it failed; of its runs only those that are live are looked at.
        """
        with self._changed:
            for name in self._shelves if stores is None else stores:
                shelf = self._shelves[name]
                if now:
                    shelf.due_at = -1.0
                shelf.wanted |= now or self._clock() >= shelf.due_at or _has_live(shelf)
            self._start()

    def changes(self, within_s: float = 0.0) -> list[Change]:
        """What became different since the last call; waits ``within_s`` seconds for something to.

        The first call tells of every store. What changed and changed back, or came and went, is not told.
        """
        deadline = time.monotonic() + within_s
        while True:
            with self._changed:
                self._start()
                gone, self._untold = [self._end_of(shelf) for shelf in self._untold], []
                there = map(self._news_of, self._shelves.values())
                found = [*gone, *(each for each in there if each is not None)]
                if not found:
                    left = deadline - time.monotonic()
                    if left <= 0 or self._closed:
                        return []
                    self._changed.wait(min(left, self._next_slow_s()))
                    continue
            return [Change(state, *_difference(told, rows)) for state, told, rows in found]

    def wait(self, within_s: float) -> bool:
        """Wait until no store is being looked at, or the rest is slow; whether all have answered."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while True:
                self._start()
                busy = [each for each in self._shelves.values() if each.looking or each.wanted]
                left = deadline - time.monotonic()
                if left <= 0 or all(self._is_slow(each) for each in busy):
                    return not busy
                self._changed.wait(min(left, self._next_slow_s()))

    def wait_heard(self, within_s: float) -> bool:
        """Wait until every store has said something, if only what it remembers; whether all have."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while True:
                self._start()
                if all(map(_is_heard, self._shelves.values())):
                    return True
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    return False
                self._changed.wait(left)

    def states(self) -> list[StoreState]:
        """How each store is doing, in the order they were given."""
        with self._changed:
            return [self._state_of(shelf) for shelf in self._shelves.values()]

    def rows(self) -> list[RunRow]:
        """The runs of all stores that are known by now, newest first; of equals, the first store's first.

        Those in the trash too: whoever shows them leaves out what is ``trashed``, see
        :func:`themis.runs.query.asks_for`.
        """
        with self._changed:
            parts = [shelf.rows for shelf in self._shelves.values()]
        known, merged = self._merged
        if len(known) != len(parts) or any(a is not b for a, b in zip(known, parts, strict=True)):
            # Python's sort finds the runs that are in order already, and merges them.
            merged = sorted((row for part in parts for row in part), key=_created, reverse=True)
            self._merged = (parts, merged)
        return list(merged)

    def copies(self, row: RunRow) -> list[RunRow]:
        """The same run elsewhere: rows with its ``uid`` at another address."""
        if row.uid is None:
            return []
        with self._changed:
            parts = [shelf.rows for shelf in self._shelves.values()]
        here = (row.store, row.run_id)
        return [
            each
            for part in parts
            for each in part
            if each.uid == row.uid and (each.store, each.run_id) != here
        ]

    def twins(self) -> Mapping[str, Sequence[RunRow]]:
        """``uid`` to the rows of each run that is in more than one place, those in the trash apart."""
        rows = self.rows()
        if self._twins[0] is not self._merged[1]:
            self._twins = (self._merged[1], _twins(rows))
        return self._twins[1]

    def close(self) -> None:
        """Look no more, and close the stores that were opened here; waits for none of them."""
        with self._changed:
            self._closed = True
            idle = [shelf for shelf in self._shelves.values() if not shelf.looking]
            self._changed.notify_all()
        _close_all(idle)

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What the listener is told

    def _news_of(self, shelf: _Shelf) -> tuple[StoreState, Sequence[RunRow], Sequence[RunRow]] | None:
        state = self._state_of(shelf)
        told, known = shelf.told, shelf.told_state
        if told is shelf.rows and known is not None and _says(known) == _says(state):
            return None
        shelf.told, shelf.told_state = shelf.rows, state
        return state, told, shelf.rows

    def _end_of(self, shelf: _Shelf) -> tuple[StoreState, Sequence[RunRow], Sequence[RunRow]]:
        return replace(self._state_of(shelf), rows=0), shelf.told, ()

    def _state_of(self, shelf: _Shelf) -> StoreState:
        if self._is_slow(shelf):
            state = State.SLOW
        elif shelf.error is not None:
            state = State.FAILED
        else:
            state = State.READY if shelf.verified and shelf.whole else State.LOOKING
        return StoreState(
            name=shelf.name,
            state=state,
            reason=None if shelf.error is None else redacted(described(shelf.error)),
            error=shelf.error,
            rows=len(shelf.rows),
            verified=shelf.verified,
            whole=shelf.whole,
            took_s=shelf.took_s,
            store=shelf.store,
        )

    def _is_slow(self, shelf: _Shelf) -> bool:
        return shelf.looking and self._clock() - shelf.heard_at > SLOW_AFTER_S

    def _next_slow_s(self) -> float:
        """Seconds until a store might become slow."""
        now = self._clock()
        left = [
            SLOW_AFTER_S - (now - each.heard_at)
            for each in self._shelves.values()
            if each.looking and not self._is_slow(each)
        ]
        return max(0.01, min(left, default=60.0) + 0.01)

    # Looking

    def _start(self) -> None:
        """Begin the looks that there is room for. Slow stores take none."""
        if self._closed:
            return
        busy = sum(each.looking and not self._is_slow(each) for each in self._shelves.values())
        for shelf in self._shelves.values():
            if busy >= MOST_AT_ONCE:
                return
            if shelf.wanted and not shelf.looking:
                shelf.wanted, shelf.looking, shelf.heard_at = False, True, self._clock()
                busy += 1
                threading.Thread(target=self._look, args=(shelf,), name="themis-look", daemon=True).start()

    def _look(self, shelf: _Shelf) -> None:
        error: BaseException | None = None
        try:
            store = shelf.store or self._opener(shelf.name)
            with self._changed:
                shelf.store = store
            if self._clock() >= shelf.due_at:
                self._look_at_all(shelf, store)
            else:
                self._look_at_live(shelf, store)
        except BaseException as exc:  # whatever a store raises is shown beside the others' rows
            error = exc
        with self._changed:
            shelf.looking, shelf.error = False, error
            if error is not None:
                shelf.verified = False
                shelf.due_at = self._clock() + min(MOST_RETRY_S, 2.0 ** min(shelf.failures, 10))
                shelf.failures += 1
            else:
                shelf.failures = 0
            self._start()
            self._changed.notify_all()
            closing = (self._closed or shelf.left) and shelf.ours
        if closing and shelf.store is not None:
            _close(shelf.store)

    def _look_at_all(self, shelf: _Shelf, store: Store) -> None:
        if not shelf.rows and not shelf.verified:
            self._publish(shelf, remembered_rows(store, self._remember), verified=False, whole=False)
        _check_there(store, len(shelf.rows))
        started = self._clock()
        rows = self._read(shelf, store)
        if self._closed or shelf.left:
            return
        with self._changed:
            shelf.took_s = self._clock() - started
            shelf.due_at = self._clock() + BACK_OFF * shelf.took_s
            shelf.error = None
        self._publish(shelf, rows, verified=True, whole=True)

    def _publish(self, shelf: _Shelf, rows: Sequence[RunRow], *, verified: bool, whole: bool) -> None:
        with self._changed:
            shelf.rows, shelf.verified, shelf.whole = rows, verified, whole
            shelf.heard_at = self._clock()
            if verified:
                shelf.error = None  # it says something again
            self._changed.notify_all()

    def _read(self, shelf: _Shelf, store: Store) -> Sequence[RunRow]:
        changed_since = getattr(store.backend, "changed_since", None)
        if changed_since is None:
            return _kept(shelf.rows, list(_once(self._streamed(shelf, all_rows(store)))))
        first = not shelf.stamps or not shelf.whole
        with self._a_turn():
            listing = changed_since({} if first else shelf.stamps, partial(row_of, store.name))
            found = self._streamed(shelf, listing)
            rows = _kept(shelf.rows, found) if first else _amended(shelf.rows, found, listing.stamps)
        shelf.stamps = listing.stamps
        return rows

    @contextmanager
    def _a_turn(self) -> Iterator[None]:
        """One after another, unless the one before takes long.

        Threads that each make thousands of short calls to the system fight for the interpreter's lock, and
        all end later than the last in a row would.
        """
        turn = self._turn
        if not turn.acquire(timeout=TURN_S):
            # Whoever has it may hang for ever; the others go on with another.
            turn = self._turn = threading.Lock()
            turn.acquire()
        try:
            yield
        finally:
            turn.release()

    def _streamed(self, shelf: _Shelf, rows: Iterable[RunRow]) -> list[RunRow]:
        """All the rows; what a first look has found so far is shown meanwhile."""
        found: list[RunRow] = []
        coming, shown_at = iter(rows), self._clock()
        while some := list(islice(coming, CHUNK if found else FIRST_ROWS)):
            first = not found
            found += some
            if self._closed or shelf.left:
                break
            now = shelf.heard_at = self._clock()
            if not shelf.whole and len(found) >= len(shelf.rows) and (first or now - shown_at > SHOW_EVERY_S):
                shown_at = now
                self._publish(shelf, list(_once(found)), verified=True, whole=False)
            if self._pause_s:
                time.sleep(self._pause_s)
        return found

    def _look_at_live(self, shelf: _Shelf, store: Store) -> None:
        """Renew the live runs only. If one is gone, all of the store is due."""
        renewed = list(shelf.rows)
        live = [place for place, row in enumerate(renewed) if row.status.live][:MOST_LIVE]
        for place in live:
            run_id = renewed[place].run_id
            try:
                metadata = store.backend.load_run_metadata(run_id)
            except RunNotFound:
                shelf.due_at = -1.0
                return
            except (SchemaTooNew, StoreCorrupt) as exc:  # one damaged run says nothing of the store
                metadata = unreadable(exc)
            notes = renewed[place].annotations
            row = row_of(store.name, summarised(run_id, metadata, metadata.get("annotations") or notes))
            if row != renewed[place]:
                renewed[place] = row
        if any(a is not b for a, b in zip(renewed, shelf.rows, strict=True)):
            self._publish(shelf, renewed, verified=True, whole=shelf.whole)


def _check_there(store: Store, known: int) -> None:
    """A folder that is gone with runs known in it is not empty, but perhaps not mounted.

    One that never was is empty, unless it could not be made when it is first written to.
    """
    root = getattr(store.backend, "root", None)
    if not isinstance(root, Path) or root.exists():
        return
    if known:
        raise StoreUnreachable(
            f"{root} is not there any more; {known} runs or more were. Is its disk mounted?"
        )
    above = nearest_existing(root)
    if not store.readonly and above.is_dir() and not os.access(above, os.W_OK | os.X_OK):
        raise AccessDenied(f"{root} is not there and cannot be made: you may not write to {above}.")


def _twins(rows: Iterable[RunRow]) -> dict[str, list[RunRow]]:
    first: dict[str, RunRow] = {}
    found: dict[str, list[RunRow]] = {}
    for row in rows:
        if row.uid is None or row.trashed:
            continue
        earlier = first.setdefault(row.uid, row)
        if earlier is not row:
            found.setdefault(row.uid, [earlier]).append(row)
    return found


def _created(row: RunRow) -> float:
    return row.created_at or 0.0


def _has_live(shelf: _Shelf) -> bool:
    return shelf.whole and shelf.error is None and any(row.status.live for row in shelf.rows)


def _is_heard(shelf: _Shelf) -> bool:
    return bool(shelf.rows) or shelf.verified or shelf.error is not None


def _says(state: StoreState) -> tuple[object, ...]:
    return (state.state, state.reason, state.rows, state.verified, state.whole)


def _close_all(shelves: Iterable[_Shelf]) -> None:
    """Close what the catalog opened; waits for none."""
    for shelf in shelves:
        if shelf.ours and shelf.store is not None:
            threading.Thread(
                target=_close, args=(shelf.store,), name="themis-close-store", daemon=True
            ).start()


def _close(store: Store) -> None:
    try:
        store.backend.close()
    except Exception:  # nobody is left to be told, and nothing was written here
        return


def _once(rows: Iterable[RunRow]) -> Iterator[RunRow]:
    """Each run once, whatever a stranger's store lists."""
    known: set[str] = set()
    for row in rows:
        if row.run_id not in known:
            known.add(row.run_id)
            yield row


def _kept(before: Sequence[RunRow], rows: list[RunRow]) -> Sequence[RunRow]:
    """``rows``, where what is as it was stays the object it was; ``before`` if nothing changed."""
    known = {row.run_id: row for row in before}
    for place, row in enumerate(rows):
        earlier = known.get(row.run_id)
        if earlier is not None and earlier == row:
            rows[place] = earlier
    same = len(rows) == len(before) and all(a is b for a, b in zip(rows, before, strict=True))
    return before if same else rows


def _amended(before: Sequence[RunRow], changed: list[RunRow], there: dict[str, Any]) -> Sequence[RunRow]:
    """The rows before with those that changed, without those that are gone, with statuses as of now."""
    renewed = {row.run_id: row for row in changed}
    rows: list[RunRow] = []
    for row in before:
        if row.run_id in there:
            anew = renewed.pop(row.run_id, None) or seen_now(row)
            rows.append(row if anew is row or anew == row else anew)
    rows.extend(renewed.values())
    same = len(rows) == len(before) and all(a is b for a, b in zip(rows, before, strict=True))
    return before if same else sorted(rows, key=_created, reverse=True)


def _difference(
    told: Sequence[RunRow], rows: Sequence[RunRow]
) -> tuple[list[RunRow], list[RunRow], list[RunRow]]:
    """Rows that were added, that changed, and that are gone."""
    if told is rows:
        return [], [], []
    before = {row.run_id: row for row in told}
    added, changed = [], []
    for row in rows:
        earlier = before.pop(row.run_id, None)
        if earlier is None:
            added.append(row)
        elif earlier is not row and earlier != row:
            changed.append(row)
    return added, changed, list(before.values())
