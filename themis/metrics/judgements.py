"""What judges said before, kept on this machine: the same answer is never judged twice."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from themis.core.directories import cache_dir, make_private

WAIT_S = 1.0
"""Seconds to wait for another process; after that the cache is passed over."""

_making = threading.Lock()

_TABLE = "create table if not exists judgement (key text primary key, said text not null) without rowid"


def cached_judgement(key: str) -> str | None:
    """What the judge said under this key; ``None`` if it was not asked, or the cache cannot be read."""
    with suppress(sqlite3.Error, OSError, ValueError), _connection() as connection:
        row = connection.execute("select said from judgement where key = ?", (key,)).fetchone()
        if row is not None:
            said = json.loads(row[0])
            return said if isinstance(said, str) else None
    return None


def keep_judgement(key: str, said: str) -> None:
    """Keep what the judge said. Where that cannot be done, the judge is asked again some time."""
    with suppress(sqlite3.Error, OSError), _connection() as connection:
        # As JSON in ASCII, which has no trouble with half characters.
        connection.execute("insert or replace into judgement values (?, ?)", (key, json.dumps(said)))


def _path() -> Path:
    return cache_dir() / "judgements.1.sqlite"


def _make(path: Path) -> None:
    """Make the file where there is none, so that nobody else can ever read it: SQLite would allow more.

    One that is there is not opened: closing it would drop the locks that SQLite holds on it in this process
    (https://www.sqlite.org/howtocorrupt.html, 2.2), and another process would write into a transaction.
    """
    make_private(path.parent)
    # Nobody else here connects to a new file before it is closed.
    with _making, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


@contextmanager
def _connection() -> Iterator[sqlite3.Connection]:
    path = _path()
    _make(path)
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as connection:
            connection.execute("pragma synchronous = off")
            connection.execute(_TABLE)
            yield connection
    except sqlite3.OperationalError:
        raise  # held by another, or the disk is full
    except sqlite3.DatabaseError:
        # Damaged: the next one starts anew.
        for name in (path.with_name(f"{path.name}-journal"), path):
            with suppress(OSError):
                name.unlink(missing_ok=True)
        raise
