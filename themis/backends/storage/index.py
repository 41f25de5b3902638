"""A cache of run summaries beside a local store: always verified, never the truth.

A row is fresh while the run's folder has the modification time it had when the row was read: every change
of a run renames or creates a file in its folder. A folder changed less than two seconds before it was
read may change again within one tick of the file system's clock, so its row is not trusted.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from themis.backends.storage.base import created_at, summarised, unreadable
from themis.core import codec
from themis.core.directories import cache_dir, make_private, make_private_file
from themis.core.errors import StorageError, StoreCorrupt

SETTLED_NS = 2_000_000_000
UNTRUSTED = 0
ROWS_AT_FIRST = 100
"""Rows fetched from the cache for a first screen, before all the others."""
MOST_NAMED = 500
"""Rows fetched by their names; more are found faster by reading the cache through."""
_VERSION = 2

T = TypeVar("T")

_TABLE = """
create table if not exists run (
    run_id text primary key, stamp integer not null, created_at real not null, summary blob not null
) without rowid;
create index if not exists newest on run (created_at desc, run_id, stamp);
"""


class RunIndex:
    """Summaries of the runs in one folder of runs, kept in the user's cache folder."""

    def __init__(self, runs: Path, read: Callable[[str], dict[str, Any] | None]) -> None:
        self._runs = runs
        self._read = read
        digest = hashlib.sha256(os.fsencode(runs)).hexdigest()[:24]
        self._path = cache_dir() / "index" / f"{digest}.{_VERSION}.sqlite"

    def cached(self, limit: int | None = None) -> list[dict[str, Any]]:
        """What the last look saw, newest first: at once, and perhaps out of date."""
        with suppress(sqlite3.Error, StoreCorrupt), self._connection() as connection:
            if connection is not None:
                rows = connection.execute(
                    "select summary from run order by created_at desc limit ?",
                    (-1 if limit is None else limit,),
                )
                return [codec.decode_document(summary) for (summary,) in rows]
        return []

    def verified(self) -> Listing[dict[str, Any]]:
        """Every run as it is now, newest first; re-reads only the folders that changed."""
        return self.changed_since({}, _decoded)

    def changed_since(
        self, stamps: Mapping[str, int], make: Callable[[bytes | dict[str, Any]], T]
    ) -> Listing[T]:
        """What ``make`` makes of each run that is not as it was at ``stamps``, newest first.

        Which runs there are, and that their rows are fresh, is settled at the call; rows are read as they
        are asked for. ``make`` gets a summary or its JSON, and raises :class:`StoreCorrupt` for what is none.
        ``stamps``: those of an earlier listing; an empty one means every run.
        """
        now = self._stamps()
        changed = {run_id: stamp for run_id, stamp in now.items() if stamps.get(run_id) != stamp}
        if not changed and len(now) == len(stamps):
            return Listing(iter(()), 0, now)
        try:
            with self._connection() as connection:
                looked_at = self._looked_at(connection, now, changed, anew=not stamps)
        except sqlite3.OperationalError:
            looked_at = None  # another process holds the cache, which is as good as none
        except sqlite3.Error:
            looked_at = None
            self._discard()
        run_ids, read, trusted = looked_at or self._looked_at(None, now, changed, anew=False)
        kept = {run_id: stamp for run_id, stamp in now.items() if run_id not in changed}
        return Listing(self._made(run_ids, read, make), len(run_ids), kept | trusted)

    def rebuild(self) -> None:
        """Remove the cache, and read every run anew."""
        self._discard()
        for _ in self.verified():
            pass

    def _discard(self) -> None:
        """Remove a damaged cache; the next look makes a new one."""
        journal = self._path.with_name(f"{self._path.name}-journal")  # it would be played into the new one
        for path in (journal, self._path):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _looked_at(
        self,
        connection: sqlite3.Connection | None,
        now: dict[str, int],
        changed: dict[str, int],
        *,
        anew: bool,
    ) -> tuple[list[str], dict[str, dict[str, Any]], dict[str, int]]:
        """The changed runs, newest first, the summaries of those that had to be read, and their stamps.

        ``anew``: whether the cache may know them as they are; else they changed since it was looked at.
        """
        # Told to use the index, which holds all three, SQLite passes over the summaries.
        query = "select run_id, stamp, created_at from run indexed by newest"
        rows = connection.execute(query) if connection and anew else ()
        known = {run_id: created for run_id, stamp, created in rows if changed.get(run_id) == stamp}
        trusted = {run_id: changed[run_id] for run_id in known}
        unknown = changed if not known else {each: changed[each] for each in changed.keys() - known.keys()}
        read, stamps = self._renewed(connection, unknown)
        known |= {run_id: created_at(summary) for run_id, summary in read.items()}
        if connection is not None:
            self._forget(connection, now)
        return sorted(known, key=known.__getitem__, reverse=True), read, trusted | stamps

    def _made(
        self, run_ids: list[str], read: dict[str, dict[str, Any]], make: Callable[[bytes | dict[str, Any]], T]
    ) -> Iterator[T]:
        for some in (run_ids[:ROWS_AT_FIRST], run_ids[ROWS_AT_FIRST:]):
            blobs = self._blobs([run_id for run_id in some if run_id not in read])
            for run_id in some:
                blob = blobs.get(run_id)
                if blob is not None:
                    try:
                        yield make(blob)
                        continue
                    except StoreCorrupt:
                        self._drop([run_id])
                # What the cache lost meanwhile, or cannot give back, the store still has.
                summary = read.get(run_id) or self._read(run_id)
                if summary is not None:
                    yield make(summary)

    def _blobs(self, run_ids: list[str]) -> dict[str, bytes]:
        with suppress(sqlite3.Error), self._connection() as connection:
            if connection is not None and len(run_ids) > MOST_NAMED:
                return dict(connection.execute("select run_id, summary from run"))
            if connection is not None and run_ids:
                marks = ",".join("?" * len(run_ids))
                query = f"select run_id, summary from run where run_id in ({marks})"
                return dict(connection.execute(query, run_ids))
        return {}

    def _stamps(self) -> dict[str, int]:
        try:
            folder = os.open(self._runs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}
        stamps = {}
        try:
            # From an open folder each look at a run is a short way.
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        try:
                            stamps[entry.name] = entry.stat(follow_symlinks=False).st_mtime_ns
                        except FileNotFoundError:
                            pass  # deleted since
        finally:
            os.close(folder)
        return stamps

    def _renewed(
        self, connection: sqlite3.Connection | None, changed: dict[str, int]
    ) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
        """The summaries of changed runs, and the stamps to know them by."""
        read, stamps, rows = {}, {}, []
        for run_id, stamp in changed.items():
            now = time.time_ns()
            summary = self._read(run_id)
            if summary is not None:
                read[run_id] = summary
                settled = now - stamp > SETTLED_NS
                stamps[run_id] = stamp if settled else UNTRUSTED
                encoded = _encoded(run_id, summary)
                rows.append((run_id, stamps[run_id], created_at(summary), encoded))
        if connection is not None and rows:
            # Another process may hold the cache; the next look renews what this one could not.
            with suppress(sqlite3.Error), connection:
                connection.executemany("insert or replace into run values (?, ?, ?, ?)", rows)
        return read, stamps

    def _forget(self, connection: sqlite3.Connection, stamps: dict[str, int]) -> None:
        with suppress(sqlite3.Error):
            (count,) = connection.execute("select count(*) from run").fetchone()
            if count <= len(stamps):
                return
            known = [run_id for (run_id,) in connection.execute("select run_id from run")]
            self._drop([run_id for run_id in known if run_id not in stamps])

    def _drop(self, run_ids: list[str]) -> None:
        with suppress(sqlite3.Error), self._connection() as connection:
            if connection is not None:
                with connection:
                    connection.executemany("delete from run where run_id = ?", [(each,) for each in run_ids])

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection | None]:
        """The cache, or None where there can be none: the store is then simply read."""
        try:
            connection = self._opened()
        except (OSError, sqlite3.Error):
            yield None
            return
        with closing(connection):
            yield connection

    def _opened(self) -> sqlite3.Connection:
        make_private(self._path.parent)
        # Summaries hold what a store may keep from others.
        make_private_file(self._path)
        connection = sqlite3.connect(self._path, timeout=1.0)
        try:
            # A lost cache costs one reading of the store, so nothing waits for the disk here.
            connection.execute("pragma synchronous = off")
            connection.executescript(_TABLE)
        except sqlite3.DatabaseError as exc:
            connection.close()
            # An operational error is no damage: it is busy, or there is no room.
            if not isinstance(exc, sqlite3.OperationalError):
                self._discard()
            raise
        return connection


def _decoded(summary: bytes | dict[str, Any]) -> dict[str, Any]:
    document = codec.decode_document(summary) if isinstance(summary, bytes) else summary
    if not isinstance(document, dict):
        raise StoreCorrupt("A summary in the cache is not a JSON object.")
    return document


class Listing(Iterator[T]):
    """Runs, read as they are asked for; :func:`operator.length_hint` says how many there are in all."""

    def __init__(self, rows: Iterator[T], count: int, stamps: dict[str, Any]) -> None:
        self._count = count
        self._rows = rows
        self.stamps = stamps
        """Every run that there is now, and what it is known by: for :meth:`RunIndex.changed_since`."""

    def __length_hint__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return self._rows

    def __next__(self) -> T:
        return next(self._rows)


def _encoded(run_id: str, summary: dict[str, Any]) -> bytes:
    # A document that was edited by hand may hold what Themis would not have saved.
    try:
        return codec.encode_document(summary)
    except StorageError as exc:
        return codec.encode_document(summarised(run_id, unreadable(exc)))
