"""A few connections to one server, of psycopg's pool, and the reason told when there is none to be had.

The pool connects in a thread of its own, and whoever waits for it learns only that it took too long: so what
went wrong there is kept here, and told at once.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from themis.backends.storage.postgres_address import PostgresAddress
from themis.backends.storage.postgres_connection import PostgresConnection
from themis.backends.storage.postgres_errors import is_lost, is_worth_repeating, refused, translated
from themis.core.errors import StoreUnreachable

T = TypeVar("T")
Connection = psycopg.Connection[Any]

MOST_CONNECTIONS = 8
"""Of one backend in one process; more threads than that wait for one another."""
WAIT_S = 60.0
"""How long a thread waits for a connection that others hold."""
LOOK_EVERY_S = 0.05
"""How often who waits for a connection looks whether one was refused."""
MOST_TRIES = 6
"""Of work that met another transaction's lock in the wrong order."""
LONGEST_IDLE_S = 300.0

# What it warns of is told by errors; without a handler logging would write it on the terminal.
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())


class PostgresConnections:
    """Lends connections; see :meth:`run`."""

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        self._pools: list[_Pool] = []  # one, or none; a list, which outlives this object
        self._lock = threading.Lock()
        _all.add(self)
        # At its end connections are told goodbye, so that the server need not find out.
        weakref.finalize(self, _close, self._pools, os.getpid())

    def run(self, doing: str, work: Callable[[Connection], T]) -> T:
        """What ``work`` does with a connection in autocommit.

        It is done again, once on a new connection if this one turns out to be dead, and some times if another
        transaction was in the way: so it must do no harm twice. Raises :class:`StorageError` with ``doing``.
        """
        was_lost = False
        for tries in range(1, MOST_TRIES + 1):
            pool, connection = self._taken()
            failure: psycopg.Error
            try:
                return work(connection)
            except psycopg.Error as exc:
                failure = exc
            finally:
                _give_back(pool, connection)
            if is_lost(failure) and not was_lost:
                was_lost = True
                self._leave(pool)  # its other connections went the same way
            elif not is_worth_repeating(failure) or tries == MOST_TRIES:
                break
        raise translated(failure, self.address, doing) from failure

    def close(self) -> None:
        """Let go of the connections, once they are given back; the next use opens new ones."""
        with self._lock:
            leaving = self._pools[:]
            self._pools.clear()
        for pool in leaving:
            pool.close()

    def leave_to_parent(self) -> None:
        """In a forked child: the connections are the parent's, and a goodbye from here would end them."""
        _of_the_parent.extend(self._pools)
        self._pools.clear()
        self._lock = threading.Lock()

    def _taken(self) -> tuple[_Pool, Connection]:
        until, fresh = time.monotonic() + WAIT_S, False
        while time.monotonic() < until:
            pool = self._pool()
            with suppress(PoolTimeout, PoolClosed):  # closed by another thread: there will be a new one
                connection = pool.getconn(timeout=LOOK_EVERY_S)
                if fresh or not _was_told_something(connection):
                    return pool, connection
                _give_back(pool, connection)
                self._leave(pool)
                fresh = True  # one that has something to read at once may be of a server that greets
                continue
            if pool.refusals:
                self._leave(pool)
                raise refused(pool.refusals[0], self.address)
        raise StoreUnreachable(
            f"PostgreSQL at {self.address}: all {MOST_CONNECTIONS} connections of this process were busy "
            f"for {WAIT_S:g} s."
        )

    def _pool(self) -> _Pool:
        with self._lock:
            if not self._pools:
                self._pools.append(_Pool(self.address))
                self._pools[0].open()
            return self._pools[0]

    def _leave(self, pool: _Pool) -> None:
        """Use a pool no more, whose server has gone."""
        with self._lock:
            if pool in self._pools:
                self._pools.remove(pool)
        pool.close(timeout=0)


class _Pool(ConnectionPool[Connection]):
    """psycopg's, with what became of its connecting."""

    def __init__(self, address: PostgresAddress) -> None:
        refusals: list[psycopg.Error] = []

        class Connecting(PostgresConnection):
            @classmethod
            def connect(cls, conninfo: str = "", **_: Any) -> PostgresConnection:  # type: ignore[override]
                if not refusals:  # the pool tries once more, and a wrong password counts where it is tried
                    made = address.connect()
                    if isinstance(made, PostgresConnection):
                        return made
                    refusals.append(made)
                raise psycopg.OperationalError("refused")

        self.refusals = refusals
        """Why connections could not be made."""
        super().__init__(
            connection_class=Connecting,
            min_size=0,
            max_size=MOST_CONNECTIONS,
            open=False,
            max_idle=LONGEST_IDLE_S,
            reconnect_timeout=0.0,  # who asks next tries again, no thread by itself
            num_workers=1,
            name="postgres",
        )


def _give_back(pool: _Pool, connection: Connection) -> None:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        connection.close()
    pool.putconn(connection)


def _was_told_something(connection: Connection) -> bool:
    """Whether an idle connection has something to read: nearly always that the server has ended it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _close(pools: list[_Pool], made_in: int) -> None:
    if os.getpid() == made_in:
        for pool in pools:
            pool.close()


_all: weakref.WeakSet[PostgresConnections] = weakref.WeakSet()
_of_the_parent: list[_Pool] = []


def _begin_anew_in_a_forked_child() -> None:
    for each in list(_all):
        each.leave_to_parent()


os.register_at_fork(after_in_child=_begin_anew_in_a_forked_child)
