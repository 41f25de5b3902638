"""A run that ends early says so, keeps what was answered, and can be gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, Echo, Held, Watched, ask, comparable, raising, rows
from themis.backends import ExecutionBackend, LocalStorageBackend, MemoryStorageBackend
from themis.core.entities import ExperimentReport
from themis.core.errors import ModelError
from themis.core.progress import ProgressSnapshot
from themis.evaluation.stop import StopSignal, _running
from themis.models import Answer


def ending(store: Any) -> tuple[str, str | None]:
    metadata = store.load_run_metadata(RUN)
    assert metadata["ended_at"] is not None
    assert metadata["progress"]["status"] == metadata["status"]
    assert metadata["progress"]["in_flight"] == 0
    return metadata["status"], metadata["status_reason"]


def resumed_asks_only_what_is_missing(store: Any, benchmark: list[dict[str, Any]]) -> None:
    stored = {f"q{record.id[1:]}" for record in store.load_generation_records(RUN)}
    model = Echo()
    report = ask(benchmark, model, store)
    assert set(model.asked) == {row["question"] for row in benchmark} - stored
    assert len(model.asked) == len(set(model.asked))
    assert report.status == "completed"
    assert comparable(report) == comparable(ask(benchmark))


def held_run(model: Held, store: Any, benchmark: list[dict[str, Any]], **options: Any) -> Any:
    """The run in a thread, once the model holds something; gives what joins it."""
    reports: list[ExperimentReport] = []
    thread = threading.Thread(target=lambda: reports.append(ask(benchmark, model, store, **options)))
    thread.start()
    assert model.holding.acquire(timeout=10)

    def joined() -> ExperimentReport:
        thread.join(10)
        assert not thread.is_alive()
        return reports[0]

    return joined


def test_cancel_saves_what_is_in_flight_and_is_resumable() -> None:
    store, model, cancel = MemoryStorageBackend(), Held(free=20), threading.Event()
    joined = held_run(model, store, rows(60), cancel=cancel, max_workers=4)
    for _ in range(3):
        assert model.holding.acquire(timeout=10)
    (heard,) = (event for event in _running.values() if not event.is_set())
    cancel.set()
    assert heard.wait(10)
    model.release.set()
    report = joined()
    assert report.status == "cancelled"
    assert ending(store) == ("cancelled", None)
    assert report.counts["asked"] == len(model.asked) == 24
    assert len(store.load_evaluation_records(RUN)) == 24
    resumed_asks_only_what_is_missing(store, rows(60))


def test_a_cancel_that_was_set_before_asks_nothing() -> None:
    store, model, cancel = MemoryStorageBackend(), Echo(), threading.Event()
    cancel.set()
    assert ask(model=model, store=store, cancel=cancel).status == "cancelled"
    assert model.asked == []
    resumed_asks_only_what_is_missing(store, rows(5))


def test_a_cancel_after_the_last_answer_changes_nothing() -> None:
    cancel = threading.Event()

    def model(prompt: str) -> str:
        if prompt == "q4":
            cancel.set()
        return prompt[1:]

    assert ask(rows(5), model, cancel=cancel, executor="sequential").status == "completed"
    assert cancel.is_set()


def test_a_stop_signal_pauses_with_its_reason() -> None:
    store, model, stop = MemoryStorageBackend(), Held(free=5), StopSignal()
    joined = held_run(model, store, rows(50), cancel=stop, max_workers=2)
    stop.pause("maintenance \x00 tonight")
    model.release.set()
    report = joined()
    assert report.status == "paused"
    assert ending(store) == ("paused", "maintenance � tonight")
    assert report.counts["asked"] == len(model.asked)
    resumed_asks_only_what_is_missing(store, rows(50))


def test_the_second_stop_no_longer_waits() -> None:
    store, model, stop = MemoryStorageBackend(), Held(free=5), StopSignal()
    joined = held_run(model, store, rows(50), cancel=stop, max_workers=1)
    stop.cancel()
    stop.cancel()
    report = joined()  # though the model still holds what it was asked
    assert report.status == "cancelled"
    assert len(store.load_generation_records(RUN)) == 5
    model.release.set()
    resumed_asks_only_what_is_missing(store, rows(50))


def test_a_latency_is_cut_short_by_the_stop() -> None:
    store, stop = MemoryStorageBackend(), StopSignal()

    def on_progress(snapshot: ProgressSnapshot) -> None:
        stop.pause("enough")

    report = ask(
        "demo",
        "fake-math-llm?latency=20ms",
        store,
        executor="sequential",
        cancel=stop,
        on_progress=on_progress,
    )
    assert report.status == "paused"
    assert report.counts["errors"] == 0  # what was interrupted is not an error: it was not asked
    assert 0 < report.counts["asked"] < 120


class Eager(ExecutionBackend):
    """Submits everything at once, and knows neither cancel nor deadline."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(2)

    def map(
        self, func: Any, items: Any, *, max_workers: Any = None, timeout: Any = None, **kwargs: Any
    ) -> Any:
        for future in as_completed([self.pool.submit(func, item) for item in items]):
            yield future.result()

    def shutdown(self) -> None:
        self.pool.shutdown()


