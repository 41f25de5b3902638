"""Which runs there are, and one line for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from themis.backends.storage.base import StorageBackend
from themis.core.entities import ExperimentReport
from themis.testing.storage.examples import evaluation, full_metadata, generation
from themis.testing.storage.place import StoragePlace

RUN = "run-1"

FIRST_SAVES: dict[str, Callable[[StorageBackend], None]] = {
    "metadata": lambda backend: backend.save_run_metadata(RUN, {"run_id": RUN}),
    "generation": lambda backend: backend.save_generation_record(RUN, generation("x")),
    "evaluation": lambda backend: backend.save_evaluation_record(RUN, evaluation("x")),
    "report": lambda backend: backend.save_report(RUN, ExperimentReport(run_id=RUN)),
}
"""Whatever is saved first makes the run."""


class Listing(StoragePlace):
    """**Reading** of the list: complete, light, and never behind."""

    @pytest.mark.parametrize("what", FIRST_SAVES)
    def test_a_run_exists_after_its_first_save(self, what: str) -> None:
        """Whatever was saved first, without metadata too, the run is there for everyone."""
        backend = self.open()
        assert not backend.run_exists(RUN)
        FIRST_SAVES[what](backend)
        backend.flush()
        for reader in (backend, self.open()):
            assert reader.run_exists(RUN)
            assert reader.list_runs() == [RUN]
            assert [each["run_id"] for each in reader.list_summaries()] == [RUN]

    def test_every_run_is_listed_however_many(self) -> None:
        """No page is the last one unless it is: beyond a thousand runs none is missing or twice."""
        backend = self.open()
        ids = [f"run-{number:05d}" for number in range(self.runs_listed)]
        for number, run_id in enumerate(ids):
            if number % 5:
                backend.save_run_metadata(run_id, {"run_id": run_id, "created_at": float(number)})
            else:
                backend.save_generation_record(run_id, generation("x"))
        backend.close()
        reader = self.open()
        listed = reader.list_runs()
        assert len(listed) == len(ids)
        assert sorted(listed) == ids
        for _ in range(2):  # the second may come from a cache
            summaries = [each["run_id"] for each in reader.list_summaries()]
            assert len(summaries) == len(ids)
            assert sorted(summaries) == ids

    def test_summaries_come_newest_first(self) -> None:
        """By ``created_at``, whatever the ids; a run that does not say when comes last."""
        backend = self.open()
        for run_id, created in (("b", 3.0), ("a", 1.0), ("c", 2.0)):
            backend.save_run_metadata(run_id, {"run_id": run_id, "created_at": created})
        backend.save_generation_record("d", generation("x"))
        backend.flush()
        for _ in range(2):  # the second may come from a cache
            assert [each["run_id"] for each in backend.list_summaries()] == ["b", "c", "a", "d"]

    def test_a_summary_is_the_metadata_without_the_heavy_parts(self) -> None:
        """No progress, no audit, no prompt or system text; with annotations."""
        backend = self.open()
        backend.save_run_metadata(RUN, full_metadata(RUN))
        backend.save_generation_record(RUN, generation("x"))
        expected = full_metadata(RUN)
        for heavy in ("progress", "audit"):
            del expected[heavy]
        for heavy in ("prompt", "system"):
            del expected["asked"][heavy]
        (summary,) = backend.list_summaries()
        assert isinstance(summary.pop("annotations"), dict)
        del expected["annotations"]
        assert summary == expected

    def test_a_run_without_metadata_has_a_summary(self) -> None:
        """It shows that the run is there, and nothing else."""
        self.needs_all_promises("list runs that have no metadata")
        backend = self.open()
        backend.save_generation_record(RUN, generation("x"))
        assert list(backend.list_summaries()) == [{"run_id": RUN, "annotations": {}}]

    def test_the_list_follows_every_change_at_once(self) -> None:
        """Also a change that comes within one tick of a clock after the one before."""
        writer, reader = self.open(), self.open()

        def listed() -> dict[str, Any]:
            return {each["run_id"]: each.get("status") for each in reader.list_summaries()}

        assert listed() == {}
        expected: dict[str, Any] = {}
        for number in range(20):
            run_id = f"run-{number % 3}"
            if number % 5 == 4:
                writer.delete_run(run_id)
                expected.pop(run_id, None)
            else:
                writer.save_run_metadata(run_id, {"run_id": run_id, "status": f"at {number}"})
                expected[run_id] = f"at {number}"
            assert listed() == expected
            assert sorted(reader.list_runs()) == sorted(expected)

    def test_metadata_that_come_after_records_are_listed_at_once(self) -> None:
        """A run that was listed without metadata does not stay so."""
        writer, reader = self.open(), self.open()
        writer.save_generation_record(RUN, generation("x"))
        writer.flush()
        assert [each.get("status") for each in reader.list_summaries()] == [None]
        writer.save_run_metadata(RUN, {"run_id": RUN, "status": "running"})
        assert [each.get("status") for each in reader.list_summaries()] == ["running"]
