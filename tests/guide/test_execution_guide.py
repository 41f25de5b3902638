"""What the first guide printed about execution works, over executors of ``map`` and ``shutdown`` alone."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest
from my_backends import ClusterExecutionBackend, LoopExecutionBackend

from themis import evaluate
from themis.backends import ExecutionBackend, MemoryStorageBackend

FOREIGN = [ClusterExecutionBackend, LoopExecutionBackend]


@pytest.fixture(params=FOREIGN, ids=lambda kind: kind.__name__)
def executor(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_the_base_wants_map_and_shutdown():
    assert ExecutionBackend.__abstractmethods__ == {"map", "shutdown"}
    parameters = inspect.signature(ExecutionBackend.map).parameters
    assert list(parameters) == ["self", "func", "items", "max_workers", "timeout", "kwargs"]
    assert parameters["max_workers"].kind is parameters["timeout"].kind is inspect.Parameter.KEYWORD_ONLY


def test_every_question_is_answered_once(executor: Any):
    storage = MemoryStorageBackend()
    result = evaluate(
        benchmark="demo",
        model="fake-math-llm",
        limit=25,
        storage_backend=storage,
        execution_backend=executor,
    )
    assert result.status == "completed"
    assert result.counts["answered"] == 25
    assert len(storage.load_generation_records(result.run_id)) == 25
    assert executor.shut_down == 0, "what was handed in is not shut down"


def test_answers_do_not_depend_on_the_executor(executor: Any):
    def scores(**given: Any) -> dict[str, Any]:
        return evaluate(
            "demo", model="fake-math-llm", limit=25, storage_backend=MemoryStorageBackend(), **given
        ).metrics

    assert scores(execution_backend=executor) == scores(executor="sequential")


def test_a_model_that_raises_costs_its_sample_only(executor: Any):
    def fails_on_some(prompt: str) -> str:
        if "2" in prompt:
            raise RuntimeError("no twos today")
        return "7"

    storage = MemoryStorageBackend()
    rows = [{"id": str(n), "question": f"number {n}", "answer": "7"} for n in range(10, 30)]
    result = evaluate(rows, model=fails_on_some, storage_backend=storage, execution_backend=executor)
    assert result.counts["errors"] == result.failures["model"]["count"] == 11
    assert result.counts["answered"] == 9


def test_a_deadline_is_kept_for_an_executor_that_ignores_it(executor: Any):
    result = evaluate(
        "demo",
        model="fake-math-llm?latency=30s",
        limit=2,
        timeout=0.1,
        storage_backend=MemoryStorageBackend(),
        execution_backend=executor,
    )
    assert result.failures["timeout"]["count"] == 2


def test_cancelling_stops_an_executor_that_knows_no_cancel(executor: Any):
    cancel = threading.Event()
    asked: list[str] = []

    def cancels_on_the_third(prompt: str) -> str:
        asked.append(prompt)
        if len(asked) == 3:
            cancel.set()
        return "7"

    storage = MemoryStorageBackend()
    result = evaluate(
        "demo",
        model=cancels_on_the_third,
        storage_backend=storage,
        execution_backend=executor,
        max_workers=1,
        cancel=cancel,
    )
    assert result.status == "cancelled"
    assert 3 <= len(asked) < 120
    assert len(storage.load_generation_records(result.run_id)) == result.counts["answered"]


def test_it_works_under_a_running_event_loop(executor: Any):
    async def notebook() -> Any:
        return evaluate(
            "demo",
            model="fake-math-llm",
            limit=5,
            storage_backend=MemoryStorageBackend(),
            execution_backend=executor,
        )

    assert asyncio.run(notebook()).status == "completed"
