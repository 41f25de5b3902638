"""Many stores in one list: merged, streamed, told apart from those that fail, and cheap to look at again."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from tests.runs.store_doubles import Clock, Failing, Hanging, Listed, memory, opener, summary
from themis.backends import LocalStorageBackend
from themis.core.errors import AccessDenied, SchemaTooNew, StoreUnreachable
from themis.profiles import profiles_path
from themis.runs import stores as stores_module
from themis.runs import union
from themis.runs.catalog import Store
from themis.runs.union import Catalog, State

LONG_AGO_NS = 1_000_000_000


def settle(catalog):
    """Look, wait for all that are not slow, and tell what changed."""
    catalog.look()
    catalog.wait(30)
    return {change.store.name: change for change in catalog.changes()}


def states(catalog):
    return {state.name: state.state for state in catalog.states()}


def addresses(catalog):
    return [row.address for row in catalog.rows()]


def local(root: Path, *runs) -> LocalStorageBackend:
    """A local store whose runs have been there for long."""
    backend = LocalStorageBackend(root)
    for run in runs:
        backend.save_run_metadata(run["run_id"], run)
        os.utime(root / "runs" / run["run_id"], ns=(LONG_AGO_NS, LONG_AGO_NS))
    return backend


def test_rows_of_all_stores_are_merged_newest_first_and_equals_stay_in_order():
    one = memory(summary("a1", 5.0), summary("a2", 3.0), summary("a3", None))
    other = memory(summary("b1", 4.0), summary("b2", 3.0))
    with Catalog([Store("one", one), Store("other", other)]) as catalog:
        changes = settle(catalog)
        assert addresses(catalog) == ["one:a1", "other:b1", "one:a2", "other:b2", "one:a3"]
        assert states(catalog) == {"one": State.READY, "other": State.READY}
        assert {name: len(change.added) for name, change in changes.items()} == {"one": 3, "other": 2}
        assert catalog.changes() == []


def test_a_store_named_twice_counts_once():
    with Catalog(["a", "a"], opener=opener(a=memory(summary("r", 1.0)))) as catalog:
        settle(catalog)
        assert (catalog.names, addresses(catalog)) == (["a"], ["a:r"])


@pytest.mark.parametrize(
    "error",
    [
        StoreUnreachable("nobody answers"),
        AccessDenied("no"),
        SchemaTooNew("written by version 9"),
        FileNotFoundError("no such folder"),
        RecursionError("deep"),
        SystemExit("a stranger leaves"),
    ],
)
def test_a_store_that_fails_stands_beside_the_rows_of_the_others(error):
    good = memory(summary("r", 1.0))
    with Catalog(
        ["good", "bad", "shut"], opener=opener(good=good, bad=Failing(error), shut=error)
    ) as catalog:
        changes = settle(catalog)
        assert states(catalog) == {"good": State.READY, "bad": State.FAILED, "shut": State.FAILED}
        assert addresses(catalog) == ["good:r"]
        for name in ("bad", "shut"):
            assert str(error) in (changes[name].store.reason or "")
            assert changes[name].store.error is error


def test_a_store_that_fails_keeps_its_rows_and_comes_back():
    backend = Failing(None)
    backend.save_run_metadata("r", summary("r", 1.0))
    with Catalog([Store("s", backend)]) as catalog:
        settle(catalog)
        backend.error = StoreUnreachable("gone")
        change = settle(catalog)["s"]
        assert (change.store.state, change.store.verified, change.gone) == (State.FAILED, False, [])
        assert addresses(catalog) == ["s:r"]
        backend.error = None
        assert settle(catalog)["s"].store.state is State.READY


def test_a_store_that_hangs_holds_up_no_other_and_is_slow_after_a_while():
    clock, hanging = Clock(), Hanging()
    with Catalog(
        ["h", "good"], opener=opener(h=hanging, good=memory(summary("r", 1.0))), clock=clock
    ) as catalog:
        catalog.look()
        assert hanging.asked.wait(30)
        while states(catalog)["good"] is not State.READY:
            catalog.changes(within_s=1.0)
        assert states(catalog)["h"] is State.LOOKING
        clock.now += union.SLOW_AFTER_S + 0.1
        assert catalog.wait(30) is False
        told = {change.store.name: change.store.state for change in catalog.changes()}
        assert told["h"] is State.SLOW
        catalog.look()  # a store that hangs is asked again only when it has answered
        assert catalog.wait(30) is False
        assert addresses(catalog) == ["good:r"]
        hanging.save_run_metadata("late", summary("late", 2.0))
        hanging.let_go.set()
        while states(catalog)["h"] is not State.READY:
            catalog.changes(within_s=1.0)
        assert addresses(catalog) == ["h:late", "good:r"]


def test_many_stores_that_hang_leave_room_for_the_others():
    clock = Clock()
    hanging = {f"h{n}": Hanging() for n in range(2 * stores_module.MOST_AT_ONCE)}
    good = memory(summary("r", 1.0))
    with Catalog([*hanging, "good"], opener=opener(**hanging, good=good), clock=clock) as catalog:
        catalog.look()
        while states(catalog)["good"] is not State.READY:
            assert sum(each.asked.is_set() for each in hanging.values()) <= len(hanging)
            clock.now += union.SLOW_AFTER_S + 0.1
            catalog.wait(0.05)
        assert addresses(catalog) == ["good:r"]
        for each in hanging.values():
            each.let_go.set()
        catalog.look()
        assert catalog.wait(30)


def test_a_program_ends_although_a_store_hangs():
    code = """
