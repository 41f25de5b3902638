"""Moving runs to the trash, and back.

Deleting a run is a note on it, so nothing is lost: it is hidden from lists, and :func:`restore` or
:func:`undo` brings it back. It goes for good by :mod:`themis.runs.purge` only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from themis.backends.storage.annotations import annotations_in
from themis.core.errors import (
    Conflict,
    RunHeld,
    StorageError,
    StoreCorrupt,
    ThemisError,
    UsageError,
    described,
)
from themis.core.options import redacted
from themis.runs.annotations import annotate, is_live, person, run_held, seen
from themis.runs.catalog import Store
from themis.runs.trash import DAY_S, TRASH_DAYS, trash_of
from themis.runs.watch import RunView

Progress = Callable[[int, int], None]
"""Called with how many runs are done, and of how many."""


class DeletePreview(NamedTuple):
    """What would go."""

    run_id: str
    store: str
    status: str
    records: int | None
    """Outcomes stored, where the metadata say."""
    bytes: int | None = None
    """What it takes, where the store can tell."""
    live: bool = False
    """Whether somebody may be working on it, so that it is not deleted."""
    trashed: dict[str, Any] | None = None
    """``{at, by, until}`` if it lies in the trash already."""


class Trashed(NamedTuple):
    """One deletion: what :func:`undo` takes back."""

    store: str
    run_id: str
    at: float
    until: float
    """When ``gc`` may delete it for good."""


class Deleted(NamedTuple):
    """What became of several."""

    trashed: list[Trashed]
    refused: dict[str, ThemisError]
    """Run id to why it stayed."""


def preview(store: Store, run_id: str) -> DeletePreview:
    """What deleting the run would take away. Raises :class:`RunNotFound` if there is no such run."""
    view = seen(store.backend, run_id)
    summary = view.metadata.get("summary")
    done = summary.get("done") if isinstance(summary, dict) else None
    measure = getattr(store.backend, "size_of", None)
    try:
        trash = trash_of(annotations_in(store.backend, run_id, view.metadata))
    except StoreCorrupt:
        trash = None
    return DeletePreview(
        run_id=run_id,
        store=store.name,
        status=view.status.word,
        records=done if isinstance(done, int) else None,
        bytes=None if measure is None else measure(run_id),
        live=is_live(view),
        trashed=trash,
    )


def delete(store: Store, run_id: str, *, confirm: str | None = None, days: float = TRASH_DAYS) -> Trashed:
    """Move a run to the trash, where it is kept for ``days``; once there, it stays as it is.

    ``confirm``: the store's name, which a protected one wants.

    Raises:
        StoreReadonly: The user's profile says so.
        UsageError: The store is protected and its name was not given.
        RunNotFound: There is no such run.
        RunHeld: Somebody may be working on it.
        Conflict: It is being deleted for good.
    """
    check_may_delete(store, confirm)
    if not (math.isfinite(days) and days >= 0):
        raise UsageError(f"{days!r} is no number of days to keep a deleted run.")
    view = seen(store.backend, run_id)
    check_not_live(store, view, "delete")
    with run_held(store, view):
        check_not_live(store, seen(store.backend, run_id), "delete")
        notes = annotate(store, run_id, lambda notes: _throw(store, run_id, notes, days), holding=True)
    trash = notes["trash"]
    return Trashed(store.name, run_id, float(trash["at"]), float(trash["until"]))


def _throw(store: Store, run_id: str, notes: dict[str, Any], days: float) -> str | None:
    trash = trash_of(notes)
    if trash is not None and "purging" in trash:
        raise Conflict(
            f"{run_id} is being deleted for good. Finish it: themis runs purge {store.address(run_id)}"
        )
    if trash is not None and all(isinstance(trash.get(key), (int, float)) for key in ("at", "until")):
        return None
    now = time.time()
    notes["trash"] = {"at": now, "by": person(), "until": now + days * DAY_S}
    return "moved it to the trash"


def delete_runs(
    store: Store,
    run_ids: Iterable[str],
    *,
    confirm: str | None = None,
    days: float = TRASH_DAYS,
    progress: Progress | None = None,
) -> Deleted:
    """Move runs to the trash one by one; one that is refused keeps no other from going.

    Raises as :func:`delete` where the store itself is not to be changed.
    """
    check_may_delete(store, confirm)
    done = Deleted([], {})
    chosen = list(dict.fromkeys(run_ids))
    for number, run_id in enumerate(chosen, 1):
        try:
            done.trashed.append(delete(store, run_id, confirm=confirm, days=days))
        except Exception as exc:  # a stranger's store may raise anything
            done.refused[run_id] = refusal(exc)
        if progress is not None:
            progress(number, len(chosen))
    store.backend.flush()
    return done


def restore(store: Store, run_id: str, *, deleted: Trashed | None = None) -> bool:
    """Bring a run back from the trash; ``False`` if it was not there.

    ``deleted``: only from that deletion. Raises :class:`RunNotFound` if it is gone for good,
    :class:`Conflict` if it is being deleted for good, or was deleted again since ``deleted``.
    """
    restored = False

    def change(notes: dict[str, Any]) -> str | None:
        nonlocal restored
        trash = trash_of(notes)
        restored = trash is not None
        if trash is None:
            return None
        if "purging" in trash:
            raise Conflict(f"{run_id} cannot be restored: somebody began to delete it for good.")
        if deleted is not None and trash.get("at") != deleted.at:
            raise Conflict(f"{run_id} was restored and deleted again meanwhile, by {trash.get('by')}.")
        del notes["trash"]
        return "restored it from the trash"

    store.check_writable("restoring runs")
    annotate(store, run_id, change)
    return restored


def undo(store: Store, deleted: Iterable[Trashed]) -> Deleted:
    """Take back deletions; says which runs are back (as ``trashed``), and which are not and why."""
    done = Deleted([], {})
    for each in deleted:
        try:
            if restore(store, each.run_id, deleted=each):
                done.trashed.append(each)
        except Exception as exc:  # a stranger's store may raise anything
            done.refused[each.run_id] = refusal(exc)
    return done


def refusal(exc: Exception) -> ThemisError:
    """What a store raised for one run of many, as an error of ours."""
    return exc if isinstance(exc, ThemisError) else StorageError(described(exc))


def check_may_delete(store: Store, confirm: str | None) -> None:
    """Raise :class:`StoreReadonly`, or :class:`UsageError` if a protected store's name was not given."""
    store.check_writable("deleting runs")
    if store.protected and confirm != store.name:
        name = redacted(store.name)
        raise UsageError(
            f"The store {name} is protected {store.marks.said_of(store.name)}: deleting in it wants its name "
            f"typed (--confirm {name})."
        )


def check_not_live(store: Store, view: RunView, verb: str) -> None:
    """Raise :class:`RunHeld` while somebody may be working on the run."""
    if is_live(view):
        raise RunHeld(
            f"{view.run_id} is {view.status.word}; cancel it first (themis runs cancel "
            f"{store.address(view.run_id)}), then {verb} it."
        )
