"""What watchers see: often enough, never too much, and true at the end."""

from __future__ import annotations

import json
import math
import threading
import time
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, Echo, Held, Watched, ask, raising, rows
from themis.backends import (
    ExecutorStatus,
    LocalStorageBackend,
    MemoryStorageBackend,
    SequentialExecutionBackend,
    ThreadExecutionBackend,
)
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import ModelError, StoreUnreachable
from themis.core.progress import ProgressSnapshot
from themis.evaluation import session
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.progress import MOST_BYTES, Meter


def size(snapshot: ProgressSnapshot) -> int:
    return len(json.dumps(snapshot.__dict__))


def test_snapshots_grow_and_the_last_one_is_the_whole_truth() -> None:
    seen: list[ProgressSnapshot] = []
    report = ask(rows(2_000), Echo(raising(ModelError("x", kind="server"), "q3")), on_progress=seen.append)
    last = seen[-1]
    assert [s.seq for s in seen] == sorted({s.seq for s in seen})
    assert [s.done for s in seen] == sorted(s.done for s in seen)
    assert (last.status, last.done, last.total, last.in_flight) == ("completed", 2_000, 2_000, 0)
    assert last.failed == {"server": 1}
    assert last.top_errors == [{"kind": "server", "message": "x", "count": 1}]
    assert last.metrics["ExactMatch"]["mean"] == report.metrics["ExactMatch"]["mean"] == 1.0
    assert last.metrics["ExactMatch"]["n"] == 1_999
    assert (last.metrics["ExactMatch"]["low"], last.metrics["ExactMatch"]["high"]) == (
        report.metrics["ExactMatch"]["ci_low"],
        report.metrics["ExactMatch"]["ci_high"],
    )
    assert last.eta_s is None
    assert last.executor["name"] == "threads"
    assert {s.status for s in seen[:-1]} <= {"running"}


def test_snapshots_come_at_most_ten_times_a_second_from_the_calling_thread() -> None:
    times: list[float] = []
    threads: set[threading.Thread] = set()

    def on_progress(snapshot: ProgressSnapshot) -> None:
        threads.add(threading.current_thread())
        if snapshot.status == "running":
            times.append(time.monotonic())

    started = time.monotonic()
    ask("demo", "fake-math-llm?latency=5ms", on_progress=on_progress, max_workers=1)
    assert threads == {threading.current_thread()}
    assert 2 <= len(times) <= (time.monotonic() - started) / session.TICK_S + 2


def test_the_total_is_known_where_the_source_knows_its_length(tmp_path: Any) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(7)))
    for benchmark, options, total in (
        (rows(7), {}, 7),
        (rows(7), {"epochs": 3}, 21),
        (rows(7), {"limit": 2, "epochs": 3}, 6),
        (rows(7), {"limit": 99}, 7),
        (path, {}, 7),
        (iter(rows(7)), {}, None),
        ((row for row in rows(7)), {"limit": 2}, None),
    ):
        seen: list[ProgressSnapshot] = []
        ask(benchmark, on_progress=seen.append, **options)
        assert seen[-1].total == total
        assert seen[-1].status == "completed"


def test_a_resumed_run_counts_what_was_kept() -> None:
    store = MemoryStorageBackend()
    ask(rows(10), store=store, limit=6)
    seen: list[ProgressSnapshot] = []
    ask(rows(10), store=store, on_progress=seen.append)
    assert (seen[-1].kept, seen[-1].done, seen[-1].total) == (6, 10, 10)


# The meter, with a clock of its own


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def evaluation(n: int, **more: Any) -> EvaluationRecord:
    return EvaluationRecord(f"k{n}", f"s{n}", {"M": n % 2}, **more)


def test_rate_and_eta_follow_the_clock() -> None:
    clock, aggregate = Clock(), RunAggregate({"M": "1"}, clustered_by_sample=False)
    meter = Meter("r", 1_000, aggregate, SequentialExecutionBackend(), clock=clock)
    assert meter.snapshot().rate is None
    assert meter.snapshot().eta_s is None
    for n in range(200):
        aggregate.add(evaluation(n))
        clock.now += 0.125
        snapshot = meter.snapshot()
    assert snapshot.rate == pytest.approx(8, rel=0.05)
    low, high = snapshot.eta_s or [0, 0]
    assert low < 100 < high
    spread = 1.96 / math.sqrt(80)
    assert low == pytest.approx(100 / (1 + spread), rel=0.05)
    assert high == pytest.approx(100 / (1 - spread), rel=0.05)
    assert snapshot.history == [8.0] * 25
    clock.now += 100
    assert meter.snapshot().rate is None


