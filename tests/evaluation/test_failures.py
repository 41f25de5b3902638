"""What goes wrong in one sample is that sample's error, with its kind; the run goes on."""

from __future__ import annotations

import asyncio
import functools
import math
import pickle
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, Echo, Watched, ask, raising, rows
from themis import evaluate
from themis.backends import ExecutionBackend, LocalStorageBackend, MemoryStorageBackend
from themis.benchmarks.prompts import PromptTemplate
from themis.benchmarks.sample import samples
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import (
    BenchmarkError,
    ExecutionError,
    ModelError,
    RecordRefused,
    RunConflict,
    StorageError,
    UsageError,
    WorkersExhausted,
)
from themis.evaluation.task import Outcome, SampleTask, Work
from themis.metrics import Metric, Score, open_metrics
from themis.models import Answer, Model, Request
from themis.models.fake import FakeMathModel


def error_of(store: Any, record_id: str = "s1") -> dict[str, Any]:
    found = next(r for r in store.load_generation_records(RUN) if r.id == record_id)
    assert found.response is None
    assert found.error is not None
    error: dict[str, Any] = found.error
    return error


# Callables


def plain(prompt: str) -> str:
    return prompt.removeprefix("q")


async def later(prompt: str) -> str:
    await asyncio.sleep(0)
    return prompt.removeprefix("q")


class Awaitable:
    """An instance whose call gives something to await."""

    async def __call__(self, prompt: str) -> str:
        return prompt.removeprefix("q")

    def method(self, prompt: str) -> str:
        return prompt.removeprefix("q")


def prefixed(prefix: str, prompt: str) -> str:
    return prompt.removeprefix(prefix)


@pytest.mark.parametrize("executor", ["threads", "sequential"])
@pytest.mark.parametrize(
    "model", [plain, later, Awaitable(), Awaitable().method, lambda prompt: prompt[1:], Echo()]
)
def test_any_callable_from_prompt_to_text_is_a_model(model: Any, executor: str) -> None:
    report = ask(rows(40), model, model_id=None, executor=executor)
    assert report.metrics["ExactMatch"]["mean"] == 1.0


@pytest.mark.parametrize("model", [plain, later, Awaitable(), Awaitable().method, Echo()])
def test_a_callable_with_a_name_can_be_resumed_by_it(model: Any) -> None:
    store = MemoryStorageBackend()
    ask(model=model, store=store, model_id=None)
    asked = store.load_run_metadata(RUN)["asked"]["model"]["identity"]
    assert asked.startswith(("tests.evaluation.", "test_failures:", "doubles:")) or ":" in asked
    assert ask(model=model, store=store, model_id=None).counts["kept"] == 5


@pytest.mark.parametrize(
    "make",
    [lambda: lambda prompt: prompt[1:], lambda: functools.partial(prefixed, "q")],
    ids=["lambda", "partial"],
)
def test_a_nameless_callable_is_resumed_only_with_a_model_id(make: Any) -> None:
    store = MemoryStorageBackend()
    ask(model=make(), store=store, model_id=None)
    with pytest.raises(RunConflict, match="model_id="):
        ask(model=make(), store=store, model_id=None)
    named = MemoryStorageBackend()
    ask(model=make(), store=named, model_id="mine")
    assert ask(model=make(), store=named, model_id="mine").counts["kept"] == 5


@pytest.mark.parametrize("said", [None, 7, b"7", ["7"], {"text": "7"}], ids=repr)
def test_what_is_no_text_is_a_bad_response(said: Any) -> None:
    store = MemoryStorageBackend()
    report = ask(rows(2), lambda prompt: said if prompt == "q1" else "0", store)
    assert error_of(store)["kind"] == "bad_response"
    assert type(said).__name__ in error_of(store)["message"]
    assert report.counts["answered"] == 1


class Text(str):
    """As numpy has one: a text of a class of its own."""

    __slots__ = ()


