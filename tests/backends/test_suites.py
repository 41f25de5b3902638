"""The suites notice what they are there to notice: each broken backend fails the test of its promise."""

from __future__ import annotations

import dataclasses
import inspect
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import themis.testing
from themis.backends import (
    MemoryStorageBackend,
    SequentialExecutionBackend,
    ThreadExecutionBackend,
)
from themis.core import codec
from themis.core.entities import GenerationRecord
from themis.core.errors import RunNotFound, TaskTimeout
from themis.testing import ExecutionBackendSuite, StorageBackendSuite


class LastWins(MemoryStorageBackend):
    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        run = self._runs.get(run_id)
        lines = b"".join(run.generations) if run else b""
        return list({each.id: each for each in codec.decode_lines(lines, GenerationRecord).records}.values())


class CutsAtAThousand(MemoryStorageBackend):
    def list_runs(self) -> list[str]:
        return super().list_runs()[:1_000]


class StripsNul(MemoryStorageBackend):
    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        response = (record.response or "").replace("\x00", "")
        super().save_generation_record(run_id, dataclasses.replace(record, response=response))


class KeepsObjects(MemoryStorageBackend):
    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, dict[str, Any]] = {}

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        super().save_run_metadata(run_id, metadata)
        self.kept[run_id] = metadata

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        super().load_run_metadata(run_id)
        return self.kept[run_id]


class SwallowsNaN(MemoryStorageBackend):
    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        if record.cost == record.cost:
            super().save_generation_record(run_id, record)


class SaysNoForEverything(MemoryStorageBackend):
    def load_report(self, run_id: str) -> Any:
        raise RuntimeError("no")


class TakesAnyRunId(MemoryStorageBackend):
    def delete_run(self, run_id: str) -> None:
        self._runs.pop(run_id, None)


class KeepsWhatWasDeleted(MemoryStorageBackend):
    def delete_run(self, run_id: str) -> None:
        if run_id not in self._runs:
            raise RunNotFound(run_id)
        del self._runs[run_id]


class ListsTheProgress(MemoryStorageBackend):
    def list_summaries(self):
        return ({**self.load_run_metadata(run), "annotations": {}} for run in self.list_runs())


class ReadModifyWrite(MemoryStorageBackend):
    """Loses records between its reading and its writing, as the first guide's example does."""

    def save_generation_records(self, run_id: str, records: Any) -> None:
        data = codec.encode_lines(records)
        with self._lock:
            before = list(self._made(run_id).generations)
        threading.Event().wait(0.0001)
        self._made(run_id).generations = [*before, data]


BROKEN_STORES = [
    (LastWins, "test_the_current_generation_is_loaded_whatever_the_order", ()),
    (LastWins, "test_each_lesser_generation_is_current_until_a_better_one_comes", ()),
    (CutsAtAThousand, "test_every_run_is_listed_however_many", ()),
    (StripsNul, "test_any_text_comes_back_exactly_in_records", ()),
    (KeepsObjects, "test_changing_what_was_saved_does_not_change_the_store", ()),
    (KeepsObjects, "test_changing_what_was_loaded_does_not_change_the_store", ()),
    (SwallowsNaN, "test_numbers_that_json_cannot_hold_are_refused_in_every_field", (float("nan"),)),
    (SaysNoForEverything, "test_what_is_not_there", ()),
    (TakesAnyRunId, "test_hostile_run_ids_are_refused", ("delete_run",)),
    (KeepsWhatWasDeleted, "test_deleting_twice_and_deleting_the_unknown_do_nothing", ()),
    (ListsTheProgress, "test_a_summary_is_the_metadata_without_the_heavy_parts", ()),
    (ReadModifyWrite, "test_threads_save_at_once", ()),
]


