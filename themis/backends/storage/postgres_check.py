"""Trying a PostgreSQL store step by step, so that one sees where it fails."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg

from themis.backends.storage.postgres_address import PostgresAddress
from themis.backends.storage.postgres_errors import refused
from themis.core.check_step import CheckStep
from themis.core.errors import StorageError


def walk_to_schema(
    address: PostgresAddress, connect_timeout: float, look_at_schema: Callable[[], object]
) -> Iterator[CheckStep]:
    """Resolve, connect, authenticate, schema: to the first step that fails.

    The first two only where there is one host to find and reach: not for a socket, nor for several hosts.
    """
    work: list[tuple[str, Callable[[], object]]] = [
        ("authenticate", lambda: _authenticate(address)),
        ("schema", look_at_schema),
    ]
    if address.uses_tcp:
        work[:0] = [
            ("resolve", lambda: _resolve(address)),
            ("connect", lambda: _reach(address, connect_timeout)),
        ]
    for name, step in work:
        started = time.perf_counter()
        try:
            step()
        except StorageError as exc:
            yield CheckStep(name, False, time.perf_counter() - started, str(exc))
            return
        yield CheckStep(name, True, time.perf_counter() - started)


def _resolve(address: PostgresAddress) -> None:
    try:
        socket.getaddrinfo(address.host, int(address.port), type=socket.SOCK_STREAM)
    except OSError as exc:
        said = psycopg.OperationalError(f"could not translate host name: {exc}")
        raise refused(said, address) from None


def _reach(address: PostgresAddress, connect_timeout: float) -> None:
    try:
        socket.create_connection((address.host, int(address.port)), connect_timeout).close()
    except OSError as exc:
        raise refused(psycopg.OperationalError(str(exc)), address) from None


def _authenticate(address: PostgresAddress) -> None:
    made = address.connect()
    if isinstance(made, psycopg.Error):
        raise refused(made, address)
    with closing(made):
        made.execute("SELECT 1")
