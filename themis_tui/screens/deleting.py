"""Deleting runs of any number of stores: what would go, what stays and why, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from textual.app import App

from themis.core.errors import RunError, RunNotFound, ThemisError, described
from themis.core.options import redacted
from themis.runs.delete import DeletePreview, Trashed, delete_runs, preview, restore, undo
from themis.runs.trash import TRASH_DAYS
from themis_tui import figures
from themis_tui.beside import Beside, checked
from themis_tui.doors import Doors
from themis_tui.screens.run_actions import Target, Undo, Undone
from themis_tui.stays import Stays, stays_said, tell_stays
from themis_tui.text import Part, tell

MOST_NAMED, FEW_NAMED = 6, 2
"""Runs named in the question: all of it, and a name to type, has to fit in 24 lines."""
READONLY = "its store is readonly in your profiles."
IN_TRASH = "it lies in the trash already."


class Doomed(NamedTuple):
    """A run that goes."""

    preview: DeletePreview
    protected: bool
    """Whether its store wants its name typed."""

    @property
    def address(self) -> str:
        """``STORE:RUN_ID``."""
        return f"{self.preview.store}:{self.preview.run_id}"


class Plan(NamedTuple):
    """What would become of the runs that are meant."""

    going: list[Doomed]
    staying: list[Stays]
    for_good: bool
    """Whether they go for good: all that can go lie in the trash. Else they go there."""

    @property
    def protected(self) -> list[str]:
        """The stores that want their names typed."""
        return list(dict.fromkeys(each.preview.store for each in self.going if each.protected))

    @property
    def by_store(self) -> dict[str, list[str]]:
        """Store to the runs that go from it."""
        stores: dict[str, list[str]] = {}
        for each in self.going:
            stores.setdefault(each.preview.store, []).append(each.preview.run_id)
        return stores


def plan(doors: Doors, targets: Iterable[Target]) -> Plan:
    """Look at the runs, and at what their stores allow; off the loop only."""
    going: list[Doomed] = []
    staying: list[Stays] = []
    for storage, run_id in targets:
        try:
            store = doors.to(storage).open()
            looked = preview(store, run_id)
        except Exception as exc:  # whatever one store raises is told beside what the others say
            staying.append(Stays(f"{storage}:{run_id}", described(exc)))
            continue
        why = READONLY if store.readonly else _why_live(looked)
        if why is None:
            going.append(Doomed(looked, store.protected))
        else:
            staying.append(Stays(f"{store.name}:{run_id}", why))
    for_good = bool(going) and all(each.preview.trashed is not None for each in going)
    if not for_good:
        staying += [Stays(each.address, IN_TRASH) for each in going if each.preview.trashed is not None]
        going = [each for each in going if each.preview.trashed is None]
    return Plan(going, staying, for_good)


def _why_live(looked: DeletePreview) -> str | None:
    return f"it is {looked.status}; cancel it first." if looked.live else None


def facts(what: Plan) -> Iterator[Part]:
    """The lines of the question."""
    for said in stays_said(what.staying):
        yield said, "$bad"
    if what.staying:
        yield ""
    previews = [each.preview for each in what.going]
    stores = list(dict.fromkeys(redacted(each.store) for each in previews))
    named = FEW_NAMED if what.staying and len(previews) > FEW_NAMED + 1 else MOST_NAMED
    for each in previews[:named]:
        store = f"{redacted(each.store)}:" if len(stores) > 1 else ""
        yield f"{store}{each.run_id}   {each.status}, {_records(each.records)}"
    if len(previews) > named:
        yield f"and {len(previews) - named} more"
    records = sum(each.records or 0 for each in previews)
    size = sum(each.bytes or 0 for each in previews)
    known = f", {figures.size(size)}" if size else ""
    yield ""
    yield f"From the store{'s' if len(stores) > 1 else ''} {', '.join(stores)}: {_records(records)}{known}."
    if what.for_good:
        yield "This cannot be undone."
    else:
        it = "it" if len(previews) == 1 else "them"
        yield (
            f"Kept in the trash; z brings {it} back. Only 'themis runs gc' deletes {it} for good, "
            f"after {TRASH_DAYS:g} days."
        )


def _records(count: int | None) -> str:
    return "records unknown" if count is None else f"{count:,} outcome{'' if count == 1 else 's'}"


def runs_said(count: int) -> str:
    """How many, in words."""
    return f"{count:,} run{'' if count == 1 else 's'}"


class Done(NamedTuple):
    """What became of runs that were to go to the trash."""

    trashed: list[Trashed]
    staying: list[Stays]


def delete(doors: Doors, what: Plan) -> Done:
    """Move to the trash what can go; a store that refuses keeps no other from it. Off the loop only."""
    trashed: list[Trashed] = []
    staying = list(what.staying)
    protected = set(what.protected)
    for name, run_ids in what.by_store.items():
        try:
            # The name was typed only for those that were protected when it was asked.
            done = delete_runs(doors.open(name), run_ids, confirm=name if name in protected else None)
        except Exception as exc:  # as above
            staying += [Stays(f"{name}:{run_id}", described(exc)) for run_id in run_ids]
            continue
        trashed += done.trashed
        staying += [Stays(f"{name}:{run_id}", str(why)) for run_id, why in done.refused.items()]
    return Done(trashed, staying)


def undoing(doors: Doors, trashed: Sequence[Trashed], marked: bool) -> Undo:
    """How runs come back from the trash. ``marked``: whether they are marked then, as they were."""

    def work() -> Undone:
        back: list[Trashed] = []
        staying: list[Stays] = []
        gone: list[str] = []
        for name in dict.fromkeys(each.store for each in trashed):
            of_store = [each for each in trashed if each.store == name]
            try:
                done = undo(doors.open(name), of_store)
            except Exception as exc:  # as above
                staying += [Stays(f"{name}:{each.run_id}", described(exc)) for each in of_store]
                continue
            back += done.trashed
            for run_id, why in done.refused.items():
                if isinstance(why, RunNotFound):
                    gone.append(run_id)
                else:
                    staying.append(Stays(f"{name}:{run_id}", str(why)))
        marks = [f"{each.store}:{each.run_id}" for each in back] if marked else []
        left = {each.address for each in staying}
        again = [each for each in trashed if f"{each.store}:{each.run_id}" in left]
        return Undone(
            _back_said(len(back), len(gone)), staying, marks, undoing(doors, again, marked) if again else None
        )

    return work


def restoring(doors: Doors, chosen: Sequence[tuple[str, str]]) -> Undo:
    """How the runs chosen in the trash come back."""

    def work() -> Undone:
        back = 0
        staying: list[Stays] = []
        for name, run_id in chosen:
            try:
                back += restore(doors.open(name), run_id)
            except Exception as exc:  # as above
                staying.append(
                    Stays(f"{name}:{run_id}", str(exc) if isinstance(exc, ThemisError) else described(exc))
                )
        return Undone(_back_said(back, 0), staying)

    return work


def _back_said(back: int, gone: int) -> str:
    if gone:
        rest = f"{runs_said(gone)} cannot come back: deleted for good."
        return f"{runs_said(back)} brought back from the trash; {rest}" if back else rest
    return f"{runs_said(back)} brought back from the trash." if back else ""


def purge_arguments(store: str, run_ids: Sequence[str], *, protected: bool) -> list[str]:
    """What ``themis`` is asked."""
    confirm = [f"--confirm={store}"] if protected else []
    asked = ["runs", "purge", "--yes", *confirm, "--progress=json", "--json", "--"]
    return [*asked, *(f"{store}:{run_id}" for run_id in run_ids)]


def purge_ended(app: App[Any], store: str, work: Beside) -> None:
    """Say what became of it."""
    try:
        answer = checked(work)
    except RunError as exc:
        tell(app, f"Deleting from {redacted(store)} failed: {redacted(str(exc))[:400]}", bad=True)
        return
    purged, refused = answer.get("purged") or [], answer.get("refused") or {}
    if purged:
        left = "nothing of it is left" if len(purged) == 1 else "nothing of them is left"
        tell(app, f"{runs_said(len(purged))} of {redacted(store)} deleted for good; {left}.")
    tell_stays(app, [Stays(address, str(why)) for address, why in refused.items()])
