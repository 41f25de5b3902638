"""The local store's index of runs: quick, always verified, never missed."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from themis.backends import LocalStorageBackend
from themis.core.directories import cache_dir

LONG_AGO = 1_600_000_000


@pytest.fixture
def store(tmp_path: Path):
    with LocalStorageBackend(tmp_path / "store") as backend:
        yield backend


def summaries(store: LocalStorageBackend) -> dict[str, str]:
    return {each["run_id"]: each.get("status") for each in store.list_summaries()}


def settled(store: LocalStorageBackend, count: int = 3) -> list[Path]:
    """Runs whose folders changed long ago, listed once."""
    folders = []
    for number in range(count):
        store.save_run_metadata(f"r{number}", {"status": "old", "created_at": float(number)})
        folders.append(store.root / "runs" / f"r{number}")
        os.utime(folders[-1], (LONG_AGO, LONG_AGO))
    assert set(summaries(store).values()) == {"old"}
    return folders


def index_file() -> Path:
    (found,) = (cache_dir() / "index").glob("*.sqlite")
    return found


def test_the_list_comes_from_the_index_where_nothing_changed(store: LocalStorageBackend):
    folders = settled(store)
    # Written in place, which no writer of ours does: the folder does not change, so the file is not read.
    (folders[0] / "run.json").write_text('{"status": "unseen"}')
    assert summaries(store)["r0"] == "old"
    os.utime(folders[0])
    assert summaries(store)["r0"] == "unseen"


def test_the_index_is_checked_against_every_folder(store: LocalStorageBackend):
    settled(store)
    store.save_run_metadata("r0", {"status": "new"})
    store.delete_run("r1")
    store.save_run_metadata("r3", {"status": "made"})
    assert summaries(store) == {"r0": "new", "r2": "old", "r3": "made"}
    other = LocalStorageBackend(store.root)
    assert summaries(other) == {"r0": "new", "r2": "old", "r3": "made"}


def test_a_folder_that_changed_just_now_is_read_again(store: LocalStorageBackend):
    store.save_run_metadata("r", {"status": "first"})
    assert summaries(store) == {"r": "first"}
    folder = store.root / "runs" / "r"
    stamp = folder.stat().st_mtime_ns
    store.save_run_metadata("r", {"status": "second"})
    os.utime(folder, ns=(stamp, stamp))  # as if both had come within one tick of the clock
    assert summaries(store) == {"r": "second"}


def test_newest_first_and_what_the_last_look_saw(store: LocalStorageBackend):
    settled(store)
    assert [each["run_id"] for each in store.list_summaries()] == ["r2", "r1", "r0"]
    assert [each["run_id"] for each in store.cached_summaries()] == ["r2", "r1", "r0"]
    assert [each["run_id"] for each in store.cached_summaries(2)] == ["r2", "r1"]
    store.delete_run("r2")
    assert [each["run_id"] for each in store.cached_summaries()] == ["r2", "r1", "r0"]
    assert list(summaries(store)) == ["r1", "r0"]
    assert [each["run_id"] for each in store.cached_summaries()] == ["r1", "r0"]


def test_the_index_is_for_the_user_alone(store: LocalStorageBackend):
    settled(store)
    index_file().chmod(0o644)  # as earlier versions made it
    summaries(store)
    assert stat.S_IMODE(index_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(index_file().parent.stat().st_mode) == 0o700


def test_a_lost_index_is_made_again(store: LocalStorageBackend):
    settled(store)
    index_file().unlink()
    assert store.cached_summaries() == []
    assert set(summaries(store)) == {"r0", "r1", "r2"}
    assert index_file().exists()


@pytest.mark.parametrize("damage", ["empty", "rubbish", "pages", "rows", "table"])
def test_a_damaged_index_is_made_again(store: LocalStorageBackend, damage: str):
    settled(store, count=100)
    path = index_file()
    content = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "rubbish":
        path.write_bytes(b"not a database at all" * 500)
    elif damage == "pages":
        path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            order = "update run set summary = x'7b'" if damage == "rows" else "drop table run"
            connection.execute(order)
    expected = {f"r{n}": "old" for n in range(100)}
    assert isinstance(store.cached_summaries(), list)
    for _ in range(3):
        assert summaries(store) == expected
    assert {each["run_id"] for each in store.cached_summaries()} == expected.keys()


def test_a_busy_index_is_left_alone(store: LocalStorageBackend, monkeypatch: pytest.MonkeyPatch):
    settled(store)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout: connect(path, timeout=0.01))
    before = index_file().stat().st_ino
    with closing(connect(index_file())) as busy:
        busy.execute("begin exclusive")
        busy.execute("update run set stamp = stamp")
        assert set(summaries(store)) == {"r0", "r1", "r2"}
        assert store.cached_summaries() == []
        journal = index_file().with_name(f"{index_file().name}-journal")
        assert journal.exists()
    assert index_file().stat().st_ino == before
    assert set(summaries(store)) == {"r0", "r1", "r2"}
    assert len(store.cached_summaries()) == 3


def test_the_journal_of_a_damaged_index_goes_with_it(store: LocalStorageBackend):
    settled(store)
    journal = index_file().with_name(f"{index_file().name}-journal")
    journal.write_bytes(b"not a journal")
    index_file().write_bytes(b"not a database at all" * 500)
    assert set(summaries(store)) == {"r0", "r1", "r2"}
    assert not journal.exists()
    assert set(summaries(store)) == {"r0", "r1", "r2"}
    assert len(store.cached_summaries()) == 3


def test_without_a_cache_folder_the_store_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("themis.backends.storage.index.cache_dir", lambda: tmp_path / "file")
    store = LocalStorageBackend(tmp_path / "store")
    settled(store)
    store.save_run_metadata("r0", {"status": "new"})
    assert summaries(store) == {"r0": "new", "r1": "old", "r2": "old"}
    assert store.cached_summaries() == []
