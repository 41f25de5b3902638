"""What is saved comes back: every field, every text, and nothing that was changed afterwards."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest

from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import RecordRefused
from themis.testing.storage.examples import (
    evaluation,
    failed_generation,
    full_evaluation,
    full_generation,
    full_metadata,
    full_report,
    generation,
    hostile_texts,
)
from themis.testing.storage.place import StoragePlace

RUN = "run-1"


class RoundTrips(StoragePlace):
    """**Text**, and that a store keeps values, not objects."""

    def test_every_field_of_a_generation_comes_back(self) -> None:
        """A generation is loaded as it was saved, answers and errors alike."""
        _assert_nothing_default(full_generation(), but={"error"})
        backend = self.open()
        backend.save_generation_record(RUN, full_generation())
        backend.save_generation_record(RUN, failed_generation())
        backend.flush()
        for reader in (backend, self.open()):
            loaded = {each.id: each for each in reader.load_generation_records(RUN)}
            expected = {each.id: each for each in (full_generation(), failed_generation())}
            assert loaded == expected
            assert {type(each) for each in loaded.values()} == {GenerationRecord}
            assert {each.id: each for each in reader.iter_generation_records(RUN)} == expected

    def test_every_field_of_an_evaluation_comes_back(self) -> None:
        """An evaluation is loaded as it was saved, under its cache key."""
        _assert_nothing_default(full_evaluation())
        backend = self.open()
        backend.save_evaluation_record(RUN, full_evaluation())
        backend.save_evaluation_record(RUN, evaluation("plain"))
        backend.flush()
        for reader in (backend, self.open()):
            loaded = reader.load_evaluation_records(RUN)
            assert loaded == {full_evaluation().cache_key: full_evaluation(), "plain": evaluation("plain")}
            assert {type(each) for each in loaded.values()} == {EvaluationRecord}
            assert {each.cache_key: each for each in reader.iter_evaluation_records(RUN)} == loaded

    def test_every_field_of_a_report_comes_back(self) -> None:
        """A report is loaded as it was saved, and shows its metrics with attributes."""
        _assert_nothing_default(full_report(RUN), but={"schema_version"})
        backend = self.open()
        backend.save_report(RUN, full_report(RUN))
        for reader in (backend, self.open()):
            report = reader.load_report(RUN)
            assert report == full_report(RUN)
            assert type(report) is ExperimentReport
            assert report.evaluation_report.metrics["ExactMatch"].mean == 2 / 3

    def test_metadata_come_back(self) -> None:
        """Metadata are loaded as they were saved."""
        backend = self.open()
        backend.save_run_metadata(RUN, full_metadata(RUN))
        for reader in (backend, self.open()):
            assert reader.load_run_metadata(RUN) == full_metadata(RUN)

    def test_metadata_and_report_are_replaced_whole(self) -> None:
        """Of documents the last one saved is there, with nothing of the one before."""
        backend = self.open()
        backend.save_run_metadata(RUN, full_metadata(RUN))
        backend.save_report(RUN, full_report(RUN))
        backend.save_run_metadata(RUN, {"run_id": RUN, "status": "completed"})
        backend.save_report(RUN, ExperimentReport(run_id=RUN, cost=1.0))
        for reader in (backend, self.open()):
            assert reader.load_run_metadata(RUN) == {"run_id": RUN, "status": "completed"}
            assert reader.load_report(RUN) == ExperimentReport(run_id=RUN, cost=1.0)

    def test_any_text_comes_back_exactly_in_records(self) -> None:
        """NUL, lone surrogates, every plane: texts, keys and identities are exact."""
        self.needs_any_text()
        texts = hostile_texts()
        backend = self.open()
        for name, text in texts.items():
            free = {"text": text, "list": [text], text: name}
            backend.save_generation_record(
                RUN, generation(name, prompt=[{"content": text}], response=text, metadata=free)
            )
            backend.save_evaluation_record(RUN, evaluation(name, reference=text, details=free))
        backend.flush()
        generations = {each.id: each for each in self.open().load_generation_records(RUN)}
        evaluations = self.open().load_evaluation_records(RUN)
        changed = [
            name
            for name, text in texts.items()
            if generations[name].response != text
            or generations[name].prompt != [{"content": text}]
            or generations[name].metadata != {"text": text, "list": [text], text: name}
            or evaluations[name].reference != text
            or evaluations[name].details != {"text": text, "list": [text], text: name}
        ]
        assert changed == []
        assert len(generations) == len(evaluations) == len(texts)

    def test_any_text_can_be_an_identity(self) -> None:
        """Ids and cache keys are texts like any other: none is cut, folded or mixed up."""
        self.needs_any_text()
        texts = {*hostile_texts().values(), "a", "A", "a ", "e\u0301", "\u00e9", "x" * 5_000, "x" * 5_001}
        backend = self.open()
        backend.save_generation_records(RUN, [generation(text) for text in texts])
        backend.save_evaluation_records(RUN, [evaluation(text) for text in texts])
        backend.flush()
        assert sorted(each.id for each in self.open().load_generation_records(RUN)) == sorted(texts)
        assert sorted(self.open().load_evaluation_records(RUN)) == sorted(texts)

    def test_any_text_comes_back_exactly_in_reports(self) -> None:
        """A report is as exact as a record."""
        self.needs_any_text()
        texts = hostile_texts()
        report = ExperimentReport(run_id=RUN, metadata={**texts, **dict.fromkeys(texts.values(), 1)})
        backend = self.open()
        backend.save_report(RUN, report)
        assert self.open().load_report(RUN) == report

    def test_surrogates_side_by_side_are_exact_or_refused(self) -> None:
        """Two halves of a character, which JSON would join, are never joined in silence."""
        self.needs_any_text()
        self.needs_all_promises("surrogates side by side are exact or refused")
        halves = "\ud83d\ude00"
        backend = self.open()
        with suppress(RecordRefused):
            backend.save_generation_record(RUN, generation("halves", response=halves))
        assert [each.response for each in backend.load_generation_records(RUN)] in ([], [halves])

    def test_large_texts_come_back_exactly(self) -> None:
        """Ten megabytes, also where a quick encoder gives up, and their small neighbours."""
        plain = "0123456789é\n" * (self.large_text // 12)
        odd = plain + "\x00\ud800" if self.holds_any_text and not self.eleven_methods_only else plain + "!"
        backend = self.open()
        for key, response in (("a", "small"), ("b", plain), ("c", "small"), ("d", odd), ("e", "small")):
            backend.save_generation_record(RUN, generation(key, response=response))
        backend.flush()
        loaded = {each.id: each.response for each in self.open().load_generation_records(RUN)}
        assert loaded.keys() == set("abcde")
        assert loaded["b"] == plain
        assert loaded["d"] == odd
        assert [loaded[key] for key in "ace"] == ["small"] * 3

    def test_changing_what_was_saved_does_not_change_the_store(self) -> None:
        """The store keeps what was saved, not the object."""
        backend = self.open()
        record, score, report, metadata = (
            full_generation(),
            full_evaluation(),
            full_report(RUN),
            full_metadata(RUN),
        )
        _save_all(backend, record, score, report, metadata)
        for document in (record.metadata, score.metadata, report.metadata, metadata["free"]):
            document["added"] = True
        record.response = score.scores["F1"] = None
        _assert_unchanged(backend)

    def test_changing_what_was_loaded_does_not_change_the_store(self) -> None:
        """Each loading gives objects of its own."""
        backend = self.open()
        _save_all(backend, full_generation(), full_evaluation(), full_report(RUN), full_metadata(RUN))
        for record in backend.load_generation_records(RUN):
            record.metadata["added"] = record.response = "x"
        for score in backend.load_evaluation_records(RUN).values():
            score.scores.clear()
        backend.load_report(RUN).metadata.clear()
        backend.load_run_metadata(RUN)["free"].clear()
        for summary in backend.list_summaries():
            summary["asked"].clear()
            summary["annotations"].clear()
        _assert_unchanged(backend)

    @pytest.mark.parametrize("size", [0, 1, 100])
    def test_batches_save_like_single_records(self, size: int) -> None:
        """A batch of any size, from a list or a generator, is the same as saving one by one."""
        backend = self.open()
        ids = [f"s-{n}" for n in range(size)]
        backend.save_generation_records(RUN, [generation(each) for each in ids])
        backend.save_evaluation_records(RUN, (evaluation(each) for each in ids))
        assert backend.load_generation_records(RUN) == [generation(each) for each in ids]
        assert backend.load_evaluation_records(RUN) == {each: evaluation(each) for each in ids}

    def test_an_empty_batch_makes_no_run(self) -> None:
        """Saving nothing saves nothing."""
        backend = self.open()
        backend.save_generation_records(RUN, [])
        backend.save_evaluation_records(RUN, iter(()))
        assert not backend.run_exists(RUN)
        assert backend.list_runs() == []


def _assert_nothing_default(record: Any, but: Collection[str] = ()) -> None:
    """The example shows something in every field, those added later too."""
    bare = type(record)(*([None] * sum(_is_required(each) for each in fields(record))))
    same = {f.name for f in fields(record) if getattr(record, f.name) == getattr(bare, f.name)}
    assert same == set(but), f"the example leaves fields as they are by default: {same - set(but)}"


def _is_required(field: Any) -> bool:
    return repr(field.default) == repr(field.default_factory)


def _save_all(backend: Any, record: Any, score: Any, report: Any, metadata: Any) -> None:
    backend.save_generation_record(RUN, record)
    backend.save_evaluation_record(RUN, score)
    backend.save_report(RUN, report)
    backend.save_run_metadata(RUN, metadata)


def _assert_unchanged(backend: Any) -> None:
    assert backend.load_generation_records(RUN) == [full_generation()]
    assert list(backend.load_evaluation_records(RUN).values()) == [full_evaluation()]
    assert backend.load_report(RUN) == full_report(RUN)
    assert backend.load_run_metadata(RUN) == full_metadata(RUN)
