from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from themis.backends import LocalStorageBackend
from themis.backends.storage import deleted_runs, files, local
from themis.backends.storage.local import MOST_OPEN_RUNS
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import (
    AccessDenied,
    RunNotFound,
    SchemaTooNew,
    StorageError,
    StoreCorrupt,
    StoreFull,
    StoreUnreachable,
)
from themis.testing import StorageBackendSuite
from themis.testing.storage.examples import evaluation, full_metadata, generation
from themis.testing.storage.refusals import EVERY_METHOD

LONG_AGO = 1_600_000_000


class TestLocal(StorageBackendSuite):
    def make(self) -> LocalStorageBackend:
        return LocalStorageBackend(self.tmp_path / "store")


@pytest.fixture
def store(tmp_path: Path):
    with LocalStorageBackend(tmp_path / "store") as backend:
        yield backend


def run_script(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


# Layout


def test_the_layout_is_the_one_that_is_written_down(store: LocalStorageBackend):
    store.save_run_metadata("r", full_metadata("r"))
    store.save_report("r", ExperimentReport(run_id="r"))
    store.save_generation_record("r", generation("a"))
    store.save_evaluation_record("r", evaluation("a"))
    assert json.loads((store.root / "themis-store.json").read_bytes()) == {"layout": 1}
    folder = store.root / "runs" / "r"
    names = sorted(os.listdir(folder))
    assert names[2:] == ["report.json", "run.json"]
    for name, kind in zip(names, ("eval", "gen"), strict=False):
        prefix, number, writer = name.removesuffix(".jsonl").split("-")
        assert (prefix, number) == (kind, "000001")
        assert len(writer) == 8
    assert json.loads((folder / "run.json").read_bytes()) == full_metadata("r")
    (line,) = (folder / names[1]).read_text("utf8").splitlines()
    assert GenerationRecord(**json.loads(line)) == generation("a")
    (line,) = (folder / names[0]).read_text("utf8").splitlines()
    assert EvaluationRecord(**json.loads(line)) == evaluation("a")


def test_nothing_is_made_before_the_first_save(tmp_path: Path):
    with LocalStorageBackend(tmp_path / "store") as store:
        store.list_runs()
        store.run_exists("r")
        store.delete_run("r")
        list(store.list_summaries())
        store.flush()
    assert not (tmp_path / "store").exists()


def test_each_writer_has_a_file_of_its_own_and_later_openings_later_names(tmp_path: Path):
    for opening in (1, 2, 3):
        with LocalStorageBackend(tmp_path) as store:
            store.save_generation_record("r", generation("a"))
            store.save_generation_record("r", generation("b"))
        names = sorted(name for name in os.listdir(tmp_path / "runs" / "r"))
        assert [name.split("-")[1] for name in names] == [f"{n:06d}" for n in range(1, opening + 1)]


def test_records_are_one_line_each_whatever_the_text(store: LocalStorageBackend):
    store.save_generation_record("r", generation("a", response="1\r\n2\u20283\x00\ud800"))
    store.save_generation_record("r", generation("b"))
    (file,) = (store.root / "runs" / "r").glob("gen-*.jsonl")
    assert file.read_bytes().count(b"\n") == 2
    assert [json.loads(line)["id"] for line in file.read_bytes().splitlines()] == ["a", "b"]


def test_a_deleted_run_leaves_no_file(store: LocalStorageBackend):
    store.save_run_metadata("r", {})
    store.save_generation_record("r", generation("a"))
    store.delete_run("r")
    assert os.listdir(store.root / "runs") == []
    assert os.listdir(store.root / ".deleting") == []


def test_what_killed_deletions_left_is_swept_by_the_next(store: LocalStorageBackend):
    store.save_generation_record("r", generation("a"))
    store.save_generation_record("r-2", generation("a"))
    left = store.root / ".deleting" / "r-0123456789ab"
    other = store.root / ".deleting" / "r-2-0123456789ab"
    for folder in (left, other):
        folder.mkdir(parents=True)
        (folder / "gen-000001-abcdef01.jsonl").touch()
    store.delete_run("r")
    assert os.listdir(store.root / ".deleting") == []
    assert store.list_runs() == ["r-2"]


def test_what_cannot_be_swept_does_not_keep_another_run_from_being_deleted(
    store: LocalStorageBackend, monkeypatch: pytest.MonkeyPatch
):
    store.save_generation_record("r", generation("a"))
    (store.root / ".deleting" / "other-0123456789ab").mkdir(parents=True)
    remove = deleted_runs._remove

    def refusing(folder: Path) -> None:
        if folder.name.startswith("other"):
            raise PermissionError(13, os.strerror(13))
        remove(folder)

    monkeypatch.setattr(deleted_runs, "_remove", refusing)
    store.delete_run("r")
    assert os.listdir(store.root / ".deleting") == ["other-0123456789ab"]


def test_a_link_among_the_runs_is_listed_by_neither_list_and_deleted_alone(
    tmp_path: Path, store: LocalStorageBackend
):
    store.save_run_metadata("r", {})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "run.json").write_text("{}")
    link = store.root / "runs" / "linked"
    link.symlink_to(tmp_path / "elsewhere")
    assert store.list_runs() == ["r"]
    assert [each["run_id"] for each in store.list_summaries()] == ["r"]
    store.delete_run("linked")
    assert not link.is_symlink()
    assert os.listdir(store.root / ".deleting") == []
    assert (tmp_path / "elsewhere" / "run.json").exists()


