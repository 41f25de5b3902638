"""Metrics that take their time: deadlines, order, and what is closed."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, Echo, ask, rows
from themis.backends import (
    AsyncExecutionBackend,
    ExecutionBackend,
    MemoryStorageBackend,
    SequentialExecutionBackend,
    ThreadExecutionBackend,
)
from themis.backends.execution.loop_thread import in_thread
from themis.core.errors import ModelError
from themis.evaluation import rescore
from themis.metrics import JudgingMetric, Score
from themis.models.base import STOP

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


class Broken(JudgingMetric):
    """A judge that cannot be had until it is mended."""

    name = "Broken"

    def __init__(self, error: ModelError | None) -> None:
        self.error = error
        self.times = 0

    def judge(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        self.times += 1
        if self.error is not None:
            raise self.error
        return Score(1)

    async def judge_awaited(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        return self.judge(prompt, response, reference)


@pytest.mark.parametrize("executor", ["threads", "async"])
def test_answers_without_a_judge_are_errors_and_a_resume_only_scores_them(executor: str) -> None:
    store, model = MemoryStorageBackend(), Echo()
    broken = Broken(ModelError("HTTP 500: down", kind="server", status=500))
    report = ask(rows(4), model, store, metrics=["ExactMatch", broken], executor=executor)
    assert (report.status, report.counts["errors"]) == ("completed", 4)
    assert list(report.failures) == ["server"]
    assert {each.error["stage"] for each in store.iter_evaluation_records(RUN)} == {"score"}
    assert all(each.error is None for each in store.iter_generation_records(RUN))
    mended = ask(rows(4), model, store, metrics=["ExactMatch", Broken(None)], executor=executor)
    assert mended.counts == {"asked": 4, "answered": 4, "errors": 0, "kept": 0}
    assert mended.metrics["Broken"]["mean"] == 1
    assert len(model.asked) == 4, "no answer was asked for again"


@pytest.mark.parametrize("executor", ["threads", "async"])
def test_a_judge_that_is_only_refused_pauses_the_run(executor: str) -> None:
    store, model = MemoryStorageBackend(), Echo()
    refused = ModelError("HTTP 401: no", kind="auth", status=401, calls=0, fatal="fatal: 401 no")
    report = ask(rows(40), model, store, metrics=[Broken(refused)], executor=executor, max_workers=2)
    assert report.status == "paused"
    assert store.load_run_metadata(RUN)["status_reason"] == "fatal: 401 no"
    answered = len(model.asked)
    assert answered == len(store.load_generation_records(RUN)), "what was answered is kept"
    mended = ask(rows(40), model, store, metrics=[Broken(None)], executor=executor)
    assert (mended.status, mended.metrics["Broken"]["count"]) == ("completed", 40)
    assert len(model.asked) == 40


def test_rescoring_by_a_judge_that_cannot_be_had_keeps_the_scores_there_are() -> None:
    store = MemoryStorageBackend()
    ask(rows(4), store=store, metrics=[Broken(None)])
    failing = Broken(ModelError("HTTP 500: down", kind="server"))
    failing.version = "2"
    done = rescore(RUN, metrics=[failing], storage_backend=store)
    assert not done.finished
    metadata = store.load_run_metadata(RUN)
    assert metadata["status"] == "paused"
    assert "4 answers were not judged: HTTP 500: down" in metadata["status_reason"]
    assert {each.scores["Broken"] for each in store.iter_evaluation_records(RUN)} == {1}
    failing.error = None
    assert rescore(RUN, metrics=[failing], storage_backend=store).finished
    assert store.load_run_metadata(RUN)["status"] == "completed"


@pytest.mark.parametrize("executor", ["threads", "async"])
def test_the_end_of_a_run_reaches_its_judges(executor: str) -> None:
    cancel, waiting = threading.Event(), threading.Event()

    class Patient(Broken):
        def judge(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
            stop = STOP.get()
            assert stop is not None
            waiting.set()
            assert stop.wait(30)
            raise ModelError("The run was stopped.", kind="interrupted")

        async def judge_awaited(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
            return await in_thread(self.judge, prompt, response, reference)

    def once_it_waits() -> None:
        waiting.wait(30)
        cancel.set()

    threading.Thread(target=once_it_waits, daemon=True).start()
    store = MemoryStorageBackend()
    report = ask(rows(1), store=store, metrics=[Patient(None)], executor=executor, cancel=cancel)
    assert report.status == "cancelled"
    assert [each.response for each in store.iter_generation_records(RUN)] == ["0"]
    assert list(store.iter_evaluation_records(RUN)) == []


def test_a_metric_that_takes_long_holds_up_no_other_answer() -> None:
    def slow(response: str, reference: Any) -> float:
        time.sleep(0.1)
        return 1.0

    async def quick(prompt: str) -> str:
        await asyncio.sleep(0.01)
        return prompt.removeprefix("q")

    report = ask(rows(40), quick, metrics=[slow], executor="async", timeout=2.0)
    assert report.counts["errors"] == 0


def test_a_deadline_may_be_longer_than_a_machine_can_count() -> None:
    for executor in ("threads", "async", "sequential"):
        report = ask(rows(2), metrics=[Slow()], executor=executor, timeout=1e12)
        assert report.counts["answered"] == 2


def test_an_answer_that_a_model_calls_interrupted_is_an_error() -> None:
    def model(prompt: str) -> str:
        if prompt == "q1":
            raise ModelError("by itself", kind="interrupted")
        return prompt.removeprefix("q")

    report = ask(rows(3), model)
    assert report.counts == {"asked": 3, "answered": 2, "errors": 1, "kept": 0}
