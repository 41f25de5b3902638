"""Copies between stores of every kind, read back record by record."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runs.stores import KINDS, make_run, make_store
from themis import evaluate
from themis.backends import LocalStorageBackend, MemoryStorageBackend
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import (
    Conflict,
    RecordRefused,
    RunConflict,
    RunError,
    RunExists,
    RunHeld,
    RunNotFound,
    StorageError,
    StoreReadonly,
)
from themis.evaluation.hold import held
from themis.runs.annotations import annotations_of, change_tags, lock_name_of, set_name
from themis.runs.catalog import Store, list_rows
from themis.runs.copy import COPYING, CopyProgress, copy_run
from themis.runs.delete import delete, undo
from themis.runs.purge import purge
from themis.runs.trash import trash_of
from themis.runs.watch import look

RUN = "r1"


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("of", KINDS)
def test_a_copy_is_the_same_run(of: str, to: str, tmp_path: Path) -> None:
    source, target = make_store(of, tmp_path), make_store(to, tmp_path, "two")
    evaluate(
        "demo", model="fake-math-llm?error_rate=0.2", limit=20, storage_backend=source.backend, run_id=RUN
    )
    set_name(source, RUN, "mine")
    delete(source, RUN)
    told: list[CopyProgress] = []
    copied = copy_run(source, RUN, target, progress=told.append)
    assert copied == ("one", "two", RUN, RUN, 20, 20, 0, True)
    assert {each.step for each in told} >= {"generations", "evaluations"}
    assert told[0].total == 20
    one, two = source.backend, target.backend
    assert _by_id(two.iter_generation_records(RUN)) == _by_id(one.iter_generation_records(RUN))
    assert two.load_evaluation_records(RUN) == one.load_evaluation_records(RUN)
    assert two.load_report(RUN) == one.load_report(RUN)
    before, after = one.load_run_metadata(RUN), two.load_run_metadata(RUN)
    assert [each["did"] for each in after.pop("audit")] == [f"copied from one:{RUN}"]
    for metadata in (before, after):
        metadata.pop("annotations", None)
    assert after == {key: value for key, value in before.items() if key != "audit"}
    notes = annotations_of(two, RUN)
    assert notes["name"] == "mine"
    assert trash_of(notes) is None
    assert [row.status.word for row in list_rows(target)] == ["completed"]
    # It goes on where the original ended.
    report = evaluate("demo", model="fake-math-llm?error_rate=0.2", limit=25, storage_backend=two, run_id=RUN)
    assert report.counts["kept"] >= 15


def _by_id(records: Iterator[GenerationRecord]) -> dict[str, GenerationRecord]:
    return {each.id: each for each in records}


def test_another_id_in_the_same_store(tmp_path: Path) -> None:
    store = make_store("local", tmp_path)
    make_run(store)
    copy_run(store, RUN, store, new_id="twin")
    assert store.backend.load_report("twin").run_id == "twin"
    assert store.backend.load_run_metadata("twin")["run_id"] == "twin"
    assert store.backend.load_run_metadata("twin")["uid"] == f"uid-of-{RUN}"
    with pytest.raises(RunExists, match="this very run, whole"):
        copy_run(store, RUN, store)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_never_written_to(kind: str, tmp_path: Path) -> None:
    source, target = make_store("memory", tmp_path), make_store(kind, tmp_path, "two")
    make_run(source)
    make_run(target, uid="another")
    before = target.backend.load_run_metadata(RUN)
    with pytest.raises(RunExists, match="two has a run 'r1'; nothing was copied"):
        copy_run(source, RUN, target)
    target.backend.save_generation_record("R2", GenerationRecord(id="x", prompt="?", response="!"))
    with pytest.raises(RunExists, match="must differ by more than case"):
        copy_run(source, RUN, target, new_id="r2")
    if kind != "eleven methods":  # there metadata are made with the first record
        with pytest.raises(RunExists, match="'R2'"):
            copy_run(source, RUN, target, new_id="R2")
    assert target.backend.load_run_metadata(RUN) == before


@pytest.mark.parametrize("kind", KINDS)
def test_live_sources_readonly_targets_and_what_is_not_there(kind: str, tmp_path: Path) -> None:
    source, target = make_store(kind, tmp_path), make_store(kind, tmp_path, "two")
    make_run(source)
    with held(lock_name_of(source), RUN), pytest.raises(RunHeld):
        copy_run(source, RUN, target)
    make_run(source, status="running", where={"host": "elsewhere"}, updated_at=time.time())
    with pytest.raises(RunHeld, match="of no one moment"):
        copy_run(source, RUN, target)
    with pytest.raises(RunNotFound):
        copy_run(source, "r2", target)
    target.readonly = True
    with pytest.raises(StoreReadonly, match="copying runs into it"):
        copy_run(source, RUN, target)
    target.readonly = False
    assert target.backend.list_runs() == []


def test_a_readonly_source_is_copied(tmp_path: Path) -> None:
    source, target = make_store("local", tmp_path, readonly=True), make_store("memory", tmp_path)
    make_run(source)
    assert copy_run(source, RUN, target).generations == 2


class Forgets(MemoryStorageBackend):
    """Loses one record, and keeps another not as it was."""

    def save_generation_records(self, run_id: str, records: Any) -> None:
        _, second = records
        super().save_generation_records(run_id, [dataclasses.replace(second, response="changed")])


def test_a_store_that_alters_records_is_found_out_and_the_copy_is_marked_as_half(tmp_path: Path) -> None:
    source, target = make_store("memory", tmp_path), Store("two", Forgets())
    make_run(source)
    with pytest.raises(StorageError, match=r"of 2 generation records 2 are missing or differ"):
        copy_run(source, RUN, target)
    (row,) = list_rows(target)
    assert row.status == ("copying", f"half a copy of one:{RUN}")
    with pytest.raises(RunError, match="is itself half of a copy"):
        copy_run(target, RUN, source, new_id="third")
    with pytest.raises(RunConflict, match="is half of a copy"):
        evaluate("demo", model="fake-math-llm", limit=1, storage_backend=target.backend, run_id=RUN)
    purge(target, RUN)
    assert target.backend.list_runs() == []


def test_a_store_that_refuses_a_record_leaves_a_half_copy(tmp_path: Path) -> None:
    class NoDigits(MemoryStorageBackend):
        def save_evaluation_records(self, run_id: str, records: Any) -> None:
            raise RecordRefused("no")

    source, target = make_store("memory", tmp_path), Store("two", NoDigits())
    make_run(source)
    with pytest.raises(RecordRefused):
        copy_run(source, RUN, target)
    assert COPYING in look(target.backend, RUN).metadata


@pytest.mark.parametrize("kind", KINDS)
def test_a_half_copy_goes_on_with_what_is_missing(kind: str, tmp_path: Path) -> None:
    source, target = make_store("memory", tmp_path), make_store(kind, tmp_path, "two")
    make_run(source, samples=600)
    stopped = RuntimeError("stopped")

    def stop(at: CopyProgress) -> None:
        if at.step == "generations" and at.done > 500:
            raise stopped

    with pytest.raises(RuntimeError, match="stopped"):
        copy_run(source, RUN, target, progress=stop)
    assert [row.status.word for row in list_rows(target)] == ["copying"]
    other = make_store("memory", tmp_path, "other")
    make_run(other, uid="another")
    with pytest.raises(RunExists):
        copy_run(other, RUN, target)
    assert copy_run(source, RUN, target).resumed == 512
    if isinstance(target.backend, LocalStorageBackend):
        lines = sum(p.read_bytes().count(b"\n") for p in (tmp_path / "two/runs" / RUN).glob("gen-*"))
        assert lines == 600


def half_copied(source: Store, target: Store) -> None:
    def stop(at: CopyProgress) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        copy_run(source, RUN, target, progress=stop)


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_copy_in_the_trash_is_not_made_whole_there(kind: str, tmp_path: Path) -> None:
    source, target = make_store("local", tmp_path), make_store(kind, tmp_path, "two")
    make_run(source)
    half_copied(source, target)
    deleted = delete(target, RUN)
    with pytest.raises(Conflict, match="in the trash"):
        copy_run(source, RUN, target)
    undo(target, [deleted])
    copy_run(source, RUN, target)
    assert [row.run_id for row in list_rows(target)] == [RUN]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_said_of_half_a_copy_and_of_its_source_is_kept(kind: str, tmp_path: Path) -> None:
    source, target = make_store("local", tmp_path), make_store(kind, tmp_path, "two")
    make_run(source)
    set_name(source, RUN, "ours")
    half_copied(source, target)
    change_tags(target, RUN, add=["half"])
    copy_run(source, RUN, target)
    notes = annotations_of(target.backend, RUN)
    assert (notes["name"], notes["tags"]) == ("ours", ["half"])
    assert [each["did"] for each in notes["audit"]] == [
        "tagged it +half",
        "named it 'ours'",
        "copied from one:r1",
    ]


def test_a_source_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    source, target = make_store("local", tmp_path), make_store("memory", tmp_path, "two")
    make_run(source)
    changed = False

    def meddle(at: CopyProgress) -> None:
        nonlocal changed
        if not changed:
            changed = True
            make_run(source, samples=3)

    with pytest.raises(Conflict, match="was changed while it was copied"):
        copy_run(source, RUN, target, progress=meddle)
    assert copy_run(source, RUN, target).generations == 3


def test_a_strangers_run_without_metadata_and_with_any_text(tmp_path: Path) -> None:
    source, target = make_store("local", tmp_path), make_store("memory", tmp_path, "two")
    text = "\x00\ud800" + "x" * 1_000_000
    source.backend.save_generation_record(RUN, GenerationRecord(id="a", prompt=text, response=text))
    source.backend.save_evaluation_record(RUN, EvaluationRecord(cache_key="a", id="a", scores={}))
    copied = copy_run(source, RUN, target)
    assert (copied.generations, copied.report) == (1, False)
    assert target.backend.load_generation_records(RUN)[0].response == text
    assert target.backend.load_run_metadata(RUN)["uid"]


def test_the_current_record_is_copied_and_superseded_ones_stay_behind(tmp_path: Path) -> None:
    source, target = make_store("local", tmp_path), make_store("local", tmp_path, "two")
    make_run(source)
    again = GenerationRecord(id="s0", prompt="?", response="second", attempt=2)
    source.backend.save_generation_record(RUN, again)
    copy_run(source, RUN, target)
    assert {each.response for each in target.backend.load_generation_records(RUN)} == {"second", "1!"}
    change_tags(target, RUN, add=["copied"])
    assert "tags" not in annotations_of(source.backend, RUN)