def test_a_text_of_another_class_is_the_text_that_it_is() -> None:
    store = MemoryStorageBackend()
    report = ask(rows(2), lambda prompt: Text(prompt[1:]), store)
    assert report.counts["errors"] == 0
    assert [type(r.response) for r in store.load_generation_records(RUN)] == [str, str]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(text=7),  # type: ignore[arg-type]
        Answer("1", usage=[1]),  # type: ignore[arg-type]
        Answer("1", cost="much"),  # type: ignore[arg-type]
        Answer("1", cost=math.nan),
        Answer("1", cost=-1.0),
        Answer("1", wait_s="long"),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_an_answer_that_cannot_be_summed_is_a_bad_response(answer: Answer) -> None:
    store = MemoryStorageBackend()
    report = ask(rows(3), lambda prompt: answer if prompt == "q1" else prompt[1:], store)
    assert report.status == "completed"
    assert error_of(store)["kind"] == "bad_response"


def test_an_answer_tells_usage_and_cost() -> None:
    store = MemoryStorageBackend()

    def model(prompt: str) -> Answer:
        usage = {"input_tokens": 3, "output_tokens": 2, "odd": "x"}
        return Answer(prompt[1:], "stop", "served", usage, 0.1, metadata={"k": [1]})

    report = ask(rows(3), model, store)
    assert report.usage == {"input_tokens": 9, "output_tokens": 6}
    assert report.cost == pytest.approx(0.3)
    record = store.load_generation_records(RUN)[0]
    assert (record.finish_reason, record.model, record.metadata) == ("stop", "served", {"k": [1]})


# Models that raise


class Unspeakable(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("broken"),
        KeyError("x"),
        SystemExit(3),
        asyncio.CancelledError(),
        StopIteration(),
        MemoryError(),
        RecursionError(),
        Unspeakable(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("executor", ["threads", "sequential"])
def test_whatever_a_model_raises_is_the_samples_error(error: BaseException, executor: str) -> None:
    store = MemoryStorageBackend()
    report = ask(rows(5), Echo(raising(error, "q1")), store, executor=executor)
    assert report.status == "completed"
    assert report.counts == {"asked": 5, "answered": 4, "errors": 1, "kept": 0}
    assert report.failures == {"model": {"count": 1, "sample_ids": ["s1"]}}
    told = error_of(store)
    assert (told["kind"], told["stage"], told["calls"]) == ("model", "call", 1)
    assert type(error).__name__ in told["message"]


@pytest.mark.parametrize("kind", ["rate_limit", "quota", "auth", "filtered", "empty", "server", "unheard-of"])
def test_a_model_errors_kind_status_and_calls_are_kept(kind: str) -> None:
    store = MemoryStorageBackend()
    error = ModelError("said so", kind=kind, status=418, calls=4)
    report = ask(rows(2), Echo(raising(error, "q1")), store)
    assert error_of(store) == {
        "kind": kind,
        "stage": "call",
        "message": "said so",
        "status": 418,
        "calls": 4,
    }
    assert list(report.failures) == [kind]
    evaluation = next(e for e in store.load_evaluation_records(RUN).values() if e.id == "s1")
    assert evaluation.scores == {"ExactMatch": None, "Includes": None}
    assert evaluation.error == {"kind": kind, "stage": "call"}


def test_an_error_is_never_a_wrong_answer() -> None:
    report = ask(rows(10), Echo(raising(RuntimeError("x"), *(f"q{n}" for n in range(5)))))
    match = report.metrics["ExactMatch"]
    assert (match["count"], match["mean"], match["mean_errors_as_zero"]) == (5, 1.0, 0.5)


def test_a_run_of_errors_alone_completes_without_figures() -> None:
    report = ask(rows(30), Echo(raising(RuntimeError("x"))))
    assert report.counts == {"asked": 30, "answered": 0, "errors": 30, "kept": 0}
    assert report.metrics["ExactMatch"]["mean"] is None
    assert report.metrics["ExactMatch"]["mean_errors_as_zero"] == 0.0
    assert report.failures["model"]["count"] == 30
    assert report.failures["model"]["sample_ids"] == sorted(f"s{n}" for n in range(30))[:20]


def test_long_messages_are_cut() -> None:
    store = MemoryStorageBackend()
    ask(rows(2), Echo(raising(RuntimeError("x" * 10**6), "q1")), store)
    assert len(error_of(store)["message"]) == 2_000


class Rude(Model):
    """A model class that gives what no model may give."""

    name = identity = "rude"

    def __init__(self, gives: Any) -> None:
        self.gives = gives

    def answer(self, request: Request) -> Answer:
        given: Answer = self.gives
        return given


@pytest.mark.parametrize("gives", [None, "text", 7])
def test_a_model_class_that_gives_no_answer_is_a_bad_response(gives: Any) -> None:
    store = MemoryStorageBackend()
    ask(rows(2), Rude(gives), store)
    assert error_of(store)["kind"] == "bad_response"


class Bare(ExecutionBackend):
    """What a stranger writes: neither ``return_exceptions`` nor ``timeout`` nor ``cancel`` are looked at."""

    def map(
        self, func: Any, items: Iterable[Any], *, max_workers: Any = None, timeout: Any = None, **kwargs: Any
    ) -> Any:
        for item in items:
            yield func(item)

    def shutdown(self) -> None:
        raise AssertionError("an executor that was handed in is never shut down")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("x"), SystemExit(), Unspeakable(), ModelError("x")],
    ids=lambda error: type(error).__name__,
)
def test_the_task_never_raises_so_that_any_executor_can_run_it(error: BaseException) -> None:
    report = ask(rows(3), Echo(raising(error, "q1")), execution_backend=Bare())
    assert report.counts == {"asked": 3, "answered": 2, "errors": 1, "kept": 0}


