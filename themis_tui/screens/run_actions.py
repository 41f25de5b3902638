"""What can be done to one run, from the list or from its own screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from themis.core.errors import ThemisError
from themis.core.options import redacted
from themis_tui.screens.base import ThemisScreen
from themis_tui.stays import Stays, tell_stays
from themis_tui.text import tell

MOST_COMPARED = 20
"""Runs; see ``themis.compare.entry.MOST_RUNS``, which is not loaded for it."""

Target = tuple[str | None, str]
"""Storage name and run id."""


class Undone(NamedTuple):
    """What came of taking a change back."""

    said: str
    """What is as it was, in words; empty for nothing."""
    staying: Sequence[Stays] = ()
    """What could not be taken back."""
    marks: Sequence[str] = ()
    """Addresses of the runs that were marked, and are again."""
    again: Undo | None = None
    """Takes back what is left, where another try may help."""


Undo = Callable[[], Undone]
"""Takes the last change back; off the loop."""

# What the actions need is loaded when one is done: the list is on the screen without it.
if TYPE_CHECKING:
    from themis.runs.annotations import Edited, Edits, Said
    from themis.runs.catalog import Store
    from themis.runs.row import RunRow
    from themis.runs.spec import Again
    from themis.runs.status import Status
    from themis.runs.watch import RunView
    from themis_tui.draft import Draft
    from themis_tui.screens.copying import Plan
    from themis_tui.screens.pinning import Pinning
    from themis_tui.widgets.reader import Passage
    from themis_tui.widgets.table import Table


class Annotated(NamedTuple):
    """What came of the form of annotations."""

    store: str
    edited: Edited
    refused: ThemisError | None = None
    now: Said | None = None
    """What is said of the run now, where the change was refused."""


class RunActions(ThemisScreen):
    """Actions on the run that ``target`` names."""

    @property
    def target(self) -> Target | None:
        """Storage name and run id; ``None`` where there is no run to do anything to."""
        raise NotImplementedError

    def why_not_any(self) -> str | None:
        """Why nothing can be done to a run now."""
        return None if self.target is not None else "There is no run under the cursor."

    @property
    def target_status(self) -> Status | None:
        """As last seen."""
        raise NotImplementedError

    def why_not_cancel(self) -> str | None:
        """Why there is nothing to stop."""
        status = self.target_status
        if status is not None and not status.live:
            return f"This run is {status.word}; there is nothing to stop."
        return self.why_not_any()

    def word_pause(self) -> str:
        """What its key does to this run now."""
        status = self.target_status
        return "pause" if status is None or status.live else "resume"

    def why_not_pause(self) -> str | None:
        """Why there is nothing to stop or to go on with."""
        status = self.target_status
        if status is not None and status.word == "completed":
            return "This run is completed; there is nothing to go on with."
        return self.why_not_any()

    why_not_again = why_not_any
    why_not_log = why_not_copy_id = why_not_copy_command = why_not_any
    why_not_annotate = why_not_tag = why_not_copy = why_not_pin = why_not_compare = why_not_any

    @property
    def targets(self) -> list[Target]:
        """All that an action for several runs is for."""
        return [] if self.target is None else [self.target]

    @property
    def last_undo(self) -> Undo | None:
        """How the last change is taken back, on whichever screen it was made."""
        undo: Undo | None = getattr(self.app, "undo")  # noqa: B009 - the app's class imports the screens
        return undo

    @last_undo.setter
    def last_undo(self, undo: Undo | None) -> None:
        setattr(self.app, "undo", undo)  # noqa: B010 - as above

    def looking(self) -> Callable[[], RunView]:
        """A look at what is the target now, wherever the cursor goes meanwhile; to be done off the loop."""
        assert self.target is not None
        doors, (storage, run_id) = self.doors, self.target

        def looked() -> RunView:
            from themis.runs.watch import look

            return look(doors.to(storage).open().backend, run_id)

        return looked

    def open_form(self, draft: Draft) -> None:
        """Show the form, filled in."""
        from themis_tui.screens.new_run import NewRunScreen

        self.show_here(NewRunScreen(draft))

    @property
    def sorted_table(self) -> Table[Any]:
        """The list that ``S`` sorts."""
        raise NotImplementedError

    def do_sort(self) -> None:
        from themis_tui.screens.sort_menu import Order, SortMenu

        table = self.sorted_table

        def sort(order: Order | None) -> None:
            if order is not None:
                table.sort(order.title, order.down)

        self.app.push_screen(SortMenu(table.sortable, Order(*table.sorted_by)), sort)

    def do_cancel(self) -> None:
        self.ask("cancel", self.looking(), self._confirm_cancel)

    def _confirm_cancel(self, view: RunView) -> None:
        if not view.status.live:
            tell(self.app, f"{view.run_id} is {view.status.word}; there is nothing to stop.")
            return
        from themis_tui.screens.dialogs import ConfirmDialog

        facts = [view.run_id, "Answers in flight are still saved. It can be resumed later."]
        dialog = ConfirmDialog("Cancel this run?", facts, "Cancel run", "Let it run")
        self.show_here(dialog, lambda yes: self._cancel(view) if yes else None)

    def _cancel(self, view: RunView) -> None:
        from themis.runs.control import cancel

        self.ask("control", lambda: cancel(view), self._told)

    def do_pause(self) -> None:
        looked, storage = self.looking(), self._storage

        def work() -> RunView | str:
            from themis.runs.control import pause

            view = looked()
            return pause(view) if view.status.live else view

        self.ask("control", work, lambda said: self._paused(said, storage))

    def _paused(self, said: RunView | str, storage: str | None) -> None:
        if isinstance(said, str):
            self._told(said)
        elif said.status.word == "completed":
            tell(self.app, f"{said.run_id} is completed; there is nothing to go on with.")
        else:
            self._fill_form(said, storage, resume=True)

    def _told(self, said: str) -> None:
        tell(self.app, said)
        if self.watcher is not None:
            self.watcher.look_now()

    def do_again(self) -> None:
        storage = self._storage
        self.ask("again", self.looking(), lambda view: self._fill_form(view, storage, resume=False))

    @property
    def _storage(self) -> str | None:
        return None if self.target is None else self.target[0]

    def _fill_form(self, view: RunView, storage: str | None, *, resume: bool) -> None:
        from themis.runs.spec import spec_of
        from themis_tui.draft import Draft

        again = spec_of(view.metadata)
        spec = replace(again.spec, storage=storage, run_id=view.run_id if resume else None)
        self.open_form(Draft.from_stored(spec, again.unconfirmed))

    def do_copy(self) -> None:
        targets, doors = self.targets, self.doors

        def work() -> Plan:
            from themis_tui.screens.copying import plan

            return plan(doors, targets)

        self.ask("copy", work, self._ask_where_to)

    def _ask_where_to(self, plan: Plan) -> None:
        from themis_tui.screens.copying import CopyDialog, copy_arguments, copy_ended

        app = self.app

        def copy(target: str | None) -> None:
            if target is not None:
                many = plan.runs[0].run_id if len(plan.runs) == 1 else f"{len(plan.runs)} runs"
                what = f"copying {many} to {redacted(target)}"
                arguments = copy_arguments(plan.runs, target)
                self.work_beside(what, arguments, lambda work: copy_ended(app, target, work))
                tell(app, f"{what[0].upper()}{what[1:]}; the list of runs shows how far it is.")

        self.show_here(CopyDialog(plan), copy)

    # What is said of runs

    def do_annotate(self) -> None:
        self._annotate("run-name")

    def do_pin(self) -> None:
        doors, targets = self.doors, self.targets

        def work() -> Pinning:
            from themis_tui.screens.pinning import pin

            return pin(doors, targets)

        self.ask("annotate", work, self._pinned)

    def _pinned(self, done: Pinning) -> None:
        from themis_tui.screens.pinning import pinned_said, unpinning

        if done.changed:
            self.last_undo = unpinning(self.doors, done)
            tell(self.app, f"{pinned_said(done)}; z takes it back.")
        tell_stays(self.app, done.staying)
        if self.watcher is not None:
            self.watcher.look_now()

    def do_tag(self) -> None:
        self._annotate("tags")

    def _annotate(self, first: str) -> None:
        targets, doors = self.targets, self.doors
        if len(targets) > 1:
            self._ask_tags(targets)
            return
        storage, run_id = targets[0]

        def work() -> tuple[str, Said, list[str]]:
            from themis.runs.annotations import editable

            store = doors.to(storage).open()
            return store.name, editable(store, run_id), doors.tags()

        def show(found: tuple[str, Said, list[str]]) -> None:
            store, said, known = found
            self._show_form(store, run_id, said, None, "", first, known)

        self.ask("annotate look", work, show)

    def _show_form(
        self,
        store: str,
        run_id: str,
        said: Said,
        typed: Said | None,
        problem: str,
        first: str,
        known: list[str],
    ) -> None:
        from themis.runs.annotations import Said
        from themis_tui.screens.annotate import AnnotateForm

        form = AnnotateForm(f"{store}:{run_id}", said, typed=typed, problem=problem, known=known, first=first)

        def answered(answer: object) -> None:
            if isinstance(answer, Said):
                self._save(store, run_id, said, answer, first, known)

        self.show_here(form, answered)

    def _save(self, name: str, run_id: str, before: Said, typed: Said, first: str, known: list[str]) -> None:
        doors = self.doors

        def work() -> Annotated:
            return annotated(doors.open(name), run_id, before, typed)

        def told(done: Annotated) -> None:
            if done.refused is None:
                tell(self.app, f"{run_id} is annotated; z takes it back.")
                self._edited([(name, [done.edited])])
                return
            from themis_tui.screens.annotate import now_said, rebased

            now = done.now or before
            problem = f"{done.refused}{now_said(before, now, typed)}"
            self._show_form(name, run_id, now, rebased(before, typed, now), problem, first, known)

        self.ask("annotate", work, told)

    def _ask_tags(self, targets: list[Target]) -> None:
        doors, wanted = self.doors, set(targets)

        def work() -> tuple[list[str], list[str]]:
            rows = [row for row in doors.listed if (row.store, row.run_id) in wanted]
            return list(dict.fromkeys(tag for row in rows for tag in row.tags)), doors.tags()

        def show(found: tuple[list[str], list[str]]) -> None:
            from themis_tui.screens.annotate import Retag, TagForm

            def answered(answer: object) -> None:
                if isinstance(answer, Retag):
                    self._tag(targets, answer.add, answer.remove)

            self.show_here(TagForm(len(targets), *found), answered)

        self.ask("annotate look", work, show)

    def _tag(self, targets: list[Target], add: tuple[str, ...], remove: tuple[str, ...]) -> None:
        doors = self.doors

        def work() -> list[tuple[str, Edits]]:
            from themis.runs.annotations import Edits, tag_runs
            from themis.runs.delete import refusal

            done = []
            for storage in dict.fromkeys(storage for storage, _ in targets):
                run_ids = [run_id for of, run_id in targets if of == storage]
                name = storage or ""
                try:
                    store = doors.to(storage).open()
                    name = store.name
                    done.append((name, tag_runs(store, run_ids, add=add, remove=remove)))
                except Exception as exc:  # a store that refuses keeps no other from it
                    done.append((name, Edits([], dict.fromkeys(run_ids, refusal(exc)))))
            return done

        def told(done: list[tuple[str, Edits]]) -> None:
            count = sum(len(edits.edited) for _, edits in done)
            if count:
                tell(self.app, f"{count} run{'' if count == 1 else 's'} tagged; z takes it back.")
            refused = _staying(done)
            tell_stays(self.app, refused)
            if not count and not refused:
                tell(self.app, "They are tagged so already.")
            self._edited([(name, edits.edited) for name, edits in done])

        self.ask("annotate", work, told)

    def _edited(self, edited: list[tuple[str, list[Edited]]]) -> None:
        doors = self.doors

        def undo() -> Undone:
            from themis.runs.annotations import Edits, take_back
            from themis.runs.delete import refusal

            parts = []
            for name, edits in edited:
                try:
                    parts.append((name, take_back(doors.open(name), edits)))
                except Exception as exc:  # as above
                    why = refusal(exc)
                    parts.append((name, Edits([], {each.run_id: why for each in edits})))
            count = sum(len(part.edited) for _, part in parts)
            said = f"{count} run{'' if count == 1 else 's'} annotated as before." if count else ""
            return Undone(said, _staying(parts))

        if any(edits for _, edits in edited):
            self.last_undo = undo
        self.after_change()

    def after_change(self) -> None:
        """Look again at once: something was changed."""
        if self.watcher is not None:
            self.watcher.look_now()

    def do_undo(self) -> None:
        undo, self.last_undo = self.last_undo, None
        if undo is None:
            tell(self.app, "There is nothing to undo.")
            return
        self.ask("undo", undo, self._undone)

    def _undone(self, done: Undone) -> None:
        self.app.clear_notifications()  # what was said of the change is so no more
        if done.said:
            tell(self.app, done.said)
        tell_stays(self.app, done.staying)
        if self.last_undo is None:
            self.last_undo = done.again
        self.after_change()
        self.mark_again(done.marks)

    def mark_again(self, addresses: Sequence[str]) -> None:
        """Mark runs that were marked before they went."""

    def do_log(self) -> None:
        assert self.target is not None
        run_id, looked = self.target[1], self.looking()

        def work() -> list[Passage]:
            from themis_tui.screens.run_pages import log_page

            store = None
            with suppress(Exception):  # the log lies here, whether or not the store can be asked
                store = looked().stored_in
            return log_page(run_id, store)

        self.ask("log", work, self._show_log)

    def _show_log(self, passages: list[Passage]) -> None:
        from themis_tui.screens.text_page import TextPage

        self.show_here(TextPage("log", passages))

    def do_copy_id(self) -> None:
        if self.target is not None:
            self.send_to_clipboard(self.target[1], "Id")

    def do_compare(self) -> None:
        """Compare what is marked, the oldest as the baseline; of one run, choose the other."""
        targets = self.targets
        if len(targets) > MOST_COMPARED:
            tell(self.app, f"{len(targets)} runs are marked; {MOST_COMPARED} can be compared.", bad=True)
        elif len(targets) > 1:
            self._show_comparison(targets)
        elif targets:
            self._choose_other(targets[0])

    def _choose_other(self, target: Target) -> None:
        from themis_tui.screens.compare_menus import OtherMenu, others

        row = self._row_of(target)
        offered = others(row, self.doors.listed) if row is not None else []
        if row is None or not offered:
            tell(self.app, "There is no other run to compare it with.")
            return

        def chosen(other: RunRow | None) -> None:
            if other is not None:
                self._show_comparison([target, (other.store, other.run_id)])

        several = len({each.store for each in (row, *offered)}) > 1
        self.show_here(OtherMenu(row, offered, self.clock(), stores=several), chosen)

    def _show_comparison(self, targets: Sequence[Target]) -> None:
        from themis_tui.screens.compare import CompareScreen
        from themis_tui.screens.comparing import Request, Wanted

        found = [(target, self._row_of(target)) for target in targets]
        found.sort(key=lambda each: (each[1].created_at or 0.0) if each[1] is not None else 0.0)
        runs = [Wanted(*target, name=(row.name or "") if row is not None else "") for target, row in found]
        self.show_here(CompareScreen(Request(tuple(runs))))

    def _row_of(self, target: Target) -> RunRow | None:
        """The run as the list has it; without the name of a store, any of its id."""
        store, run_id = target
        return next(
            (row for row in self.doors.listed if row.run_id == run_id and store in (None, row.store)), None
        )

    def do_copy_command(self) -> None:
        looked, storage = self.looking(), self._storage

        def work() -> Again:
            from themis.runs.spec import spec_of

            again = spec_of(looked().metadata)
            return again._replace(spec=replace(again.spec, storage=storage))

        self.ask("command", work, self._copy_command)

    def _copy_command(self, again: Again) -> None:
        # What a store says to run or to call is not pasted into a shell unseen.
        left_out = "".join(
            f" ({field} left out: {value[:100]})" for field, value in again.unconfirmed.items()
        )
        self.send_to_clipboard(again.spec.command(), f"Command{left_out}")


def _staying(done: Sequence[tuple[str, Edits]]) -> list[Stays]:
    return [
        Stays(f"{name}:{run_id}", str(why)) for name, edits in done for run_id, why in edits.refused.items()
    ]


def annotated(store: Store, run_id: str, before: Said, typed: Said) -> Annotated:
    """Write down what was typed over ``before``; where that is refused, see what is said now."""
    from themis.runs.annotations import Edited, Said, edit, editable

    try:
        now = edit(store, run_id, before, typed)
        store.backend.flush()
        # What another tagged meanwhile is not taken back with it.
        return Annotated(store.name, Edited(run_id, before, Said(now.name, typed.tags, now.notes)))
    except ThemisError as exc:
        edited = Edited(run_id, before, typed)
        try:
            return Annotated(store.name, edited, exc, editable(store, run_id))
        except ThemisError:
            return Annotated(store.name, edited, exc)
