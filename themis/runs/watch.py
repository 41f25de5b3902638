"""Following a run: its metadata, its progress, its records as they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from themis.backends.storage.base import StorageBackend
from themis.core.codec import decode_document
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import RunNotFound, StoreCorrupt
from themis.core.progress import ProgressSnapshot
from themis.core.run_ids import is_run_id
from themis.runs.places import progress_path
from themis.runs.status import Status, status_of


@dataclass(frozen=True)
class RunView:
    """One look at a run."""

    run_id: str
    metadata: dict[str, Any]
    progress: ProgressSnapshot | None
    status: Status

    @property
    def stored_in(self) -> str | None:
        """The store by the name that the runner had for it, whatever it is called here."""
        return _stored_in(self.metadata)


def look(backend: StorageBackend, run_id: str) -> RunView:
    """The run as it is now. Reads the runner's own progress file where it is on this host.

    Raises :class:`RunNotFound` if there is no such run.
    """
    try:
        metadata = backend.load_run_metadata(run_id)
    except RunNotFound:
        if not backend.run_exists(run_id):
            raise
        metadata = {"run_id": run_id}
    status = status_of(metadata)
    return RunView(run_id, metadata, _progress(metadata, run_id, status), status)


def glance(view: RunView) -> ProgressSnapshot | None:
    """The newest progress of a run on this host without asking its store; ``None`` if there is none."""
    return _from_file(view.metadata, view.run_id)


def sample_records(
    backend: StorageBackend, run_id: str, identity: str
) -> tuple[GenerationRecord | None, EvaluationRecord | None]:
    """The two records of one sample, whole."""
    generation = next((g for g in backend.iter_generation_records(run_id) if g.id == identity), None)
    evaluation = next((e for e in backend.iter_evaluation_records(run_id) if e.id == identity), None)
    return generation, evaluation


def snapshot_from(data: Any) -> ProgressSnapshot | None:
    """A snapshot from its JSON object; fields of a newer version are passed over. ``None`` if it is none."""
    try:
        return msgspec.convert(data, ProgressSnapshot)
    except msgspec.ValidationError:
        return None


def _progress(metadata: dict[str, Any], run_id: str, status: Status) -> ProgressSnapshot | None:
    stored = snapshot_from(metadata.get("progress"))
    if status.word not in ("running", "stalled"):
        return stored
    live = _from_file(metadata, run_id)
    if live is None or (stored is not None and stored.at > live.at):
        return stored
    return live


def _stored_in(metadata: dict[str, Any]) -> str | None:
    where = metadata.get("where")
    store = where.get("storage") if isinstance(where, dict) else None
    return store if isinstance(store, str) else None


def _from_file(metadata: dict[str, Any], run_id: str) -> ProgressSnapshot | None:
    store = _stored_in(metadata)
    if store is None or not is_run_id(run_id):
        return None
    path: Path = progress_path(store, run_id)
    try:
        return snapshot_from(decode_document(path.read_bytes()))
    except (OSError, StoreCorrupt):
        return None
