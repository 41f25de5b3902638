"""Deleting runs for good."""

from __future__ import annotations

from typing import Any, NamedTuple

from themis.core.errors import RunHeld
from themis.evaluation.hold import is_held
from themis.runs.catalog import Store
from themis.runs.watch import look


class DeletePreview(NamedTuple):
    """What would go."""

    run_id: str
    store: str
    status: str
    records: int | None
    """Outcomes stored, where the metadata say."""


def preview(store: Store, run_id: str) -> DeletePreview:
    """What deleting the run would take away. Raises :class:`RunNotFound` if there is no such run."""
    view = look(store.backend, run_id)
    summary: dict[str, Any] = view.metadata.get("summary") or {}
    return DeletePreview(run_id, store.name, view.status.word, summary.get("done"))


def delete(store: Store, run_id: str) -> None:
    """Delete a run for good.

    Raises :class:`RunHeld` while somebody may be working on it, :class:`RunNotFound` if there is none.
    """
    view = look(store.backend, run_id)
    if view.status.live:
        raise RunHeld(
            f"{run_id} is {view.status.word}; cancel it first (themis runs cancel {run_id}), then delete it."
        )
    # A run that is about to go on is not marked as running yet, and one that ended may still hold its store.
    where = view.metadata.get("where") or {}
    if is_held(str(where.get("storage")), run_id):
        raise RunHeld(
            f"{run_id} is held by a process of this host, which is resuming it or about to end. Try again."
        )
    store.backend.delete_run(run_id)
