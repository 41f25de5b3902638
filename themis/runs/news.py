"""What finished, failed or stalled since this user last looked.

A small file in the state directory says, for each store, how its runs were when they were last marked as
seen. Runs are compared with that, never times with the clock, which may jump. Whoever looks says so by
:meth:`Seen.mark`; looking alone marks nothing. Several apps may use the file at once.
"""

from __future__ import annotations

import hashlib
import math
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from themis.backends.registry import is_path
from themis.core.directories import make_private, make_private_file, state_dir
from themis.core.options import redacted
from themis.evaluation.host import host_name, user_name
from themis.evaluation.stop import INTERRUPTED
from themis.runs.row import RunRow
from themis.runs.status import ENDED

MOST_SEEN = 2_000
"""Runs remembered of each store, the newest; and as many older ones that have not ended."""
FAILED = frozenset({"failed", "crashed"})
STALLED = frozenset({"stalled", "no signal", "paused"})
_PERSONS_WORD = (None, INTERRUPTED)
"""Reasons of a pause that a person gave, who therefore knows it."""
_BUSY_S = 1.0
_TABLES = """
create table if not exists store (store text primary key, at real not null, floor real not null);
create table if not exists run (
    store text, run_id blob, word blob not null, ended real, created real not null,
    primary key (store, run_id)
) without rowid;
"""


@dataclass(frozen=True)
class News:
    """Runs that are not as they were at the last look, each kind newest first as the rows were."""

    finished: list[RunRow] = field(default_factory=list)
    failed: list[RunRow] = field(default_factory=list)
    """Failed, or their process crashed."""
    stalled: list[RunRow] = field(default_factory=list)
    """Not at their end and not going on: stalled, without a signal, or paused by no person."""
    started_elsewhere: list[RunRow] = field(default_factory=list)
    """Begun by somebody else or on another machine, and going on."""

    def __bool__(self) -> bool:
        return bool(self.finished or self.failed or self.stalled or self.started_elsewhere)


class _Look(NamedTuple):
    """What was seen of one store."""

    at: float
    floor: float
    """Runs made earlier were not all remembered."""
    runs: dict[bytes, tuple[bytes, float | None]]


class Seen:
    """How the runs of each store were when this user last looked; read when first asked, then kept."""

    def __init__(self, path: Path | None = None) -> None:
        """``path``: the file; ``seen.sqlite`` in the state directory if not given."""
        self._path = path or state_dir() / "seen.sqlite"
        self._looks: dict[str, _Look | None] = {}

    def last_look(self, store: str) -> float | None:
        """When the runs of a store were last marked as seen, by the clock of then; ``None`` if never."""
        look = self._look(store)
        return None if look is None else look.at

    def is_new(self, row: RunRow) -> bool:
        """Whether a run is not as it was at the last look. Nothing is new in a store never looked at."""
        look = self._look(row.store)
        if look is None:
            return False
        before = look.runs.get(_bytes(row.run_id))
        if before is None:
            return row.created >= look.floor
        return before != _state(row)

    def news(self, rows: Iterable[RunRow]) -> News:
        """What of ``rows`` is new, as far as it matters; the trash is passed over."""
        news = News()
        for row in rows:
            word = row.status.word
            if word in ENDED - FAILED:
                kind = news.finished if word == "completed" else None
            elif word in FAILED:
                kind = news.failed
            elif word in STALLED:
                kind = None if word == "paused" and row.status.reason in _PERSONS_WORD else news.stalled
            else:
                kind = news.started_elsewhere if row.status.live and _is_elsewhere(row) else None
            if kind is None or row.trashed or not self.is_new(row):
                continue
            if kind is news.started_elsewhere and self._knew(row):
                continue
            kind.append(row)
        return news

    def mark(self, rows: Sequence[RunRow], *, whole: bool = True, stores: Iterable[str] = ()) -> None:
        """Remember ``rows`` as seen now.

        ``whole``: whether these are all runs of their stores, or the newest. ``stores``: looked at too, even
        if no row is theirs. What cannot be written is not remembered.
        """
        by_store: dict[str, list[RunRow]] = {store: [] for store in stores}
        for row in rows:
            by_store.setdefault(row.store, []).append(row)
        with suppress(sqlite3.Error, OSError), self._connection(write=True) as connection:
            for store, its_rows in by_store.items():
                with connection:
                    connection.execute("begin immediate")
                    _remember(connection, _known_as(store), its_rows, whole=whole)
        self._looks.clear()

    def _knew(self, row: RunRow) -> bool:
        look = self._look(row.store)
        return look is not None and _bytes(row.run_id) in look.runs

    def _look(self, store: str) -> _Look | None:
        if store not in self._looks:
            self._looks[store] = self._read(_known_as(store))
        return self._looks[store]

    def _read(self, store: str) -> _Look | None:
        with suppress(sqlite3.Error, OSError), self._connection(write=False) as connection:
            found = connection.execute("select at, floor from store where store = ?", (store,)).fetchone()
            if found is not None:
                rows = connection.execute("select run_id, word, ended from run where store = ?", (store,))
                at, floor = found
                return _Look(at, floor, {run_id: (word, ended) for run_id, word, ended in rows})
        return None

    @contextmanager
    def _connection(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        if not write and not self._path.exists():
            raise FileNotFoundError(self._path)
        make_private(self._path.parent)
        make_private_file(self._path)
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        with closing(connection):
            try:
                connection.executescript(_TABLES)
                yield connection
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._path.unlink(missing_ok=True)  # damaged: what was seen is seen again
                raise


def _remember(connection: sqlite3.Connection, store: str, rows: list[RunRow], *, whole: bool) -> None:
    found = connection.execute("select floor from store where store = ?", (store,)).fetchone()
    floor = -math.inf if found is None else found[0]
    ordered = sorted(rows, key=lambda row: row.created, reverse=True)
    newest, older = ordered[:MOST_SEEN], ordered[MOST_SEEN:]
    kept = newest + [row for row in older if row.status.word not in ENDED][:MOST_SEEN]
    if newest and (older or not whole):
        # What is older than these may be known to nobody; it is no news.
        floor = float(newest[-1].created) if found is None or older else floor
    if whole:
        connection.execute("delete from run where store = ?", (store,))
    lines = [(store, _bytes(row.run_id), *_state(row), float(row.created)) for row in kept]
    connection.executemany("insert or replace into run values (?, ?, ?, ?, ?)", lines)
    if not whole:
        _trim(connection, store)
    connection.execute("insert or replace into store values (?, ?, ?)", (store, time.time(), floor))


def _trim(connection: sqlite3.Connection, store: str) -> None:
    connection.execute(
        "delete from run where store = ? and run_id not in"
        " (select run_id from run where store = ? order by created desc limit ?)",
        (store, store, 2 * MOST_SEEN),
    )


def _state(row: RunRow) -> tuple[bytes, float | None]:
    """What tells whether a run is as it was: a run that goes on again and ends has another end."""
    return _bytes(row.status.word), None if row.ended_at is None else float(row.ended_at)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _known_as(store: str) -> str:
    """A store's key in the file: its name may hold what is not to be written down."""
    place = os.path.abspath(os.path.expanduser(store)) if is_path(store) else redacted(store)
    return hashlib.sha256(_bytes(place)).hexdigest()[:32]


def _is_elsewhere(row: RunRow) -> bool:
    if row.host is not None and row.host != host_name():
        return True
    ours = (user_name(), os.environ.get("LOGNAME"), str(os.getuid()))
    return row.user is not None and row.user not in ours