def test_a_stranger_that_submitted_everything_asks_nothing_after_the_stop() -> None:
    store, model, stop, executor = MemoryStorageBackend(), Held(free=5), StopSignal(), Eager()
    joined = held_run(model, store, rows(500), cancel=stop, execution_backend=executor)
    stop.pause("enough")
    stop.pause("enough")
    report = joined()
    assert report.status == "paused"
    model.release.set()
    executor.shutdown()
    assert len(model.asked) <= 5 + 2


def test_a_stranger_that_submitted_everything_asks_nothing_after_the_store_failed() -> None:
    store, model, executor = Watched(), Held(free=5), Eager()
    store.trouble["generations"] = lambda number: OSError("the store is gone")
    with pytest.raises(OSError, match="the store is gone"):
        ask(rows(500), model, store, execution_backend=executor)
    model.release.set()
    executor.shutdown()
    assert len(model.asked) <= 5 + 2


# Ctrl-C


def test_a_keyboard_interrupt_in_the_calling_thread_pauses_and_is_raised() -> None:
    store = MemoryStorageBackend()

    def on_progress(snapshot: ProgressSnapshot) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(rows(700), store=store, on_progress=on_progress)
    assert ending(store) == ("paused", "interrupted")
    resumed_asks_only_what_is_missing(store, rows(700))


def test_a_signal_in_the_calling_thread_drains_pauses_and_is_raised() -> None:
    store, handler = MemoryStorageBackend(), signal.getsignal(signal.SIGINT)
    assert handler is signal.default_int_handler

    def model(prompt: str) -> str:
        if prompt == "q30":
            signal.raise_signal(signal.SIGINT)
        return prompt[1:]

    def on_progress(snapshot: ProgressSnapshot) -> None:
        if snapshot.status == "running":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        ask(rows(5_000), store=store, on_progress=on_progress)
    assert ending(store) == ("paused", "interrupted")
    assert signal.getsignal(signal.SIGINT) is handler
    resumed_asks_only_what_is_missing(store, rows(5_000))


CHILD = """
import sys, threading
from themis import evaluate

def model(prompt):
    if prompt == "q9":
        print("asked", flush=True)
        assert threading.Event().wait(0.5) is False  # in flight when the signal comes
    return prompt[1:]

rows = [{"id": f"s{n}", "question": f"q{n}", "answer": str(n)} for n in range(200_000)]
evaluate(rows, model=model, model_id="m", run_id="run", storage=sys.argv[1], max_workers=4)
"""


@pytest.mark.parametrize("closed_stdin", [False, True])
def test_a_real_sigint_leaves_a_run_that_can_be_gone_on_with(tmp_path: Path, closed_stdin: bool) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path / "store")]
    if closed_stdin:
        command = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"asked\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode in (-signal.SIGINT, 130), stderr.decode()
    assert b"KeyboardInterrupt" in stderr
    store = LocalStorageBackend(tmp_path / "store")
    assert ending(store) == ("paused", "interrupted")
    stored = {record.id: record.response for record in store.load_generation_records(RUN)}
    assert stored["s9"] == "9"  # it was in flight
    assert set(stored) == {record.id for record in store.load_evaluation_records(RUN).values()}
    assert 0 < len(stored) < 200_000
    store.close()


def test_a_process_with_closed_stdin_evaluates(tmp_path: Path) -> None:
    code = (
        "from themis import evaluate; import sys;"
        "print(evaluate('demo', model='fake-math-llm', limit=20, storage=sys.argv[1]).status)"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-c", code, str(tmp_path / "store")],
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"completed\n", b"")


# A caller's own function that raises


@pytest.mark.parametrize("when", ["running", "completed"])
def test_an_on_progress_that_raises_ends_the_run_with_its_error(when: str) -> None:
    store = MemoryStorageBackend()

    def on_progress(snapshot: ProgressSnapshot) -> None:
        if snapshot.status == when:
            raise ZeroDivisionError("my mistake")

    with pytest.raises(ZeroDivisionError, match="my mistake"):
        ask(rows(600), store=store, on_progress=on_progress)
    if when == "running":
        assert ending(store) == ("paused", "ZeroDivisionError: my mistake")
    else:
        assert ending(store) == ("completed", None)
        assert store.load_report(RUN).status == "completed"
    resumed_asks_only_what_is_missing(store, rows(600))


