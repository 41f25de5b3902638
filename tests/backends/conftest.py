"""A real Ray cluster of two nodes on loopback, started when a test first asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.backends import ray_here


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
