"""What every store promises."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from themis.backends.storage.annotations import annotations_apart
from themis.core.check_step import CheckStep
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import SchemaTooNew, StorageError, StoreCorrupt
from themis.core.safe_text import storable

FAR = 1e15
"""Seconds from 1970 beyond which no time is meant."""
HEAVY_METADATA = ("progress", "audit")
"""Left out of summaries, as are ``asked.prompt`` and ``asked.system``."""


class StorageBackend(ABC):
    """Where the records of runs live.

    The eleven abstract methods are enough: such a backend works in ``evaluate``, on the command line and
    in the app. Everything else here is made of them and may be overridden to be faster.

    A class that keeps all of the following sets ``thread_safe = True``; of any other, Themis serialises
    the calls and applies the current-record rule itself. The promises are tested, for any backend, by
    :class:`themis.testing.StorageBackendSuite`.

    **Durability.** A ``save_*`` that returned survives ``kill -9``; after ``flush`` or ``close`` it
    survives the machine.

    **Many writers.** Threads, processes and hosts may save to one run at once; nothing is lost, torn or
    merged.

    **Identity.** A generation is known by ``id``, an evaluation by ``cache_key``. Of several records with
    one identity, ``load_*`` and ``iter_*`` give the current one, by :mod:`themis.core.current`. Saving or
    deleting twice does no harm.

    **Reading.** A backend reads its own writes; a reader may iterate while a writer writes. Only an
    unfinished last line of a killed writer is ever dropped, and that is reported.

    **Errors.** Not found, no permission, unreachable, full, newer schema, conflict and corrupt are different
    errors (:mod:`themis.core.errors`) that name the store, what was asked and how to mend it.

    **Text.** NUL, lone surrogates and 10 MB strings come back exactly, in records and reports. Metadata hold
    neither NUL nor lone surrogates. NaN, infinities and what is not JSON raise ``RecordRefused``.

    **Versions.** ``schema_version`` in the metadata is checked before records are loaded.

    **Pickling.** A backend that travels to another process drops its connections and opens them again.
    """

    thread_safe: bool = False
    """Whether the promises above hold without help."""

    @abstractmethod
    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        """Save a run's metadata whole, in place of what was there."""

    @abstractmethod
    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        """The metadata last saved. Raises :class:`RunNotFound` if there is none."""

    @abstractmethod
    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        """Save one generation. The run need not have metadata yet."""

    @abstractmethod
    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        """The current generations of a run; ``[]`` if there is no such run."""

    @abstractmethod
    def save_evaluation_record(self, run_id: str, record: EvaluationRecord) -> None:
        """Save one evaluation. The run need not have metadata yet."""

    @abstractmethod
    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        """The current evaluations of a run by cache key; ``{}`` if there is no such run."""

    @abstractmethod
    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        """Save a run's report, in place of what was there."""

    @abstractmethod
    def load_report(self, run_id: str) -> ExperimentReport:
        """The report last saved. Raises :class:`RunNotFound` if there is none."""

    @abstractmethod
    def list_runs(self) -> list[str]:
        """The ids of all runs, however many, also of those that have records only."""

    @abstractmethod
    def run_exists(self, run_id: str) -> bool:
        """Whether anything was saved under ``run_id``. An error is raised, never taken for "no"."""

    @abstractmethod
    def delete_run(self, run_id: str) -> None:
        """Delete all data of a run, finally. Deleting what is not there does nothing."""

    def close(self) -> None:  # noqa: B027 - optional in the contract
        """Make everything durable and let go of connections. A closed backend opens again when used."""

    def save_generation_records(self, run_id: str, records: Iterable[GenerationRecord]) -> None:
        """Save several generations; of a batch that raises, some may have been saved."""
        for record in records:
            self.save_generation_record(run_id, record)

    def save_evaluation_records(self, run_id: str, records: Iterable[EvaluationRecord]) -> None:
        """Save several evaluations; of a batch that raises, some may have been saved."""
        for record in records:
            self.save_evaluation_record(run_id, record)

    def iter_generation_records(self, run_id: str) -> Iterator[GenerationRecord]:
        """The current generations one by one, without holding all of them where the store can."""
        return iter(self.load_generation_records(run_id))

    def iter_evaluation_records(self, run_id: str) -> Iterator[EvaluationRecord]:
        """The current evaluations one by one, without holding all of them where the store can."""
        return iter(self.load_evaluation_records(run_id).values())

    def list_summaries(self) -> Iterator[dict[str, Any]]:
        """One dict a run, newest first: the metadata without its heavy parts, and with ``annotations``.

        A run that has no metadata yet is there with its ``run_id`` alone, at the end.
        """
        summaries = []
        for run_id in self.list_runs():
            try:
                metadata = self.load_run_metadata(run_id)
            except FileNotFoundError:  # a stranger's, or RunNotFound
                metadata = {}
            except (SchemaTooNew, StoreCorrupt) as exc:
                metadata = unreadable(exc)
            summaries.append(summarised(run_id, metadata, annotations_apart(self, run_id)))
        return iter(sorted(summaries, key=created_at, reverse=True))

    def flush(self) -> None:  # noqa: B027 - a backend that is durable at each save has nothing to do
        """Return when everything saved so far survives the machine."""

    def check(self) -> list[CheckStep]:
        """Write, read back, list and delete a small run of its own, and say how each step went."""
        return list(walk_steps(self))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def created_at(summary: dict[str, Any]) -> float:
    """When a run was made, for sorting; 0 where it does not say, or says no time."""
    value = summary.get("created_at")
    # A stranger's may be infinite, no number at all, or too large for a float.
    return float(value) if isinstance(value, (int, float)) and -FAR <= value <= FAR else 0.0


