"""Annotations: saved whole, by compare-and-set, beside what a runner writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, cast

import pytest

from themis.backends.storage.annotations import NEVER_SAVED, Annotations
from themis.backends.storage.base import StorageBackend
from themis.core.errors import Conflict, RunNotFound, StorageError
from themis.testing.storage.examples import full_metadata, generation
from themis.testing.storage.place import PATIENCE_S, StoragePlace, helper
from themis.testing.storage.workers import add_keys, annotate

RUN = "run-1"


class Notes(StoragePlace):
    """The promises of :class:`themis.backends.Annotations`; skipped for a backend that has it not."""

    def annotated(self) -> tuple[StorageBackend, Annotations]:
        """A store with one run, as what it is and as what it can."""
        backend = self.open()
        if not isinstance(backend, Annotations):
            pytest.skip("the backend keeps annotations in the metadata")
        backend.save_run_metadata(RUN, {"run_id": RUN, "created_at": 1.0})
        return cast(StorageBackend, backend), backend

    def test_annotations_come_back_in_their_latest_version(self) -> None:
        """Whole, for every reader, and none before the first save."""
        backend, notes = self.annotated()
        assert notes.load_annotations(RUN) == ({}, NEVER_SAVED)
        version = NEVER_SAVED
        for document in ({"name": "ünïcode 🗼", "tags": ["a", "b"]}, {}, {"pinned": True, "n": [1, None]}):
            saved = notes.save_annotations(RUN, document, version)
            assert saved not in (version, NEVER_SAVED)
            version = saved
            backend.flush()
            for reader in (notes, cast(Annotations, self.open())):
                assert reader.load_annotations(RUN) == (document, version)

    def test_whoever_is_slower_gets_a_conflict_and_changes_nothing(self) -> None:
        """For a version that is old, one of never, and one that there never was."""
        _, notes = self.annotated()
        first = notes.save_annotations(RUN, {"n": 1}, NEVER_SAVED)
        second = notes.save_annotations(RUN, {"n": 2}, first)
        for stale in (first, NEVER_SAVED, "never-was"):
            with pytest.raises(Conflict):
                notes.save_annotations(RUN, {"n": 3}, stale)
        assert notes.load_annotations(RUN) == ({"n": 2}, second)

    def test_annotations_make_no_run_and_go_with_it(self) -> None:
        """Neither before there is a run nor after it was deleted."""
        backend, notes = self.annotated()
        notes.save_annotations(RUN, {"n": 1}, NEVER_SAVED)
        backend.delete_run(RUN)
        for run_id in (RUN, "never-there"):
            with pytest.raises(RunNotFound):
                notes.load_annotations(run_id)
            with pytest.raises(RunNotFound):
                notes.save_annotations(run_id, {"n": 2}, NEVER_SAVED)
            assert not backend.run_exists(run_id)
        assert backend.list_runs() == []
        backend.save_generation_record(RUN, generation("x"))
        assert notes.load_annotations(RUN) == ({}, NEVER_SAVED)
        notes.save_annotations(RUN, {"of": "a run without metadata"}, NEVER_SAVED)
        assert next(iter(backend.list_summaries()))["annotations"] == {"of": "a run without metadata"}

    def test_the_list_brings_them_at_once(self) -> None:
        """Also a change right after another, and through another opening; metadata do not touch them."""
        backend, notes = self.annotated()
        reader = self.open()
        backend.save_run_metadata(RUN, full_metadata(RUN))
        version = NEVER_SAVED
        for number in range(12):
            version = notes.save_annotations(RUN, {"n": number}, version)
            if number % 3 == 0:
                backend.save_run_metadata(RUN, full_metadata(RUN))
            assert [each["annotations"] for each in reader.list_summaries()] == [{"n": number}]
        assert backend.load_run_metadata(RUN) == full_metadata(RUN)

    @pytest.mark.parametrize("value", ["a\x00b", "\ud800", float("nan"), {1, 2}], ids=ascii)
    def test_what_a_document_cannot_hold_is_refused(self, value: Any) -> None:
        """As in metadata, and what was there stays."""
        _, notes = self.annotated()
        version = notes.save_annotations(RUN, {"n": 1}, NEVER_SAVED)
        with pytest.raises(StorageError):
            notes.save_annotations(RUN, {"deep": [{"value": value}]}, version)
        assert notes.load_annotations(RUN) == ({"n": 1}, version)

    def test_threads_lose_nothing(self) -> None:
        """Each adds its own by compare-and-set, over and over."""
        _, notes = self.annotated()

        def work(name: str) -> Callable[[], None]:
            return lambda: add_keys(notes, RUN, name, 10)

        threads = [threading.Thread(target=work(name)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert sorted(notes.load_annotations(RUN)[0]) == sorted(
            f"{name}{n}" for name in "abcd" for n in range(10)
        )

    def test_processes_lose_nothing(self) -> None:
        """As threads."""
        self.needs_processes("compare and set between processes")
        backend, notes = self.annotated()
        backend.flush()
        with ExitStack() as running:
            helpers = [
                running.enter_context(helper(annotate, cast(Annotations, self.make()), RUN, name, 20))
                for name in "abc"
            ]
            assert [each.says() for each in helpers] == ["done"] * 3
        assert sorted(notes.load_annotations(RUN)[0]) == sorted(
            f"{name}{n}" for name in "abc" for n in range(20)
        )