@pytest.mark.parametrize("ask", ["delete_run", "left_of"])
def test_a_link_in_place_of_the_folder_of_deleted_runs_is_not_swept(
    tmp_path: Path, store: LocalStorageBackend, ask: str
):
    store.save_generation_record("r", generation("a"))
    (tmp_path / "home" / "thesis").mkdir(parents=True)
    (store.root / ".deleting").symlink_to(tmp_path / "home")
    with pytest.raises(StorageError, match="is a link to"):
        getattr(store, ask)("r")
    assert (tmp_path / "home" / "thesis").exists()
    assert store.list_runs() == ["r"]


def test_a_folder_of_another_program_is_not_deleted(store: LocalStorageBackend):
    store.save_generation_record("r", generation("a"))
    theirs = store.root / "runs" / "exp1"
    theirs.mkdir()
    (theirs / "events.out.tfevents").touch()
    store.save_annotations("exp1", {"tags": ["mine"]}, "")
    with pytest.raises(StorageError, match=r"nothing of a run \(events"):
        store.delete_run("exp1")
    assert (theirs / "events.out.tfevents").exists()
    (theirs / "events.out.tfevents").unlink()
    store.delete_run("exp1")
    assert not theirs.exists()


def test_a_file_among_what_is_swept_is_removed(store: LocalStorageBackend):
    store.save_generation_record("r", generation("a"))
    (store.root / ".deleting").mkdir()
    (store.root / ".deleting" / "r-0123456789ab").touch()
    store.delete_run("r")
    assert store.unswept() == []


def test_the_default_place_is_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THEMIS_DATA_DIR", str(tmp_path / "data"))
    assert LocalStorageBackend().root == tmp_path / "data" / "store"
    monkeypatch.chdir(tmp_path)
    assert LocalStorageBackend("here").root == tmp_path / "here"
    assert LocalStorageBackend("~/x").root == Path.home() / "x"


# What is torn or damaged


def torn(store: LocalStorageBackend, tail: bytes, *, young: bool) -> Path:
    store.save_generation_record("r", generation("a"))
    store.close()
    (file,) = (store.root / "runs" / "r").glob("gen-*.jsonl")
    with open(file, "ab") as opened:
        opened.write(tail)
    if not young:
        os.utime(file, (LONG_AGO, LONG_AGO))
    return file


@pytest.mark.parametrize(
    "tail", [b"{", b'{"id":"b","prompt":"?","respon', b'{"id":"b"}', b"\x00" * 9, b"\xff"]
)
def test_a_torn_last_line_is_dropped_and_reported_once(
    store: LocalStorageBackend, tail: bytes, caplog: pytest.LogCaptureFixture
):
    file = torn(store, tail, young=False)
    with caplog.at_level(logging.WARNING, "themis.storage"):
        for _ in range(2):
            assert store.load_generation_records("r") == [generation("a")]
            assert list(store.iter_generation_records("r")) == [generation("a")]
    (message,) = caplog.messages
    assert str(file) in message
    assert f"{len(tail)} bytes" in message
    store.save_generation_record("r", generation("c"))
    assert store.load_generation_records("r") == [generation("a"), generation("c")]


