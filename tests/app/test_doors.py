"""Stores that are opened once, and again when the profiles say something else of them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from themis.profiles import profiles_path
from themis_tui.doors import Doors


def write(text: str) -> None:
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(text)


def profile(name: str, root: Path, more: str = "") -> str:
    return f'[storage.{name}]\ntype = "local"\nroot = "{root}"\n{more}\n'


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The roots of the local stores that were closed."""
    roots: list[Path] = []
    monkeypatch.setattr(
        "themis.backends.LocalStorageBackend.close", lambda backend: roots.append(backend.root)
    )
    return roots


def ended() -> None:
    for thread in threading.enumerate():
        if thread.name == "themis-close-store":
            thread.join(20)


def test_a_store_is_opened_again_only_when_its_own_profile_changed(tmp_path, closed):
    write(profile("s", tmp_path / "one"))
    doors = Doors()
    store = doors.open("s")
    write(profile("s", tmp_path / "one", 'colour = "red"') + profile("other", tmp_path / "two"))
    assert doors.open("s") is store
    write(profile("s", tmp_path / "two", "protected = true"))
    again = doors.open("s")
    assert (again.backend.root, again.protected) == (tmp_path / "two", True)
    assert doors.open("s") is again
    ended()
    assert closed == [tmp_path / "one"]


def test_the_default_store_is_the_one_that_is_the_default_now(tmp_path, closed):
    write('[default]\nstorage = "a"\n' + profile("a", tmp_path / "a") + profile("b", tmp_path / "b"))
    doors = Doors()
    default = doors.to(None)
    assert default.open().name == "a"
    assert doors.open("a") is default.open()
    write('[default]\nstorage = "b"\n' + profile("a", tmp_path / "a") + profile("b", tmp_path / "b"))
    assert doors.open("a").name == "a", "what was the default is still itself"
    assert default.open().name == "b"
    assert default.open() is doors.open("b")
    ended()
    assert closed == [], "neither has changed"


def test_a_profile_that_is_gone_takes_its_store_with_it(tmp_path):
    write(profile("s", tmp_path / "one"))
    doors = Doors()
    doors.open("s")
    write("")
    with pytest.raises(ValueError, match="'s'"):
        doors.open("s")
    write(profile("s", tmp_path / "one"))
    assert doors.open("s").name == "s"


def test_while_the_file_cannot_be_read_what_is_open_stays_so(tmp_path):
    write(profile("s", tmp_path / "one"))
    doors = Doors()
    store = doors.open("s")
    write("[storage.s\n")
    assert doors.open("s") is store
    write(profile("s", tmp_path / "two"))
    assert doors.open("s").backend.root == tmp_path / "two"
