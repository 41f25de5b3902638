"""Profiles as the user's file holds them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from themis.profiles import profiles_path, secrets


@pytest.fixture
def write() -> Callable[[str], None]:
    """Put a text in place of the file."""

    def put(text: str) -> None:
        profiles_path().parent.mkdir(parents=True, exist_ok=True)
        profiles_path().write_bytes(text.encode())

    return put


@pytest.fixture(autouse=True)
def read_anew() -> None:
    """No secret of another test is remembered."""
    secrets.forget()