def test_an_unfinished_line_of_a_writer_at_work_is_no_news(
    store: LocalStorageBackend, caplog: pytest.LogCaptureFixture
):
    torn(store, b'{"id":"b"', young=True)
    assert store.load_generation_records("r") == [generation("a")]
    assert caplog.messages == []


def test_a_damaged_finished_line_is_corrupt_and_not_dropped(store: LocalStorageBackend):
    file = torn(store, b'{"id": oops\n', young=False)
    for load in (store.load_generation_records, lambda run: list(store.iter_generation_records(run))):
        with pytest.raises(StoreCorrupt, match="line 2") as raised:
            load("r")
        assert str(file) in str(raised.value)


def test_the_line_that_is_corrupt_is_counted_from_the_start_of_the_file(store: LocalStorageBackend):
    store.save_generation_records("r", [generation(f"{n}", response="x" * 1_000) for n in range(3_000)])
    store.close()
    (file,) = (store.root / "runs" / "r").glob("gen-*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    lines[2_500] = b"\n"
    lines[2_600] = b"oops\n"
    file.write_bytes(b"".join(lines))
    with pytest.raises(StoreCorrupt, match=rf"{file.name}, line 2601: not a record"):
        store.load_generation_records("r")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_damaged_metadata_are_corrupt_and_hide_no_other_run(store: LocalStorageBackend, content: bytes):
    for run_id in ("bad", "good"):
        store.save_run_metadata(run_id, full_metadata(run_id))
    (store.root / "runs" / "bad" / "run.json").write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"run\.json"):
        store.load_run_metadata("bad")
    with pytest.raises(StoreCorrupt, match=r"run\.json"):
        store.load_generation_records("bad")
    summaries = {each["run_id"]: each for each in store.list_summaries()}
    assert summaries["good"]["status"] == "running"
    assert summaries["bad"]["status"] == "unreadable"
    assert "run.json" in summaries["bad"]["status_reason"]


@pytest.mark.parametrize(
    "content", [b'{"status": "\\ud800"}', b'{"n": NaN}', b'{"n": 1e999}', b'{"\\u0000": 1}']
)
def test_metadata_that_themis_would_not_have_saved_hide_no_other_run(
    store: LocalStorageBackend, content: bytes
):
    for run_id in ("odd", "good"):
        store.save_run_metadata(run_id, full_metadata(run_id))
    (store.root / "runs" / "odd" / "run.json").write_bytes(content)
    for _ in range(2):
        assert {each["run_id"] for each in store.list_summaries()} == {"odd", "good"}


def test_metadata_that_cannot_be_read_hide_no_other_run(store: LocalStorageBackend):
    store.save_run_metadata("good", full_metadata("good"))
    (store.root / "runs" / "bad" / "run.json").mkdir(parents=True)
    statuses = {each["run_id"]: each["status"] for each in store.list_summaries()}
    assert statuses == {"good": "running", "bad": "unreadable"}
    with pytest.raises(StoreUnreachable, match=r"run\.json"):
        store.load_run_metadata("bad")


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_newer_layout_is_refused_by_every_method(tmp_path: Path, method: str):
    with LocalStorageBackend(tmp_path) as older:
        older.save_run_metadata("r", {})
        older.save_generation_record("r", generation("a"))
    (tmp_path / "themis-store.json").write_text('{"layout": 2}')
    before = sorted(tmp_path.rglob("*"))
    store = LocalStorageBackend(tmp_path)
    with pytest.raises(SchemaTooNew, match="layout 2"):
        EVERY_METHOD[method](store, "r")
    with pytest.raises(SchemaTooNew, match="layout 2"):
        EVERY_METHOD[method](store, "unknown")
    for listing in (store.list_runs, lambda: list(store.list_summaries())):
        with pytest.raises(SchemaTooNew, match="layout 2"):
            listing()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_header_that_is_none_is_refused(tmp_path: Path):
    for content in ("", "[]", "layout"):
        (tmp_path / "themis-store.json").write_text(content)
        with pytest.raises(StorageError, match="not the header"):
            LocalStorageBackend(tmp_path).list_runs()


# Errors of the system

