"""Mathematics that is equal, however it is written."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.metrics.hostile import HOSTILE, scored
from themis.core.errors import UsageError
from themis.metrics import mathematics, open_metrics
from themis.metrics.mathematics import MathVerify

NEVER_DONE = r"\boxed{9^{9^{9^{9}}}}"


@pytest.fixture(scope="module")
def metric() -> Iterator[MathVerify]:
    made = MathVerify()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("42", "42", 1),
        ("42", 42, 1),
        ("It is 0.5.", r"\frac{1}{2}", 1),
        (r"The answer is $\frac{1}{2}$.", "0.5", 1),
        (r"so \boxed{\frac12}", r"\dfrac{1}{2}", 1),
        (r"\boxed{\sqrt{12}}", r"2\sqrt3", 1),
        (r"\boxed{x=5}", "5", 1),
        (r"\boxed{5\text{ cm}}", "5", 1),
        (r"\boxed{(1,2)}", "(1, 2)", 1),
        (r"\boxed{2,3}", "3,2", 1),
        (r"\boxed{x \in [0,1)}", "[0,1)", 1),
        (r"\boxed{[0,1]}", "[0,1)", 0),
        (r"\boxed{11,\! 111}", "11111", 1),
        (r"\boxed{\text{B}}", "B", 1),
        (r"\boxed{east}", r"\text{east}", 1),
        (r"\boxed{x^2+2x+1}", "(x+1)^2", 1),
        (r"first \boxed{1}, no, \boxed{2}", "2", 1),
        (r"<think>\boxed{1}</think> \boxed{2}", "2", 1),
        (r"\boxed{3}", r"We have $x=1+2$, so $\boxed{3}$.", 1),
        (r"\boxed{4}", r"We have $x=1+2$, so $\boxed{3}$.", 0),
        (r"\boxed{4}", ["3", "4"], 1),
        (r"\boxed{\frac{1}{3}}", "0.333", 0),
    ],
)
def test_what_is_equal_is_right(metric: MathVerify, answer: str, reference: Any, score: int) -> None:
    assert metric.score(answer, reference).value == score


def test_the_detail_is_what_was_extracted(metric: MathVerify) -> None:
    assert metric.score(r"so $x = \boxed{\frac{3}{4}}$", "0.75") == (1, r"\frac{3}{4}")
    assert metric.score("no idea", "0.75") == (0, "no mathematics in the answer")
    assert metric.score("7", None).value is None


def test_a_comparison_without_an_end_has_no_score_and_the_next_one_is_made() -> None:
    metric = MathVerify(seconds=0.5)
    started = time.perf_counter()
    value, detail = metric.score(NEVER_DONE, "3")
    assert time.perf_counter() - started < 10
    assert value is None
    assert "not compared, as it did not end within 0.5 s" in detail
    assert metric.score(r"\boxed{0.5}", "1/2").value == 1
    metric.close()


def test_where_no_process_is_free_in_time_there_is_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mathematics, "WAIT_S", 0.05)
    metric = MathVerify()
    monkeypatch.setattr(metric, "_free", threading.BoundedSemaphore(1))
    metric._free.acquire()
    assert metric.score("0.5", "1/2") == (
        None,
        "not compared, as all processes that compare were busy for 0.05 s: 0.5",
    )


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import time; time.sleep(60)", "did not start in 0.3 s"),
        ("raise SystemExit(3)", "did not start (exit 3)"),
        ("print(flush=True); input(); raise SystemExit(4)", "the process that compares ended (exit 4)"),
        ("import time; print(flush=True); input(); time.sleep(60)", "it did not end within 0.1 s"),
        ('print(flush=True); input(); print(\'{"failed": "ValueError"}\')', "it failed (ValueError)"),
    ],
)
def test_what_was_not_compared_has_no_score_and_the_reason(
    program: str, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "math_process.py").write_text(program)
    monkeypatch.setattr(mathematics, "__file__", str(tmp_path / "mathematics.py"))
    monkeypatch.setattr(mathematics, "START_S", 0.3 if "start in" in why else 30)
    monkeypatch.setattr(mathematics, "LATE_S", 0.2)
    metric = MathVerify(seconds=0.1)
    started = time.perf_counter()
    value, detail = metric.score("0.5", "1/2")
    assert time.perf_counter() - started < 10
    assert value is None
    assert detail.startswith("not compared, as ")
    assert why in detail
    metric.close()


def test_a_process_that_cannot_be_started_gives_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    value, detail = MathVerify().score("0.5", "1/2")
    assert value is None
    assert "no process could be started" in detail


def test_only_a_comparison_that_ended_scores_0(metric: MathVerify) -> None:
    assert metric.score(r"\boxed{0.5}", "1/3").value == 0


def test_many_threads_may_ask_at_once(metric: MathVerify) -> None:
    with ThreadPoolExecutor(8) as pool:
        scores = list(pool.map(lambda n: metric.score(rf"\boxed{{{n}/2}}", str(n / 2)).value, range(40)))
    assert scores == [1] * 40


async def test_an_event_loop_goes_on_meanwhile() -> None:
    metric = MathVerify(seconds=0.5)
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    other = asyncio.create_task(turning())
    assert (await metric.judge_awaited("", NEVER_DONE, "3")).value is None
    assert turns > 5
    other.cancel()
    await asyncio.to_thread(metric.close)


def test_a_process_that_is_killed_is_replaced(metric: MathVerify) -> None:
    assert metric.score("0.5", "1/2").value == 1
    for process in metric._idle:
        process._popen.kill()
        process._popen.wait()
    assert metric.score("0.5", "1/2").value == 1


def test_a_closed_one_opens_again() -> None:
    metric = MathVerify()
    assert metric.score("0.5", "1/2").value == 1
    (process,) = metric._idle
    metric.close()
    assert process._popen.poll() is not None
    assert metric.score("0.5", "1/2").value == 1
    metric.close()


def test_it_pickles_without_its_processes() -> None:
    metric = MathVerify(seconds=3)
    assert metric.score("0.5", "1/2").value == 1
    copy = pickle.loads(pickle.dumps(metric))
    assert copy._idle == []
    assert (copy.asked, copy.timeout) == (metric.asked, metric.timeout)
    assert metric.named("x")._idle == []
    metric.close()


def test_nothing_of_it_is_loaded_here(metric: MathVerify) -> None:
    assert metric.version.startswith("2 math-verify ")
    assert metric.params == {"seconds": 5.0}
    with pytest.raises(UsageError, match="above 0"):
        open_metrics("MathVerify?seconds=0")


def test_no_thread_is_left_behind(metric: MathVerify) -> None:
    before = threading.active_count()
    metric.score("0.5", "1/2")
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_answer_takes_long(metric: MathVerify, kind: str) -> None:
    scored(metric, HOSTILE[kind], "7")
