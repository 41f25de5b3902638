"""Profiles as the user's file holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend

from themis.profiles import profiles_path, secrets


class Drawer(KeyringBackend):
    """A keyring in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, kept: dict[tuple[str, str], str]) -> None:
        super().__init__()
        self.kept = kept

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture
def drawer() -> Iterator[dict[tuple[str, str], str]]:
    """What the keyring holds."""
    before = keyring.get_keyring()
    kept: dict[tuple[str, str], str] = {("https://h/v1", "ada"): "sk-of-the-drawer"}
    keyring.set_keyring(Drawer(kept))
    yield kept
    keyring.set_keyring(before)


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
