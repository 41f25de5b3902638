"""Word of a change, from whoever makes it to whoever watches: NOTIFY and LISTEN.

It says that there is something to look at, not what: whoever misses it sees it when it next looks by itself.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg

from themis.backends.storage.postgres_address import PostgresAddress
from themis.backends.storage.postgres_connections import PostgresConnections
from themis.backends.storage.postgres_errors import refused, translated
from themis.core.errors import StorageError

EVERY_S = 1.0
"""Of one run no more is told than once in this time: every NOTIFY of a server waits for the one before."""


class PostgresNotices:
    """What is told, and heard, of the runs of one schema."""

    def __init__(self, connections: PostgresConnections, address: PostgresAddress, schema: str) -> None:
        self._connections, self._address = connections, address
        # A channel's name is no longer than a schema's, which has no room for more.
        self._channel = f"themis_{hashlib.sha256(schema.encode()).hexdigest()[:16]}"
        self._told_at: dict[str, float] = {}
        self._late: dict[tuple[int, str], threading.Timer] = {}
        """What is told later, of this process; a forked child has not the timers of its parent."""

    def tell(self, run_id: str) -> None:
        """Say that a run changed: now, or once its time has come. Never fails."""
        wait_s = self._told_at.get(run_id, -math.inf) + EVERY_S - time.monotonic()
        if wait_s <= 0:
            self._send(run_id)
            return
        timer = threading.Timer(wait_s, self._send, (run_id,))
        timer.daemon = True
        if self._late.setdefault((os.getpid(), run_id), timer) is timer:
            timer.start()

    def close(self) -> None:
        """Say at once what is to be told later."""
        for pid, run_id in list(self._late):
            if pid == os.getpid():
                self._send(run_id)

    def heard(self, every_s: float) -> Iterator[bool]:
        """True when there may be something new, which is so at first; false after ``every_s`` of silence.

        Holds a connection of its own until it is closed. Raises :class:`StorageError` when that is lost.
        """
        made = self._address.connect()
        if isinstance(made, psycopg.Error):
            raise refused(made, self._address)
        with closing(made):
            try:
                made.execute(f"LISTEN {self._channel}".encode())
                yield True
                while True:
                    some = len(list(made.notifies(timeout=every_s, stop_after=1)))
                    yield bool(some)
            except psycopg.Error as exc:
                lost = translated(exc, self._address, "tell what changes")
        raise lost

    def _send(self, run_id: str) -> None:
        if len(self._told_at) > 1_000:
            self._told_at.clear()
        self._told_at[run_id] = time.monotonic()
        timer = self._late.pop((os.getpid(), run_id), None)
        if timer is not None:
            timer.cancel()
        with suppress(StorageError):  # what was to be told is saved
            self._connections.run(
                "tell of a change",
                lambda connection: connection.execute("SELECT pg_notify(%s, %s)", (self._channel, run_id)),
            )
