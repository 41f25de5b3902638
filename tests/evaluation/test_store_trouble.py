"""Stores that fill up, fail, are shared, and belong to somebody else."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, Echo, Held, Watched, ask, comparable, rows
from themis import evaluate
from themis.backends import (
    ExecutionBackend,
    LocalStorageBackend,
    MemoryStorageBackend,
    StorageBackend,
    ThreadExecutionBackend,
)
from themis.core.entities import GenerationRecord
from themis.core.errors import RunHeld, RunNotFound, StorageError, StoreFull, StoreUnreachable


def full(at: int) -> Callable[[int], BaseException | None]:
    return lambda number: StoreFull("no room left") if number >= at else None


@pytest.mark.parametrize("method", ["generations", "evaluations"])
@pytest.mark.parametrize("at", [0, 2])
def test_a_full_store_pauses_the_run_and_leaves_nothing_half(method: str, at: int) -> None:
    store, model = Watched(), Echo()
    store.trouble[method] = full(at)
    with pytest.raises(StoreFull, match="no room left"):
        ask(rows(2_000), model, store)
    metadata = store.load_run_metadata(RUN)
    assert (metadata["status"], metadata["status_reason"]) == ("paused", "disk full")
    stored = {record.id for record in store.load_generation_records(RUN)}
    scored = {record.id for record in store.load_evaluation_records(RUN).values()}
    assert scored <= stored
    assert len(scored) == metadata["summary"]["done"]
    store.trouble.clear()
    again = Echo()
    report = ask(rows(2_000), again, store)
    assert report.status == "completed"
    assert {f"s{prompt[1:]}" for prompt in again.asked} == {f"s{n}" for n in range(2_000)} - stored
    assert comparable(report) == comparable(ask(rows(2_000)))


@pytest.mark.parametrize("method", ["report", "flush"])
def test_a_store_that_fills_up_at_the_very_end_pauses_the_run_too(method: str) -> None:
    store, troubles = Watched(), [StoreFull("no room left")]

    def trouble(number: int) -> BaseException | None:
        return troubles.pop() if troubles and len(store.load_evaluation_records(RUN)) == 20 else None

    store.trouble[method] = trouble
    with pytest.raises(StoreFull):
        ask(rows(20), store=store)
    metadata = store.load_run_metadata(RUN)
    assert (metadata["status"], metadata["status_reason"]) == ("paused", "disk full")
    again = Echo()
    assert ask(rows(20), again, store).counts["kept"] == 20
    assert again.asked == []


def test_a_stranger_that_says_it_in_the_systems_words_is_understood() -> None:
    store = Watched()
    store.trouble["generations"] = lambda number: OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        ask(store=store)
    assert store.load_run_metadata(RUN)["status_reason"] == "disk full"


def test_the_first_error_is_raised_and_the_second_noted() -> None:
    store = Watched()
    store.trouble["generations"] = lambda number: StoreUnreachable("gone away")
    store.trouble["flush"] = lambda number: StoreUnreachable("still away")
    store.trouble["metadata"] = lambda number: StoreUnreachable("and away") if number else None
    with pytest.raises(StoreUnreachable, match="gone away") as raised:
        ask(store=store)
    notes = "\n".join(raised.value.__notes__)
    assert "still away" in notes
    assert "could not be marked paused: and away" in notes


def test_an_unreachable_store_pauses_with_its_own_words() -> None:
    store = Watched()
    store.trouble["evaluations"] = lambda number: StoreUnreachable("\x00 not there")
    with pytest.raises(StoreUnreachable):
        ask(store=store)
    metadata = store.load_run_metadata(RUN)
    assert (metadata["status"], metadata["status_reason"]) == ("paused", "store: � not there")


def test_a_status_that_cannot_be_saved_after_a_failed_flush_is_saved_all_the_same() -> None:
    store = Watched()
    store.trouble["generations"] = full(0)
    store.trouble["flush"] = full(0)
    with pytest.raises(StoreFull):
        ask(store=store)
    assert store.load_run_metadata(RUN)["status_reason"] == "disk full"


def test_a_full_disk_under_the_local_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, room = LocalStorageBackend(tmp_path), threading.Event()
    from themis.backends.storage import files

    written = 0
    write = files.os.write

    def short(fd: int, data: Any) -> int:
        nonlocal written
        written += len(data)
        if written > 40_000 and not room.is_set():
            write(fd, bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(files.os, "write", short)
    with pytest.raises(StoreFull):
        ask(rows(400), store=store)
    room.set()
    assert store.load_run_metadata(RUN)["status_reason"] == "disk full"
    stored = {record.id for record in store.load_generation_records(RUN)}
    again = Echo()
    report = ask(rows(400), again, store)
    assert {f"s{prompt[1:]}" for prompt in again.asked} == {f"s{n}" for n in range(400)} - stored
    assert comparable(report) == comparable(ask(rows(400)))


# Whose store, whose executor


class Executor(ThreadExecutionBackend):
    """Notes whether it was shut down."""

    shut = 0

    def shutdown(self) -> None:
        self.shut += 1
        super().shutdown()


def test_what_was_handed_in_is_flushed_and_never_closed() -> None:
    store, executor = Watched(), Executor()
    ask(store=store, execution_backend=executor)
    assert store.calls.count("close") == 0
    assert store.calls[-1] == "flush"
    assert executor.shut == 0
    store.trouble["generations"] = full(0)
    with pytest.raises(StoreFull):
        ask(store=store, execution_backend=executor, run_id="other")
    assert "close" not in store.calls
    assert executor.shut == 0


class Foreign(StorageBackend):
    """The eleven methods alone, around a store of ours; it minds being used by two threads at once."""

    def __init__(self) -> None:
        self.store = MemoryStorageBackend()
        self.calls: list[str] = []
        self.busy = threading.Lock()

    def close(self) -> None:
        self.calls.append("close")


def _delegating(name: str) -> Callable[..., Any]:
    def method(self: Foreign, *args: Any) -> Any:
        assert self.busy.acquire(blocking=False), "two calls at once"
        try:
            self.calls.append(name)
            return getattr(self.store, name)(*args)
        finally:
            self.busy.release()

    return method


for _name in StorageBackend.__abstractmethods__:
    setattr(Foreign, _name, _delegating(_name))
Foreign.__abstractmethods__ = frozenset()


def test_a_stranger_of_eleven_methods_is_served_one_call_at_a_time_and_never_closed() -> None:
    store = Foreign()
    first = ask(rows(300), store=store, epochs=2)
    assert first.status == "completed"
    again = Echo()
    assert ask(rows(300), again, store, epochs=2).counts["kept"] == 600
    assert again.asked == []
    assert "close" not in store.calls
    assert store.calls.index("save_run_metadata") < store.calls.index("save_generation_record")


def test_what_was_opened_by_name_is_closed_and_shut_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    for cls, method in ((LocalStorageBackend, "close"), (ThreadExecutionBackend, "shutdown")):
        original = getattr(cls, method)

        def noted(self: Any, original: Any = original, method: str = method) -> None:
            ended.append(method)
            original(self)

        monkeypatch.setattr(cls, method, noted)
    ask(storage=str(tmp_path / "store"))
    assert sorted(set(ended)) == ["close", "shutdown"]
    ended.clear()
    (tmp_path / "store" / "themis-store.json").write_text("nonsense")
    with pytest.raises(StorageError):
        ask(storage=str(tmp_path / "store"))
    assert "close" in ended


def test_a_named_store_keeps_the_run_for_whoever_opens_it_next(tmp_path: Path) -> None:
    ask(storage=f"local?root={tmp_path}/store")
    assert ask(storage=f"{tmp_path}/store").counts["kept"] == 5
    assert ask(store=LocalStorageBackend(tmp_path / "store")).counts["kept"] == 5


def test_the_default_store_is_the_users_or_the_one_the_variable_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEMIS_DATA_DIR", str(tmp_path / "data"))
    evaluate(rows(1), model=Echo(), run_id="here")
    assert LocalStorageBackend(tmp_path / "data" / "store").list_runs() == ["here"]
    monkeypatch.setenv("THEMIS_STORAGE", str(tmp_path / "other"))
    evaluate(rows(1), model=Echo(), run_id="there")
    assert LocalStorageBackend(tmp_path / "other").list_runs() == ["there"]


# One runner a run


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_a_run_has_one_runner_at_a_time(kind: str, tmp_path: Path) -> None:
    store: StorageBackend = LocalStorageBackend(tmp_path) if kind == "local" else MemoryStorageBackend()
    first, second = Held(), Echo()
    run = threading.Thread(target=lambda: ask(rows(3), first, store))
    run.start()
    assert first.holding.acquire(timeout=10)
    with pytest.raises(RunHeld, match="is being run by process"):
        ask(rows(3), second, store)
    assert second.asked == []
    assert ask(rows(3), second, store, run_id="another").status == "completed"
    first.release.set()
    run.join(10)
    assert ask(rows(3), second, store).counts["kept"] == 3


def test_runs_of_one_name_in_two_memories_do_not_meet() -> None:
    first, other = Held(), MemoryStorageBackend()
    run = threading.Thread(target=lambda: ask(rows(3), first, MemoryStorageBackend()))
    run.start()
    assert first.holding.acquire(timeout=10)
    assert ask(rows(3), store=other).status == "completed"
    first.release.set()
    run.join(10)


def test_a_run_is_let_go_of_when_it_fails() -> None:
    store = Watched()
    store.trouble["generations"] = full(0)
    for _ in range(2):
        with pytest.raises(StoreFull):
            ask(store=store)


# Many at once


@pytest.mark.parametrize("kind", ["local", "memory", "foreign"])
def test_fifty_threads_evaluate_fifty_runs_into_one_store(kind: str, tmp_path: Path) -> None:
    stores: dict[str, Callable[[], StorageBackend]] = {
        "local": lambda: LocalStorageBackend(tmp_path),
        "memory": MemoryStorageBackend,
        "foreign": Foreign,
    }
    store = stores[kind]()
    if kind == "foreign":
        store.busy = threading.Lock()  # type: ignore[attr-defined]
        from themis.backends.storage.foreign import whole

        store = whole(store)
    start = threading.Barrier(50)
    failures: list[BaseException] = []

    def one(number: int) -> None:
        try:
            start.wait(20)
            report = ask(rows(20, number), store=store, run_id=f"run-{number}", max_workers=2)
            assert report.counts["answered"] == 20
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert store.list_runs() == sorted(f"run-{n}" for n in range(50))
    for number in range(50):
        run_id = f"run-{number}"
        records: list[GenerationRecord] = store.load_generation_records(run_id)
        assert sorted(r.id for r in records) == sorted(f"s{n}" for n in range(number, number + 20))
        assert len(store.load_evaluation_records(run_id)) == 20
        assert store.load_report(run_id).metrics["ExactMatch"]["mean"] == 1.0
        assert store.load_run_metadata(run_id)["status"] == "completed"


def test_one_executor_serves_many_runs_at_once() -> None:
    executor: ExecutionBackend = ThreadExecutionBackend(4)
    store = MemoryStorageBackend()
    threads = [
        threading.Thread(
            target=lambda n=n: ask(rows(50, n), store=store, run_id=f"r{n}", execution_backend=executor)
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert all(store.load_run_metadata(f"r{n}")["summary"]["done"] == 50 for n in range(8))


def test_a_run_deleted_while_it_runs_stays_deleted(tmp_path: Path) -> None:
    store, other = LocalStorageBackend(tmp_path), LocalStorageBackend(tmp_path)
    deleted = threading.Event()

    def model(prompt: str) -> str:
        if prompt == "q20":
            while not other.load_generation_records(RUN):
                deleted.wait(0.01)
            other.delete_run(RUN)
            deleted.set()
        elif int(prompt[1:]) > 20:
            deleted.wait(30)
        return prompt[1:]

    with pytest.raises(RunNotFound):
        ask(rows(600), model, store, max_workers=2)
    store.flush()
    assert not other.run_exists(RUN)
    assert list((tmp_path / "runs").iterdir()) == []
