"""A few connections to one server, made when they are needed and used by one thread at a time.

psycopg's own pool makes connections in threads of its own: what goes wrong there is told to a log, and to
whoever waits as a time-out. Here the one who asks connects, and is told why it fails.
"""

from __future__ import annotations

import os
import select
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from themis.backends.storage.postgres_address import PostgresAddress
from themis.backends.storage.postgres_errors import is_lost, is_worth_repeating, refused, translated
from themis.core.errors import StoreUnreachable

T = TypeVar("T")
Connection = psycopg.Connection[Any]

MOST_CONNECTIONS = 8
"""Of one backend in one process; more threads than that wait for one another."""
WAIT_S = 60.0
"""How long a thread waits for a connection that others hold."""
MOST_TRIES = 6
"""Of work that met another transaction's lock in the wrong order."""
LONGEST_IDLE_S = 300.0


class PostgresConnections:
    """Lends connections; see :meth:`run`."""

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        self._idle: list[tuple[float, Connection]] = []
        self._begin()
        _all.add(self)
        # At its end connections are told goodbye, so that the server need not find out.
        weakref.finalize(self, _close, self._idle, os.getpid())

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def run(self, doing: str, work: Callable[[Connection], T]) -> T:
        """What ``work`` does with a connection in autocommit.

        It is done again, once on a new connection if this one turns out to be dead, and some times if another
        transaction was in the way: so it must do no harm twice. Raises :class:`StorageError` with ``doing``.
        """
        was_lost = False
        for tries in range(1, MOST_TRIES + 1):
            connection = self._taken()
            failure: psycopg.Error
            try:
                return work(connection)
            except psycopg.Error as exc:
                failure = exc
            finally:
                self._give_back(connection)
            if is_lost(failure) and not was_lost:
                was_lost = True
                self.close()  # the others went the same way
            elif not is_worth_repeating(failure) or tries == MOST_TRIES:
                break
        raise translated(failure, self.address, doing) from failure

    def close(self) -> None:
        """Let go of the connections that nobody uses; the next use opens new ones."""
        with self._lock:
            leaving = self._idle[:]
            self._idle.clear()
        for _, connection in leaving:
            connection.close()

    def leave_to_parent(self) -> None:
        """In a forked child: the connections are the parent's, and a goodbye from here would end them."""
        _of_the_parent.extend(connection for _, connection in self._idle)
        self._idle.clear()
        self._begin()

    def _taken(self) -> Connection:
        if not self._places.acquire(timeout=WAIT_S):
            raise StoreUnreachable(
                f"PostgreSQL at {self.address}: all {MOST_CONNECTIONS} connections of this process were busy "
                f"for {WAIT_S:g} s."
            )
        try:
            return self._alive() or self._made()
        except BaseException:
            self._places.release()
            raise

    def _alive(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                since, connection = self._idle.pop()
            if time.monotonic() - since < LONGEST_IDLE_S and not _was_told_something(connection):
                return connection
            connection.close()

    def _made(self) -> Connection:
        made = self.address.connect()
        if isinstance(made, psycopg.Error):
            raise refused(made, self.address)
        return made

    def _give_back(self, connection: Connection) -> None:
        if not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE:
            with self._lock:
                self._idle.append((time.monotonic(), connection))
        else:
            connection.close()
        self._places.release()


def _was_told_something(connection: Connection) -> bool:
    """Whether an idle connection has something to read: nearly always that the server has ended it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _close(idle: list[tuple[float, Connection]], made_in: int) -> None:
    if os.getpid() == made_in:
        for _, connection in idle:
            connection.close()
        idle.clear()


_all: weakref.WeakSet[PostgresConnections] = weakref.WeakSet()
_of_the_parent: list[Connection] = []


def _begin_anew_in_a_forked_child() -> None:
    for each in list(_all):
        each.leave_to_parent()


os.register_at_fork(after_in_child=_begin_anew_in_a_forked_child)
