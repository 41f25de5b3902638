"""The trash and the way out of it; deleting for good, verified."""

from __future__ import annotations

import json
import stat
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.runs.file_store import FileStore
from tests.runs.stores import KINDS, make_run, make_store
from themis import evaluate
from themis.backends import LocalStorageBackend, MemoryStorageBackend
from themis.backends.storage.foreign import whole
from themis.core.errors import (
    Conflict,
    RunConflict,
    RunHeld,
    RunNotFound,
    StorageError,
    StoreReadonly,
    ThemisError,
    UsageError,
)
from themis.evaluation import rescore
from themis.evaluation.hold import held
from themis.runs.annotations import annotate, annotations_of, lock_name_of, person, set_name
from themis.runs.catalog import Store, list_rows, remembered_rows
from themis.runs.delete import Trashed, delete, delete_runs, preview, restore, undo
from themis.runs.purge import expired, gc, half_purged, purge, purge_runs
from themis.runs.purge_log import begun_purges, purges_path
from themis.runs.selection import select
from themis.runs.trash import DAY_S, is_trashed, trash_of

RUN = "r1"


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    store = make_store(request.param, tmp_path)
    make_run(store)
    return store


def shown(store: Store) -> list[str]:
    return sorted(row.run_id for row in list_rows(store))


def live(store: Store, run_id: str = RUN) -> None:
    make_run(store, run_id, status="running", where={"host": "elsewhere"}, updated_at=time.time())


def test_a_deleted_run_is_hidden_whole_and_comes_back(store: Store) -> None:
    before = time.time()
    deleted = delete(store, RUN)
    assert deleted.until == deleted.at + 30 * DAY_S
    assert before <= deleted.at <= time.time()
    assert trash_of(annotations_of(store.backend, RUN)) == {
        "at": deleted.at,
        "by": person(),
        "until": deleted.until,
    }
    assert shown(store) == []
    assert select(store).rows == []
    assert remembered_rows(store, 5) == []
    assert [row.run_id for row in select(store, trash=True).rows] == [RUN]
    assert [is_trashed(each) for each in store.backend.list_summaries()] == [True]
    assert len(store.backend.load_generation_records(RUN)) == 2
    assert delete(store, RUN) == deleted
    assert undo(store, [deleted]).trashed == [deleted]
    assert shown(store) == [RUN]
    assert not restore(store, RUN)
    dids = [each["did"] for each in annotations_of(store.backend, RUN)["audit"]]
    assert dids == ["moved it to the trash", "restored it from the trash"]


@pytest.mark.parametrize("trash", [True, "yes", {"by": 7}, {"at": [], "until": "x"}])
def test_trash_that_a_stranger_made(store: Store, trash: Any) -> None:
    make_run(store, "odd", annotations={"trash": trash})
    assert shown(store) == [RUN]
    assert expired(store) == []
    assert preview(store, "odd").trashed is not None
    delete(store, "odd")
    assert restore(store, "odd")
    assert shown(store) == ["odd", RUN]


def test_undo_takes_back_that_deletion_only(store: Store) -> None:
    first = delete(store, RUN)
    restore(store, RUN)
    second = delete(store, RUN)
    assert second.at > first.at
    done = undo(store, [first, Trashed(store.name, "gone", 1.0, 2.0)])
    assert done.trashed == []
    assert isinstance(done.refused[RUN], Conflict)
    assert isinstance(done.refused["gone"], RunNotFound)
    assert shown(store) == []


def test_what_lies_in_the_trash_is_neither_resumed_nor_rescored(store: Store) -> None:
    backend = store.backend
    evaluate("demo", model="fake-math-llm", limit=2, storage_backend=backend, run_id="real")
    delete(store, "real")
    with pytest.raises(RunConflict, match=r"lies in the trash\. Restore it first"):
        evaluate("demo", model="fake-math-llm", limit=3, storage_backend=backend, run_id="real")
    with pytest.raises(RunConflict, match="lies in the trash"):
        rescore("real", metrics=["Includes"], storage_backend=backend)
    restore(store, "real")
    report = evaluate("demo", model="fake-math-llm", limit=3, storage_backend=backend, run_id="real")
    assert report.counts["kept"] == 2


