"""Records wait in a journal on this machine until a remote store has them, whatever happens meanwhile."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import threading
from itertools import count
from pathlib import Path

import pytest

from tests.backends.far import FarStorage
from themis.backends.storage import drain, journal
from themis.core.directories import state_dir
from themis.core.errors import (
    AccessDenied,
    RecordRefused,
    RunNotFound,
    StorageError,
    StoreFull,
    StoreUnreachable,
)
from themis.testing import StorageBackendSuite
from themis.testing.storage.examples import evaluation, generation
from themis.testing.storage.place import helper
from themis.testing.storage.workers import reporting

RUN = "run-1"
WITHIN_S = 20.0


class TestFar(StorageBackendSuite):
    def make(self) -> FarStorage:
        return FarStorage(self.tmp_path / "store")


class TestFarWithoutJournal(StorageBackendSuite):
    def make(self) -> FarStorage:
        return FarStorage(self.tmp_path / "store", journal=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "far" / "store"


@pytest.fixture
def store(root: Path):
    backend = FarStorage(root)
    yield backend
    if backend.line.exists():
        backend.mend()
    backend.close()


def ids(backend: FarStorage) -> list[str]:
    """What the store itself has, whatever waits here."""
    return [each.id for each in backend.far.load_generation_records(RUN)]


def kept() -> list[Path]:
    return sorted((state_dir() / "journal").rglob("*.jsonl"))


def test_saving_goes_on_while_the_store_is_away(store: FarStorage):
    store.save_generation_record(RUN, generation("before"))
    store.flush()
    store.cut()
    for n in range(50):
        store.save_generation_record(RUN, generation(f"s-{n}"))
    assert ids(store) == ["before"]
    store.mend()
    store.flush()
    assert ids(store) == ["before", *(f"s-{n}" for n in range(50))]
    assert kept() == []
    assert store.trouble() is None


def test_what_waits_is_told_with_the_reason(store: FarStorage):
    store.save_generation_record(RUN, generation("before"))
    store.flush()
    assert store.trouble() is None
    store.cut("no route to the far store")
    store.save_generation_record(RUN, generation("waits"))
    told = wait_for(store.trouble)
    assert "no route to the far store" in told
    assert "bytes kept on this machine since" in told


def test_a_flush_gives_up_after_its_patience_and_says_why(root: Path):
    store = FarStorage(root, patience_s=0.3)
    store.save_generation_record(RUN, generation("before"))
    store.flush()
    store.cut()
    store.save_generation_record(RUN, generation("waits"))
    with pytest.raises(StoreUnreachable, match="no route"):
        store.flush()
    store.mend()
    store.patience_s = WITHIN_S
    store.flush()
    assert ids(store) == ["before", "waits"]
    store.close()


def test_a_flush_does_not_wait_for_what_time_alone_will_not_mend(store: FarStorage):
    store.save_generation_record(RUN, generation("before"))
    store.flush()
    store.cut("denied")
    store.save_generation_record(RUN, generation("waits"))
    with pytest.raises(AccessDenied):
        store.flush()
    store.mend()
    store.flush()
    assert ids(store) == ["before", "waits"]


def test_a_flush_sends_all_runs_side_by_side(store: FarStorage, monkeypatch: pytest.MonkeyPatch):
    """Each sending waits for all the others to have begun."""
    runs = [f"run-{n}" for n in range(4)]
    store.segment_age_s = 1e6
    for run_id in runs:
        store.save_generation_record(run_id, generation("a"))
    begun = threading.Barrier(len(runs), timeout=WITHIN_S)
    send = store._send

    def together(run_id: str, *rest) -> None:
        begun.wait()
        send(run_id, *rest)

    monkeypatch.setattr(store, "_send", together)
    store.flush()
    assert [len(store.far.load_generation_records(each)) for each in runs] == [1] * len(runs)


def test_a_store_that_is_away_is_waited_for_once_however_many_runs_are_open(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    store = FarStorage(root, patience_s=0.3)
    runs = [f"run-{n}" for n in range(3)]
    for run_id in runs:
        store.save_generation_record(run_id, generation("a"))
    store.flush()
    store.cut()
    for run_id in runs:
        store.save_generation_record(run_id, generation("b"))
    given = []
    flush = drain.Drain.flush

    def noted(self, patience_s, *rest) -> None:
        given.append(patience_s)
        flush(self, patience_s, *rest)

    monkeypatch.setattr(drain.Drain, "flush", noted)
    with pytest.raises(StoreUnreachable, match="no route"):
        store.flush()
    assert given == [0.3, 0.0, 0.0]
    store.mend()
    store.close()
    assert all(len(store.far.load_generation_records(each)) == 2 for each in runs)


def test_a_run_that_cannot_be_made_is_an_error_at_once(store: FarStorage):
    store.cut()
    with pytest.raises(StoreUnreachable):
        store.save_generation_record(RUN, generation("a"))
    assert kept() == []


def test_saving_waits_once_so_much_is_kept(root: Path):
    store = FarStorage(root, journal_mb=1)
    store.save_generation_record(RUN, generation("first"))
    store.flush()
    store.cut()
    store.save_generation_record(RUN, generation("large", response="x" * 2**20))
    assert not store.has_room(RUN)
    saved = threading.Event()

    def save() -> None:
        store.save_generation_record(RUN, generation("waited"))
        saved.set()

    thread = threading.Thread(target=save, daemon=True)
    thread.start()
    assert not saved.wait(0.2)
    store.mend()
    assert saved.wait(WITHIN_S)
    assert store.has_room(RUN)
    store.close()
    assert ids(store) == ["first", "large", "waited"]


def save_and_report(pipe, backend: FarStorage) -> None:
    for n in range(5):
        backend.save_generation_record(RUN, generation(f"s-{n}"))
        backend.save_evaluation_record(RUN, evaluation(f"s-{n}"))
    pipe.send("saved")
    pipe.recv()


def killed_writer(root: Path) -> None:
    """A process that saved five records of each kind and was killed before any of them was sent."""
    with helper(save_and_report, FarStorage(root, slow=True)) as writer:
        assert writer.says() == "saved"
        writer.kill()


def test_what_a_killed_writer_left_is_sent_when_its_run_is_next_written(store: FarStorage, root: Path):
    killed_writer(root)
    assert len(kept()) == 2
    assert ids(store) == []
    assert [each.id for each in store.load_generation_records(RUN)] == []  # a reader sends nothing
    store.save_generation_record(RUN, generation("next"))
    store.flush()
    assert ids(store) == [*(f"s-{n}" for n in range(5)), "next"]
    assert sorted(store.far.load_evaluation_records(RUN)) == [f"s-{n}" for n in range(5)]
    assert kept() == []


def test_recovering_sends_it_too_and_says_what(store: FarStorage, root: Path):
    killed_writer(root)
    assert store.recover("another") == []
    (sent,) = store.recover()
    assert (sent.run_id, sent.segments, sent.set_aside) == (RUN, 2, [])
    assert store.recover() == []
    assert ids(store) == [f"s-{n}" for n in range(5)]


def test_recovering_waits_for_a_store_that_is_away_for_a_moment(
    store: FarStorage, root: Path, monkeypatch: pytest.MonkeyPatch
):
    killed_writer(root)
    store.cut()
    send, tries = store._send, []

    def mended_by_and_by(*given) -> None:
        tries.append(given)
        if len(tries) == 3:
            store.mend()
        send(*given)

    monkeypatch.setattr(store, "_send", mended_by_and_by)
    (sent,) = store.recover()
    assert (sent.segments, sent.set_aside) == (2, [])
    assert ids(store) == [f"s-{n}" for n in range(5)]


def test_recovering_gives_up_after_its_patience_and_keeps_all(store: FarStorage, root: Path):
    killed_writer(root)
    store.cut()
    store.patience_s = 0.3
    before = kept()
    with pytest.raises(StoreUnreachable, match="no route"):
        store.recover()
    assert kept() == before


def test_a_torn_line_is_left_out(store: FarStorage, root: Path):
    killed_writer(root)
    for path in kept():
        with open(path, "ab") as file:
            file.write(b'{"id": "tor')
    store.recover()
    assert ids(store) == [f"s-{n}" for n in range(5)]


@reporting
def save_and_note(pipe, backend: FarStorage, noted: Path) -> None:
    """Save from four threads without end, and note each record whose save has returned."""
    file = os.open(noted, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def save(writer: int) -> None:
        for n in count():
            backend.save_generation_record(RUN, generation(f"{writer}-{n}", response="x" * (n % 3_000)))
            os.write(file, f"{writer}-{n}\n".encode())

    for writer in range(4):
        threading.Thread(target=save, args=(writer,), daemon=True).start()
    pipe.recv()


@pytest.mark.parametrize("enough", [40, 700])
def test_whatever_was_saved_before_a_kill_amid_saving_is_there_once(
    store: FarStorage, root: Path, tmp_path: Path, enough: int
):
    noted = tmp_path / "noted"
    with helper(save_and_note, FarStorage(root, slow=enough == 40), noted) as writer:
        wait_for(lambda: noted.exists() and noted.read_bytes().count(b"\n") >= enough)
        writer.kill()
    store.recover()
    there = ids(store)
    assert len(there) == len(set(there))
    assert set(noted.read_text().split("\n")[:-1]) <= set(there)


@reporting
def save_on_a_full_disk(pipe, backend: FarStorage) -> None:
    """Save until there is no room, and go on when there is."""
    backend.save_generation_record(RUN, generation("first"))
    backend.flush()
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most[1]))
    saved = ["first"]

    def save() -> None:
        for n in range(100):
            backend.save_generation_record(RUN, generation(f"s-{n}", response="x" * 700))
            saved.append(f"s-{n}")

    with pytest.raises(StoreFull, match="no room"):
        save()
    with pytest.raises(StoreFull):
        backend.save_generation_record(RUN, generation("too much", response="x" * 20_000))
    backend.save_generation_record(RUN, generation("small"))
    resource.setrlimit(resource.RLIMIT_FSIZE, most)
    backend.save_generation_record(RUN, generation("last"))
    backend.close()
    pipe.send([*saved, "small", "last"])


def test_a_full_disk_is_an_error_that_tears_nothing(store: FarStorage, root: Path):
    with helper(save_on_a_full_disk, FarStorage(root, slow=True)) as writer:
        saved = writer.says()
    assert ids(store) == saved


def test_a_living_writers_journal_is_its_own(root: Path):
    writer = FarStorage(root, slow=True)
    writer.save_generation_record(RUN, generation("a"))
    other = FarStorage(root)
    assert other.recover() == []
    assert len(kept()) == 1
    writer.close()
    assert ids(other) == ["a"]


def test_what_belongs_to_a_deleted_run_is_set_aside_and_not_made_anew(store: FarStorage, root: Path):
    killed_writer(root)
    store.delete_run(RUN)
    (sent,) = store.recover()
    assert sent.segments == 0
    assert len(sent.set_aside) == 2
    assert not store.run_exists(RUN)
    assert "was deleted" in sent.set_aside[0].with_name(sent.set_aside[0].name + ".why").read_text()


def test_records_of_a_deleted_run_never_come_into_one_made_after_it(store: FarStorage, root: Path):
    killed_writer(root)
    store.delete_run(RUN)
    store.save_generation_record(RUN, generation("anew"))
    store.flush()
    assert ids(store) == ["anew"]
    assert len(list(kept())) == 2


def test_a_writer_is_told_once_that_its_run_was_deleted(root: Path):
    writer, deleter = FarStorage(root, slow=True), FarStorage(root)
    writer.save_generation_record(RUN, generation("a"))
    deleter.delete_run(RUN)
    with pytest.raises(RunNotFound):
        writer.flush()
    writer.save_generation_record(RUN, generation("anew"))
    writer.close()
    assert ids(writer) == ["anew"]


def test_what_the_store_will_never_take_is_set_aside_and_the_rest_is_sent(root: Path):
    store = FarStorage(root, slow=True)
    store.save_generation_record(RUN, generation("poison"))
    with pytest.raises(RecordRefused, match="poison"):
        store.flush()
    store.save_generation_record(RUN, generation("good"))
    store.close()
    assert ids(store) == ["good"]
    assert [each.parent.parent.name for each in kept()] == [journal.SET_ASIDE]


def test_a_journal_is_for_its_owner_alone(store: FarStorage):
    store.save_generation_record(RUN, generation("a"))
    store.flush()
    store.cut()
    store.save_generation_record(RUN, generation("b"))
    for path in (state_dir() / "journal").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert not mode & 0o077 or path.name in ("place.json", "run.json"), path
    assert not stat.S_IMODE((state_dir() / "journal").stat().st_mode) & 0o077


def test_a_journal_that_somebody_removed_is_an_error_not_a_loss_in_silence(root: Path):
    store = FarStorage(root, slow=True)
    store.save_generation_record(RUN, generation("a"))
    shutil.rmtree(state_dir())
    with pytest.raises(StorageError, match="was removed"):
        store.save_generation_record(RUN, generation("b"))
    store._discard(RUN)


def test_a_forked_child_sends_nothing_of_its_parents(root: Path):
    store = FarStorage(root, slow=True)
    store.save_generation_record(RUN, generation("parents"))
    pid = os.fork()
    if pid == 0:
        try:
            store.save_generation_record(RUN, generation("childs"))
            store.close()
            os._exit(0 if ids(store) == ["childs"] else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    store.close()
    assert ids(store) == ["childs", "parents"]


def test_the_thread_ends_when_it_has_nothing_to_do(store: FarStorage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain, "IDLE_S", 0.01)
    store.save_generation_record(RUN, generation("a"))
    store.flush()
    wait_for(lambda: store._writings[RUN].drain._thread is None)
    store.save_generation_record(RUN, generation("b"))
    wait_for(lambda: ids(store) == ["a", "b"])


def test_a_segment_does_not_grow_without_end_while_the_store_is_away(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(FarStorage, "segment_bytes", 1_000)
    store = FarStorage(root)
    store.save_generation_record(RUN, generation("before"))
    store.flush()
    store.cut()
    for n in range(100):
        store.save_generation_record(RUN, generation(f"s-{n}", response="x" * 500))
    sizes = [path.stat().st_size for path in kept()]
    assert len(sizes) > 10
    assert max(sizes) < 4_000 + 1_000
    store.mend()
    store.close()
    assert ids(store) == ["before", *(f"s-{n}" for n in range(100))]


def test_two_processes_and_a_cut_line_lose_nothing(root: Path):
    store = FarStorage(root)
    store.save_generation_record(RUN, generation("first"))
    with helper(save_and_report, FarStorage(root)) as one, helper(save_and_report, FarStorage(root)) as two:
        store.flush()
        for n in range(100):
            if n == 30:
                store.cut()
            if n == 70:
                store.mend()
            store.save_generation_record(RUN, generation(f"mine-{n}"))
        assert one.says() == two.says() == "saved"
        store.close()
        one.kill()
        two.kill()
    store.recover()
    expected = {"first", *(f"s-{n}" for n in range(5)), *(f"mine-{n}" for n in range(100))}
    assert set(ids(store)) == expected


def wait_for(condition):
    """What ``condition`` says once that is not nothing."""
    waiting = threading.Event()
    for _ in range(int(WITHIN_S / 0.01)):
        said = condition()
        if said:
            return said
        waiting.wait(0.01)
    pytest.fail("it did not come")
