"""Pinning runs of any number of stores, and letting them go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from themis.core.errors import described
from themis.runs.annotations import annotations_of, set_pinned
from themis.runs.catalog import Store
from themis_tui.doors import Doors
from themis_tui.screens.run_actions import Target, Undo, Undone
from themis_tui.stays import Stays


class Pinning(NamedTuple):
    """What became of it."""

    pinned: bool
    """Whether they are pinned now, or let go."""
    changed: list[tuple[str, str]]
    """Stores and ids."""
    staying: list[Stays]


def pin(doors: Doors, targets: Iterable[Target]) -> Pinning:
    """Pin the runs, or let them go if all are pinned; off the loop only."""
    found: list[tuple[Store, str, bool]] = []
    staying: list[Stays] = []
    for storage, run_id in targets:
        try:
            store = doors.to(storage).open()
            found.append((store, run_id, annotations_of(store.backend, run_id).get("pinned") is True))
        except Exception as exc:  # whatever one store raises is told beside what the others say
            staying.append(Stays(f"{storage}:{run_id}", described(exc)))
    wanted = not all(is_pinned for *_, is_pinned in found)
    return _set(
        [(store, run_id) for store, run_id, is_pinned in found if is_pinned is not wanted], wanted, staying
    )


def _set(runs: Sequence[tuple[Store, str]], wanted: bool, staying: list[Stays]) -> Pinning:
    changed: list[tuple[str, str]] = []
    for store, run_id in runs:
        try:
            set_pinned(store, run_id, wanted)
            store.backend.flush()
            changed.append((store.name, run_id))
        except Exception as exc:  # as above
            staying.append(Stays(f"{store.name}:{run_id}", described(exc)))
    return Pinning(wanted, changed, staying)


def unpinning(doors: Doors, done: Pinning) -> Undo:
    """How it is taken back."""

    def work() -> Undone:
        runs: list[tuple[Store, str]] = []
        staying: list[Stays] = []
        for name, run_id in done.changed:
            try:
                runs.append((doors.open(name), run_id))
            except Exception as exc:  # as above
                staying.append(Stays(f"{name}:{run_id}", described(exc)))
        back = _set(runs, not done.pinned, staying)
        return Undone(pinned_said(back) if back.changed else "", back.staying)

    return work


def pinned_said(done: Pinning) -> str:
    """In words."""
    count = len(done.changed)
    many = f"{count:,} run{'' if count == 1 else 's'}"
    return f"{many} {'pinned' if done.pinned else 'no longer pinned'}"