def test_a_preview_says_what_would_go(store: Store) -> None:
    seen = preview(store, RUN)
    assert (seen.run_id, seen.store, seen.status, seen.records) == (RUN, "one", "completed", 2)
    assert not seen.live
    assert seen.trashed is None
    if isinstance(store.backend, LocalStorageBackend):
        folder = store.backend.root / "runs" / RUN
        assert seen.bytes == sum(each.stat().st_size for each in folder.iterdir())
    else:
        assert seen.bytes is None
    delete(store, RUN)
    assert preview(store, RUN).trashed is not None
    live(store, "r2")
    assert preview(store, "r2").live
    with pytest.raises(RunNotFound):
        preview(store, "r3")


@pytest.mark.parametrize("what", [delete, purge])
def test_a_live_run_is_refused_by_its_status_and_by_its_lock(store: Store, what: Any) -> None:
    with held(lock_name_of(store), RUN), pytest.raises(RunHeld, match="is being run by process"):
        what(store, RUN)
    live(store)
    with pytest.raises(RunHeld, match=f"{RUN} is running; cancel it first"):
        what(store, RUN)
    assert shown(store) == [RUN]


@pytest.mark.parametrize("status", ["running", "queued"])
def test_what_gave_no_sign_for_a_day_is_given_up(store: Store, status: str) -> None:
    for hours, refused in ((23, True), (25, False)):
        silent = time.time() - hours * 3_600
        make_run(store, status=status, where={"host": "elsewhere"}, updated_at=silent)
        assert preview(store, RUN).live is refused
        if refused:
            with pytest.raises(RunHeld, match=f"{RUN} is (no signal|queued)"):
                purge(store, RUN)
    delete(store, RUN)
    purge(store, RUN)


def test_a_protected_store_wants_its_name_and_a_readonly_one_refuses(store: Store) -> None:
    store.protected = True
    works: list[Any] = [
        lambda **more: delete(store, RUN, **more),
        lambda **more: delete_runs(store, [RUN], **more),
        lambda **more: purge(store, RUN, **more),
        lambda **more: purge_runs(store, [RUN], **more),
        lambda **more: gc(store, **more),
    ]
    for work in works:
        for confirm in (None, "", "two", "ONE"):
            with pytest.raises(
                UsageError, match="one is protected in your profiles: deleting in it wants its name"
            ):
                work(confirm=confirm)
    assert shown(store) == [RUN]
    delete(store, RUN, confirm="one")
    restore(store, RUN)
    store.protected, store.readonly = False, True
    for work in [*works, lambda **more: restore(store, RUN)]:
        with pytest.raises(StoreReadonly):
            work(confirm="one")
    store.readonly = False
    assert purge(store, RUN).was_there


def test_purging_leaves_nothing_and_says_so_in_a_log_of_this_user(store: Store) -> None:
    assert purge(store, RUN).was_there
    assert store.backend.list_runs() == []
    assert not purge(store, RUN).was_there
    assert begun_purges(store) == {}
    lines = [json.loads(line) for line in purges_path().read_text().splitlines()]
    assert [(each["step"], each["run_id"], each["by"]) for each in lines] == [
        ("begun", RUN, person()),
        ("done", RUN, person()),
    ]
    assert lines[0]["uid"] == f"uid-of-{RUN}"
    assert stat.S_IMODE(purges_path().stat().st_mode) == 0o600


def test_gc_takes_only_what_has_expired(store: Store) -> None:
    for run_id in ("kept", "young", "old"):
        make_run(store, run_id)
    make_run(store, "odd", annotations={"trash": {"at": "yesterday"}})
    make_run(store, "ancient", annotations={"trash": {"at": 5.0}})
    delete(store, "young")
    delete(store, "old", days=0)
    # Saved apart, it goes before what the metadata say.
    assert {each.run_id for each in expired(store)} == {"old", "ancient"}
    assert {each.run_id for each in expired(store, now=1_000.0)} == set()
    done = gc(store)
    assert sorted(each.run_id for each in done.purged) == ["ancient", "old"]
    assert done.refused == {}
    assert sorted(store.backend.list_runs()) == ["kept", "odd", RUN, "young"]
    assert [each.run_id for each in gc(store, now=time.time() + 31 * DAY_S).purged] == ["young"]


