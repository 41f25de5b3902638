"""Delete, restore, purge and copy, killed with ``kill -9`` at every step they take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import killed
from themis.backends import LocalStorageBackend
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import RunExists
from themis.runs.annotations import annotations_of, set_name
from themis.runs.catalog import Store, list_rows
from themis.runs.copy import COPYING
from themis.runs.delete import delete, restore
from themis.runs.purge import gc, half_purged
from themis.runs.purge_log import begun_purges
from themis.runs.selection import select
from themis.runs.trash import trash_of
from themis.runs.watch import look

ROOT = Path(__file__).parents[2]
RUN = killed.RUN
SAMPLES = 3


def make_run(store: Store) -> None:
    backend = store.backend
    metadata = {
        "run_id": RUN,
        "schema_version": 1,
        "uid": "u" * 32,
        "status": "completed",
        "created_at": 1.0,
        "summary": {"done": SAMPLES},
    }
    backend.save_run_metadata(RUN, metadata)
    for number in range(SAMPLES):
        backend.save_generation_record(RUN, GenerationRecord(id=f"s{number}", prompt="?", response="!"))
        backend.save_evaluation_record(
            RUN, EvaluationRecord(cache_key=f"s{number}", id=f"s{number}", scores={})
        )
    backend.save_report(RUN, ExperimentReport(run_id=RUN))
    backend.close()
    set_name(store, RUN, "mine")


def is_whole(store: Store) -> bool:
    backend = store.backend
    return (
        len(backend.load_generation_records(RUN)) == SAMPLES
        and len(backend.load_evaluation_records(RUN)) == SAMPLES
        and backend.load_report(RUN).run_id == RUN
        and look(backend, RUN).status.word == "completed"
        and annotations_of(backend, RUN)["name"] == "mine"
    )


def kill_at(verb: str, kind: str, step: int, root: Path) -> bool:
    """Whether it was killed, and had not come to its end before that step."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.runs.killed", verb, kind, str(step), str(root)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert ended.returncode in (0, -9), ended.stderr
    return ended.returncode == -9


def every_step(verb: str, kind: str, root: Path, prepare, check) -> None:
    steps = 0
    while True:
        place = root / f"{verb}-{steps}"
        one, other = killed.store(kind, place, "one"), killed.store(kind, place, "other")
        make_run(one)
        prepare(one)
        was_killed = kill_at(verb, kind, steps, place)
        one, other = killed.store(kind, place, "one"), killed.store(kind, place, "other")
        check(one, other, was_killed)
        if not was_killed:
            break
        steps += 1
    assert steps >= 3


KINDS = pytest.mark.parametrize("kind", ["local", "eleven methods"])


@KINDS
def test_delete(kind: str, tmp_path: Path) -> None:
    def check(one: Store, other: Store, was_killed: bool) -> None:
        assert is_whole(one)
        in_trash = trash_of(annotations_of(one.backend, RUN)) is not None
        assert [row.run_id for row in list_rows(one)] == ([] if in_trash else [RUN])
        assert in_trash or was_killed
        killed.do("delete", one, other)
        assert list(list_rows(one)) == []
        assert [row.run_id for row in select(one, trash=True).rows] == [RUN]
        assert restore(one, RUN)
        assert is_whole(one)

    every_step("delete", kind, tmp_path, lambda one: None, check)


@KINDS
def test_restore(kind: str, tmp_path: Path) -> None:
    def check(one: Store, other: Store, was_killed: bool) -> None:
        assert is_whole(one)
        assert trash_of(annotations_of(one.backend, RUN)) is None or was_killed
        killed.do("restore", one, other)
        assert trash_of(annotations_of(one.backend, RUN)) is None
        assert [row.run_id for row in list_rows(one)] == [RUN]

    every_step("restore", kind, tmp_path, lambda one: delete(one, RUN), check)


@KINDS
@pytest.mark.parametrize("again", ["purge", "gc"])
def test_purge(kind: str, again: str, tmp_path: Path) -> None:
    bare = kind != "local"

    def check(one: Store, other: Store, was_killed: bool) -> None:
        begun = one.backend.run_exists(RUN) and trash_of(_notes(one)) is not None
        hidden = begun or not one.backend.run_exists(RUN)
        # Until its deletion is begun it is whole. A bare store may lose its metadata, and the mark, first.
        assert hidden or is_whole(one) or (bare and RUN in begun_purges(one))
        if again == "gc" and not (hidden or bare):
            delete(one, RUN, days=0)
        if again == "gc" and (hidden or not bare):
            assert not gc(one).refused
        else:
            killed.do("purge", one, other)
        assert one.backend.list_runs() == []
        assert half_purged(one) == []
        assert begun_purges(one) == {} or was_killed
        left = [str(each) for each in one_root(one).rglob("*") if RUN in str(each.relative_to(one_root(one)))]
        assert left == []
        killed.do("purge", one, other)

    every_step("purge", kind, tmp_path, lambda one: None, check)


@KINDS
def test_copy(kind: str, tmp_path: Path) -> None:
    def check(one: Store, other: Store, was_killed: bool) -> None:
        assert is_whole(one)
        if other.backend.run_exists(RUN):
            view = look(other.backend, RUN)
            half = COPYING in view.metadata or not list(other.backend.iter_generation_records(RUN))
            assert half == (view.status.word in ("copying", "unknown"))
            assert half or is_whole(other)
            assert was_killed or not half
        else:
            assert was_killed
            half = True
        if half:
            killed.do("copy", one, other)
        with pytest.raises(RunExists, match="this very run, whole"):
            killed.do("copy", one, other)
        assert is_whole(other)
        assert look(other.backend, RUN).metadata["uid"] == "u" * 32
        dids = [line["did"] for line in annotations_of(other.backend, RUN)["audit"]]
        assert dids == ["named it 'mine'", f"copied from one:{RUN}"]

    every_step("copy", kind, tmp_path, lambda one: None, check)


def _notes(one: Store) -> object:
    return annotations_of(one.backend, RUN)


def one_root(store: Store) -> Path:
    backend = store.backend
    return backend.root if isinstance(backend, LocalStorageBackend) else backend.backend.root
