"""``evaluate`` works wherever Python runs it, and asks nothing of its surroundings."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, Echo, ask, raising, rows
from themis.backends import LocalStorageBackend, MemoryStorageBackend


async def later(prompt: str) -> str:
    await asyncio.sleep(0.001)
    return prompt[1:]


@pytest.mark.parametrize("executor", ["threads", "sequential"])
@pytest.mark.parametrize("model", [later, lambda prompt: prompt[1:]], ids=["async", "plain"])
async def test_under_a_running_event_loop(executor: str, model: Any) -> None:
    loop = asyncio.get_running_loop()
    assert ask(rows(20), model, executor=executor).metrics["ExactMatch"]["mean"] == 1.0
    assert asyncio.get_running_loop() is loop
    report = await asyncio.to_thread(ask, rows(20), model, executor=executor)
    assert report.metrics["ExactMatch"]["mean"] == 1.0


@pytest.mark.parametrize("executor", ["threads", "sequential"])
def test_in_worker_threads(executor: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda n: ask(rows(30, n), later, executor=executor), range(8)))
    assert [report.metrics["ExactMatch"]["mean"] for report in reports] == [1.0] * 8


def test_a_keyboard_interrupt_in_a_worker_thread_pauses_and_is_raised_there() -> None:
    store = MemoryStorageBackend()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            ask(store=store, on_progress=raising(KeyboardInterrupt()))  # type: ignore[arg-type]
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert [type(exc) for exc in raised] == [KeyboardInterrupt]
    assert store.load_run_metadata(RUN)["status_reason"] == "interrupted"


def test_the_callers_signal_handler_is_left_alone() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        mine = signal.getsignal(signal.SIGINT)

        def model(prompt: str) -> str:
            assert signal.getsignal(signal.SIGINT) is mine
            return prompt[1:]

        assert ask(model=model).counts["errors"] == 0
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_inside_a_model_of_another_evaluate() -> None:
    inner = MemoryStorageBackend()

    def model(prompt: str) -> str:
        report = ask(rows(2), Echo(), inner, run_id=f"inner-{prompt}")
        return prompt[1:] if report.status == "completed" else "no"

    assert ask(rows(6), model).metrics["ExactMatch"]["mean"] == 1.0
    assert len(inner.list_runs()) == 6


def test_no_thread_stays_behind() -> None:
    before = set(threading.enumerate())
    for executor in ("threads", "sequential"):
        ask(rows(50), later, executor=executor, cancel=threading.Event())
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive(), thread.name


def test_in_a_process_without_any_stream_or_terminal(tmp_path: Path) -> None:
    code = (
        "from themis import evaluate; import sys;"
        "evaluate('demo', model='fake-math-llm', limit=20, run_id='run', storage=sys.argv[1])"
    )
    command = [
        "sh",
        "-c",
        'exec "$@" <&- >&- 2>&-',
        "sh",
        sys.executable,
        "-c",
        code,
        str(tmp_path / "store"),
    ]
    subprocess.run(command, check=True, timeout=30, start_new_session=True)
    assert LocalStorageBackend(tmp_path / "store").load_run_metadata(RUN)["status"] == "completed"


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_in_a_child_that_was_forked(tmp_path: Path) -> None:
    code = """
import os, sys
from themis import evaluate
from themis.backends import LocalStorageBackend
store = LocalStorageBackend(sys.argv[1])
rows = [{"id": f"s{n}", "question": f"q{n}", "answer": str(n)} for n in range(20)]
ask = lambda run_id: evaluate(rows, model=lambda p: p[1:], storage_backend=store, run_id=run_id)
ask("parent")
child = os.fork()
if child == 0:
    ask("child")
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "store")], check=True, timeout=30)
    store = LocalStorageBackend(tmp_path / "store")
    for run_id in ("parent", "child"):
        assert len(store.load_generation_records(run_id)) == 20
        assert store.load_report(run_id).metrics["ExactMatch"]["mean"] == 1.0