def test_gc_leaves_a_run_that_is_restored_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    delete(store, RUN, days=0)
    found = expired(store)
    restore(store, RUN)
    monkeypatch.setattr("themis.runs.purge.expired", lambda store, now=None: found)
    done = gc(store)
    assert done.purged == []
    assert isinstance(done.refused[RUN], Conflict)
    assert shown(store) == [RUN]


def test_what_is_being_purged_is_neither_restored_nor_deleted(store: Store) -> None:
    def begin(notes: dict[str, Any]) -> str:
        notes["trash"] = {"at": 1.0, "by": "x", "until": 2.0, "purging": 3.0}
        return "began"

    annotate(store, RUN, begin)
    with pytest.raises(Conflict, match="somebody began to delete it for good"):
        restore(store, RUN)
    with pytest.raises(Conflict, match="is being deleted for good"):
        delete(store, RUN)
    assert [each.since for each in expired(store, now=0.0)] == [None]
    assert [each.run_id for each in gc(store, now=0.0).purged] == [RUN]


def test_several_are_deleted_and_one_that_is_refused_keeps_no_other(store: Store) -> None:
    live(store, "r2")
    make_run(store, "r3")
    told: list[tuple[int, int]] = []
    done = delete_runs(
        store, [RUN, "r2", "r3", "r4", RUN], progress=lambda number, total: told.append((number, total))
    )
    assert [each.run_id for each in done.trashed] == [RUN, "r3"]
    assert {run_id: type(exc) for run_id, exc in done.refused.items()} == {"r2": RunHeld, "r4": RunNotFound}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    purged = purge_runs(store, [RUN, "r2", "r3"])
    assert [each.run_id for each in purged.purged] == [RUN, "r3"]
    assert list(purged.refused) == ["r2"]
    assert store.backend.list_runs() == ["r2"]


def test_what_a_strangers_store_raises_for_one_run_keeps_no_other(tmp_path: Path) -> None:
    class Stumbles(FileStore):
        def delete_run(self, run_id: str) -> None:
            if run_id == "a":
                raise KeyError("a")
            super().delete_run(run_id)

        def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
            if run_id == "b" and "annotations" in metadata:
                raise RuntimeError("no room")
            super().save_run_metadata(run_id, metadata)

    store = Store("one", whole(Stumbles(str(tmp_path / "one"))))
    for run_id in ("a", "b", "c"):
        make_run(store, run_id)
    deleted = delete_runs(store, ["b", "a"])
    assert [each.run_id for each in deleted.trashed] == ["a"]
    assert str(deleted.refused["b"]) == "RuntimeError: no room"
    purged = purge_runs(store, ["a", "c"])
    assert [each.run_id for each in purged.purged] == ["c"]
    assert str(purged.refused["a"]) == "KeyError: 'a'"


@pytest.mark.parametrize("days", [-1, float("nan"), float("inf")])
def test_no_number_of_days(store: Store, days: float) -> None:
    with pytest.raises(UsageError, match="no number of days"):
        delete(store, RUN, days=days)