import threading
from themis.backends import MemoryStorageBackend
from themis.runs.catalog import Store
from themis.runs.union import Catalog

class Hanging(MemoryStorageBackend):
    def list_summaries(self):
        asked.set()
        threading.Event().wait()

asked = threading.Event()
catalog = Catalog([Store("h", Hanging())])
catalog.look()
asked.wait()
catalog.close()
print("end")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")


def test_remembered_rows_come_first_and_are_corrected(tmp_path):
    root = tmp_path / "s"
    backend = local(root, summary("old", 1.0), summary("gone", 2.0))
    with Catalog([Store("s", backend)]) as catalog:
        settle(catalog)
    backend.delete_run("gone")
    backend.save_run_metadata("new", summary("new", 3.0))
    seen = []

    class Watched(LocalStorageBackend):
        def changed_since(self, stamps, make):
            seen.append(([row.run_id for row in catalog.rows()], catalog.states()[0]))
            return super().changed_since(stamps, make)

    with Catalog([Store("s", Watched(root))]) as catalog:
        settle(catalog)
        ((remembered, state),) = seen
        assert remembered == ["gone", "old"]
        assert (state.state, state.verified, state.whole) == (State.LOOKING, False, False)
        assert addresses(catalog) == ["s:new", "s:old"]
        assert catalog.states()[0].verified


def test_looking_again_tells_only_what_changed(tmp_path):
    backend = local(tmp_path / "s", *(summary(f"r{n}", float(n)) for n in range(5)))
    with Catalog([Store("s", backend)]) as catalog:
        settle(catalog)
        before = catalog.rows()
        assert settle(catalog) == {}
        assert all(a is b for a, b in zip(catalog.rows(), before, strict=True))
        backend.save_run_metadata("r1", summary("r1", 1.0, status="failed"))
        backend.save_run_metadata("r9", summary("r9", 9.0))
        backend.delete_run("r3")
        change = settle(catalog)["s"]
        assert [row.run_id for row in change.added] == ["r9"]
        assert [(row.run_id, row.status.word) for row in change.changed] == [("r1", "failed")]
        assert [row.run_id for row in change.gone] == ["r3"]
        assert [row.run_id for row in catalog.rows()] == ["r9", "r4", "r2", "r1", "r0"]
        kept = {row.run_id: row for row in catalog.rows()}
        assert all(kept[row.run_id] is row for row in before if row.run_id in ("r0", "r2", "r4"))
        # What changed a moment ago may change again within a tick, is read again, and is no news.
        assert settle(catalog) == {}


