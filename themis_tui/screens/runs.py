"""Home: every run of the store, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widgets import Static

from themis_tui.actions import bindings
from themis_tui.doors import FirstLook
from themis_tui.glyphs import RULE
from themis_tui.screens.base import BROAD
from themis_tui.screens.run_actions import RunActions
from themis_tui.screens.run_line import columns, head, preview, preview_beside
from themis_tui.text import line, lines, tell
from themis_tui.watching import LookFailed, RunsListed, RunsWatcher
from themis_tui.widgets.filter_bar import FilterBar
from themis_tui.widgets.key_line import KeyLine
from themis_tui.widgets.steady import Steady
from themis_tui.widgets.table import Table

if TYPE_CHECKING:
    from themis.runs.catalog import RunRow
    from themis.runs.delete import DeletePreview
    from themis.runs.status import Status

AGES_EVERY_S = 5.0
PREVIEW = 46
"""Cells of the preview where it stands beside the list; as in ``runs.tcss``."""


class RunsScreen(RunActions):
    """The list of runs."""

    PLACES = ("runs", "marks")
    TITLE_HELP = (
        "Every run of the store. Marked runs are the target of an action, else the one under the cursor."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs", "marks")]

    table = getters.query_one("#runs", Table)
    filter_bar = getters.query_one(FilterBar)

    def __init__(self, storage: str | None, first_look: FirstLook | None = None) -> None:
        """``first_look``: shown with the first paint if it has come by then."""
        super().__init__()
        self._first_look = first_look
        self.storage = storage
        self._store_name = storage or "default store"
        self._fresh = False
        self._listed = False
        self._failure: str | None = None

    def compose(self) -> ComposeResult:
        yield Steady(id="head")
        yield FilterBar("words, status:failed, acc>0.5, age<2d, has:errors, -not, a | b")
        with Container(id="body"):
            yield Table(columns(lambda: self.clock()), lambda row: row.run_id, id="runs")
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
        self.watch_with(RunsWatcher(self.doors.to(self.storage), self.post_message))
        self.set_interval(AGES_EVERY_S, self._age)

    def on_resize(self) -> None:
        self._draw_head()
        self._draw_preview()

    # What is seen

    def _show_first_look(self) -> None:
        look, self._first_look = self._first_look, None
        if look is not None and look.rows:
            self._show_rows(RunsListed(look.store, look.rows, cached=True, whole=False))
        else:
            self._draw()

    @on(RunsListed)
    def _show_rows(self, event: RunsListed) -> None:
        self._store_name, self._fresh, self._failure = event.store, not event.cached, None
        self._listed = True
        self.table.show(event.rows)
        self._draw()

    @on(LookFailed)
    def _show_failure(self, event: LookFailed) -> None:
        self._failure = str(event.error) or type(event.error).__name__
        self._draw()

    @on(Table.CursorMoved)
    def _follow_cursor(self) -> None:
        self._draw_preview()

    @on(FilterBar.Changed)
    def _filter(self, event: FilterBar.Changed) -> None:
        from themis.runs.query import QueryError, row_test

        try:
            test = row_test(event.words, clock=self.clock) if event.words.strip() else None
        except QueryError as exc:
            self.filter_bar.say(str(exc))
            return
        self.filter_bar.say(None)
        self.table.filter(test)
        self._draw()

    @on(FilterBar.Left)
    def _to_table(self) -> None:
        self.set_focus(self.table)

    @on(Table.Opened)
    def _open(self, event: Table.Opened) -> None:
        from themis_tui.screens.run import RunScreen

        self.app.push_screen(RunScreen(self.storage, event.key))

    def _age(self) -> None:
        if self.is_seen:
            self.table.redraw_changed()

    def _draw(self) -> None:
        self._draw_head()
        self._draw_empty()
        self._draw_preview()

    def _draw_head(self) -> None:
        rows: Sequence[RunRow] = self.table.rows.all
        shown = len(self.table.rows.shown)
        marked = len(self.table.rows.marks)
        width = self.size.width - 2
        self.query_one("#head", Steady).draw(
            head(self._store_name, rows, shown, marked, self._failure, self._fresh, width)
        )

    def _draw_empty(self) -> None:
        none = not self.table.rows.shown
        self.set_class(none, "-empty")
        if none:
            self.query_one("#empty", Static).update(lines(self._nothing()))

    def _nothing(self) -> list[Any]:
        if self._failure is not None:
            return [
                line(("This store cannot be read.", "$bad")),
                line(self._failure),
                line(),
                line("It is tried again. ", ("r", "$accent"), " tries now, ", ("q", "$accent"), " leaves."),
            ]
        if not self._listed:
            return [line(("Looking …", "$dim"))]
        if self.table.rows.all:
            return [line("No run matches. ", ("esc", "$accent"), " drops the filter.")]
        return [
            line(("No runs here yet.", "bold")),
            line(),
            line("Press ", ("+", "$accent"), " to launch the first: the form is filled in with a demo"),
            line("that needs no network and no key. ", ("?", "$accent"), " shows every key."),
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
                panel.draw(preview_beside(row, self.clock(), PREVIEW - 3))
            else:
                panel.draw(preview(row, self.clock(), max(20, self.size.width - 2)))

    # What can be done

    @property
    def target(self) -> tuple[str | None, str] | None:
        return None if self.table.key is None else (self.storage, self.table.key)

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

    def do_filter(self) -> None:
        self.filter_bar.open()

    def do_clear(self) -> None:
        if self.filter_bar.words:
            self.filter_bar.clear()
        else:
            self.do_clear_marks()

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
        from themis.runs.delete import preview

        door = self.doors.to(self.storage)
        run_ids = [row.run_id for row in self.table.targets]
        self.ask("preview", lambda: [preview(door.open(), each) for each in run_ids], self._confirm_delete)

    def _confirm_delete(self, previews: list[DeletePreview]) -> None:
        if not previews:
            return
        from themis_tui.screens.delete_facts import delete_facts
        from themis_tui.screens.dialogs import ConfirmDialog

        many = len(previews)
        title = "Delete this run for good?" if many == 1 else f"Delete {many} runs for good?"
        dialog = ConfirmDialog(title, delete_facts(previews), f"Delete {many if many > 1 else ''}".strip())
        run_ids = [each.run_id for each in previews]
        self.app.push_screen(dialog, lambda yes: self._delete(run_ids) if yes else None)

    def _delete(self, run_ids: list[str]) -> None:
        from themis.runs.delete import delete

        door = self.doors.to(self.storage)

        def work() -> int:
            for run_id in run_ids:
                delete(door.open(), run_id)
            return len(run_ids)

        self.ask("delete", work, self._deleted)

    def _deleted(self, count: int) -> None:
        tell(self.app, "Deleted." if count == 1 else f"{count} runs deleted.")
        self.table.clear_marks()
        self.do_reload()

    def failed(self, group: str, error: Exception) -> None:
        super().failed(group, error)
        if group == "delete":
            self.do_reload()
