"""Records that wait on this machine for their store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.backends.far import FarStorage
from tests.backends.test_journalled import RUN, ids, killed_writer
from themis.backends import LocalStorageBackend
from themis.core.errors import UsageError
from themis.runs.annotations import run_held
from themis.runs.catalog import Store, list_rows
from themis.runs.doctor import examine_store, repair
from themis.runs.recover import kept, recover, set_aside
from themis.runs.watch import look
from themis.testing.storage.examples import evaluation, generation


@pytest.fixture
def store(tmp_path: Path):
    with FarStorage(tmp_path / "far" / "store") as backend:
        yield Store("far", backend)


def test_what_waits_is_told_without_a_change(store: Store):
    store.backend.save_generation_record("mine", generation("a"))
    store.backend.flush()
    assert kept(store) == []
    killed_writer(store.backend.root)
    for _ in range(2):
        ((run_id, segments, size, living, _),) = kept(store)
        assert (run_id, segments, living) == (RUN, 2, False)
        assert size > 500
    (sent,) = recover(store)
    assert (sent.run_id, sent.segments) == (RUN, 2)
    assert kept(store) == []


def test_what_a_living_process_sends_is_told_as_such(store: Store, tmp_path: Path):
    writer = FarStorage(store.backend.root, slow=True)
    writer.save_generation_record(RUN, generation("a"))
    assert [(each.segments, each.living, each.pid) for each in kept(store)] == [(1, True, os.getpid())]
    assert len(kept(store, RUN)) == 1
    assert kept(store, "another") == []
    assert examine_store(store).findings == []
    writer.close()


def crashed_after(store: Store, done: int) -> dict[str, object]:
    """A run of six whose process ended with five answers that were not sent; its metadata."""
    asked = {"metrics": {name: {"version": "1"} for name in evaluation("x").scores}, "epochs": 1}
    progress = {"run_id": RUN, "total": 6, "done": done, "at": 1.0, "kept": 0, "status": "running"}
    summary = {"done": done, "total": 6, "metrics": {}}
    metadata = {"run_id": RUN, "status": "failed", "status_reason": "it fell", "uid": "u", "created_at": 1.0}
    metadata |= {"asked": asked, "progress": progress, "summary": summary}
    store.backend.save_run_metadata(RUN, metadata)
    store.backend.flush()
    killed_writer(store.backend.root)
    return metadata


def test_how_far_a_run_is_follows_what_was_sent(store: Store):
    before = crashed_after(store, 1)
    recover(store)
    view = look(store.backend, RUN)
    assert (view.progress.done, view.progress.total) == (5, 6)
    assert view.metadata["summary"]["done"] == 5
    assert {each["n"] for each in view.progress.metrics.values()} == {5}
    assert [row.done for row in list_rows(store)] == [5]
    changed = {"progress", "summary"}
    assert {k: v for k, v in view.metadata.items() if k not in changed} == (
        {k: v for k, v in before.items() if k not in changed}
    )


def test_a_run_that_somebody_is_at_says_itself_how_far_it_is(store: Store):
    crashed_after(store, 1)
    with run_held(store, look(store.backend, RUN)):
        (sent,) = recover(store)
    assert sent.segments == 2
    assert look(store.backend, RUN).progress.done == 1


@pytest.mark.parametrize("change", [{"status": "completed"}, {"asked": None}, {"rescoring": {"metrics": {}}}])
def test_what_cannot_be_counted_anew_stays_as_it_was(store: Store, change: dict[str, object]):
    metadata = crashed_after(store, 1) | change
    store.backend.far.save_run_metadata(RUN, metadata)
    recover(store)
    assert len(ids(store.backend)) == 5
    assert store.backend.load_run_metadata(RUN) == metadata


def test_doctor_finds_it_and_sends_it(store: Store):
    killed_writer(store.backend.root)
    (finding,) = examine_store(store).findings
    assert finding.kind == "unsent"
    assert RUN in finding.said
    assert repair([finding]) == [(finding, None)]
    assert len(ids(store.backend)) == 5
    assert examine_store(store).findings == []


def test_doctor_tells_of_what_was_set_aside(store: Store):
    killed_writer(store.backend.root)
    store.backend.delete_run(RUN)
    recover(store)
    (finding,) = examine_store(store).findings
    assert finding.kind == "set-aside"
    assert "was deleted" in finding.said
    assert len(set_aside(store)) == 2


def test_a_store_without_a_journal_has_nothing_to_recover(tmp_path: Path):
    store = Store("local", LocalStorageBackend(tmp_path))
    assert kept(store) == set_aside(store) == []
    with pytest.raises(UsageError, match="keeps no journal"):
        recover(store)