def test_looking_again_reads_only_what_changed(tmp_path, monkeypatch):
    backend = local(tmp_path / "s", *(summary(f"r{n}", float(n)) for n in range(50)))
    with Catalog([Store("s", backend)]) as catalog:
        settle(catalog)
        read = []
        monkeypatch.setattr(backend._index, "_read", lambda run_id: read.append(run_id))
        monkeypatch.setattr(backend._index, "_opened", lambda: pytest.fail("the cache was opened"))
        assert settle(catalog) == {}
        assert read == []


def test_a_store_without_stamps_is_compared():
    backend = memory(summary("a", 1.0), summary("b", 2.0))
    with Catalog([Store("s", backend)]) as catalog:
        settle(catalog)
        before = {row.run_id: row for row in catalog.rows()}
        assert settle(catalog) == {}
        backend.save_run_metadata("a", summary("a", 3.0))
        change = settle(catalog)["s"]
        assert [row.run_id for row in change.changed] == ["a"]
        assert (change.added, change.gone) == ([], [])
        assert addresses(catalog) == ["s:a", "s:b"]
        assert catalog.rows()[1] is before["b"]


def test_a_copy_is_shown_twice_and_known_as_the_same():
    run = summary("r", 1.0, uid="0123")
    one, other = memory(run, summary("x", 2.0)), memory({**run, "run_id": "r-copy"})
    with Catalog([Store("one", one), Store("other", other)]) as catalog:
        settle(catalog)
        assert len(catalog.rows()) == 3
        row = next(row for row in catalog.rows() if row.address == "one:r")
        assert [each.address for each in catalog.copies(row)] == ["other:r-copy"]
        assert catalog.copies(next(row for row in catalog.rows() if row.run_id == "x")) == []


def test_what_strangers_list_hides_nothing():
    odd = Listed(
        {"run_id": "nan", "status": "completed", "created_at": float("nan")},
        {"run_id": "far", "status": "completed", "created_at": 10**400},
        {"run_id": "bool", "status": "completed", "created_at": True},
        {
            "run_id": "text",
            "status": "completed",
            "created_at": "today",
            "uid": [],
            "where": 3,
            "annotations": [1],
        },
        {"run_id": "dup", "status": "completed", "created_at": 2.0},
        {"run_id": "dup", "status": "failed", "created_at": 1.0},
        {"status": "completed"},
        {"run_id": "\x1b[2J\ud800", "status": "\x00", "asked": {"benchmark": "\u202e"}},
        summary("good", 5.0),
    )
    with Catalog([Store("s", odd), Store("t", memory(summary("r", 1.0)))]) as catalog:
        settle(catalog)
        assert states(catalog) == {"s": State.READY, "t": State.READY}
        found = [row.run_id for row in catalog.rows()]
        assert sorted(found) == sorted(
            ["nan", "far", "bool", "text", "dup", "None", "\x1b[2J\ud800", "good", "r"]
        )
        assert found[:3] == ["good", "dup", "r"]


def test_a_store_that_lists_no_objects_fails_alone():
    with Catalog([Store("s", Listed(3, None)), Store("t", memory(summary("r", 1.0)))]) as catalog:
        settle(catalog)
        assert states(catalog)["t"] is State.READY
        assert addresses(catalog) == ["t:r"]


def test_a_folder_in_the_cache_that_is_no_json_is_read_from_the_store(tmp_path):
    backend = local(tmp_path / "s", *(summary(f"r{n}", float(n)) for n in range(3)))
    with Catalog([Store("s", backend)]) as catalog:
        settle(catalog)
    with backend._index._connection() as connection, connection:
        connection.execute("update run set summary = ? where run_id = 'r1'", (b'{"run_id": ',))
        connection.execute("update run set summary = ? where run_id = 'r2'", (b"[]",))
    with Catalog([Store("s", backend)]) as catalog:
        settle(catalog)
        assert [row.run_id for row in catalog.rows()] == ["r2", "r1", "r0"]


def test_a_run_deleted_while_listing_hides_no_other(tmp_path, monkeypatch):
    backend = local(tmp_path / "s", *(summary(f"r{n}", float(n)) for n in range(20)))
    real = os.scandir

    def scandir(place):
        if not isinstance(place, int):
            return real(place)
        entries = list(real(place))
        for name in ("r3", "r17"):
            backend_runs = tmp_path / "s" / "runs" / name
            if backend_runs.exists():
                backend_runs.rename(tmp_path / name)

        class Entries(list):
            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

        return Entries(entries)

    monkeypatch.setattr(os, "scandir", scandir)
    listed = [each["run_id"] for each in backend.list_summaries()]
    assert sorted(listed) == sorted(f"r{n}" for n in range(20) if n not in (3, 17))


