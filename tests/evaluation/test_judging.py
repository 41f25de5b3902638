"""Metrics that take their time: deadlines, order, and what is closed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, ask, rows
from themis.backends import (
    AsyncExecutionBackend,
    ExecutionBackend,
    MemoryStorageBackend,
    SequentialExecutionBackend,
    ThreadExecutionBackend,
)
from themis.metrics import JudgingMetric, Score

TIMEOUT_S = 0.1


class Slow(JudgingMetric):
    """Takes longer than a sample may."""

    name = "Slow"
    timeout = 30.0

    def __init__(self) -> None:
        self.closed = 0

    def judge(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        threading.Event().wait(3 * TIMEOUT_S)
        return Score(0.5, f"{prompt}: {response}")

    async def judge_awaited(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        await asyncio.sleep(3 * TIMEOUT_S)
        return Score(0.5, f"{prompt}: {response}")

    def close(self) -> None:
        self.closed += 1


async def awaited(prompt: str) -> str:
    if prompt == "q1":
        await asyncio.Event().wait()
    return prompt.removeprefix("q")


class Hanging:
    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self, prompt: str) -> str:
        if prompt == "q1":
            self.over.wait(30)
        return prompt.removeprefix("q")


@pytest.mark.parametrize(
    "make", [ThreadExecutionBackend, SequentialExecutionBackend, lambda: AsyncExecutionBackend(4)]
)
@pytest.mark.parametrize("awaits", [True, False])
def test_a_slow_judge_turns_no_answer_into_a_timeout(make: Any, awaits: bool) -> None:
    store = MemoryStorageBackend()
    executor: ExecutionBackend = make()
    hanging = Hanging()
    try:
        report = ask(
            rows(3),
            awaited if awaits else hanging,
            store,
            metrics=["ExactMatch", Slow()],
            execution_backend=executor,
            timeout=TIMEOUT_S,
        )
    finally:
        hanging.over.set()
        executor.shutdown()
    assert report.counts["answered"] == 2
    assert report.failures["timeout"]["count"] == 1
    scores = {each.id: each.scores for each in store.iter_evaluation_records(RUN)}
    assert scores == {
        "s0": {"ExactMatch": 1, "Slow": 0.5},
        "s1": {"ExactMatch": None, "Slow": None},
        "s2": {"ExactMatch": 1, "Slow": 0.5},
    }


def test_the_first_metric_is_the_headline_though_it_judges() -> None:
    store = MemoryStorageBackend()
    ask(rows(1), store=store, metrics=[Slow(), "ExactMatch"])
    assert store.load_run_metadata(RUN)["summary"]["headline"] == "Slow"


OPENED: list[Slow] = []


class Watched(Slow):
    name = "Watched"

    def __init__(self) -> None:
        super().__init__()
        OPENED.append(self)


def test_what_was_opened_by_name_is_closed_and_what_was_handed_in_is_not() -> None:
    OPENED.clear()
    mine = Slow()
    ask(rows(1), metrics=[f"python:{__name__}:Watched", mine])
    assert [each.closed for each in OPENED] == [1]
    assert mine.closed == 0


def test_a_model_judges_a_run() -> None:
    store = MemoryStorageBackend()
    judge = f"ModelJudge?model=python:{__name__}:says_right"
    report = ask(rows(4), store=store, metrics=["ExactMatch", judge], executor="async")
    assert report.metrics["ModelJudge"]["mean"] == 1
    details = [each.details["ModelJudge"] for each in store.iter_evaluation_records(RUN)]
    assert details == ["It is right."] * 4
    asked = store.load_run_metadata(RUN)["asked"]["metrics"]["ModelJudge"]
    assert asked["params"]["model"] == f"python:{__name__}:says_right"


def says_right(prompt: str) -> str:
    return "It is right.\nSCORE: 1"