@pytest.mark.parametrize(
    ("store", "test", "arguments"), BROKEN_STORES, ids=lambda each: getattr(each, "__name__", None)
)
def test_the_storage_suite_notices(store: type, test: str, arguments: tuple, tmp_path: Path):
    class Suite(StorageBackendSuite):
        kept = store()

        def make(self):
            return self.kept

    suite = Suite()
    suite.settle(tmp_path)
    with pytest.raises((AssertionError, pytest.fail.Exception, RunNotFound, RuntimeError)):
        getattr(suite, test)(*arguments)


class Unordered(ThreadExecutionBackend):
    """Gives results in the order of the items."""

    def map(self, func, items, **options):
        return iter(sorted(super().map(func, items, **options)))


class TakesAll(ThreadExecutionBackend):
    def map(self, func, items, **options):
        return super().map(func, list(items), **options)


class OneTooMany(ThreadExecutionBackend):
    def map(self, func, items, *, max_workers=None, **options):
        return super().map(func, items, max_workers=(max_workers or 1) + 1, **options)


class ClockStartsEarly(ThreadExecutionBackend):
    """Counts from the call of ``map``."""

    def map(self, func, items, *, timeout=None, **options):
        began = time.monotonic()
        for result in super().map(func, items, **options):
            if timeout is not None and time.monotonic() > began + timeout:
                raise TaskTimeout("too late")
            yield result


class IgnoresCancel(ThreadExecutionBackend):
    def map(self, func, items, *, cancel=None, **options):
        return super().map(func, items, **options)


class RaisesAlways(SequentialExecutionBackend):
    def map(self, func, items, *, return_exceptions=False, **options):
        return super().map(func, items, **options)


class DropsTheLast(SequentialExecutionBackend):
    def map(self, func, items, **options):
        return (result for result in list(super().map(func, items, **options))[:-1])


class Prints(SequentialExecutionBackend):
    def shutdown(self) -> None:
        print("shutting down")


BROKEN_EXECUTORS = [
    (Unordered, "test_a_slow_source_holds_no_result_back", ()),
    (TakesAll, "test_an_error_of_the_source_is_raised_after_what_it_gave", (None,)),
    (OneTooMany, "test_as_many_work_at_once_as_asked_and_never_more", (2, None)),
    (ClockStartsEarly, "test_the_clock_starts_with_the_work", ()),
    (IgnoresCancel, "test_cancel_ends_a_stream_of_quick_items", (None,)),
    (RaisesAlways, "test_failures_are_results_when_asked_for", (None,)),
    (DropsTheLast, "test_every_item_is_done_once", (None,)),
    (Prints, "test_signal_handlers_and_the_terminal_are_left_alone", "capfd"),
]


@pytest.mark.parametrize(
    ("executor", "test", "arguments"), BROKEN_EXECUTORS, ids=lambda each: getattr(each, "__name__", None)
)
def test_the_execution_suite_notices(executor: type, test: str, arguments: Any, capfd):
    class Suite(ExecutionBackendSuite):
        def make(self):
            return executor()

    suite = Suite()
    suite.settle()
    with pytest.raises((AssertionError, ValueError, LookupError, TaskTimeout)):
        getattr(suite, test)(*((capfd,) if arguments == "capfd" else arguments))
    suite.released.set()


@pytest.mark.parametrize("suite", [StorageBackendSuite, ExecutionBackendSuite])
def test_a_suite_without_a_factory_cannot_be_run(suite: type):
    assert inspect.isabstract(suite)
    with pytest.raises(TypeError, match="make"):
        suite()


@pytest.mark.parametrize("suite", [StorageBackendSuite, ExecutionBackendSuite])
def test_every_promise_is_said_in_words(suite: type):
    tests = {name: test for name, test in inspect.getmembers(suite, callable) if name.startswith("test_")}
    assert len(tests) > 30
    assert [name for name, test in tests.items() if not test.__doc__] == []


def test_exported_names():
    assert [
        getattr(themis.testing, name).__name__ for name in themis.testing.__all__
    ] == themis.testing.__all__
    with pytest.raises(AttributeError, match="Suites"):
        themis.testing.Suites
