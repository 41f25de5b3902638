"""Deleting runs for good: begun, swept, verified; taken up again wherever it was cut short.

1. The run's ``trash`` gets the word ``purging``: from then on it is hidden everywhere and not restored.
2. A line ``begun`` in the log (:mod:`themis.runs.purge_log`): who, when, which run of which store.
3. The store deletes the run.
4. The store is asked again, by every way to find a run, whether anything is left.
5. A line ``done``.

Whatever ends this early, the same call, or ``gc``, goes on with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from themis.backends.storage.base import StorageBackend
from themis.core.errors import Conflict, RunNotFound, StorageError, StoreCorrupt, StoreFull, ThemisError
from themis.core.run_ids import checked_run_id
from themis.runs.annotations import annotate, person, run_held, seen
from themis.runs.catalog import Store
from themis.runs.delete import Progress, check_may_delete, check_not_live, refusal
from themis.runs.purge_log import begun_purges, log_purge
from themis.runs.status import Status
from themis.runs.trash import expires_at, is_purging, trash_of
from themis.runs.watch import RunView


class Purged(NamedTuple):
    """One run that is gone for good."""

    store: str
    run_id: str
    was_there: bool
    """Whether anything of it was left to delete."""


class Purges(NamedTuple):
    """What became of several."""

    purged: list[Purged]
    refused: dict[str, ThemisError]
    """Run id to why it stayed."""


class Expired(NamedTuple):
    """A run in the trash that ``gc`` would delete for good."""

    run_id: str
    since: float | None
    """When it could first have gone; ``None`` for a deletion that was begun already."""


def purge(store: Store, run_id: str, *, confirm: str | None = None) -> Purged:
    """Delete a run for good, in the trash or not, and verify it. A run that is gone already is no error.

    ``confirm``: the store's name, which a protected one wants.

    Raises:
        StoreReadonly: The user's profile says so.
        UsageError: The store is protected and its name was not given.
        RunHeld: Somebody may be working on it.
        StorageError: Something of it is still there.
    """
    check_may_delete(store, confirm)
    purged = _purge(store, checked_run_id(run_id), None)
    _check_unlisted(store.backend, [run_id])
    return purged


def purge_runs(
    store: Store, run_ids: Iterable[str], *, confirm: str | None = None, progress: Progress | None = None
) -> Purges:
    """Delete runs for good one by one; one that is refused keeps no other from going.

    Raises as :func:`purge` where the store itself is not to be changed.
    """
    check_may_delete(store, confirm)
    return _purge_all(store, dict.fromkeys(run_ids), None, progress)


def expired(store: Store, *, now: float | None = None) -> list[Expired]:
    """The runs that :func:`gc` would delete for good: their time is over, or it was begun."""
    moment = time.time() if now is None else now
    found: dict[str, Expired] = {}
    for summary in store.backend.list_summaries():
        trash = trash_of(summary.get("annotations"))
        if trash is None:
            continue
        since = expires_at(trash)
        if "purging" in trash:
            found[str(summary["run_id"])] = Expired(str(summary["run_id"]), None)
        elif since is not None and since <= moment:
            found[str(summary["run_id"])] = Expired(str(summary["run_id"]), since)
    for run_id in half_purged(store):
        found.setdefault(run_id, Expired(run_id, None))
    return list(found.values())


def gc(
    store: Store, *, confirm: str | None = None, now: float | None = None, progress: Progress | None = None
) -> Purges:
    """Delete for good what has been in the trash for its time, and finish what was begun.

    A run that somebody restores meanwhile stays. Raises as :func:`purge_runs`.
    """
    check_may_delete(store, confirm)
    moment = time.time() if now is None else now

    def still_expired(trash: dict[str, Any]) -> bool:
        since = expires_at(trash)
        return "purging" in trash or (since is not None and since <= moment)

    return _purge_all(
        store, {each.run_id: None for each in expired(store, now=moment)}, still_expired, progress
    )


def half_purged(store: Store) -> list[str]:
    """Runs no longer listed, of which the store itself says that something is left."""
    unswept = getattr(store.backend, "unswept", None)
    return [] if unswept is None else [each for each in unswept() if not store.backend.run_exists(each)]


def _purge_all(
    store: Store,
    run_ids: Iterable[str],
    only_if: Callable[[dict[str, Any]], bool] | None,
    progress: Progress | None,
) -> Purges:
    done = Purges([], {})
    chosen = list(run_ids)
    for number, run_id in enumerate(chosen, 1):
        try:
            done.purged.append(_purge(store, checked_run_id(run_id), only_if))
        except Exception as exc:  # a stranger's store may raise anything
            done.refused[run_id] = refusal(exc)
        if progress is not None:
            progress(number, len(chosen))
    _check_unlisted(store.backend, [each.run_id for each in done.purged])
    return done


def _purge(store: Store, run_id: str, only_if: Callable[[dict[str, Any]], bool] | None) -> Purged:
    view = _seen(store.backend, run_id)
    check_not_live(store, view, "delete")
    with run_held(store, view):
        view = _seen(store.backend, run_id)
        check_not_live(store, view, "delete")
        there = view.status.word != _GONE or _left(store.backend, run_id) != []
        if view.status.word != _GONE:
            _mark(store, run_id, only_if)
        if there:
            log_purge(store, view, "begun")
        # A store may still hold pieces of a run that it no longer knows.
        store.backend.delete_run(run_id)
        check_gone(store.backend, run_id)
        if there or run_id in begun_purges(store):
            log_purge(store, view, "done")
    return Purged(store.name, run_id, there)


_GONE = "gone"


def _seen(backend: StorageBackend, run_id: str) -> RunView:
    try:
        return seen(backend, run_id)
    except RunNotFound:
        return RunView(run_id, {}, None, Status(_GONE))


def _mark(store: Store, run_id: str, only_if: Callable[[dict[str, Any]], bool] | None) -> None:
    def change(notes: dict[str, Any]) -> str | None:
        trash = trash_of(notes)
        if only_if is not None and (trash is None or not only_if(trash)):
            raise Conflict(f"{run_id} was restored meanwhile, so it stays.")
        if is_purging(notes):
            return None
        now = time.time()
        thrown = trash or {"at": now, "by": person(), "until": now}
        notes["trash"] = {**thrown, "purging": now}
        return "began to delete it for good"

    try:
        annotate(store, run_id, change, holding=True)
    except (StoreCorrupt, StoreFull):
        if only_if is not None:
            raise
        # Damaged notes cannot be added to, and a full disk is what many delete for; they go with the run.


def check_gone(backend: StorageBackend, run_id: str) -> None:
    """Raise :class:`StorageError` if a store still gives, or holds, anything of a run."""
    left = [*_left(backend, run_id)]
    if backend.run_exists(run_id):
        left.append("the run")
    if backend.load_generation_records(run_id) or backend.load_evaluation_records(run_id):
        left.append("records")
    for what, load in (("metadata", backend.load_run_metadata), ("the report", backend.load_report)):
        with suppress(RunNotFound):
            load(run_id)
            left.append(what)
    if left:
        raise StorageError(
            f"{backend!r} was told to delete the run {run_id!r}, and still has {', '.join(left)}. "
            f"Delete it again: themis runs purge {run_id}"
        )


def _left(backend: StorageBackend, run_id: str) -> list[str]:
    left_of = getattr(backend, "left_of", None)
    return [] if left_of is None else list(left_of(run_id))


def _check_unlisted(backend: StorageBackend, run_ids: list[str]) -> None:
    if run_ids:
        still = set(backend.list_runs()).intersection(run_ids)
        if still:
            raise StorageError(f"{backend!r} still lists runs that it deleted: {', '.join(sorted(still))}.")
