"""One look at a run: its metadata, and the newest progress that can be had."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from themis import evaluate
from themis.backends import MemoryStorageBackend
from themis.core.entities import GenerationRecord
from themis.core.errors import InvalidRunId, RunNotFound
from themis.core.progress import ProgressSnapshot
from themis.evaluation.host import boot_id, host_name, process_started
from themis.runs.logs import logs_of
from themis.runs.places import log_path, progress_path
from themis.runs.runner import Publisher, replace_file
from themis.runs.status import Status
from themis.runs.watch import RunView, glance, look, sample_records, snapshot_from


@pytest.fixture
def backend() -> MemoryStorageBackend:
    """A store with one run that this very process runs, 5 of 10 done when its metadata were saved."""
    backend = MemoryStorageBackend()
    save(backend)
    return backend


def save(backend: MemoryStorageBackend, **more: Any) -> None:
    now = time.time()
    metadata = {
        "run_id": "r1",
        "schema_version": 1,
        "status": "running",
        "heartbeat": {"seq": 1, "at": now},
        "progress": ProgressSnapshot("r1", at=now, done=5, total=10).__dict__,
        "where": {
            "storage": "mine",
            "host": host_name(),
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "pid_started": process_started(os.getpid()),
        },
        **more,
    }
    backend.save_run_metadata("r1", metadata)


def write_progress(done: int, after_s: float = 1.0) -> None:
    place = progress_path("mine", "r1")
    place.parent.mkdir(parents=True, exist_ok=True)
    replace_file(place, ProgressSnapshot("r1", at=time.time() + after_s, done=done, total=10).__dict__)


def done(backend: MemoryStorageBackend) -> int | None:
    progress = look(backend, "r1").progress
    return None if progress is None else progress.done


def test_the_runner_s_own_file_is_newer_than_the_store(backend: MemoryStorageBackend) -> None:
    assert done(backend) == 5
    write_progress(7)
    assert done(backend) == 7
    view = look(backend, "r1")
    write_progress(8)
    newest = glance(view)
    assert newest is not None
    assert newest.done == 8


def test_the_store_is_believed_where_it_is_newer(backend: MemoryStorageBackend) -> None:
    write_progress(3, after_s=-100)
    assert done(backend) == 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"run_id": "r1", "do',
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b'{"done": 7}',
        b'{"run_id": "r1", "at": "soon"}',
        b'{"run_id": 5}',
        b'{"run_id": "r1", "done": null}',
        b"[" * 100_000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_without_a_whole_file_the_store_is_believed(backend: MemoryStorageBackend, data: bytes) -> None:
    place = progress_path("mine", "r1")
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    assert done(backend) == 5
    assert glance(look(backend, "r1")) is None


def test_a_folder_in_the_place_of_the_file_is_no_progress(backend: MemoryStorageBackend) -> None:
    progress_path("mine", "r1").mkdir(parents=True)
    assert done(backend) == 5


@pytest.mark.parametrize("status", ["completed", "paused", "cancelled", "failed"])
def test_the_last_word_of_an_ended_run_is_in_the_store(backend: MemoryStorageBackend, status: str) -> None:
    write_progress(9, after_s=100)
    save(backend, status=status)
    assert done(backend) == 5


@pytest.mark.parametrize("progress", [None, {}, 5, "x", {"run_id": "r1", "at": "soon"}, {"run_id": None}])
def test_progress_of_another_form_is_none(backend: MemoryStorageBackend, progress: Any) -> None:
    save(backend, progress=progress)
    assert done(backend) is None
    write_progress(7)
    assert done(backend) == 7


def test_a_snapshot_of_a_newer_version_is_read() -> None:
    snapshot = ProgressSnapshot(
        "r1", seq=3, failed={"server": 2}, eta_s=[1.0, 2.5], history=[0.0, 3.5], top_errors=[{"kind": "x"}]
    )
    stored = json.loads(json.dumps(snapshot.__dict__))
    assert snapshot_from(stored) == snapshot
    assert snapshot_from({**stored, "colour": "red"}) == snapshot


def test_a_run_of_records_alone_can_be_looked_at() -> None:
    backend = MemoryStorageBackend()
    backend.save_generation_record("r1", GenerationRecord("a", "p", "r"))
    view = look(backend, "r1")
    assert (view.status.word, view.progress, view.metadata) == ("unknown", None, {"run_id": "r1"})
    assert glance(view) is None
    with pytest.raises(RunNotFound):
        look(backend, "r2")


def test_the_two_records_of_a_sample_are_found() -> None:
    backend = MemoryStorageBackend()
    evaluate("demo", model="fake-math-llm", limit=3, epochs=2, run_id="r1", storage_backend=backend)
    for record in backend.load_generation_records("r1"):
        generation, evaluation = sample_records(backend, "r1", record.id)
        assert generation == record
        assert evaluation is not None
        assert evaluation.id == record.id
    assert sample_records(backend, "r1", "nobody") == (None, None)


# The runner's side


def test_a_published_snapshot_is_what_is_looked_at(tmp_path: Path, backend: MemoryStorageBackend) -> None:
    publisher = Publisher(tmp_path / "x.answer")
    publisher.publish(ProgressSnapshot("r1"))
    publisher.started({"run_id": "r1", "where": {"storage": "mine"}})
    assert json.loads((tmp_path / "x.answer").read_text()) == {
        "run_id": "r1",
        "store": "mine",
        "pid": os.getpid(),
    }
    snapshot = ProgressSnapshot("r1", at=time.time() + 1, done=6, status_reason="\x00\ud800 é")
    publisher.publish(snapshot)
    assert look(backend, "r1").progress == snapshot
    assert [each.name for each in progress_path("mine", "r1").parent.iterdir()] == ["progress.json"]


def test_a_run_goes_on_where_no_progress_can_be_written(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path / "x.answer")
    publisher.started({"run_id": "r1", "where": {"storage": "mine"}})
    place = progress_path("mine", "r1")
    place.parent.rmdir()
    place.parent.write_text("a file in the way")
    publisher.publish(ProgressSnapshot("r1"))


def test_only_a_run_that_did_not_come_up_is_told_to_the_launcher(tmp_path: Path) -> None:
    answer = tmp_path / "x.answer"
    publisher = Publisher(answer)
    publisher.failed(ValueError("\x00 no \ud800"))
    assert json.loads(answer.read_text()) == {"error": "ValueError: \ufffd no \ufffd", "kind": "LaunchFailed"}
    answer.unlink()
    publisher.started({"run_id": "r1", "where": {"storage": "mine"}})
    answer.unlink()
    publisher.failed(ValueError("later"))
    assert not answer.exists()


def test_runs_of_two_stores_have_places_of_their_own() -> None:
    places = {progress_path(store, run) for store in ("a", "b", "a:b") for run in ("r1", "r2", "b-r1")}
    assert len(places) == 9


@pytest.mark.parametrize("run_id", ["../../x", "/x", "", ".", "a/b"])
def test_an_id_that_leads_elsewhere_has_no_place(run_id, backend) -> None:
    with pytest.raises(InvalidRunId):
        progress_path("mine", run_id)
    with pytest.raises(InvalidRunId):
        log_path(run_id, "now")
    assert logs_of(run_id) == []
    assert glance(RunView(run_id, backend.load_run_metadata("r1"), None, Status("running"))) is None
