"""Runs in this process's memory: for tests, demos and notebooks. They go when the process goes."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from themis.backends.storage.annotations import NEVER_SAVED, Annotations
from themis.backends.storage.base import StorageBackend
from themis.core import codec
from themis.core.current import current_evaluations, current_generations
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import Conflict, RunNotFound
from themis.core.run_ids import checked_run_id


class _Run:
    """One run's bytes, as a store on disk would hold them."""

    def __init__(self) -> None:
        self.metadata: bytes | None = None
        self.report: bytes | None = None
        self.annotations: bytes | None = None
        self.annotations_saved = 0
        self.generations: list[bytes] = []
        self.evaluations: list[bytes] = []


class MemoryStorageBackend(StorageBackend, Annotations):
    """Keeps encoded bytes, so that what is loaded is never the object that was saved."""

    thread_safe = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        data = codec.encode_document(metadata)
        with self._lock:
            self._made(run_id).metadata = data

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        run = self._runs.get(checked_run_id(run_id))
        if run is None or run.metadata is None:
            raise RunNotFound(f"memory has no metadata of a run {run_id!r}.")
        metadata: dict[str, Any] = codec.decode_document(run.metadata)
        codec.check_schema(metadata, f"Run {run_id!r} in memory")
        return metadata

    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        self.save_generation_records(run_id, [record])

    def save_generation_records(self, run_id: str, records: Iterable[GenerationRecord]) -> None:
        self._append(checked_run_id(run_id), "generations", codec.encode_lines(records))

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        run = self._checked(run_id)
        if run is None:
            return []
        with codec.paused_gc():
            data = b"".join(list(run.generations))
            return current_generations(codec.decode_lines(data, GenerationRecord).records)

    def save_evaluation_record(self, run_id: str, record: EvaluationRecord) -> None:
        self.save_evaluation_records(run_id, [record])

    def save_evaluation_records(self, run_id: str, records: Iterable[EvaluationRecord]) -> None:
        self._append(checked_run_id(run_id), "evaluations", codec.encode_lines(records))

    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        run = self._checked(run_id)
        if run is None:
            return {}
        with codec.paused_gc():
            data = b"".join(list(run.evaluations))
            return current_evaluations(codec.decode_lines(data, EvaluationRecord).records)

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        data = codec.encode_report(report)
        with self._lock:
            self._made(run_id).report = data

    def load_report(self, run_id: str) -> ExperimentReport:
        run = self._checked(run_id)
        if run is None or run.report is None:
            raise RunNotFound(f"memory has no report of a run {run_id!r}.")
        return codec.decode_report(run.report, f"The report of {run_id!r} in memory")

    def load_annotations(self, run_id: str) -> tuple[dict[str, Any], str]:
        with self._lock:
            run = self._annotated(run_id)
            data, version = run.annotations, _version(run)
        return ({} if data is None else codec.decode_document(data)), version

    def save_annotations(self, run_id: str, annotations: dict[str, Any], version: str) -> str:
        data = codec.encode_document(annotations)
        with self._lock:
            run = self._annotated(run_id)
            if _version(run) != version:
                raise Conflict(f"The annotations of the run {run_id!r} were changed meanwhile.")
            run.annotations = data
            run.annotations_saved += 1
            return _version(run)

    def list_runs(self) -> list[str]:
        return sorted(self._runs)

    def run_exists(self, run_id: str) -> bool:
        return checked_run_id(run_id) in self._runs

    def delete_run(self, run_id: str) -> None:
        with self._lock:
            self._runs.pop(checked_run_id(run_id), None)

    def __getstate__(self) -> dict[str, Any]:
        return {"_runs": dict(self._runs)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"MemoryStorageBackend({len(self._runs)} runs)"

    def _append(self, run_id: str, kind: str, data: bytes) -> None:
        if data:
            with self._lock:
                getattr(self._made(run_id), kind).append(data)

    def _made(self, run_id: str) -> _Run:
        return self._runs.setdefault(checked_run_id(run_id), _Run())

    def _annotated(self, run_id: str) -> _Run:
        run = self._runs.get(checked_run_id(run_id))
        if run is None:
            raise RunNotFound(f"memory has no run {run_id!r}.")
        return run

    def _checked(self, run_id: str) -> _Run | None:
        """The run, once its metadata were seen to be of a schema this version reads."""
        run = self._runs.get(checked_run_id(run_id))
        if run is not None and run.metadata is not None:
            codec.check_schema(codec.decode_document(run.metadata), f"Run {run_id!r} in memory")
        return run


def _version(run: _Run) -> str:
    return NEVER_SAVED if run.annotations is None else str(run.annotations_saved)