# Budgets


def priced(prompt: str) -> Answer:
    return Answer(prompt[1:], usage={"input_tokens": 7, "output_tokens": 3}, cost=0.25)


@pytest.mark.parametrize(
    ("low", "high", "reason"),
    [
        ({"tokens": 95}, {"tokens": 10_000}, "budget: tokens 100 of 95"),
        ({"cost": 2.5}, {"cost": 1_000}, "budget: cost 2.5 of 2.5"),
        ({"cost": 99, "tokens": 100}, {"tokens": 10_000}, "budget: tokens 100 of 100"),
    ],
)
def test_a_budget_pauses_and_a_higher_one_goes_on(low: Any, high: Any, reason: str) -> None:
    store, over = MemoryStorageBackend(), StopSignal()

    def model(prompt: str) -> Answer:
        if prompt == "q10":
            assert over.wait(10)  # what came before has been saved and counted
        return priced(prompt)

    report = ask(rows(30), model, store, budget=low, executor="sequential", cancel=over)
    assert report.status == "paused"
    assert report.counts["asked"] == 11
    assert ending(store) == ("paused", reason)
    assert store.load_run_metadata(RUN)["budget"] == low
    untouched = Echo()
    again = ask(rows(30), untouched, store, budget=low)
    assert (again.status, untouched.asked) == ("paused", [])  # nothing is left to spend
    last = ask(rows(30), lambda prompt: priced(prompt), store, budget=high)
    assert last.status == "completed"
    assert (last.usage["input_tokens"], last.cost) == (210, 7.5)
    assert ask(rows(30), store=store, budget=low).status == "completed"  # nothing is left to ask


def test_a_budget_of_seconds_is_of_this_session() -> None:
    store = MemoryStorageBackend()
    report = ask(rows(50), store=store, budget={"seconds": 1e-9})
    assert report.status == "paused"
    status, why = ending(store)
    assert status == "paused"
    assert why is not None
    assert why.startswith("budget: seconds ")
    assert ask(rows(50), store=store, budget={"seconds": 60}).status == "completed"


def test_errors_and_answers_of_a_paused_run_are_told_apart_when_it_goes_on() -> None:
    store, stop = MemoryStorageBackend(), StopSignal()
    failing = raising(ModelError("x", kind="server"), *(f"q{n}" for n in range(0, 40, 3)))

    def model(prompt: str) -> str:
        if prompt == "q25":
            stop.pause("enough")
        failing(prompt)
        return prompt[1:]

    ask(rows(40), model, store, cancel=stop, executor="sequential")
    report = ask(rows(40), store=store)
    assert report.counts["errors"] == 0
    attempts = {record.id: record.attempt for record in store.load_generation_records(RUN)}
    assert attempts == {f"s{n}": 2 if n % 3 == 0 and n <= 25 else 1 for n in range(40)}


def test_the_report_of_an_early_end_is_stored_with_its_status() -> None:
    store = MemoryStorageBackend()
    assert ask(rows(50), store=store, limit=5).status == "completed"
    report = ask(rows(50), store=store, budget={"seconds": 1e-9})
    assert json.loads(json.dumps(report.to_dict()))["status"] == "paused"
    assert store.load_report(RUN) == report


def test_a_cancel_after_a_pause_is_a_cancel_and_still_waits() -> None:
    stop = StopSignal()
    stop.pause("budget: tokens")
    stop.cancel("by a person")
    assert (stop.status, stop.reason) == ("cancelled", "by a person")
    assert not stop.now.is_set()
    stop.cancel("by a person")
    assert stop.now.is_set()


def test_a_pause_after_a_cancel_changes_nothing() -> None:
    stop = StopSignal()
    stop.cancel()
    stop.pause("interrupted")
    assert (stop.status, stop.reason, stop.now.is_set()) == ("cancelled", None, False)


def test_errors_that_a_resumed_run_did_not_come_to_are_still_errors() -> None:
    store = MemoryStorageBackend()
    ask(rows(20), Echo(raising(ValueError("no"))), store)
    stop = StopSignal()
    stop.cancel()
    report = ask(rows(20), store=store, cancel=stop)
    assert report.status == "cancelled"
    assert (report.counts["asked"], report.counts["errors"]) == (20, 20)
    assert store.load_run_metadata(RUN)["summary"]["errors"] == 20
    assert ask(rows(20), store=store).counts["errors"] == 0
