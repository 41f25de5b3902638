"""The log of deletions: whole lines, for this user, bounded."""

from __future__ import annotations

import errno
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.stores import make_run, make_store
from themis.backends.storage import local
from themis.core.errors import StorageError, StoreFull
from themis.evaluation import hold
from themis.runs import purge_log
from themis.runs.annotations import seen
from themis.runs.catalog import Store
from themis.runs.delete import delete
from themis.runs.purge import purge
from themis.runs.purge_log import begun_purges, log_purge, purges_path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = make_store("local", tmp_path)
    make_run(store)
    return store


def test_a_full_disk_leaves_no_half_line_and_deletes_nothing(store: Store, tmp_path: Path) -> None:
    make_run(store, "before")
    purge(store, "before")
    written = purges_path().read_bytes()
    script = """
import resource, signal, sys
from themis.backends import LocalStorageBackend
from themis.backends.storage import local
from themis.core.errors import StorageError, StoreFull
from themis.evaluation import hold
from themis.runs.catalog import Store
from themis.runs.delete import delete
from themis.runs.purge import purge
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
try:
    purge(Store("one", LocalStorageBackend(sys.argv[1])), "r1")
except StoreFull:
    print("full")
"""
    # Room for the mark in the run's notes, and for a part of the line.
    room = len(written) + 40
    assert room > 500
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "one"), str(room)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout == "full\n"
    assert purges_path().read_bytes() == written
    assert store.backend.load_generation_records("r1")
    purge(store, "r1")
    steps = [json.loads(line)["step"] for line in purges_path().read_bytes().splitlines()]
    assert steps == ["begun", "done"] * 2


def test_a_torn_line_spoils_no_other(store: Store) -> None:
    purges_path().parent.mkdir(parents=True)
    purges_path().write_bytes(b'{"at": 1.0, "by"')
    log_purge(store, seen(store.backend, "r1"), "begun")
    assert list(begun_purges(store)) == ["r1"]


def test_the_log_is_bounded_and_forgets_nothing_unfinished(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge_log, "MOST_BYTES", 2_000)
    log_purge(store, seen(store.backend, "r1"), "begun")
    for number in range(40):
        make_run(store, f"x{number}", samples=1)
        purge(store, f"x{number}")
    assert list(begun_purges(store)) == ["r1"]
    files = sorted(purges_path().parent.glob("*purges*"))
    assert [each.name for each in files] == [".purges.lock", "purges-1.jsonl", "purges.jsonl"]
    assert all(each.stat().st_size < 2_500 for each in files)
    assert {stat.S_IMODE(each.stat().st_mode) & 0o077 for each in files[1:]} == {0}


def test_the_log_of_a_disk_that_is_full_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(purge_log.os, "write", full)
    with pytest.raises(StoreFull, match=r"purges\.jsonl: no room to write down a deletion"):
        log_purge(store, seen(store.backend, "r1"), "begun")
    assert purges_path().read_bytes() == b""


def test_a_run_can_be_deleted_from_a_full_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(local, "write_whole", full)
    monkeypatch.setattr(hold.os, "pwrite", full)
    with pytest.raises(StoreFull):
        delete(store, "r1")
    assert purge(store, "r1").was_there
    assert not store.backend.run_exists("r1")


def test_a_state_directory_that_cannot_be_made_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEMIS_STATE_DIR", "/dev/null/state")
    with pytest.raises(StorageError, match="cannot hold the run"):
        delete(store, "r1")


def test_folders_of_the_state_directory_are_for_the_user_alone(store: Store) -> None:
    purge(store, "r1")
    state = purges_path().parent
    for folder in (state, state / "hosts", *(state / "hosts").iterdir()):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
