"""Models that are awaited: the same run as with threads, with more in flight."""

from __future__ import annotations

import asyncio
import threading
from fractions import Fraction

import pytest

from themis import evaluate
from themis.backends import AsyncExecutionBackend, ExecutionBackend, MemoryStorageBackend


@pytest.fixture
def executor():
    executor = AsyncExecutionBackend(50)
    yield executor
    executor.shutdown()


def rows(count):
    return [{"id": f"q{n}", "question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(count)]


def records(storage, run_id):
    return {
        each.id: (each.response, each.error and each.error["kind"], each.attempt)
        for each in storage.load_generation_records(run_id)
    }


@pytest.mark.parametrize("model", ["fake-math-llm", "fake-math-llm?error_rate=0.3&latency=1ms"])
def test_a_run_is_the_same_awaited_or_in_threads(executor, model):
    stores = MemoryStorageBackend(), MemoryStorageBackend()
    spread = {"execution_backend": executor}, {"executor": "threads"}
    reports = [
        evaluate("demo", model=model, run_id="r", storage_backend=store, **how)
        for store, how in zip(stores, spread, strict=True)
    ]
    assert records(stores[0], "r") == records(stores[1], "r")
    assert reports[0].counts == reports[1].counts
    assert {name: each["mean"] for name, each in reports[0].metrics.items()} == {
        name: each["mean"] for name, each in reports[1].metrics.items()
    }


def test_a_coroutine_function_is_awaited_many_at_once(executor):
    inside, most, loops = 0, 0, set()

    async def answer(prompt):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.02)
        inside -= 1
        return "1"

    report = evaluate(
        rows(200), model=answer, storage_backend=MemoryStorageBackend(), execution_backend=executor
    )
    assert report.counts["answered"] == 200
    assert most == 50
    assert len(loops) == 1


def test_an_answer_that_never_comes_is_a_timeout_and_resume_asks_it_again(executor):
    storage, hangs = MemoryStorageBackend(), True

    async def answer(prompt):
        if hangs and " 7 " in prompt:
            await asyncio.Event().wait()
        return "8"

    given = {"model": answer, "run_id": "r", "storage_backend": storage, "execution_backend": executor}
    given |= {"model_id": "ours", "timeout": 0.3}
    report = evaluate(rows(20), **given)
    assert report.failures["timeout"]["sample_ids"] == ["q7"]
    hangs = False
    report = evaluate(rows(20), **given)
    assert (report.counts["answered"], report.counts["kept"]) == (20, 19)
    assert records(storage, "r")["q7"] == ("8", None, 2)


def test_what_a_coroutine_raises_is_an_error_of_its_sample(executor):
    async def answer(prompt):
        if " 3 " in prompt:
            raise LookupError("no such thing")
        return 5 if " 4 " in prompt else "x"

    report = evaluate(
        rows(10), model=answer, storage_backend=MemoryStorageBackend(), execution_backend=executor
    )
    assert {kind: each["sample_ids"] for kind, each in report.failures.items()} == {
        "model": ["q3"],
        "bad_response": ["q4"],
    }


def test_cancel_waits_for_answers_in_flight_and_asks_no_more(executor):
    storage, cancel, asked = MemoryStorageBackend(), threading.Event(), 0

    async def answer(prompt):
        nonlocal asked
        asked += 1
        if " 5 " in prompt:
            cancel.set()
        await asyncio.sleep(0.01)
        return "1"

    report = evaluate(
        rows(20_000),
        model=answer,
        run_id="r",
        storage_backend=storage,
        execution_backend=executor,
        cancel=cancel,
    )
    assert report.status in ("cancelled", "paused")
    assert report.counts["answered"] == len(records(storage, "r")) == asked < 20_000


class Stranger(ExecutionBackend):
    """Awaits what is offered, and knows no deadline."""

    def map(self, func, items, *, max_workers=None, timeout=None, **kwargs):
        async def main():
            return await asyncio.gather(*map(func.acall, items))

        return iter(asyncio.run(main()))

    def shutdown(self):
        pass


def test_under_a_strangers_executor_awaited_work_keeps_its_own_deadline():
    async def answer(prompt):
        if " 3 " in prompt:
            await asyncio.Event().wait()
        if " 4 " in prompt:
            raise TimeoutError("the model's own")
        return "1"

    report = evaluate(
        rows(10),
        model=answer,
        storage_backend=MemoryStorageBackend(),
        execution_backend=Stranger(),
        timeout=0.2,
    )
    assert {kind: each["sample_ids"] for kind, each in report.failures.items()} == {
        "timeout": ["q3"],
        "model": ["q4"],
    }


@pytest.mark.parametrize("timeout", [float("inf"), Fraction(50)])
def test_any_number_of_seconds_is_a_deadline(timeout):
    storage = MemoryStorageBackend()
    evaluate(rows(2), model="fake-math-llm", run_id="r", storage_backend=storage, timeout=timeout)
    assert storage.load_run_metadata("r")["where"]["timeout"] in (None, 50.0)
