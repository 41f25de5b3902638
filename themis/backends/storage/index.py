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
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from themis.backends.storage.base import summarised, unreadable
from themis.core import codec
from themis.core.directories import cache_dir
from themis.core.errors import StorageError, StoreCorrupt

SETTLED_NS = 2_000_000_000
UNTRUSTED = 0
_VERSION = 1

_TABLE = """
create table if not exists run (
    run_id text primary key, stamp integer not null, created_at real not null, summary blob not null
) without rowid;
create index if not exists newest on run (created_at desc);
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

    def verified(self) -> Iterator[dict[str, Any]]:
        """Every run as it is now, newest first; re-reads only the folders that changed."""
        with suppress(sqlite3.Error, StoreCorrupt), self._connection() as connection:
            return self._looked_at(connection)
        # The cache is damaged: the store is read without it, and the next look makes a new one.
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        return self._looked_at(None)

    def _looked_at(self, connection: sqlite3.Connection | None) -> Iterator[dict[str, Any]]:
        stamps = self._stamps()
        rows = connection.execute("select run_id, stamp, summary from run") if connection else ()
        fresh = {run_id: blob for run_id, stamp, blob in rows if stamps.get(run_id) == stamp}
        blobs = list(fresh.values())
        if len(fresh) < len(stamps):
            blobs += self._renewed(connection, stamps, fresh)
        if connection is not None:
            self._forget(connection, stamps)
        summaries: list[dict[str, Any]] = codec.decode_document(b"[" + b",".join(blobs) + b"]", "The index")
        summaries.sort(key=created_at, reverse=True)
        return iter(summaries)

    def _stamps(self) -> dict[str, int]:
        try:
            with os.scandir(self._runs) as entries:
                return {entry.name: entry.stat(follow_symlinks=False).st_mtime_ns for entry in entries}
        except FileNotFoundError:
            return {}

    def _renewed(
        self, connection: sqlite3.Connection | None, stamps: dict[str, int], fresh: dict[str, bytes]
    ) -> list[bytes]:
        rows = []
        for run_id, stamp in stamps.items():
            if run_id in fresh:
                continue
            now = time.time_ns()
            summary = self._read(run_id)
            if summary is not None:
                settled = now - stamp > SETTLED_NS
                blob = _encoded(run_id, summary)
                rows.append((run_id, stamp if settled else UNTRUSTED, created_at(summary), blob))
        if connection is not None:
            # Another process may hold the cache; the next look renews what this one could not.
            with suppress(sqlite3.Error), connection:
                connection.executemany("insert or replace into run values (?, ?, ?, ?)", rows)
        return [row[3] for row in rows]

    def _forget(self, connection: sqlite3.Connection, stamps: dict[str, int]) -> None:
        with suppress(sqlite3.Error):
            (count,) = connection.execute("select count(*) from run").fetchone()
            if count <= len(stamps):
                return
            known = [run_id for (run_id,) in connection.execute("select run_id from run")]
            gone = [(run_id,) for run_id in known if run_id not in stamps]
            with connection:
                connection.executemany("delete from run where run_id = ?", gone)

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
        new = not self._path.exists()
        if new:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=1.0)
        try:
            # A lost cache costs one reading of the store, so nothing waits for the disk here.
            connection.execute("pragma synchronous = off")
            if new:
                connection.executescript(_TABLE)
            else:
                connection.execute("select 1 from run limit 1")
        except sqlite3.DatabaseError:
            connection.close()
            self._path.unlink(missing_ok=True)
            raise
        return connection


def _encoded(run_id: str, summary: dict[str, Any]) -> bytes:
    # A document that was edited by hand may hold what Themis would not have saved.
    try:
        return codec.encode_document(summary)
    except StorageError as exc:
        return codec.encode_document(summarised(run_id, unreadable(exc)))


def created_at(summary: dict[str, Any]) -> float:
    """When a run was made, for sorting; 0 where it does not say."""
    value = summary.get("created_at")
    return float(value) if isinstance(value, (int, float)) else 0.0
