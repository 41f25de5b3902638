"""One run: how far it is, what it found, and its samples."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from themis.core.errors import RunNotFound
from themis.core.progress import ProgressSnapshot
from themis.runs.annotations import Said, said_in
from themis.runs.samples import SampleRow, whole_samples
from themis.runs.status import Status
from themis.runs.watch import RunView
from themis_tui import figures
from themis_tui.actions import bindings
from themis_tui.following import Progressed, RunSeen, RunWatcher, SamplesRead
from themis_tui.glyphs import BACK, DOT, RULE
from themis_tui.screens.base import BROAD
from themis_tui.screens.run_actions import RunActions
from themis_tui.screens.run_line import status_part, tone_of
from themis_tui.screens.run_pages import PAGES, config_page, log_page
from themis_tui.screens.sample_line import SHOWS, columns, holds, next_wrong, passages, shows
from themis_tui.text import Part, line, lines, spread, tell
from themis_tui.watching import LookFailed
from themis_tui.widgets.filter_bar import FilterBar
from themis_tui.widgets.key_line import KeyLine
from themis_tui.widgets.reader import Passage, Reader
from themis_tui.widgets.run_panel import RunPanel
from themis_tui.widgets.steady import Steady
from themis_tui.widgets.table import Table

LOG_EVERY_S = 2.0
BESIDE_AFTER_S = 0.12
"""Seconds without a move after which the sample under the cursor is read."""


class RunScreen(RunActions):
    """A run, live or ended."""

    CSS_PATH = "run.tcss"
    PLACES = ("run",)
    TITLE_HELP = "One run. While it is live, figures and samples come by themselves."
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("run")]

    table = getters.query_one("#samples", Table)
    panel = getters.query_one(RunPanel)
    filter_bar = getters.query_one(FilterBar)

    def __init__(self, storage: str | None, run_id: str) -> None:
        super().__init__()
        self.storage = storage
        self.run_id = run_id
        self.view: RunView | None = None
        self.said = Said()
        """What people said of it."""
        self.progress: ProgressSnapshot | None = None
        self._show = 0
        self._read = False
        self._store_name = storage
        self._failure: str | None = None
        self._reason: str | None = None
        self._page = PAGES[0]
        self._beside: SampleRow | None = None
        self._beside_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Steady(id="head")
        yield Static(id="reason")
        yield RunPanel()
        yield Steady(id="samples-head")
        yield FilterBar("words in id, answer, reference or error")
        with Horizontal(id="body"):
            yield Table(columns(), lambda row: row.id, id="samples")
            yield Static(id="empty")
            yield Reader(id="beside")
        yield Reader(id="page")
        yield KeyLine()

    def on_mount(self) -> None:
        self.set_focus(self.table)
        self._draw_head()
        self._draw_samples()
        self.set_interval(LOG_EVERY_S, self._renew_log)
        self.watch_with(RunWatcher(self.doors.to(self.storage), self.run_id, self.post_message))

    def on_resize(self) -> None:
        self._draw_head()
        self._draw_samples()
        self._draw_beside()

    @property
    def target(self) -> tuple[str | None, str] | None:
        return self.storage, self.run_id

    @property
    def sorted_table(self) -> Table[Any]:
        return self.table

    @property
    def target_status(self) -> Status | None:
        return None if self.view is None else self.view.status

    # What is seen

    @on(RunSeen)
    def _seen(self, event: RunSeen) -> None:
        self.view, self.said, self._failure = event.view, said_in(event.notes), None
        self._store_name = event.store
        self.progress = _newest(self.progress, event.view)
        self._draw_head()
        self._show_panel()

    @on(Progressed)
    def _progressed(self, event: Progressed) -> None:
        self.progress = event.progress
        if self.view is not None:
            self._show_panel()

    def _show_panel(self) -> None:
        if self.view is not None:
            store = self._store_name
            also = self.doors.also_in(self.view.metadata.get("uid"), f"{store}:{self.run_id}")
            self.panel.show(self.view, self.progress, self.said, also)

    @on(SamplesRead)
    def _samples_read(self, event: SamplesRead) -> None:
        self._read = True
        self.table.show(event.rows)
        self._draw_samples()
        self._draw_beside()

    @on(LookFailed)
    def _failed_look(self, event: LookFailed) -> None:
        if isinstance(event.error, RunNotFound) and self.view is not None:
            self._failure = "This run is no longer in the store."
        else:
            self._failure = str(event.error) or type(event.error).__name__
        self._draw_head()
        self._draw_samples()

    @on(FilterBar.Changed)
    def _filter(self) -> None:
        self._apply()

    @on(FilterBar.Left)
    def _to_table(self) -> None:
        self.set_focus(self.table)

    @on(Table.CursorMoved)
    def _moved(self) -> None:
        self._draw_beside()

    @on(Table.Opened)
    def _open(self, event: Table.Opened) -> None:
        from themis_tui.screens.sample import SampleScreen

        rows: list[SampleRow] = list(self.table.rows.shown)
        self.app.push_screen(SampleScreen(self.storage, self.run_id, rows, event.key))

    def _apply(self) -> None:
        shown, words = shows(SHOWS[self._show]), holds(self.filter_bar.words)
        plain = self._show == 0 and not self.filter_bar.words.strip()
        self.table.filter(None if plain else lambda row: shown(row) and words(row))
        self._draw_samples()

    def _draw_head(self) -> None:
        view, width = self.view, self.size.width - 2
        asked = (view.metadata.get("asked") or {}) if view is not None else {}
        left: list[Part] = [(f"{BACK} ", "$accent"), (self.said.name or self.run_id, "bold")]
        about = [asked.get("benchmark"), (asked.get("model") or {}).get("name"), self._store_name]
        left.append(("   " + f" {DOT} ".join(str(each) for each in about if each), "$dim"))
        right = line(status_part(view.status.word)) if view is not None else line(("looking", "$dim"))
        self.query_one("#head", Steady).draw(spread(line(*left), right, width))
        self._draw_reason()
        self.query_one(KeyLine).renew()

    def _draw_reason(self) -> None:
        status = self.view.status if self.view is not None else None
        said = self._failure or (status.reason if status is not None else None)
        tone = "bad" if self._failure or status is None else tone_of(status.word)
        reason = self.query_one("#reason", Static)
        if said == self._reason:
            return
        self._reason = said
        reason.display = bool(said)
        if said:
            reason.update(line((said, "$foreground" if tone == "plain" else f"${tone}")))

    def _draw_samples(self) -> None:
        self.query_one("#samples-head", Steady).draw(self._samples_head())
        none = not self.table.rows.shown
        self.set_class(none, "-empty")
        if none:
            self.query_one("#empty", Static).update(lines(self._nothing()))

    # The sample under the cursor, beside the list where there is room

    def _draw_beside(self) -> None:
        row: SampleRow | None = self.table.row
        if self.size.width < BROAD or row == self._beside:
            return
        if self._beside_timer is not None:
            self._beside_timer.stop()
        self._beside_timer = self.set_timer(BESIDE_AFTER_S, self._ask_beside)

    def _ask_beside(self) -> None:
        row: SampleRow | None = self.table.row
        self._beside = row
        if row is None:
            self.query_one("#beside", Reader).show([])
            return
        door, run_id, sample_id = self.doors.to(self.storage), self.run_id, row.id

        def work() -> list[Passage]:
            found = whole_samples(door.open().backend, run_id, [sample_id]).get(sample_id)
            return [] if found is None else passages(*found)

        self.ask("beside", work, self.query_one("#beside", Reader).show)

    # The other pages

    def _turn_to(self, page: str) -> None:
        self._page = page
        self.set_class(page != PAGES[0], "-page")
        self._draw_samples()
        reader = self.query_one("#page", Reader)
        if page == PAGES[0]:
            self.set_focus(self.table)
            return
        reader.show([])
        reader.focus()
        if page == "config":
            reader.show(config_page(self.view, self.said) if self.view is not None else [])
        else:
            self._renew_log()

    def _renew_log(self) -> None:
        if self._page == "log" and self.is_seen and self._group_free("log"):
            run_id, store = self.run_id, None if self.view is None else self.view.stored_in
            self.ask("log", lambda: log_page(run_id, store), self._show_log)

    def _show_log(self, passages: list[Passage]) -> None:
        if self._page == "log":
            self.query_one("#page", Reader).follow(passages)

    def _samples_head(self) -> Content:
        width = max(10, self.size.width - 2)
        rows: list[SampleRow] = self.table.rows.all
        counts = [len(rows), *(sum(map(shows(name), rows)) for name in SHOWS[1:])]
        left: list[Part] = [(f"{RULE * 2} ", "$faint")]
        for page in PAGES:
            left.append((page, "bold $accent" if page == self._page else "$dim"))
            left.append((f" {RULE} ", "$faint"))
        right: list[Part] = []
        for number, name in enumerate(SHOWS if self._page == PAGES[0] else ()):
            chosen = number == self._show
            right.append((f" {DOT} " if number else " ", "$faint"))
            right.append((f"{name} {figures.count(counts[number])}", "bold underline" if chosen else "$dim"))
        pages, shown = line(*left), line(*right)
        rule = RULE * max(0, width - pages.cell_length - shown.cell_length)
        return pages.append(line((rule, "$faint"))).append(shown)

    def _nothing(self) -> list[Content]:
        if not self._read:
            return [line(("Reading samples …" if self._failure is None else "", "$dim"))]
        if self.table.rows.all:
            return [
                line(
                    "No sample matches. ",
                    ("f", "$accent"),
                    " shows others, ",
                    ("/", "$accent"),
                    " other words.",
                )
            ]
        return [line(("No sample has come back yet.", "$dim"))]

    # What can be done

    def why_not_filter(self) -> str | None:
        """Why the samples cannot be narrowed down now."""
        return None if self._page == PAGES[0] else "1 goes back to the samples."

    why_not_show = why_not_sort = why_not_next_wrong = why_not_previous_wrong = why_not_filter

    def why_not_samples(self) -> str | None:
        """Why there is nothing to turn to."""
        return "These are the samples." if self._page == PAGES[0] else None

    def why_not_config(self) -> str | None:
        """As above."""
        return "This is what was asked." if self._page == "config" else None

    def why_not_log(self) -> str | None:
        return "This is the log." if self._page == "log" else None

    def do_samples(self) -> None:
        self._turn_to("samples")

    def do_config(self) -> None:
        self._turn_to("config")

    def do_log(self) -> None:
        self._turn_to("log")

    def do_show(self) -> None:
        self._show = (self._show + 1) % len(SHOWS)
        self._apply()

    def do_next_wrong(self) -> None:
        self._to_wrong(1)

    def do_previous_wrong(self) -> None:
        self._to_wrong(-1)

    def _to_wrong(self, step: int) -> None:
        place = next_wrong(self.table.rows.shown, self.table.cursor, step)
        if place is None:
            tell(self.app, "No wrong sample here.")
        else:
            self.table.go_to(place)

    def do_filter(self) -> None:
        self.filter_bar.open()

    def do_reload(self) -> None:
        if self.watcher is not None:
            self.watcher.look_now()

    def do_back(self) -> None:
        if self._page != PAGES[0]:
            self._turn_to(PAGES[0])
        elif self.filter_bar.words:
            self.filter_bar.clear()
        else:
            super().do_back()


def _newest(held: ProgressSnapshot | None, view: RunView) -> ProgressSnapshot | None:
    seen = view.progress
    if held is None or seen is None:
        return seen
    if seen.at >= held.at and not seen.history:
        seen.history = held.history
    return seen if seen.at >= held.at or not view.status.live else held