def test_two_who_delete_at_once_and_one_who_restores(store: Store) -> None:
    """Whatever the order, each is done or refused, and the run is whole, in the trash or out of it."""
    barrier = threading.Barrier(3)
    surprises: list[BaseException] = []

    def over_and_over(work: Any) -> None:
        barrier.wait()
        for _ in range(20):
            try:
                work(store, RUN)
            except (RunHeld, Conflict):
                continue
            except BaseException as exc:
                surprises.append(exc)
                return

    threads = [threading.Thread(target=over_and_over, args=(each,)) for each in (delete, delete, restore)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert surprises == []
    assert len(store.backend.load_generation_records(RUN)) == 2
    dids = [each["did"] for each in annotations_of(store.backend, RUN)["audit"]]
    assert all(one != other for one, other in pairwise(dids))
    restore(store, RUN)
    assert shown(store) == [RUN]


def test_two_who_purge_at_once_and_one_who_restores(store: Store) -> None:
    for round_ in range(10):
        run_id = make_run(store, f"race-{round_}")
        delete(store, run_id)
        barrier = threading.Barrier(3)
        surprises: list[BaseException] = []

        def at_once(
            work: Any,
            run_id: str = run_id,
            barrier: threading.Barrier = barrier,
            surprises: list[BaseException] = surprises,
        ) -> None:
            barrier.wait()
            try:
                work(store, run_id)
            except (RunHeld, Conflict, RunNotFound):
                pass
            except BaseException as exc:
                surprises.append(exc)

        threads = [threading.Thread(target=at_once, args=(each,)) for each in (purge, purge, restore)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert surprises == []
        purge(store, run_id)
        assert not store.backend.run_exists(run_id)
    assert store.backend.list_runs() == [RUN]
    assert begun_purges(store) == {}


def test_a_store_that_keeps_something_is_found_out() -> None:
    class Keeps(MemoryStorageBackend):
        def delete_run(self, run_id: str) -> None:
            self._runs[run_id].metadata = None

    store = Store("keeps", Keeps())
    make_run(store)
    with pytest.raises(StorageError, match="still has the run, records, the report") as caught:
        purge(store, RUN)
    assert "themis runs purge r1" in str(caught.value)
    assert list(begun_purges(store)) == [RUN]


def test_a_store_that_lists_what_is_gone_is_found_out() -> None:
    class Lists(MemoryStorageBackend):
        def list_runs(self) -> list[str]:
            return [RUN]

    store = Store("lists", Lists())
    make_run(store)
    with pytest.raises(StorageError, match="still lists runs that it deleted: r1"):
        purge(store, RUN)


def test_a_damaged_run_can_be_deleted(tmp_path: Path) -> None:
    store = make_store("local", tmp_path)
    make_run(store)
    folder = tmp_path / "one" / "runs" / RUN
    (folder / "run.json").write_text("{")
    assert preview(store, RUN).status == "unreadable"
    delete(store, RUN)
    assert shown(store) == []
    restore(store, RUN)
    (folder / "annotations.json").write_text("[")
    assert preview(store, RUN).trashed is None
    with pytest.raises(ThemisError, match="annotations"):
        delete(store, RUN)
    purge(store, RUN)
    assert store.backend.list_runs() == []


def test_what_a_killed_deletion_left_in_a_local_store_is_swept(tmp_path: Path) -> None:
    store = make_store("local", tmp_path)
    make_run(store)
    root = tmp_path / "one"
    (root / ".deleting").mkdir()
    (root / "runs" / RUN).rename(root / ".deleting" / f"{RUN}-abc")
    assert half_purged(store) == [RUN]
    assert [each.run_id for each in gc(store).purged] == [RUN]
    assert list((root / ".deleting").iterdir()) == []
    assert half_purged(store) == []


def test_a_new_run_by_the_id_of_a_purged_one_is_another(store: Store) -> None:
    set_name(store, RUN, "old")
    delete(store, RUN, days=0)
    gc(store)
    make_run(store)
    assert annotations_of(store.backend, RUN) == {}
    assert shown(store) == [RUN]
    assert gc(store).purged == []


def test_what_is_left_out_of_a_list_is_counted(tmp_path: Path) -> None:
    store = make_store("local", tmp_path)
    for number in range(6):
        make_run(store, f"r{number}", created_at=float(number))
    delete(store, "r5")
    chosen = select(store, limit=2)
    assert [row.run_id for row in chosen.rows] == ["r4", "r3"]
    assert chosen.left_out == 3
    assert select(store, limit=5).left_out == 0
    assert [row.run_id for row in select(store, "r5", trash=True).rows] == ["r5"]
    assert select(store, "r5").rows == []