def test_two_catalogs_at_once_and_a_store_that_changes_under_them(tmp_path):
    backend = local(tmp_path / "s", *(summary(f"r{n:03d}", float(n)) for n in range(120)))
    stop = threading.Event()

    def change():
        writer, count = LocalStorageBackend(tmp_path / "s"), 0
        while not stop.is_set():
            writer.save_run_metadata(f"n{count:04d}", summary(f"n{count:04d}", 1_000.0 + count))
            if count >= 5:
                writer.delete_run(f"n{count - 5:04d}")
            count += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        catalogs = [
            Catalog([Store("s", LocalStorageBackend(tmp_path / "s")), Store("t", backend)]) for _ in "ab"
        ]
        for _ in range(10):
            for catalog in catalogs:
                settle(catalog)
                assert {state.state for state in catalog.states()} == {State.READY}
                rows = catalog.rows()
                assert sum(row.run_id.startswith("r") for row in rows) == 240
                assert len({row.address for row in rows}) == len(rows)
                created = [row.created for row in rows]
                assert created == sorted(created, reverse=True)
    finally:
        stop.set()
        thread.join()
    for catalog in catalogs:
        settle(catalog)
        assert len(catalog.rows()) == 2 * len(backend.list_runs())
        catalog.close()


def test_the_changes_add_up_to_the_rows(tmp_path):
    backend = local(tmp_path / "s", *(summary(f"r{n:03d}", float(n)) for n in range(200)))
    with Catalog([Store("s", backend), Store("m", memory(summary("x", 50.0)))]) as catalog:
        shown = {}
        for turn in range(6):
            backend.save_run_metadata(f"new{turn}", summary(f"new{turn}", 300.0 + turn))
            backend.save_run_metadata(f"r{turn:03d}", summary(f"r{turn:03d}", float(turn), status="failed"))
            backend.delete_run(f"r{100 + turn:03d}")
            catalog.look()
            while not catalog.wait(30):
                pass
            for change in catalog.changes():
                for row in change.gone:
                    del shown[row.address]
                assert not any(row.address in shown for row in change.added)
                shown.update((row.address, row) for row in (*change.added, *change.changed))
            assert shown == {row.address: row for row in catalog.rows()}


def test_a_live_run_that_is_damaged_meanwhile_is_no_failure_of_its_store(tmp_path):
    clock = Clock()
    backend = local(tmp_path, summary("hurt", 2.0, status="running"), summary("live", 1.0, status="running"))
    with Catalog([Store("one", backend)], clock=clock) as catalog:
        settle(catalog)
        (tmp_path / "runs" / "hurt" / "run.json").write_text("{")
        catalog._shelves["one"].due_at = clock() + 60
        catalog.look(now=False)
        catalog.wait(30)
        assert states(catalog) == {"one": State.READY}
        assert {row.run_id: row.status.word for row in catalog.rows()} == {
            "hurt": "unreadable",
            "live": "running",
        }


def test_a_live_run_is_seen_anew_without_reading_the_store_again(tmp_path):
    clock = Clock()
    backend = memory(summary("live", 2.0, status="running"), summary("old", 1.0))
    lists = []
    listed = backend.list_summaries
    backend.list_summaries = lambda: (lists.append(1), listed())[1]  # type: ignore[method-assign]
    with Catalog([Store("s", backend)], clock=clock) as catalog:
        settle(catalog)
        shelf = catalog._shelves["s"]
        shelf.due_at = clock.now + 10
        backend.save_run_metadata("live", summary("live", 2.0, status="completed"))
        catalog.look(now=False)
        assert catalog.wait(30)
        (change,) = catalog.changes()
        assert [row.status.word for row in change.changed] == ["completed"]
        assert len(lists) == 1
        # Nothing lives any more, so nothing is asked until the store is due.
        catalog.look(now=False)
        assert catalog.wait(30)
        clock.now += 11
        catalog.look(now=False)
        assert catalog.wait(30)
        assert len(lists) == 2