def test_the_history_holds_a_minute() -> None:
    clock, aggregate = Clock(), RunAggregate({"M": "1"}, clustered_by_sample=False)
    meter = Meter("r", None, aggregate, SequentialExecutionBackend(), clock=clock)
    for n in range(200):
        clock.now += 1
        aggregate.add(evaluation(n))
        snapshot = meter.snapshot()
    assert snapshot.history == [1.0] * 60


def test_nothing_is_left_when_all_is_done() -> None:
    clock, aggregate = Clock(), RunAggregate({"M": "1"}, clustered_by_sample=False)
    meter = Meter("r", 3, aggregate, SequentialExecutionBackend(), clock=clock)
    clock.now += 1
    for n in range(3):
        aggregate.add(evaluation(n))
    assert meter.snapshot().eta_s == [0.0, 0.0]


HOSTILE = ["x" * 5_000, "😀" * 5_000, "\x00\x1b\ud800" * 2_000, '"\\\n' * 3_000]


@pytest.mark.parametrize("text", HOSTILE, ids=["long", "wide", "nasty", "escaped"])
def test_a_snapshot_stays_small_whatever_strangers_say(text: str) -> None:
    class Talker(SequentialExecutionBackend):
        def status(self) -> ExecutorStatus:
            return ExecutorStatus(text, reason=text)

    names = {f"Metric{n} {'m' * 80}": "1" for n in range(30)}
    clock, aggregate = Clock(), RunAggregate(names, clustered_by_sample=False)
    budget = {"tokens": 10**15, "cost": 1e9 / 3, "seconds": 1e9 / 7}
    meter = Meter("r" * 80, 10**12, aggregate, Talker(), budget=budget, clock=clock)
    for n in range(2_000):
        clock.now += 1 / 3
        error = {"kind": f"kind-{n % 50}-{text[:40]}", "stage": "call", "message": f"{n % 7}{text}"}
        aggregate.add(
            EvaluationRecord(f"k{n}", f"s{n}", dict.fromkeys(names, n / 7), error=error if n % 2 else None)
        )
        aggregate.add_usage(
            GenerationRecord(f"s{n}", "", None, error=error, usage={"input_tokens": 10**9}, cost=1 / 3)
        )
        if n % 100 == 0 or n > 1_990:
            snapshot = meter.snapshot("paused", text)
            assert size(snapshot) <= MOST_BYTES
    assert sum(snapshot.failed.values()) == 1_000  # none is left out of the sum
    assert 1 <= len(snapshot.top_errors) <= 5
    assert "Metric0" in next(iter(snapshot.metrics))  # the headline


def test_an_ordinary_snapshot_is_told_in_full() -> None:
    clock, aggregate = Clock(), RunAggregate({"ExactMatch": "1", "Includes": "1"}, clustered_by_sample=False)
    meter = Meter("r" * 60, 10**6, aggregate, ThreadExecutionBackend(), clock=clock)
    for n in range(20_000):
        clock.now += 0.01
        error = {"kind": f"kind{n % 5}", "message": f"{n % 5} " + "m" * 150} if n % 9 == 0 else None
        aggregate.add(EvaluationRecord(f"k{n}", f"s{n}", {"ExactMatch": 1, "Includes": 0}, error=error))
        aggregate.add_usage(GenerationRecord(f"s{n}", "", None, error=error))
        if n % 10 == 0:
            snapshot = meter.snapshot()
    assert size(snapshot) <= MOST_BYTES
    assert len(snapshot.history) == 60
    assert len(snapshot.top_errors) == 5
    assert len(snapshot.top_errors[0]["message"]) == 152
    assert len(snapshot.failed) == 5


