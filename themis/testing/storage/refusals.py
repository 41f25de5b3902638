"""What a store refuses rather than change: values, ids, schemas; and what it says of what is not there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from themis.backends.storage.base import StorageBackend
from themis.core.entities import ExperimentReport
from themis.core.errors import InvalidRunId, RecordRefused, RunNotFound, SchemaTooNew, StorageError
from themis.testing.storage.examples import (
    evaluation,
    full_metadata,
    generation,
    hostile_run_ids,
    refused_values,
)
from themis.testing.storage.place import StoragePlace

RUN = "run-1"

EVERY_METHOD: dict[str, Callable[[StorageBackend, str], object]] = {
    "save_run_metadata": lambda b, run_id: b.save_run_metadata(run_id, {}),
    "load_run_metadata": lambda b, run_id: b.load_run_metadata(run_id),
    "save_generation_record": lambda b, run_id: b.save_generation_record(run_id, generation("x")),
    "save_generation_records": lambda b, run_id: b.save_generation_records(run_id, [generation("x")]),
    "load_generation_records": lambda b, run_id: b.load_generation_records(run_id),
    "iter_generation_records": lambda b, run_id: list(b.iter_generation_records(run_id)),
    "save_evaluation_record": lambda b, run_id: b.save_evaluation_record(run_id, evaluation("x")),
    "save_evaluation_records": lambda b, run_id: b.save_evaluation_records(run_id, [evaluation("x")]),
    "load_evaluation_records": lambda b, run_id: b.load_evaluation_records(run_id),
    "iter_evaluation_records": lambda b, run_id: list(b.iter_evaluation_records(run_id)),
    "save_report": lambda b, run_id: b.save_report(run_id, ExperimentReport(run_id="x")),
    "load_report": lambda b, run_id: b.load_report(run_id),
    "run_exists": lambda b, run_id: b.run_exists(run_id),
    "delete_run": lambda b, run_id: b.delete_run(run_id),
}
"""Method to a call of it with a run id."""


class Refusals(StoragePlace):
    """**Errors** and **Versions**: nothing is changed in silence, and "not there" is not "no"."""

    @pytest.mark.parametrize("name", refused_values())
    def test_values_that_json_cannot_give_back_are_refused_with_the_path(self, name: str) -> None:
        """Deep in a record, a report or metadata, with the path to the value and nothing saved of it."""
        self.needs_all_promises("refuse values that JSON cannot give back")
        free = {"deep": {"list": [1, refused_values()[name]]}}
        path = "deep.list[1]"
        backend = self.open()
        backend.save_generation_record(RUN, generation("before"))
        saves: dict[str, Callable[[], None]] = {
            "metadata.": lambda: backend.save_generation_record(RUN, generation("x", metadata=free)),
            "details.": lambda: backend.save_evaluation_record(RUN, evaluation("x", details=free)),
            "timing.": lambda: backend.save_report(RUN, ExperimentReport(RUN, timing=free)),
            "": lambda: backend.save_run_metadata(RUN, free),
        }
        for field, save in saves.items():
            with pytest.raises(RecordRefused) as refusal:
                save()
            assert field + path in str(refusal.value)
        assert backend.load_generation_records(RUN) == [generation("before")]
        assert backend.load_evaluation_records(RUN) == {}
        for load in (backend.load_report, backend.load_run_metadata):
            with pytest.raises(RunNotFound):
                load(RUN)

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_numbers_that_json_cannot_hold_are_refused_in_every_field(self, number: float) -> None:
        """Costs and scores are no exception; a refusal is also a ``ValueError``."""
        self.needs_all_promises("refuse NaN and infinities")
        backend = self.open()
        with pytest.raises(RecordRefused, match="cost"):
            backend.save_generation_record(RUN, generation("x", cost=number))
        with pytest.raises(RecordRefused, match=r"scores\.F1"):
            backend.save_evaluation_record(RUN, evaluation("x", scores={"F1": number}))
        with pytest.raises(ValueError, match=r"timing\.model_s"):
            backend.save_generation_records(RUN, [generation("x", timing={"model_s": number})])
        assert backend.load_generation_records(RUN) == []
        assert backend.load_evaluation_records(RUN) == {}

    def test_a_refused_record_does_not_harm_its_neighbours(self) -> None:
        """In a batch the refused one is not saved, and saving goes on."""
        self.needs_all_promises("refuse NaN and infinities")
        backend = self.open()
        batch = [generation("a"), generation("bad", cost=math.nan), generation("b")]
        with pytest.raises(RecordRefused, match="cost"):
            backend.save_generation_records(RUN, batch)
        for record in (batch[0], batch[2], generation("c")):
            backend.save_generation_record(RUN, record)
        assert {each.id for each in backend.load_generation_records(RUN)} == {"a", "b", "c"}

    @pytest.mark.parametrize("text", ["a\x00b", "\ud800", "a\udfffb"], ids=["NUL", "high", "low"])
    def test_metadata_refuse_nul_and_lone_surrogates_with_the_path(self, text: str) -> None:
        """So that every store can query them; what was there before stays."""
        self.needs_all_promises("refuse NUL and lone surrogates in metadata")
        backend = self.open()
        backend.save_run_metadata(RUN, full_metadata(RUN))
        with pytest.raises(RecordRefused, match=r"where\.hosts\[1\]"):
            backend.save_run_metadata(RUN, {"where": {"hosts": ["fine", text]}})
        with pytest.raises(RecordRefused, match="where"):
            backend.save_run_metadata(RUN, {"where": {text: "key"}})
        assert backend.load_run_metadata(RUN) == full_metadata(RUN)

    @pytest.mark.parametrize("method", EVERY_METHOD)
    def test_hostile_run_ids_are_refused(self, method: str) -> None:
        """By every method, before anything is looked up or made."""
        self.needs_all_promises("refuse hostile run ids")
        backend = self.open()
        accepted = []
        for name, run_id in hostile_run_ids().items():
            try:
                EVERY_METHOD[method](backend, run_id)
                accepted.append(name)
            except InvalidRunId:
                pass
        assert accepted == []
        assert backend.list_runs() == []

    @pytest.mark.parametrize("run_id", ["a", "_", "0", "A.b_c-D.9", "x" * 80, "a..b", "con", "meta", "runs"])
    def test_run_ids_within_the_rule_are_taken(self, run_id: str) -> None:
        """Up to 80 characters, dots and dashes within, names that sound like the store's own."""
        backend = self.open()
        backend.save_run_metadata(run_id, {"run_id": run_id})
        backend.save_generation_record(run_id, generation("x"))
        assert backend.run_exists(run_id)
        assert backend.list_runs() == [run_id]
        assert backend.load_generation_records(run_id) == [generation("x")]
        backend.delete_run(run_id)
        assert backend.list_runs() == []

    def test_run_ids_that_contain_one_another_are_different_runs(self) -> None:
        """A prefix of an id is another id."""
        backend = self.open()
        ids = ["run", "run-1", "run-10", "run-1.json", "run.1", "run_1"]
        for run_id in ids:
            backend.save_generation_record(run_id, generation(run_id))
        backend.delete_run("run-1")
        backend.flush()
        left = [each for each in ids if each != "run-1"]
        assert sorted(self.open().list_runs()) == sorted(left)
        for run_id in left:
            assert [each.id for each in backend.load_generation_records(run_id)] == [run_id]

    def test_what_is_not_there(self) -> None:
        """Documents raise ``RunNotFound``, also a ``FileNotFoundError``; records are empty."""
        backend = self.open()
        for load in (backend.load_run_metadata, backend.load_report):
            with pytest.raises(RunNotFound, match="nowhere") as not_found:
                load("nowhere")
            assert isinstance(not_found.value, FileNotFoundError)
        assert backend.load_generation_records("nowhere") == []
        assert backend.load_evaluation_records("nowhere") == {}
        assert list(backend.iter_generation_records("nowhere")) == []
        assert list(backend.iter_evaluation_records("nowhere")) == []
        assert not backend.run_exists("nowhere")
        assert backend.list_runs() == []
        assert list(backend.list_summaries()) == []

    def test_what_is_not_there_in_a_run_that_is(self) -> None:
        """A run with records only has neither metadata nor report; one with a report only has no records."""
        self.needs_all_promises("save records before any metadata")
        backend = self.open()
        backend.save_generation_record("records", generation("x"))
        backend.save_report("report", ExperimentReport(run_id="report"))
        for load in (backend.load_run_metadata, backend.load_report):
            with pytest.raises(RunNotFound, match="records"):
                load("records")
        with pytest.raises(RunNotFound, match="report"):
            backend.load_run_metadata("report")
        assert backend.load_generation_records("report") == []
        assert backend.load_evaluation_records("records") == {}

    def test_a_newer_schema_is_refused_before_records_are_loaded(self) -> None:
        """Records of a newer Themis may mean something else; other runs are still listed."""
        self.needs_all_promises("refuse a newer schema")
        backend = self.open()
        backend.save_generation_record(RUN, generation("x"))
        backend.save_evaluation_record(RUN, evaluation("x"))
        backend.save_report(RUN, ExperimentReport(run_id=RUN))
        backend.save_run_metadata(RUN, {"run_id": RUN, "schema_version": 99})
        backend.save_run_metadata("other", full_metadata("other"))
        loads: list[Callable[[str], Any]] = [
            backend.load_generation_records,
            backend.load_evaluation_records,
            backend.load_report,
            lambda run_id: list(backend.iter_generation_records(run_id)),
            lambda run_id: list(backend.iter_evaluation_records(run_id)),
        ]
        for load in loads:
            with pytest.raises(SchemaTooNew, match="99") as refusal:
                load(RUN)
            assert isinstance(refusal.value, StorageError)
        assert sorted(backend.list_runs()) == ["other", RUN]
        assert {each["run_id"] for each in backend.list_summaries()} == {"other", RUN}

    def test_a_report_of_a_newer_schema_is_refused(self) -> None:
        """A report says its own version."""
        self.needs_all_promises("refuse a newer schema")
        backend = self.open()
        backend.save_report(RUN, ExperimentReport(run_id=RUN, schema_version=99))
        with pytest.raises(SchemaTooNew, match="99"):
            backend.load_report(RUN)