# Deadlines


def test_a_timeout_is_an_error_and_the_run_goes_on() -> None:
    store, release = MemoryStorageBackend(), threading.Event()

    def model(prompt: str) -> str:
        if prompt == "q1":
            release.wait(30)
        return prompt[1:]

    report = ask(rows(12), model, store, timeout=0.5, max_workers=3)
    release.set()
    assert report.status == "completed"
    assert report.failures == {"timeout": {"count": 1, "sample_ids": ["s1"]}}
    assert report.counts["answered"] == 11
    told = error_of(store)
    assert (told["kind"], told["stage"]) == ("timeout", "call")
    evaluation = next(e for e in store.load_evaluation_records(RUN).values() if e.id == "s1")
    assert evaluation.latency_s == 0.5  # it took all of its time, not none
    assert ask(rows(12), Echo(), store, timeout=9).counts["kept"] == 11


def test_work_that_hangs_everywhere_ends_the_run_resumable() -> None:
    store, release = MemoryStorageBackend(), threading.Event()

    def model(prompt: str) -> str:
        if prompt not in ("q0", "q1"):
            release.wait(30)
        return prompt[1:]

    with pytest.raises(WorkersExhausted):
        ask(rows(9), model, store, timeout=0.4, max_workers=2)
    release.set()
    metadata = store.load_run_metadata(RUN)
    assert metadata["status"] == "paused"
    assert metadata["status_reason"].startswith("3 pieces of work passed their deadline")
    answered = {r.id for r in store.load_generation_records(RUN) if r.error is None}
    assert answered == {"s0", "s1"}
    report = ask(rows(9), Echo(), store)
    assert report.counts["answered"] == 9


def test_the_fake_models_latency_minds_the_timeout() -> None:
    report = evaluate(
        "demo",
        model="fake-math-llm?latency=30s",
        limit=3,
        timeout=0.05,
        storage_backend=MemoryStorageBackend(),
    )
    assert report.failures["timeout"]["count"] == 3