def test_a_store_that_failed_is_left_alone_for_longer_and_longer():
    clock, backend = Clock(), Failing(StoreUnreachable("no"))
    asked = []
    opened = opener(s=backend)
    with Catalog(
        ["s"], opener=lambda name: (asked.append(clock.now), opened(name))[1], clock=clock
    ) as catalog:
        for _ in range(40):
            catalog.look(now=False)
            catalog.wait(30)
            catalog._shelves["s"].store = None  # so that the opener is asked each time
            clock.now += 0.5
        assert [b - a for a, b in pairwise(asked)] == [1.0, 2.0, 4.0, 8.0]
        catalog._shelves["s"].failures = 5_000
        clock.now += 60
        catalog.look(now=False)
        assert catalog.wait(30)
        assert catalog._shelves["s"].due_at == clock.now + union.MOST_RETRY_S


def test_a_reason_holds_no_password():
    bad = Failing(StoreUnreachable("postgresql://me:s3cret@host/db is away"))
    with Catalog([Store("s", bad)]) as catalog:
        (change,) = settle(catalog).values()
        assert "s3cret" not in (change.store.reason or "")
        assert "is away" in (change.store.reason or "")


def test_closing_closes_what_was_opened_here_only():
    closed = []

    class Noted(Listed):
        def close(self):
            closed.append(self)
            done.set()

    done = threading.Event()
    ours, theirs = Noted(), Noted()
    catalog = Catalog(["ours", Store("theirs", theirs)], opener=opener(ours=ours))
    settle(catalog)
    catalog.close()
    assert done.wait(30)
    assert closed == [ours]
    catalog.look()
    assert catalog.changes(within_s=5.0) == []


def test_ten_thousand_rows_make_no_work_for_the_garbage_collector(tmp_path):
    root = tmp_path / "s"
    (root / "runs").mkdir(parents=True)
    for number in range(10_000):
        folder = root / "runs" / f"r{number:05d}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(summary(folder.name, float(number))))
        os.utime(folder, ns=(LONG_AGO_NS, LONG_AGO_NS))
    with Catalog([str(root)]) as catalog:
        settle(catalog)
    with Catalog([str(root)]) as catalog:
        gc.collect()
        before = len(gc.get_objects())
        settle(catalog)
        assert len(catalog.rows()) == 10_000
        assert [row.created for row in catalog.rows()[:3]] == [9_999.0, 9_998.0, 9_997.0]
        gc.collect()
        assert len(gc.get_objects()) - before < 10_000 * 2.5


def test_a_store_whose_folder_is_gone_is_not_empty_but_away(tmp_path):
    root = tmp_path / "s"
    local(root, summary("r", 1.0))
    with Catalog([str(root)]) as catalog:
        settle(catalog)
    root.rename(tmp_path / "unmounted")
    with Catalog([str(root), str(tmp_path / "never-there")]) as catalog:
        settle(catalog)
        away, empty = catalog.states()
        assert (away.state, away.rows) == (State.FAILED, 1)
        assert "Is its disk mounted?" in (away.reason or "")
        assert (empty.state, empty.rows) == (State.READY, 0)
        (tmp_path / "unmounted").rename(root)
        settle(catalog)
        assert states(catalog)[str(root)] is State.READY


def test_a_store_that_can_never_be_made_is_not_empty(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    closed_off = tmp_path / "closed"
    closed_off.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed_off and access(path, mode))
    roots = [
        tmp_path / "file" / "s",
        tmp_path / "file",
        tmp_path / "link" / "s",
        closed_off / "s",
        tmp_path / "s",
    ]
    with Catalog(map(str, roots)) as catalog:
        settle(catalog)
        *failed, empty = catalog.states()
        assert [each.state for each in failed] == [State.FAILED] * 4
        for each, said in zip(
            failed, ("is no folder", "is no folder", "leads nowhere", "may not write"), strict=True
        ):
            assert said in (each.reason or "")
        assert empty.state is State.READY
        (tmp_path / "file").unlink()
        local(tmp_path / "file" / "s", summary("r", 1.0))
        settle(catalog)
        assert addresses(catalog) == [f"{tmp_path}/file/s:r"]
        assert catalog.states()[0].state is State.READY


