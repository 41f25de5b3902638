"""Backends that know only what the first guide told work everywhere."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.backends.strangers import Crowd, Eager, ElevenMethods
from themis import evaluate
from themis.backends import MemoryStorageBackend, StorageBackend
from themis.backends.storage.foreign import ForeignStorage, _locks, whole
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import RecordRefused, StorageError
from themis.testing import StorageBackendSuite
from themis.testing.storage.examples import evaluation, generation

QUESTIONS = [{"id": f"q{n}", "question": f"{n}+{n}", "answer": str(2 * n)} for n in range(10)]


class TestElevenMethods(StorageBackendSuite):
    eleven_methods_only = True
    holds_any_text = False

    def make(self) -> ElevenMethods:
        return ElevenMethods(self.__dict__.setdefault("files", {}))


class Model:
    """Answers sums; counts what it was asked; says NUL, or fails, where it is told to."""

    def __init__(self, *, nul: str = "", failing: str = "") -> None:
        self.nul, self.failing = nul, failing
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, prompt: str) -> str:
        with self.lock:
            self.asked[prompt] += 1
        if prompt == self.failing:
            raise ConnectionError("no answer")
        left, _, right = prompt.partition("+")
        return "\x00" if prompt == self.nul else str(int(left) + int(right))


def ask(model: Model, **options: Any):
    return evaluate(
        QUESTIONS, model=model, model_id="sums", prompt="{question}", metrics=["ExactMatch"], **options
    )


# In evaluate


@pytest.mark.parametrize("executor", [None, Eager(), Crowd()], ids=["threads", "eager", "crowd"])
def test_eleven_methods_are_enough_for_evaluate(executor):
    store, model = ElevenMethods(), Model()
    report = ask(model, storage_backend=store, execution_backend=executor, run_id="r")
    assert report.status == "completed"
    assert report.counts == {"asked": 10, "answered": 10, "errors": 0, "kept": 0}
    assert report.evaluation_report.metrics["ExactMatch"].mean == 1.0
    assert "OVERLAP" not in store.calls
    assert store.run_exists("r")
    assert store.load_report("r") == report
    assert store.load_run_metadata("r")["status"] == "completed"
    assert sorted(each.response for each in store.load_generation_records("r")) == sorted(
        str(2 * n) for n in range(10)
    )
    assert len(store.load_evaluation_records("r")) == 10
    first_record = store.calls.index("save_generation_record")
    assert "save_run_metadata" in store.calls[:first_record]


def test_a_store_that_bears_one_thread_is_called_from_one():
    store = ElevenMethods()
    ask(Model(), storage_backend=store, run_id="r", max_workers=8)
    assert store.threads == {threading.get_ident()}


@pytest.mark.parametrize("executor", [None, Eager(), Crowd()], ids=["threads", "eager", "crowd"])
def test_resume_asks_only_what_is_missing_or_failed(executor):
    store, failing = ElevenMethods(), Model(failing="3+3")
    first = ask(failing, storage_backend=store, execution_backend=executor, run_id="r", limit=6)
    assert first.counts == {"asked": 6, "answered": 5, "errors": 1, "kept": 0}
    assert first.failures["model"]["sample_ids"] == ["q3"]
    model = Model()
    second = ask(model, storage_backend=store, execution_backend=executor, run_id="r")
    assert model.asked == Counter(["3+3", *(f"{n}+{n}" for n in range(6, 10))])
    assert second.counts == {"asked": 10, "answered": 10, "errors": 0, "kept": 5}
    assert second.evaluation_report.metrics["ExactMatch"].mean == 1.0
    # The store keeps both attempts; the library counts the later.
    assert len(store.load_generation_records("r")) == 11
    assert len(whole(store).load_generation_records("r")) == 10
    third = ask(Model(), storage_backend=store, run_id="r")
    assert third.counts["kept"] == 10


class FirstComes(ElevenMethods):
    """Gives of two evaluations the one that was saved first, as an insert that ignores conflicts would."""

    def _by_key(self, records: list[EvaluationRecord]) -> dict[str, EvaluationRecord]:
        return super()._by_key(records[::-1])


def test_a_store_that_loads_an_old_evaluation_does_not_pass_it_off_as_current():
    store = FirstComes()
    ask(Model(failing="3+3"), storage_backend=store, run_id="r")
    ask(Model(), storage_backend=store, run_id="r")
    model = Model()
    report = ask(model, storage_backend=store, run_id="r")
    assert report.counts["errors"] == 0
    assert report.evaluation_report.metrics["ExactMatch"].mean == 1.0
    assert model.asked == Counter()


@pytest.mark.parametrize("executor", [None, Eager()], ids=["threads", "eager"])
def test_a_record_that_the_store_refuses_becomes_an_error_record(executor):
    store = ElevenMethods()
    report = ask(Model(nul="3+3"), storage_backend=store, execution_backend=executor, run_id="r")
    assert report.status == "completed"
    assert report.counts == {"asked": 10, "answered": 9, "errors": 1, "kept": 0}
    assert report.failures["refused_by_store"] == {"count": 1, "sample_ids": ["q3"]}
    metric = report.evaluation_report.metrics["ExactMatch"]
    assert (metric.count, metric.mean, metric.mean_errors_as_zero) == (9, 1.0, 0.9)
    (refused,) = (each for each in store.load_generation_records("r") if each.error is not None)
    assert (refused.id, refused.response) == ("q3", None)
    assert (refused.error["kind"], refused.error["stage"]) == ("refused_by_store", "store")
    assert "unsupported Unicode escape" in refused.error["message"]
    (scored,) = (each for each in store.load_evaluation_records("r").values() if each.error is not None)
    assert (scored.id, scored.scores) == ("q3", {"ExactMatch": None})
    # It is an error like others: resuming asks again.
    model = Model()
    assert ask(model, storage_backend=store, run_id="r").counts["answered"] == 10
    assert model.asked == Counter(["3+3"])


class Broken(ElevenMethods):
    """Takes no record at all, and says so with an error of its own."""

    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        raise RuntimeError("the driver is confused")


def test_a_store_that_takes_nothing_ends_the_run_and_is_not_taken_for_bad_records():
    store = Broken()
    with pytest.raises(StorageError, match="the driver is confused"):
        ask(Model(), storage_backend=store, run_id="r")
    metadata = store.load_run_metadata("r")
    assert metadata["status"] == "paused"
    assert "the driver is confused" in metadata["status_reason"]


def test_what_was_handed_in_is_neither_closed_nor_shut_down():
    store, executor = ElevenMethods(), Eager()
    store.close = lambda: store.calls.append("close")  # type: ignore[method-assign]
    ask(Model(), storage_backend=store, execution_backend=executor, run_id="r")
    assert "close" not in store.calls
    assert not executor.shut_down


def test_a_deadline_does_not_disturb_an_executor_that_knows_none():
    report = ask(Model(), storage_backend=MemoryStorageBackend(), execution_backend=Eager(), timeout=30)
    assert report.counts["answered"] == 10


def test_a_run_saved_by_a_stranger_is_resumed():
    """Records with the four printed fields only, saved before any metadata."""
    store = MemoryStorageBackend()
    for n in range(3):
        store.save_generation_record(
            "r", GenerationRecord(id=f"q{n}", prompt=f"{n}+{n}", response=str(2 * n), metadata={})
        )
    model = Model()
    report = ask(model, storage_backend=store, run_id="r")
    assert model.asked == Counter(f"{n}+{n}" for n in range(3, 10))
    assert report.counts["answered"] == 10
    assert report.evaluation_report.metrics["ExactMatch"].mean == 1.0


# The adapter itself


def test_only_what_does_not_keep_the_promises_is_wrapped():
    memory, stranger = MemoryStorageBackend(), ElevenMethods()
    assert whole(memory) is memory
    adapted = whole(stranger)
    assert isinstance(adapted, ForeignStorage)
    assert whole(adapted) is adapted
    assert repr(adapted) == repr(stranger)


class Unhashable(ElevenMethods):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable)


@pytest.mark.parametrize("kind", [ElevenMethods, Unhashable])
def test_two_evaluations_that_share_a_store_do_not_overlap_in_it(kind: type[ElevenMethods]):
    stranger = kind()
    busy = stranger._append

    def slow(*args: Any) -> None:
        time.sleep(0.002)
        busy(*args)

    stranger._append = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as threads:
        reports = list(
            threads.map(
                lambda run_id: evaluate(QUESTIONS, model=Model(), storage_backend=stranger, run_id=run_id),
                ["first", "second"],
            )
        )
    assert [report.status for report in reports] == ["completed"] * 2
    assert "OVERLAP" not in stranger.calls


def test_the_lock_of_a_store_goes_with_it_and_is_nobody_elses():
    gc.collect()
    before = len(_locks)
    one, other = Unhashable(), Unhashable()
    wrappers = [whole(one), whole(one), whole(other)]
    assert len(_locks) == before + 2
    del wrappers, one, other
    gc.collect()
    assert len(_locks) == before


def test_metadata_come_before_the_first_record_once():
    stranger = ElevenMethods()
    store = whole(stranger)
    store.save_generation_record("r", generation("a"))
    store.save_generation_record("r", generation("b"))
    store.save_evaluation_record("r", evaluation("a"))
    assert stranger.calls.count("save_run_metadata") == 1
    assert json.loads(stranger.files["r"]["metadata"]) == {"run_id": "r", "schema_version": 1}
    store.delete_run("r")
    store.save_generation_record("r", generation("c"))
    assert [each.id for each in store.load_generation_records("r")] == ["c"]


def test_metadata_that_are_there_stay():
    stranger = ElevenMethods()
    stranger.save_run_metadata("r", {"status": "mine"})
    whole(stranger).save_evaluation_record("r", evaluation("a"))
    assert stranger.load_run_metadata("r") == {"status": "mine"}


def test_what_a_stranger_raises_for_a_record_is_a_refusal_and_errors_of_the_system_are_not():
    stranger = ElevenMethods()
    store = whole(stranger)
    with pytest.raises(RecordRefused, match="unsupported Unicode") as refusal:
        store.save_generation_record("r", generation("a", response="\x00"))
    assert isinstance(refusal.value.__cause__, ValueError)

    def unreachable(run_id: str, record: GenerationRecord) -> None:
        raise ConnectionResetError("gone")

    stranger.save_generation_record = unreachable  # type: ignore[method-assign]
    with pytest.raises(ConnectionResetError, match="gone"):
        store.save_generation_record("r", generation("a"))


def test_a_stranger_need_not_call_the_constructor_of_the_base():
    class Bare(ElevenMethods):
        def __init__(self) -> None:
            self.files = {}
            self.calls = []
            self.threads = set()
            self._one_caller = threading.Lock()

    store = whole(Bare())
    with store:
        store.save_generation_records("r", [generation("a"), generation("a", attempt=2)])
        store.flush()
    assert list(store.iter_generation_records("r")) == [generation("a", attempt=2)]
    assert [step.ok for step in store.check()] == [True] * 4
    assert [each["run_id"] for each in store.list_summaries()] == ["r"]


def test_an_incomplete_backend_fails_when_it_is_made():
    class Half(StorageBackend):
        def list_runs(self) -> list[str]:
            return []

    with pytest.raises(TypeError, match="delete_run"):
        Half()  # type: ignore[abstract]


def test_a_check_that_fails_says_where_and_cleans_up():
    class Forgetful(ElevenMethods):
        def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
            return []

    stranger = Forgetful()
    steps = whole(stranger).check()
    assert [(step.name, step.ok) for step in steps] == [("write", True), ("read back", False)]
    assert "read back 0 records" in steps[-1].message
    assert stranger.files == {}
