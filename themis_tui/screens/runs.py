"""Home: every run of every store, the newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static

from themis.core.options import redacted
from themis_tui.actions import bindings
from themis_tui.doors import FirstLook, wanted_stores
from themis_tui.glyphs import RULE
from themis_tui.screens.base import BROAD
from themis_tui.screens.run_actions import RunActions, Target
from themis_tui.screens.run_line import columns, preview, preview_beside
from themis_tui.screens.runs_head import badges, head, news_line, work_line
from themis_tui.stays import tell_stays
from themis_tui.text import line, lines, tell
from themis_tui.watching import LookFailed, RunsListed, RunsWatcher
from themis_tui.widgets.columns import Column
from themis_tui.widgets.filter_bar import FilterBar
from themis_tui.widgets.key_line import KeyLine
from themis_tui.widgets.steady import Steady
from themis_tui.widgets.table import Table

if TYPE_CHECKING:
    from themis.runs.completion import Completion
    from themis.runs.news import News
    from themis.runs.row import RunRow
    from themis.runs.status import Status
    from themis_tui.beside import Beside
    from themis_tui.screens.deleting import Done, Plan

AGES_EVERY_S = 5.0
LEADS_ELSEWHERE = ("preview", "copy", "annotate look", "again", "open", "log")
"""Questions whose answers come up over the list."""
PREVIEW = 46
"""Cells of the preview where it stands beside the list; as in ``runs.tcss``."""


class RunsScreen(RunActions):
    """The list of runs."""

    PLACES = ("runs", "marks")
    TITLE_HELP = (
        "Every run of every store. Marked runs are the target of an action, else the one under the cursor."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs", "marks")]

    table = getters.query_one("#runs", Table)
    filter_bar = getters.query_one(FilterBar)

    def __init__(
        self, storage: str | None, stores: Sequence[str] = (), first_look: FirstLook | None = None
    ) -> None:
        """``storage``: where new runs go. ``stores``: whose runs are listed; all there are if not given.

        ``first_look``: shown with the first paint if it has come by then.
        """
        super().__init__()
        self._first_look = first_look
        self.storage = storage
        self._wanted = list(stores)
        self._listed = RunsListed(())
        self._many = len(stores) > 1
        self._first_key: str | None = None
        """Of the row on which the cursor was put, as long as the stores have not all answered."""
        self._failure: str | None = None
        self._reasons_told: dict[str, str | None] = {}
        """Of each store that failed, the reason that was told."""
        self._with_trash = False
        self._works: list[Beside] = []
        self._news_read = False

    def compose(self) -> ComposeResult:
        yield Steady(id="head")
        yield FilterBar("words, status:failed, acc>0.5, age<2d, has:errors, -not, a | b", self._completions)
        with Container(id="body"):
            yield Table(self._columns(), lambda row: row.address, id="runs")
            yield Static(id="empty")
            with Vertical(id="preview"):
                yield Steady(id="preview-rule")
                yield Steady(id="preview-text")
        yield KeyLine()

    def on_mount(self) -> None:
        self._show_first_look()
        self.set_focus(self.table)
        self.call_after_refresh(self._watch)

    def _watch(self) -> None:
        self.watch_with(RunsWatcher(self.doors, self._wanted, self.post_message, self._listed.rows))
        self.set_interval(AGES_EVERY_S, self._age)

    def on_resize(self) -> None:
        self._draw_head()
        self._draw_preview()

    # What is seen

    def _show_first_look(self) -> None:
        look, self._first_look = self._first_look, None
        if look is not None and look.rows:
            self._many = self._many or len(look.stores) > 1
            self.table.use(self._columns())
            words = Counter(row.status.word for row in look.rows)
            self._show_rows(RunsListed(look.rows, words=words))
        else:
            self._draw()

    @on(RunsListed)
    def _show_rows(self, event: RunsListed) -> None:
        unmoved = not self._listed.settled and self.table.key == self._first_key
        self._listed, self._failure = event, None
        if event.stores and (len(event.stores) > 1) is not self._many:
            self._many = not self._many
            self.table.use(self._columns())
        self._put_rows()
        if unmoved:
            # Nobody has touched it: the newest run is still to come, from a store that takes longer.
            self.table.go_to(0)
            self._first_key = None if event.settled else self.table.key
        self._draw()
        self._tell_failures()

    def _put_rows(self) -> None:
        self.table.show(self._listed.everything if self._with_trash else self._listed.rows)

    def _columns(self) -> list[Column[RunRow]]:
        return columns(lambda: self.clock(), stores=self._many, also=self._also)

    def _also(self, row: RunRow) -> list[str]:
        """The stores that have the same run too."""
        return self.doors.also_in(row.uid, row.address)

    def _tell_failures(self) -> None:
        """Say once why a store fails, where there is no room to say it in full."""
        badges_line = " ".join(each.plain for each in self._head())
        for each in self._listed.stores:
            reason = each.reason if each.state == "failed" else None
            new = reason is not None and reason != self._reasons_told.get(each.name)
            if new and self.table.rows.all and str(reason) not in badges_line:
                tell(self.app, f"{redacted(each.name)}: {reason}", bad=True)
            if each.state in ("failed", "ready"):
                self._reasons_told[each.name] = reason

    @on(LookFailed)
    def _show_failure(self, event: LookFailed) -> None:
        said = str(event.error) or type(event.error).__name__
        if said != self._failure and self.table.rows.all:
            tell(self.app, said, bad=True)  # there is no other room for it
        self._failure = said
        self._draw()

    @on(Table.CursorMoved)
    def _follow_cursor(self) -> None:
        self._draw_preview()

    @on(FilterBar.Changed)
    def _filter(self, event: FilterBar.Changed) -> None:
        from themis.runs.query import QueryError, asks_for, row_test

        is_new = self._is_new if self._listed.news is not None else None
        try:
            test = row_test(event.words, clock=self.clock, is_new=is_new) if event.words.strip() else None
        except QueryError as exc:
            self.filter_bar.say(str(exc), exc.position)
            return
        self.filter_bar.say(None)
        with_trash = test is not None and asks_for(event.words, "trashed")
        if with_trash != self._with_trash:
            self._with_trash = with_trash
            self._put_rows()
        self.table.filter(test)
        self._draw()

    def _is_new(self, row: RunRow) -> bool:
        seen = self.watcher.seen if isinstance(self.watcher, RunsWatcher) else None
        return seen is not None and seen.is_new(row)

    def _completions(self, words: str, cursor: int) -> list[Completion]:
        from themis.runs.completion import complete

        return complete(words, cursor, self.table.rows.all)

    @on(FilterBar.Left)
    def _to_table(self) -> None:
        self.set_focus(self.table)

    @on(Table.Opened)
    def _open(self, event: Table.Opened) -> None:
        from themis_tui.screens.run import RunScreen

        row: RunRow | None = self.table.row
        if row is not None and row.address == event.key:
            self._news_read = True
            self.app.push_screen(RunScreen(row.store, row.run_id))

    def open_run(self, run_id: str) -> None:
        """Open a run of which only the id is known, in the one store that has it."""
        from themis_tui.screens.run import RunScreen

        doors, wanted = self.doors, self._wanted

        def work() -> str:
            from themis.runs.stores import only_store_with

            names = wanted_stores(wanted)
            # Of one store the run's own screen says what is not there.
            return names[0] if len(names) == 1 else only_store_with(run_id, names, opener=doors.open).name

        self.ask("open", work, lambda store: self.show_here(RunScreen(store, run_id)))

    def _age(self) -> None:
        if self.is_seen:
            self.table.redraw_changed()
            self._draw_preview()

    def _draw(self) -> None:
        self._draw_head()
        self._draw_empty()
        self._draw_preview()

    def _draw_head(self) -> None:
        self.query_one("#head", Steady).draw(lines(self._head()))

    def _head(self) -> Iterator[Content]:
        rows, words = self.table.rows, self._listed.words
        width = max(1, self.size.width - 2)
        counts = len(rows.all), len(rows.shown), len(rows.marks)
        yield head(self._where(), words, *counts, width, stale=self._stale())
        stores, news = self._listed.stores, self._news()
        if len(stores) > 1:
            yield badges(stores, width)
        reason = self._why_stale()
        if reason is not None and rows.all:
            yield line(("! ", "$bad"), (reason, "$dim")).truncate(width, ellipsis=True)
        for work in self._works:
            yield work_line(work, width)
        if news:
            yield news_line(news, width)

    def show_works(self, works: Sequence[Beside]) -> None:
        if list(works) != self._works or works:
            self._works = list(works)
            self._draw_head()

    def _news(self) -> News | None:
        return None if self._news_read else self._listed.news

    def _where(self) -> str:
        names = [each.name for each in self._listed.stores] or self._wanted
        if len(names) > 1:
            return f"{len(names)} stores"
        rows = self._listed.rows
        return redacted(names[0] if names else rows[0].store if rows and not self._many else "all stores")

    def _stale(self) -> str | None:
        """Why what is shown may be out of date; of several stores each has its badge."""
        stores = self._listed.stores
        if self._failure is not None or (len(stores) == 1 and stores[0].state == "failed"):
            return "! not refreshed"
        return "as last seen" if not stores or (len(stores) == 1 and not stores[0].verified) else None

    def _why_stale(self) -> str | None:
        """The reason, where no badge gives it."""
        stores = self._listed.stores
        return self._failure or (stores[0].reason if len(stores) == 1 else None)

    def _draw_empty(self) -> None:
        none = not self.table.rows.shown
        self.set_class(none, "-empty")
        if none:
            self.query_one("#empty", Static).update(lines(self._nothing()))

    def _nothing(self) -> list[Content]:
        stores = self._listed.stores
        failed = [each for each in stores if each.state == "failed"]
        again = line("It is tried again. ", ("r", "$accent"), " tries now, ", ("q", "$accent"), " leaves.")
        if self._failure is not None:
            return [line(("The stores cannot be read.", "$bad")), line(self._failure), line(), again]
        if self.table.rows.all:
            return [line("No run matches. ", ("esc", "$accent"), " drops the filter.")]
        if len(stores) == len(failed) == 1:
            return [line(("This store cannot be read.", "$bad")), line(failed[0].reason or ""), line(), again]
        why = [line((redacted(each.name), "bold"), f"  {each.reason}") for each in failed]
        if failed and len(failed) == len(stores):
            return [line(("No store can be read.", "$bad")), *why, line(), again]
        if not self._listed.settled:
            return [line(("Looking …", "$dim"))]
        slow = [redacted(each.name) for each in stores if each.state == "slow"]
        if slow:
            return [line(f"No answer yet from {', '.join(slow)}. ", ("r", "$accent"), " asks again."), *why]
        return [
            line(("No runs here yet.", "bold")),
            line(),
            line("Press ", ("+", "$accent"), " to launch the first: the form is filled in with a demo"),
            line("that needs no network and no key. ", ("?", "$accent"), " shows every key."),
            *([line(), line(("What cannot be read:", "$bad")), *why] if why else []),
        ]

    def _draw_preview(self) -> None:
        row = self.table.row
        self.query_one(KeyLine).renew()
        panel = self.query_one("#preview-text", Steady)
        self.query_one("#preview").display = row is not None
        if row is not None:
            rule = line((RULE * max(1, self.size.width - 2), "$raised"))
            self.query_one("#preview-rule", Steady).draw(lines([rule]))
            if self.size.width >= BROAD:
                panel.draw(
                    preview_beside(row, self.clock(), PREVIEW - 3, store=self._many, also=self._also(row))
                )
            else:
                width = max(20, self.size.width - 2)
                panel.draw(preview(row, self.clock(), width, store=self._many, also=self._also(row)))

    # What can be done

    @property
    def target(self) -> Target | None:
        row: RunRow | None = self.table.row
        return None if row is None else (row.store, row.run_id)

    @property
    def targets(self) -> list[Target]:
        return [(row.store, row.run_id) for row in self.table.targets]

    @property
    def sorted_table(self) -> Table[Any]:
        return self.table

    @property
    def target_status(self) -> Status | None:
        row: RunRow | None = self.table.row
        return None if row is None else row.status

    def why_not_delete(self) -> str | None:
        return self.why_not_any()

    def do_new_run(self) -> None:
        from themis_tui.draft import Draft

        self.open_form(Draft(storage=self.storage or ""))

    def do_profiles(self) -> None:
        from themis_tui.screens.profiles import ProfilesScreen

        self.app.push_screen(ProfilesScreen())

    def do_doctor(self) -> None:
        row: RunRow | None = self.table.row
        self.check_store(row.store if row is not None else self.storage)

    def do_filter(self) -> None:
        self.filter_bar.open()

    def do_clear(self) -> None:
        if self.forget(*LEADS_ELSEWHERE):
            return  # it was for what would have come over the list
        if self.filter_bar.words:
            self.filter_bar.clear()
        elif self.table.rows.marks or not self._news():
            self.do_clear_marks()
        else:
            self._news_read = True
            self._draw_head()

    def do_mark(self) -> None:
        self.table.mark()
        self._draw_head()

    def do_mark_range(self) -> None:
        self.table.mark_range()
        self._draw_head()

    def do_clear_marks(self) -> None:
        self.table.clear_marks()
        self._draw_head()

    def do_reload(self) -> None:
        if self.watcher is not None:
            self.watcher.look_now()

    def do_delete(self) -> None:
        doors, targets = self.doors, self.targets

        def work() -> Plan:
            from themis_tui.screens.deleting import plan

            return plan(doors, targets)

        self.ask("preview", work, self._confirm_delete)

    def _confirm_delete(self, plan: Plan) -> None:
        from themis_tui.screens.deleting import facts
        from themis_tui.screens.dialogs import ConfirmDialog

        if not plan.going:
            tell_stays(self.app, plan.staying)
            return
        count = len(plan.going)
        many = f"{count:,} runs" if count > 1 else "this run" if not plan.staying else "1 run"
        number = f" {count:,}" if count > 1 or plan.staying else ""
        dialog = ConfirmDialog(
            f"Delete {many} for good?" if plan.for_good else f"Move {many} to the trash?",
            list(facts(plan)),
            f"Delete{number} for good" if plan.for_good else f"Delete{number}",
            typed=", ".join(plan.protected) or None,
        )
        act = self._purge if plan.for_good else self._delete
        self.show_here(dialog, lambda yes: act(plan) if yes else None)

    def _delete(self, plan: Plan) -> None:
        doors, marked = self.doors, bool(self.table.rows.marks)

        def work() -> Done:
            from themis_tui.screens.deleting import delete

            return delete(doors, plan)

        self.ask("delete", work, lambda done: self._deleted(done, marked))

    def _deleted(self, done: Done, marked: bool) -> None:
        from themis_tui.screens.deleting import runs_said, undoing

        if done.trashed:
            self.last_undo = undoing(self.doors, done.trashed, marked)
            it = "it" if len(done.trashed) == 1 else "them"
            tell(self.app, f"{runs_said(len(done.trashed))} moved to the trash; z brings {it} back.")
        tell_stays(self.app, done.staying)
        self.after_change()

    def _purge(self, plan: Plan) -> None:
        from themis_tui.screens.deleting import purge_arguments, purge_ended, runs_said

        app, protected = self.app, set(plan.protected)
        for store, run_ids in plan.by_store.items():
            # Sweeping may take long: a process of its own does it, and goes on if the app is left.
            self.work_beside(
                f"deleting {runs_said(len(run_ids))} of {redacted(store)} for good",
                purge_arguments(store, run_ids, protected=store in protected),
                partial(purge_ended, app, store),
            )
        tell_stays(app, plan.staying)
        self.table.clear_marks()

    def do_undo(self) -> None:
        from themis_tui.screens.deleting import restoring

        chosen = [(row.store, row.run_id) for row in self.table.targets if row.trashed]
        if self.last_undo is not None:
            super().do_undo()
        elif chosen:
            self.ask("undo", restoring(self.doors, chosen), self._undone)
        else:
            tell(self.app, "There is nothing to undo. The filter is:trashed shows what lies in the trash.")

    def mark_again(self, addresses: Sequence[str]) -> None:
        self.table.rows.mark_when_there(addresses)

    def after_change(self) -> None:
        self.table.clear_marks()
        self.do_reload()

    def failed(self, group: str, error: Exception) -> None:
        super().failed(group, error)
        if group == "delete":
            self.do_reload()