# Metrics


class Odd(Metric):
    """Gives whatever it is told to."""

    name = "Odd"

    def __init__(self, gives: Any, detail: Any = None) -> None:
        self.gives, self.detail = gives, detail

    def score(self, response: str, reference: Any) -> Score:
        if isinstance(self.gives, BaseException):
            raise self.gives
        return Score(self.gives, self.detail)


class Array:
    """As numpy: neither true nor false, and no number unless it has one element."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def __float__(self) -> float:
        if len(self.values) != 1:
            raise TypeError("only length-1 arrays can be converted to Python scalars")
        return self.values[0]

    def __eq__(self, other: object) -> Any:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("gives", "reason"),
    [
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (Unspeakable(), "Unspeakable"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (1e308, "1e+308"),
        (10**400, ""),
        (Array(1.0, 2.0), "length-1"),
        ("good", "could not convert"),
        (object(), "TypeError"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_metric_that_gives_no_number_gives_none_and_the_reason(gives: Any, reason: str) -> None:
    store = MemoryStorageBackend()
    report = ask(rows(3), store=store, metrics=["ExactMatch", Odd(gives)])
    for evaluation in store.load_evaluation_records(RUN).values():
        assert evaluation.scores == {"ExactMatch": 1, "Odd": None}
        assert reason in evaluation.details["Odd"]
        assert evaluation.error is None
    assert report.metrics["Odd"]["count"] == 0
    assert report.metrics["Odd"]["mean"] is None
    assert report.metrics["Odd"]["mean_errors_as_zero"] is None
    assert report.counts["errors"] == 0


@pytest.mark.parametrize(
    ("gives", "kept"), [(True, 1), (False, 0), (Array(0.5), 0.5), (3, 3), (-2.5, -2.5), (None, None)]
)
def test_what_is_a_number_is_kept_as_one(gives: Any, kept: Any) -> None:
    for metric in (Odd(gives), lambda response, reference: gives):
        store = MemoryStorageBackend()
        ask(rows(1), store=store, metrics=[metric])
        (evaluation,) = store.load_evaluation_records(RUN).values()
        (value,) = evaluation.scores.values()
        assert value == kept
        assert type(value) in (int, float, type(None))


def test_a_detail_that_json_does_not_know_costs_no_answer() -> None:
    store = MemoryStorageBackend()
    report = ask(rows(2), store=store, metrics=[Odd(1, {"found": {1}})])
    assert report.counts == {"asked": 2, "answered": 2, "errors": 0, "kept": 0}
    assert {e.details["Odd"] for e in store.load_evaluation_records(RUN).values()} == {"{'found': {1}}"}


def length(response: str, reference: Any) -> int:
    return len(response)


def test_functions_are_metrics_by_their_name() -> None:
    store = MemoryStorageBackend()
    report = ask(rows(11), store=store, metrics=[length, "ExactMatch"])
    assert report.metrics["length"]["mean"] == pytest.approx(12 / 11)
    assert report.metrics["length"]["ci_method"] == "normal"
    assert report.metrics["ExactMatch"]["ci_method"] == "wilson"
    place = store.load_run_metadata(RUN)["asked"]["metrics"]["length"]["params"]["function"]
    assert place.endswith("test_failures:length")
    assert ask(rows(11), store=store, metrics=[length, "ExactMatch"]).counts["kept"] == 11


@pytest.mark.parametrize(
    "make",
    [lambda: lambda response, reference: 1, lambda: functools.partial(length)],
    ids=["lambda", "partial"],
)
def test_no_other_metric_is_taken_for_a_nameless_one(make: Any) -> None:
    store = MemoryStorageBackend()
    ask(store=store, metrics=[make()])
    with pytest.raises(RunConflict, match=r"metrics: .*made with def"):
        ask(store=store, metrics=[make()])


# Stores that refuse


class Strict(MemoryStorageBackend):
    """Takes no text with a NUL in it, as a database might not."""

    def _check(self, record: Any) -> None:
        if "\x00" in repr(record.__dict__) or "\\x00" in repr(record.__dict__):
            raise RecordRefused(f"{record.id} holds NUL")

    def save_generation_records(self, run_id: str, records: Iterable[GenerationRecord]) -> None:
        held = list(records)
        for record in held:
            self._check(record)
        super().save_generation_records(run_id, held)

    def save_evaluation_records(self, run_id: str, records: Iterable[EvaluationRecord]) -> None:
        held = list(records)
        for record in held:
            self._check(record)
        super().save_evaluation_records(run_id, held)


def test_a_record_that_the_store_refuses_becomes_an_error_and_its_neighbours_are_kept() -> None:
    store = Strict()
    report = ask(rows(20), lambda prompt: "\x00" if prompt == "q1" else prompt[1:], store)
    assert report.status == "completed"
    assert report.failures == {"refused_by_store": {"count": 1, "sample_ids": ["s1"]}}
    assert report.counts == {"asked": 20, "answered": 19, "errors": 1, "kept": 0}
    told = error_of(store)
    assert (told["kind"], told["stage"]) == ("refused_by_store", "store")
    assert "holds NUL" in told["message"]
    assert len(store.load_evaluation_records(RUN)) == 20
    again = Echo()
    assert ask(rows(20), again, store).counts["errors"] == 0
    assert again.asked == ["q1"]


def test_scores_that_the_store_refuses_are_an_error_too() -> None:
    store = Strict()
    report = ask(rows(3), store=store, metrics=[Odd(1, "\x00")])
    assert report.failures["refused_by_store"]["count"] == 3
    unscored = MemoryStorageBackend()
    ask(rows(3), store=unscored)
    resumed = Strict()
    strangers = [replace(each, cache_key=None) for each in unscored.load_generation_records(RUN)]
    resumed.save_generation_records(RUN, strangers)
    report = ask(rows(3), store=resumed, metrics=[Odd(1, "\x00")])
    assert report.failures["refused_by_store"]["count"] == 3
    assert report.status == "completed"


def test_a_store_that_refuses_everything_ends_the_run_with_its_own_error() -> None:
    store = Watched()
    store.trouble["generations"] = lambda number: RecordRefused("nothing is good enough")
    with pytest.raises(StorageError, match="cannot save records"):
        ask(rows(3), store=store)
    assert store.load_run_metadata(RUN)["status"] == "paused"


def test_a_model_that_answers_non_json_metadata_is_refused_singly(tmp_path: Any) -> None:
    store = LocalStorageBackend(tmp_path)

    def model(prompt: str) -> Answer:
        return Answer(prompt[1:], metadata={"raw": {1, 2}} if prompt == "q1" else None)

    report = ask(rows(4), model, store)
    assert report.failures == {"refused_by_store": {"count": 1, "sample_ids": ["s1"]}}
    assert "metadata.raw" in error_of(store)["message"]


# The task itself


def test_the_task_pickles_and_does_the_same_elsewhere() -> None:
    task = SampleTask(
        model=FakeMathModel(seed=2),
        template=PromptTemplate("{question}"),
        metrics=open_metrics(["ExactMatch", "Includes"]),
        sampling={"temperature": 0},
        seed=3,
        timeout=1.0,
        token="none",
    )
    copy = pickle.loads(pickle.dumps(task))
    (sample,) = samples([{"id": "a", "question": "What is 3 + 4?", "answer": "7", "tags": ["t"]}])
    work = Work("a", sample, 1, 1, None, 0.0)
    first, second = task(work), copy(pickle.loads(pickle.dumps(work)))
    for outcome in (first, second):
        assert isinstance(outcome, Outcome)
        assert outcome.id == "a"
    assert first.generation.cache_key == second.generation.cache_key
    assert first.generation.response == second.generation.response == "7"
    assert second.evaluation.scores == {"ExactMatch": 1, "Includes": 1}
    assert pickle.loads(pickle.dumps(first)) == first


def test_the_seed_of_an_epoch_is_one_more() -> None:
    seen: dict[str, set[int | None]] = {}

    class Noted(Model):
        name = identity = "noted"

        def answer(self, request: Request) -> Answer:
            seen.setdefault(f"{request.sample_id}/{request.epoch}", set()).add(request.seed)
            return Answer("0")

    ask(rows(1), Noted(), seed=10, epochs=3)
    assert seen == {"s0/1": {10}, "s0/2": {11}, "s0/3": {12}}
    seen.clear()
    ask(rows(1), Noted())
    assert seen == {"s0/1": {None}}


def test_a_python_model_is_loaded_by_its_place() -> None:
    report = ask(rows(3), "python:json:dumps", model_id=None)
    assert report.metrics["Includes"]["count"] == 3
    with pytest.raises(UsageError, match="cannot be loaded"):
        ask(rows(3), "python:json:nothing")


class Repeating(ExecutionBackend):
    """Gives every result twice, as what tries again after a lost answer may."""

    def map(self, func, items, *, max_workers=None, timeout=None, **kwargs):
        for item in items:
            result = func(item)
            yield result
            yield result

    def shutdown(self) -> None:
        pass


def test_a_result_that_comes_twice_counts_once() -> None:
    report = ask(rows(10), execution_backend=Repeating())
    assert report.counts == {"asked": 10, "answered": 10, "errors": 0, "kept": 0}


class Plain(ExecutionBackend):
    """Knows the two methods, no deadline, and wants an event loop."""

    def map(self, func, items, *, max_workers=None, timeout=None, **kwargs):
        loop = asyncio.get_event_loop()

        async def call(item: Any) -> Any:
            return await loop.run_in_executor(None, func, item)

        for item in items:
            yield loop.run_until_complete(call(item))

    def shutdown(self) -> None:
        pass


def test_a_deadline_holds_where_the_executor_knows_none() -> None:
    released = threading.Event()

    def model(prompt: str) -> str:
        if prompt == "q1":
            released.wait(30)
        return prompt[1:]

    report = ask(rows(3), model, execution_backend=Plain(), timeout=0.2)
    released.set()
    assert report.failures == {"timeout": {"count": 1, "sample_ids": ["s1"]}}
    assert report.counts["answered"] == 2


@pytest.mark.parametrize("given", [{"execution_backend": "threads"}, {"storage_backend": 1}])
def test_what_is_no_backend_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"not an? .*Backend; for a name use"):
        evaluate(rows(1), model=Echo(), **given)


def test_a_field_that_no_row_has_is_refused_before_anything_is_asked() -> None:
    model = Echo()
    with pytest.raises(BenchmarkError, match=r"asks for \{x\}; the first row of rows has: question"):
        ask(rows(3), model, prompt="{x}")
    assert model.asked == []


class Forgetful(ExecutionBackend):
    """Loses every second result."""

    def map(self, func, items, *, max_workers=None, timeout=None, **kwargs):
        for number, item in enumerate(items):
            result = func(item)
            if number % 2:
                yield result

    def shutdown(self) -> None:
        pass


def test_an_executor_that_loses_results_does_not_complete_a_run() -> None:
    store = MemoryStorageBackend()
    with pytest.raises(ExecutionError, match="did not give back 5"):
        ask(rows(10), store=store, execution_backend=Forgetful())
    metadata = store.load_run_metadata(RUN)
    assert metadata["status"] == "paused"
    assert len(store.load_generation_records(RUN)) == 5
    assert ask(rows(10), store=store).counts == {"asked": 10, "answered": 10, "errors": 0, "kept": 5}