FULL = """
import json, resource, sys
from themis.backends import LocalStorageBackend
from themis.core.entities import GenerationRecord
from themis.core.errors import StoreFull

def record(n):
    return GenerationRecord(id=str(n), prompt="?", response="x" * 999)

store = LocalStorageBackend(sys.argv[1])
store.save_run_metadata("r", {"status": "before"})
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, most))
refused = []
for n in range(100):
    try:
        store.save_generation_record("r", record(n))
    except StoreFull as exc:
        refused.append(str(n))
        assert "room" in str(exc) and isinstance(exc, OSError), exc
try:
    store.save_run_metadata("r", {"status": "x" * 60_000})
except StoreFull:
    refused.append("metadata")
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
store.save_generation_record("r", record("last"))
store.close()
print(json.dumps(refused))
"""


def test_a_full_disk_tears_no_line(tmp_path: Path):
    """A limit on the size of files fails like a full disk: after a part of the record was written."""
    refused = json.loads(run_script(FULL, tmp_path).stdout)
    assert refused.pop() == "metadata"
    assert 1 <= len(refused) < 99
    store = LocalStorageBackend(tmp_path)
    expected = {str(n) for n in range(100)} - set(refused) | {"last"}
    assert {each.id for each in store.load_generation_records("r")} == expected
    assert store.load_run_metadata("r") == {"status": "before"}
    (file,) = (tmp_path / "runs" / "r").glob("gen-*.jsonl")
    assert all(json.loads(line) for line in file.read_bytes().splitlines())
    assert sorted(os.listdir(tmp_path / "runs" / "r")) == [file.name, "run.json"]