def test_fifty_kinds_of_error_in_a_run_are_counted_and_stored(tmp_path: Any) -> None:
    store = LocalStorageBackend(tmp_path)
    seen: list[ProgressSnapshot] = []

    def model(prompt: str) -> str:
        n = int(prompt[1:]) % 50
        raise ModelError("\x00\ud800😀" * 3_000 + str(n), kind=f"kind\x00\ud800{n}" + "k" * 500)

    report = ask(rows(500), model, store, on_progress=seen.append)
    assert report.status == "completed"
    assert len(report.failures) == 50
    assert all(size(snapshot) <= MOST_BYTES for snapshot in seen)
    progress = store.load_run_metadata(RUN)["progress"]
    assert sum(progress["failed"].values()) == 500
    assert len(json.dumps(progress)) <= MOST_BYTES


def test_a_strangers_broken_status_ends_nothing() -> None:
    class Broken(SequentialExecutionBackend):
        def status(self) -> ExecutorStatus:
            raise RuntimeError("no idea" * 100)

    seen: list[ProgressSnapshot] = []
    assert ask(execution_backend=Broken(), on_progress=seen.append).status == "completed"
    assert seen[-1].executor["name"] == "Broken"
    assert seen[-1].executor["reason"].startswith("no status: no idea")


# Heartbeats


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heart that beats a hundred times a second."""
    for name in ("TICK_S", "METADATA_EVERY_S", "HEARTBEAT_EVERY_S", "FLUSH_EVERY_S", "SAVE_EVERY_S"):
        monkeypatch.setattr(session, name, 0.01)


class Beating(Watched):
    """Tells of each metadata save."""

    def __init__(self) -> None:
        super().__init__()
        self.saved = threading.Semaphore(0)
        self.seqs: list[int] = []

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        super().save_run_metadata(run_id, metadata)
        self.seqs.append(metadata["heartbeat"]["seq"])
        self.saved.release()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("executor", ["threads", "sequential"])
def test_the_heart_beats_while_a_model_takes_its_time(executor: str) -> None:
    store, model = Beating(), Held(free=1)
    run = threading.Thread(target=lambda: ask(rows(3), model, store, executor=executor))
    run.start()
    assert model.holding.acquire(timeout=10)
    for _ in range(10):
        assert store.saved.acquire(timeout=10)
    stored = store.load_run_metadata(RUN)
    assert stored["status"] == "running"
    assert stored["heartbeat"]["every_s"] == 0.01
    model.release.set()
    run.join(10)
    assert store.seqs == sorted(store.seqs)
    assert store.load_run_metadata(RUN)["status"] == "completed"


@pytest.mark.usefixtures("quick")
def test_a_heartbeat_that_cannot_be_saved_ends_nothing_and_is_repeated() -> None:
    store, model = Beating(), Held(free=1)
    tried = threading.Semaphore(0)

    def trouble(number: int) -> BaseException | None:
        tried.release()
        return StoreUnreachable("away") if 1 <= number <= 5 else None

    store.trouble["metadata"] = trouble
    run = threading.Thread(target=lambda: ask(rows(3), model, store))
    run.start()
    for _ in range(7):
        assert tried.acquire(timeout=10)
    assert store.saved.acquire(timeout=10)
    assert store.saved.acquire(timeout=10)  # the first, and the one after the trouble
    model.release.set()
    run.join(10)
    metadata = store.load_run_metadata(RUN)
    assert metadata["status"] == "completed"
    assert metadata["summary"]["done"] == 3


def test_the_first_metadata_save_must_succeed() -> None:
    store, model = Watched(), Echo()
    store.trouble["metadata"] = lambda number: StoreUnreachable("away") if number == 0 else None
    with pytest.raises(StoreUnreachable, match="away"):
        ask(model=model, store=store)
    assert model.asked == []
    assert store.load_generation_records(RUN) == []


def test_failing_saves_are_not_repeated_at_every_answer() -> None:
    store = Watched()
    store.trouble["metadata"] = lambda number: StoreUnreachable("away") if number > 0 else None
    started = time.monotonic()
    with pytest.raises(StoreUnreachable):
        ask("demo", "fake-math-llm?latency=10ms", store, epochs=20)
    # At most one try a tick, besides the first save and the two at the end.
    assert store.calls.count("metadata") <= (time.monotonic() - started) / session.TICK_S + 3
    assert len(store.load_generation_records(RUN)) == 2_400
