"""What can be done to one run, from the list or from its own screen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from themis_tui.screens.base import ThemisScreen
from themis_tui.text import tell

# What the actions need is loaded when one is done: the list is on the screen without it.
if TYPE_CHECKING:
    from themis.runs.spec import Again
    from themis.runs.status import Status
    from themis.runs.watch import RunView
    from themis_tui.draft import Draft
    from themis_tui.widgets.reader import Passage
    from themis_tui.widgets.table import Table


class RunActions(ThemisScreen):
    """Actions on the run that ``target`` names."""

    @property
    def target(self) -> tuple[str | None, str] | None:
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