def test_an_interrupt_in_the_midst_of_a_record_tears_no_line(
    store: LocalStorageBackend, monkeypatch: pytest.MonkeyPatch
):
    store.save_generation_record("r", generation("a"))
    write = os.write

    def interrupted(fd: int, data: bytes) -> int:
        write(fd, data[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.save_generation_record("r", generation("b"))
    store.save_generation_record("r", generation("c"))
    assert store.load_generation_records("r") == [generation("a"), generation("c")]


def test_after_a_torn_piece_that_could_not_be_taken_back_a_new_file_is_begun(
    store: LocalStorageBackend, monkeypatch: pytest.MonkeyPatch
):
    store.save_generation_record("r", generation("a"))
    store.save_evaluation_record("r", evaluation("a"))
    write = os.write

    def failing(fd: int, data: bytes) -> int:
        if len(data) <= 10:
            raise OSError(5, os.strerror(5))
        return write(fd, data[:-10])

    def stuck(fd: int, size: int) -> None:
        raise OSError(5, os.strerror(5))

    for torn_id in ("b", "d"):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", failing)
            patch.setattr(os, "ftruncate", stuck)
            with pytest.raises(StoreUnreachable):
                store.save_generation_record("r", generation(torn_id))
        store.save_generation_record("r", generation(f"after {torn_id}"))
    store.save_evaluation_record("r", evaluation("b"))
    assert [each.id for each in store.load_generation_records("r")] == ["a", "after b", "after d"]
    assert list(store.load_evaluation_records("r")) == ["a", "b"]
    assert len(list((store.root / "runs" / "r").glob("gen-*.jsonl"))) == 3
    assert len(list((store.root / "runs" / "r").glob("eval-*.jsonl"))) == 1


DENIED = """
import os, sys
from themis.backends import LocalStorageBackend
from themis.core.errors import AccessDenied, StorageError
from themis.testing.storage.refusals import EVERY_METHOD

if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
store = LocalStorageBackend(sys.argv[1])
calls = {name: lambda each=each: each(store, "r") for name, each in EVERY_METHOD.items()}
calls["list_runs"] = store.list_runs
calls["list_summaries"] = lambda: list(store.list_summaries())
for name, call in calls.items():
    try:
        print(name, "gave", call())
    except AccessDenied as exc:
        assert sys.argv[1] in str(exc) and isinstance(exc, PermissionError), exc
"""


def test_no_permission_is_never_taken_for_not_there(tmp_path: Path):
    with LocalStorageBackend(tmp_path / "closed" / "store") as store:
        store.save_run_metadata("r", {})
    (tmp_path / "closed").chmod(0o700 if os.getuid() == 0 else 0)
    try:
        assert run_script(DENIED, tmp_path / "closed" / "store").stdout == ""
    finally:
        (tmp_path / "closed").chmod(0o700)


@pytest.mark.parametrize(
    ("number", "error"), [(13, AccessDenied), (30, AccessDenied), (28, StoreFull), (5, StoreUnreachable)]
)
def test_errors_of_the_system_are_told_apart(
    store: LocalStorageBackend, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
):
    store.save_run_metadata("r", {"status": "before"})

    def failing(*args: object, **kwargs: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        with pytest.raises(error, match=str(store.root)):
            store.save_generation_record("r", generation("a"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        with pytest.raises(error, match=str(store.root)):
            store.save_run_metadata("r", {"status": "after"})
    assert store.load_run_metadata("r") == {"status": "before"}
    assert store.load_generation_records("r") == []
    assert os.listdir(store.root / "runs" / "r") == ["run.json"]


def test_a_root_that_is_a_file_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    store = LocalStorageBackend(tmp_path / "file")
    with pytest.raises(StorageError, match="file"):
        store.save_generation_record("r", generation("a"))
    assert (tmp_path / "file").read_text() == "mine"


# Many runs and processes


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def test_more_runs_than_files_may_be_open(tmp_path: Path):
    before = open_files()
    runs = [f"run-{n}" for n in range(3 * MOST_OPEN_RUNS)]
    with LocalStorageBackend(tmp_path) as store:
        for round_ in range(2):
            for run_id in runs:
                store.save_generation_record(run_id, generation(f"{run_id} {round_}"))
                store.save_evaluation_record(run_id, evaluation(f"{run_id} {round_}"))
            assert open_files() - before <= 2 * MOST_OPEN_RUNS + 8
        for run_id in runs:
            expected = [f"{run_id} {round_}" for round_ in range(2)]
            assert [each.id for each in store.load_generation_records(run_id)] == expected
            assert list(store.load_evaluation_records(run_id)) == expected
    assert open_files() - before <= 8


def test_a_run_that_gives_way_to_others_while_it_is_written_loses_nothing(store: LocalStorageBackend):
    """Between finding its file and writing to it, other threads may open so many runs that it is closed."""
    store.save_generation_record("r", generation("a"))
    writer = store._writer
    given_way = []

    def crowded_out(run_id: str):
        found = writer(run_id)
        if run_id == "r" and not given_way:
            given_way.append(run_id)
            for number in range(MOST_OPEN_RUNS):
                store.save_generation_record(f"other-{number}", generation("x"))
        return found

    store._writer = crowded_out  # type: ignore[method-assign]
    store.save_generation_record("r", generation("b"))
    assert given_way == ["r"]
    assert [each.id for each in store.load_generation_records("r")] == ["a", "b"]


def test_a_deleted_run_does_not_spoil_the_flush_of_others(tmp_path: Path, store: LocalStorageBackend):
    for number in range(MOST_OPEN_RUNS):
        store.save_generation_record(f"r{number}", generation("a"))
    LocalStorageBackend(store.root).delete_run("r0")
    store.save_generation_record("one-more", generation("a"))  # r0 gives way, and is not missed
    LocalStorageBackend(store.root).delete_run("r1")
    with pytest.raises(RunNotFound, match="r1"):
        store.flush()
    store.flush()
    LocalStorageBackend(store.root).delete_run("r2")
    store.close()
    assert len(store.list_runs()) == MOST_OPEN_RUNS - 2


def test_a_writer_learns_that_its_run_was_deleted(store: LocalStorageBackend):
    store.save_generation_record("r", generation("a"))
    LocalStorageBackend(store.root).delete_run("r")
    with pytest.raises(RunNotFound, match="deleted while it was written"):
        store.save_generation_record("r", generation("b"))
    assert not store.run_exists("r")
    store.save_generation_record("r", generation("c"))
    assert [each.id for each in store.load_generation_records("r")] == ["c"]


def test_a_save_between_the_rename_and_the_sweep_of_a_deletion_is_not_swept(
    store: LocalStorageBackend, monkeypatch: pytest.MonkeyPatch
):
    store.save_generation_record("r", generation("a"))
    remove, refused = deleted_runs._remove, []

    def saving_meanwhile(folder: Path) -> None:
        with pytest.raises(RunNotFound, match="deleted while it was written") as refusal:
            store.save_generation_record("r", generation("b"))
        refused.append(refusal)
        store.save_generation_record("r", generation("c"))
        remove(folder)

    monkeypatch.setattr(deleted_runs, "_remove", saving_meanwhile)
    LocalStorageBackend(store.root).delete_run("r")
    assert len(refused) == 1
    assert [each.id for each in store.load_generation_records("r")] == ["c"]


FORK = """
import os, sys
from themis.backends import LocalStorageBackend
from themis.core.entities import GenerationRecord

store = LocalStorageBackend(sys.argv[1])

def save(who):
    for n in range(200):
        store.save_generation_record("r", GenerationRecord(f"{who}-{n}", "?", "x" * 5_000))

store.save_generation_record("r", GenerationRecord("before", "?", "!"))
child = os.fork()
save("child" if child == 0 else "parent")
if child == 0:
    store.close()
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0
store.close()
"""


def test_both_sides_of_a_fork_write_files_of_their_own(tmp_path: Path):
    run_script(FORK, tmp_path)
    store = LocalStorageBackend(tmp_path)
    ids = {each.id for each in store.load_generation_records("r")}
    assert ids == {"before", *(f"{who}-{n}" for who in ("parent", "child") for n in range(200))}
    assert len(list((tmp_path / "runs" / "r").glob("gen-*.jsonl"))) == 2


FORK_AMID_A_FLUSH = """
import os, signal, sys, threading
from themis.backends import LocalStorageBackend
from themis.backends.storage import files
from themis.core.entities import GenerationRecord

store = LocalStorageBackend(sys.argv[1])
store.save_generation_record("r", GenerationRecord("before", "?", "!"))
store.save_generation_record("other", GenerationRecord("before", "?", "!"))
flushing, forked = threading.Event(), threading.Event()

def slow(fd, sync=files._fdatasync):
    flushing.set()
    forked.wait()
    sync(fd)

files._fdatasync = slow
thread = threading.Thread(target=store.flush)
thread.start()
flushing.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    files._fdatasync = os.fsync
    store.save_generation_record("r", GenerationRecord("child", "?", "!"))
    store.delete_run("other")
    store.close()
    os._exit(0)
_, status = os.waitpid(child, 0)
forked.set()
thread.join()
assert status == 0, status
"""


def test_a_fork_while_a_thread_flushes_does_not_hang_the_child(tmp_path: Path):
    run_script(FORK_AMID_A_FLUSH, tmp_path)
    store = LocalStorageBackend(tmp_path)
    assert {each.id for each in store.load_generation_records("r")} == {"before", "child"}
    assert store.list_runs() == ["r"]


def test_a_folder_that_could_not_be_synced_is_tried_again(
    store: LocalStorageBackend, monkeypatch: pytest.MonkeyPatch
):
    store.save_run_metadata("r", {})
    synced: list[Path] = []

    def failing(folder: Path) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(local, "sync_folder", failing)
    with pytest.raises(StoreUnreachable, match="sync the folder"):
        store.flush()
    monkeypatch.setattr(local, "sync_folder", synced.append)
    store.flush()
    assert {store.root, store.root / "runs", store.root / "runs" / "r"} <= set(synced)
    synced.clear()
    store.flush()
    assert synced == []


def test_what_was_flushed_was_handed_to_the_disk(store: LocalStorageBackend, monkeypatch: pytest.MonkeyPatch):
    synced = []
    sync = files._fdatasync

    def noting(fd: int) -> None:
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
        sync(fd)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("no /proc here to see which files are synced")
    monkeypatch.setattr(files, "_fdatasync", noting)
    for _ in range(2):
        store.save_generation_record("r", generation("a"))
        store.save_evaluation_record("r", evaluation("a"))
    assert synced == []
    store.flush()
    assert sorted(name.split("-")[0] for name in synced) == ["eval", "gen"]
    store.flush()
    assert len(synced) == 2
    store.save_generation_record("r", generation("b"))
    store.close()
    assert len(synced) == 3


@pytest.mark.parametrize("name", ["t9", ".DS_Store", ".nfs0001-2", "-abc", "r-"])
def test_what_others_left_among_the_deleted_is_of_no_run(store, name):
    stray = store.root / ".deleting" / name
    stray.mkdir(parents=True)
    (store.root / ".deleting" / "gone-0123456789ab").mkdir()
    assert store.unswept() == ["gone"]
    store.save_generation_record("r", GenerationRecord(id="s", prompt="?", response="!"))
    store.delete_run("r")
    assert store.unswept() == []
    assert stray.exists()