def summarised(
    run_id: str, metadata: dict[str, Any], annotations: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A run's line in a listing, made of its metadata and annotations."""
    summary = {key: value for key, value in metadata.items() if key not in HEAVY_METADATA}
    asked = summary.get("asked")
    if isinstance(asked, dict):
        summary["asked"] = {key: value for key, value in asked.items() if key not in ("prompt", "system")}
    summary["run_id"] = run_id
    summary["annotations"] = annotations if annotations is not None else metadata.get("annotations") or {}
    return summary


def unreadable(error: StorageError) -> dict[str, Any]:
    """In place of the metadata of a run that cannot be read: one damaged run must not hide the others."""
    return {"status": "unreadable", "status_reason": storable(str(error))}


def walk_steps(backend: StorageBackend) -> Iterator[CheckStep]:
    """Try a store with a run of its own, deleted at the end; each step as it is done, to the first that
    fails."""
    run_id = f"themis-check-{os.urandom(6).hex()}"
    record = GenerationRecord(id="check", prompt="?", response="!")

    def read_back() -> None:
        loaded = backend.load_generation_records(run_id)
        if [each.response for each in loaded] != ["!"]:
            raise ValueError(f"read back {len(loaded)} records, not the one that was written")

    def listed() -> None:
        if run_id not in backend.list_runs():
            raise ValueError("the run that was written is not listed")

    def gone() -> None:
        backend.delete_run(run_id)
        if backend.run_exists(run_id):
            raise ValueError("the run is still there after it was deleted")

    def write() -> None:
        backend.save_generation_record(run_id, record)
        backend.flush()

    work: list[tuple[str, Callable[[], None]]] = [
        ("write", write),
        ("read back", read_back),
        ("list", listed),
        ("delete", gone),
    ]
    for name, step in work:
        started = time.perf_counter()
        try:
            step()
        except Exception as exc:  # a check reports whatever a store raises, it does not raise it
            failed = CheckStep(name, False, time.perf_counter() - started, f"{exc}")
            with suppress(Exception):  # the first failure is the one to tell
                backend.delete_run(run_id)
            yield failed
            return
        yield CheckStep(name, True, time.perf_counter() - started)