def test_a_readonly_store_need_not_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with Catalog([Store("s", LocalStorageBackend(tmp_path / "s"), readonly=True)]) as catalog:
        settle(catalog)
        assert states(catalog) == {"s": State.READY}


# Other stores, other profiles


def write_profiles(**tables: str) -> None:
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(
        "\n".join(f'[storage.{name}]\ntype = "local"\n{table}\n' for name, table in tables.items())
    )


def test_stores_come_and_go_and_the_others_stay_as_they_are(tmp_path):
    for name in "abc":
        local(tmp_path / name, summary(name * 2, float(ord(name))))
    a, b, c = (str(tmp_path / name) for name in "abc")
    with Catalog([a, b]) as catalog:
        settle(catalog)
        before = catalog.states()[0].store
        assert catalog.renew([a, b]) == []
        assert catalog.changes() == []
        assert catalog.renew([c, a]) == [b]
        assert catalog.names == [c, a]
        changes = settle(catalog)
        assert addresses(catalog) == [f"{c}:cc", f"{a}:aa"]
        assert [row.run_id for row in changes[b].gone] == ["bb"]
        assert changes[b].store.rows == 0
        assert [row.run_id for row in changes[c].added] == ["cc"]
        assert a not in changes
        assert catalog.states()[1].store is before
        assert catalog.changes() == []


def test_a_profile_that_leads_elsewhere_now_is_another_store(tmp_path):
    local(tmp_path / "one", summary("r1", 1.0))
    local(tmp_path / "two", summary("r2", 2.0))
    write_profiles(s=f'root = "{tmp_path}/one"')
    with Catalog(["s"]) as catalog:
        settle(catalog)
        write_profiles(s=f'root = "{tmp_path}/two"')
        assert catalog.renew(["s"]) == ["s"]
        assert catalog.rows() == []
        change = settle(catalog)["s"]
        assert ([row.run_id for row in change.added], [row.run_id for row in change.gone]) == (["r2"], ["r1"])
        write_profiles(s="root = 3")
        catalog.renew(["s"])
        settle(catalog)
        assert states(catalog) == {"s": State.FAILED}


def test_a_profile_with_another_flag_is_opened_again_and_keeps_its_rows(tmp_path):
    local(tmp_path / "one", summary("r1", 1.0))
    root = f'root = "{tmp_path}/one"\n'
    write_profiles(s=root)
    with Catalog(["s"]) as catalog:
        settle(catalog)
        write_profiles(s=root + 'colour = "green"')
        before = catalog.states()[0].store
        assert catalog.renew(["s"]) == []
        assert catalog.states()[0].store is before
        write_profiles(s=root + "protected = true")
        assert catalog.renew(["s"]) == []
        assert addresses(catalog) == ["s:r1"]
        settle(catalog)
        store = catalog.states()[0].store
        assert store is not None
        assert store.protected
        assert addresses(catalog) == ["s:r1"]
        profiles_path().write_text("[storage.s\n")
        catalog.renew(["s"])
        assert catalog.states()[0].store is store, "a file that is half written changes nothing"


def test_a_store_that_leaves_while_it_is_read_is_closed_and_shows_nothing():
    class Noted(Hanging):
        def close(self):
            closed.set()

    closed, hanging = threading.Event(), Noted()
    with Catalog(["hanging"], opener=opener(hanging=hanging)) as catalog:
        catalog.look()
        assert hanging.asked.wait(30)
        catalog.renew([])
        assert not closed.is_set()
        hanging.let_go.set()
        assert closed.wait(30)
        assert catalog.rows() == catalog.states() == []


def test_an_empty_store_that_is_asked_again_is_not_looked_for_anew(tmp_path, monkeypatch):
    with Catalog([Store("empty", local(tmp_path / "store"))]) as catalog:
        settle(catalog)
        assert states(catalog) == {"empty": State.READY}
        monkeypatch.setattr(union, "remembered_rows", lambda *_: pytest.fail("it has said that it is empty"))
        settle(catalog)
        assert states(catalog) == {"empty": State.READY}
