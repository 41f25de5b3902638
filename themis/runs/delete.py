"""Deleting runs for good."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, NamedTuple

from themis.core.errors import RunHeld
from themis.core.safe_text import storable
from themis.evaluation.hold import held, lock_path
from themis.runs.catalog import Store
from themis.runs.watch import RunView, look


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
    with ExitStack() as holding:
        for name in _lock_names(store, view):
            holding.enter_context(held(name, run_id))
        store.backend.delete_run(run_id)


def _lock_names(store: Store, view: RunView) -> list[str]:
    """Of the store where it ran, and of the one it is in now, if it was moved or says something untrue."""
    where = view.metadata.get("where")
    ran_in = where.get("storage") if isinstance(where, dict) else None
    names = (str(ran_in), storable(repr(store.backend)))
    return list({lock_path(name, view.run_id): name for name in names}.values())
