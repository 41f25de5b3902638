"""A backend of the eleven methods alone, made to keep what the library relies on."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from themis.backends.storage.annotations import Annotations
from themis.backends.storage.base import StorageBackend, walk_steps
from themis.core.check_step import CheckStep
from themis.core.current import current_evaluations, current_generations
from themis.core.entities import SCHEMA_VERSION, EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import RecordRefused, RunNotFound, StorageError


def whole(backend: StorageBackend) -> StorageBackend:
    """``backend`` itself if it keeps the promises by itself, else in a :class:`ForeignStorage`."""
    if backend.thread_safe:
        return backend
    return AnnotatedForeignStorage(backend) if isinstance(backend, Annotations) else ForeignStorage(backend)


def check_steps(storage: StorageBackend) -> Iterator[CheckStep]:
    """The steps of ``storage.check()``, each as it is done, where the backend has none of its own."""
    return iter(_bare(storage).check()) if has_own_steps(storage) else walk_steps(storage)


def has_own_steps(storage: StorageBackend) -> bool:
    """Whether the backend has a ``check`` of its own, which begins with how it is reached."""
    return type(_bare(storage)).check is not StorageBackend.check


def _bare(storage: StorageBackend) -> StorageBackend:
    return storage.backend if isinstance(storage, ForeignStorage) else storage


_locks: dict[int, threading.RLock] = {}
_not_watched: list[StorageBackend] = []


def _lock_of(backend: StorageBackend) -> threading.RLock:
    """The one lock of a backend, however many wrappers it has: two evaluations may share it.

    Known by its id, because a backend need be neither hashable nor different from all others.
    """
    lock = threading.RLock()
    found = _locks.setdefault(id(backend), lock)
    if found is lock:
        try:
            weakref.finalize(backend, _locks.pop, id(backend)).atexit = False
        except TypeError:  # it is held instead, so that no other gets its id
            _not_watched.append(backend)
    return found


@contextmanager
def _not_found(run_id: str) -> Iterator[None]:
    """The first guide told backends to raise ``FileNotFoundError``; here it is always ``RunNotFound``."""
    try:
        yield
    except RunNotFound:
        raise
    except FileNotFoundError as exc:
        raise RunNotFound(f"Run {run_id!r}: {exc}") from exc


class ForeignStorage(StorageBackend):
    """Serialises all calls, saves metadata before the first record, and loads current records only.

    What the backend raises when it saves a record, unless it is ours or the system's, counts as
    :class:`RecordRefused`: the caller then tries a harmless record in its place, and sees by
    that whether it was the record or the store.
    """

    thread_safe = True

    def __init__(self, backend: StorageBackend) -> None:
        self.backend = backend
        self._lock = _lock_of(backend)
        self._known: set[str] = set()

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        with self._lock:
            self.backend.save_run_metadata(run_id, metadata)
            self._known.add(run_id)

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        with self._lock, _not_found(run_id):
            return self.backend.load_run_metadata(run_id)

    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        with self._lock:
            self._save(run_id, self.backend.save_generation_record, record)

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        with self._lock:
            return current_generations(self.backend.load_generation_records(run_id))

    def save_evaluation_record(self, run_id: str, record: EvaluationRecord) -> None:
        with self._lock:
            self._save(run_id, self.backend.save_evaluation_record, record)

    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        with self._lock:
            return current_evaluations(self.backend.load_evaluation_records(run_id).values())

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        with self._lock:
            self.backend.save_report(run_id, report)

    def load_report(self, run_id: str) -> ExperimentReport:
        with self._lock, _not_found(run_id):
            return self.backend.load_report(run_id)

    def list_runs(self) -> list[str]:
        with self._lock:
            return self.backend.list_runs()

    def run_exists(self, run_id: str) -> bool:
        with self._lock:
            return self.backend.run_exists(run_id)

    def delete_run(self, run_id: str) -> None:
        with self._lock:
            self._known.discard(run_id)
            self.backend.delete_run(run_id)

    def iter_generation_records(self, run_id: str) -> Iterator[GenerationRecord]:
        return iter(self.load_generation_records(run_id))

    def iter_evaluation_records(self, run_id: str) -> Iterator[EvaluationRecord]:
        return iter(self.load_evaluation_records(run_id).values())

    def list_summaries(self) -> Iterator[dict[str, Any]]:
        with self._lock:
            return iter(list(self.backend.list_summaries()))

    def flush(self) -> None:
        with self._lock:
            self.backend.flush()

    def check(self) -> list[CheckStep]:
        with self._lock:
            return list(check_steps(self))

    def close(self) -> None:
        with self._lock:
            self.backend.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"backend": self.backend}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["backend"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return repr(self.backend)

    def _save(self, run_id: str, save: Any, record: GenerationRecord | EvaluationRecord) -> None:
        if run_id not in self._known:
            if not self.backend.run_exists(run_id):
                empty = {"run_id": run_id, "schema_version": SCHEMA_VERSION}
                self.backend.save_run_metadata(run_id, empty)
            self._known.add(run_id)
        try:
            save(run_id, record)
        except (StorageError, OSError):
            raise
        except Exception as exc:  # a stranger's error for a record it cannot hold is not known here
            raise RecordRefused(f"{self.backend!r} refused {record.id!r:.100}: {exc}") from exc


class AnnotatedForeignStorage(ForeignStorage, Annotations):
    """A backend that also keeps annotations apart."""

    def load_annotations(self, run_id: str) -> tuple[dict[str, Any], str]:
        with self._lock, _not_found(run_id):
            return self._annotated.load_annotations(run_id)

    def save_annotations(self, run_id: str, annotations: dict[str, Any], version: str) -> str:
        with self._lock, _not_found(run_id):
            return self._annotated.save_annotations(run_id, annotations, version)

    @property
    def _annotated(self) -> Annotations:
        assert isinstance(self.backend, Annotations)
        return self.backend
