"""Runs compared: the verdict first, what differs above every number, then sample by sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import get_current_worker

from themis.compare.comparison import ZERO, Comparison, PairComparison
from themis.compare.flips import Flip, Flips, texts
from themis.core.errors import RunError
from themis_tui import figures
from themis_tui.actions import bindings
from themis_tui.glyphs import BACK, DOT, RULE
from themis_tui.screens.base import BROAD, ThemisScreen
from themis_tui.screens.compare_line import (
    LABEL,
    flip_columns,
    guard_lines,
    many_guard_lines,
    metric_lines,
    pair_columns,
    pair_rows,
    pairing_lines,
    power_lines,
    spent_line,
    tag_columns,
    verdict_lines,
    whole_verdict,
)
from themis_tui.screens.compare_pages import config_page, errors_page, figures_page
from themis_tui.screens.comparing import (
    SHOWS,
    Compared,
    Flipped,
    Request,
    command,
    compare,
    export_arguments,
    export_ended,
    faults,
    flipped,
    free_path,
    places,
)
from themis_tui.screens.flip_passages import stacked
from themis_tui.screens.run_line import short_id
from themis_tui.text import Part, line, lines, spread, tell
from themis_tui.widgets.filter_bar import FilterBar
from themis_tui.widgets.key_line import KeyLine
from themis_tui.widgets.reader import Passage, Reader
from themis_tui.widgets.steady import Steady
from themis_tui.widgets.table import Table

if TYPE_CHECKING:
    from themis.compare.verdict import Verdict
    from themis_tui.beside import Beside

PAIRS, FLIPS, TAGS, FIGURES, CONFIG, ERRORS = "pairs", "flips", "by tag", "figures", "config", "errors"
READ = (FIGURES, CONFIG, ERRORS)
"""Pages that are read; the others are lists."""
MOVED_EVERY_S = 0.2
BESIDE_AFTER_S = 0.15
"""Seconds without a move after which the sample under the cursor is read."""
LOW = 30
"""Rows below which the figures leave more room to the samples."""
MOST_NAME = 24


@dataclass
class ComparingMoved(Message):
    """The comparison got further."""

    said: str


class Left(Exception):
    """Nobody waits for the comparison any more."""


class CompareScreen(ThemisScreen):
    """Two runs, or many."""

    CSS_PATH = "compare.tcss"
    PLACES = ("compare",)
    TITLE_HELP = (
        "Runs compared over the samples that they share. A difference is candidate minus baseline; "
        "its interval is drawn on a scale with none (┼) in its middle."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("compare")]

    panel = getters.query_one("#panel", Steady)
    pairs_table = getters.query_one("#pairs", Table)
    table = getters.query_one("#flips", Table)
    tags_table = getters.query_one("#tags", Table)
    page_reader = getters.query_one("#page", Reader)
    filter_bar = getters.query_one(FilterBar)

    def __init__(self, request: Request, stores: Sequence[str] = ()) -> None:
        """``stores``: where the runs are looked for that name none."""
        super().__init__()
        self.request = request
        self._stores = stores
        self.made: Compared | None = None
        self.flipped: Flipped | None = None
        self._place = 0
        """Of the pair of runs that is looked at."""
        self.metric: str | None = None
        self.page = FLIPS
        self._show = next(iter(SHOWS))
        self._tag: str | None = None
        self._moved = "looking"
        self._failure: str | None = None
        self._busy = False
        """Whether a comparison is being made."""
        self._choosing = False
        """Whether the samples to list are still being chosen."""
        self._beside: object = None
        self._beside_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Steady(id="head")
        yield Steady(id="panel")
        yield Steady(id="pages")
        yield FilterBar("words in id or tags")
        with Horizontal(id="body"):
            yield Table(pair_columns(all_pairs=False), lambda row: str(row.place), id="pairs")
            yield Table(flip_columns(self._flip), str, id="flips")
            yield Table(tag_columns(), lambda row: row.tag, id="tags")
            yield Reader(id="page")
            yield Static(id="empty")
            yield Reader(id="beside")
        yield KeyLine()

    def on_mount(self) -> None:
        self.set_focus(self.table)
        self._compare()

    def on_resize(self) -> None:
        self._draw()
        self._draw_beside()

    # What is compared

    @property
    def comparison(self) -> Comparison | None:
        """What came of it; ``None`` before it has."""
        return None if self.made is None else self.made.comparison

    @property
    def pair(self) -> PairComparison | None:
        """The pair of runs that is looked at."""
        made = self.comparison
        return None if made is None else made.pairs[self._place]

    @property
    def many(self) -> bool:
        """Whether there are several pairs."""
        made = self.comparison
        return made is not None and len(made.pairs) > 1

    @property
    def labels(self) -> dict[str, str]:
        """Address to what a run is called here: shortly, and unlike the others."""
        if self.made is None:
            return {}
        runs = self.made.request.runs
        short = [run.name or short_id(run.run_id) for run in runs]
        whole = list(self.made.addresses)
        return {
            address: name if short.count(name) == 1 else address
            for address, name in zip(whole, short, strict=True)
        }

    def _compare(self, request: Request | None = None, *, again: bool = False) -> None:
        """Compare as asked; ``again``: read the runs anew."""
        asked = request or self.request
        doors, stores, before = self.doors, self._stores, None if again else self.comparison
        last = [0.0]

        def told(what: str, done: int) -> None:
            if get_current_worker().is_cancelled:
                raise Left
            if (now := time.monotonic()) - last[0] > MOVED_EVERY_S:
                last[0] = now
                self.post_message(ComparingMoved(f"{what}   {figures.count(done)}"))

        self._failure, self._moved, self._busy = None, "looking", True
        self.ask("compare", lambda: compare(doors, stores, asked, told, before), self._compared)
        self._draw()

    def _list_pairs(self) -> None:
        made = self.comparison
        self.pairs_table.show(
            pair_rows(made, self.metric, self.labels) if made is not None and self.many else []
        )

    @on(ComparingMoved)
    def _got_further(self, event: ComparingMoved) -> None:
        self._moved = event.said
        self._draw_head()
        if self.made is None:
            self._draw_empty()

    def _compared(self, made: Compared) -> None:
        first, before = self.made is None, self.pair
        self.made, self.request, self._failure, self._busy = made, made.request, None, False
        comparison = made.comparison
        same = [n for n, each in enumerate(comparison.pairs) if before and _runs(each) == _runs(before)]
        self._place = same[0] if same else 0
        if self.metric not in comparison.metrics:
            self.metric = next(iter(comparison.metrics), None)
        self.flipped = None
        self.pairs_table.use(pair_columns(all_pairs=comparison.baseline is None))
        self._list_pairs()
        if self.page == PAIRS and not self.many:
            self.page = FLIPS
        elif first and self.many:
            self.page = PAIRS
        self._turn_to(self.page)
        self._ask_flips()

    def failed(self, group: str, error: Exception) -> None:
        if isinstance(error, Left):
            return
        self._busy = self._busy and group != "compare"
        if group == "compare" and self.made is None:
            self._failure = str(error) or type(error).__name__
            self._draw()
        elif group == "page":
            self.page_reader.show([Passage(str(error), "cannot be read", tone="bad")])
        elif group == "beside":
            self.query_one("#beside", Reader).show([Passage(str(error), "cannot be read", tone="bad")])
        else:
            super().failed(group, error)
            self._draw()

    # Sample by sample

    def _flip(self, place: int) -> Flip:
        assert self.flipped is not None
        return self.flipped.flips.at(place)

    def _ask_flips(self) -> None:
        """Look at the samples of this pair by this metric."""
        comparison, pair, metric = self.comparison, self.pair, self._metric_here()
        self._forget_flips()
        if comparison is not None and pair is not None and metric is not None:
            self.ask("flips", lambda: flipped(comparison, pair, metric), self._have_flips)

    def _metric_here(self) -> str | None:
        """The chosen metric, or the first that both runs of this pair have."""
        names = [each.metric for each in self.pair.metrics] if self.pair is not None else []
        return self.metric if self.metric in names else next(iter(names), None)

    def _forget_flips(self) -> None:
        self.forget("flips", "rows", "beside")
        self.table.show([])
        self.tags_table.show([])
        self.flipped = None
        self._draw()

    def _have_flips(self, found: Flipped) -> None:
        self.flipped = found
        if self._tag is not None and all(each.tag != self._tag for each in found.by_tag):
            self._tag = None
        self.tags_table.show(found.by_tag)
        self._ask_rows()

    def _ask_rows(self) -> None:
        """Choose the samples that are listed."""
        if self.flipped is not None:
            flips, show, tag, words = self.flipped.flips, self._show, self._tag, self.filter_bar.words

            def work() -> tuple[Flips, list[int]]:
                worker = get_current_worker()
                return flips, places(flips, show, tag, words, lambda: not worker.is_cancelled)

            self._choosing = True
            self.ask("rows", work, self._have_rows)

    def _have_rows(self, found: tuple[Flips, list[int]]) -> None:
        self._choosing = False
        if self.flipped is not None and self.flipped.flips is found[0]:
            self.table.show(found[1])
        self._draw()
        self._draw_beside()

    @on(FilterBar.Changed)
    def _filter(self) -> None:
        self._ask_rows()

    @on(FilterBar.Left)
    def _to_table(self) -> None:
        self.set_focus(self._list)

    @on(Table.CursorMoved)
    def _cursor_moved(self) -> None:
        self._draw_beside()

    @on(Table.Opened, "#pairs")
    def _open_pair(self, event: Table.Opened) -> None:
        self._look_at(int(event.key))
        self._turn_to(FLIPS)

    @on(Table.Opened, "#tags")
    def _open_tag(self, event: Table.Opened) -> None:
        self._tag = event.key
        self._turn_to(FLIPS)
        self._ask_rows()

    @on(Table.Opened, "#flips")
    def _open_flip(self, event: Table.Opened) -> None:
        from themis_tui.screens.flip import FlipScreen

        comparison, pair, found = self.comparison, self.pair, self.flipped
        if comparison is not None and pair is not None and found is not None:
            shown: list[int] = list(self.table.rows.shown)
            names = (f"{self.labels[pair.baseline]} (baseline)", self.labels[pair.candidate])
            self.app.push_screen(FlipScreen(comparison, pair, found.flips, shown, int(event.key), names))

    def _look_at(self, place: int) -> None:
        if place != self._place:
            self._place = place
            self._ask_flips()
        self._draw()

    # What is seen

    @property
    def _list(self) -> Table[Any] | Reader:
        """What the page shows."""
        by_page = {PAIRS: self.pairs_table, TAGS: self.tags_table, FLIPS: self.table}
        return by_page.get(self.page, self.page_reader)

    def _turn_to(self, page: str) -> None:
        self.page = page
        for name in (PAIRS, FLIPS, TAGS):
            self.set_class(page == name, f"-{name.replace(' ', '-')}")
        self.set_class(page in READ, "-read")
        self.set_focus(self._list)
        if page in READ:
            self._show_page()
        self._draw()
        self._draw_beside()

    def _show_page(self) -> None:
        comparison, pair, labels = self.comparison, self.pair, self.labels
        self.page_reader.show([])
        if comparison is None or pair is None:
            return
        if self.page == FIGURES:
            self.page_reader.show(figures_page(comparison, pair, labels))
        elif self.page == CONFIG:
            # Words are compared for it.
            work = lambda: list(config_page(pair.config, pair.guard.same))  # noqa: E731
            self.ask("page", work, self._have_page(CONFIG))
        else:
            self.ask(
                "page",
                lambda: list(errors_page(faults(comparison), comparison, labels)),
                self._have_page(ERRORS),
            )

    def _have_page(self, page: str) -> Any:
        def show(passages: list[Passage]) -> None:
            if self.page == page:
                self.page_reader.show(passages)

        return show

    def _draw(self) -> None:
        if not self.is_attached or not self.size.width:
            return
        self._draw_head()
        self._draw_panel()
        self._draw_pages()
        self._draw_empty()
        self.query_one(KeyLine).renew()

    def _draw_head(self) -> None:
        left: list[Part] = [(f"{BACK} ", "$accent")]
        pair, labels = self.pair, self.labels
        if pair is None or self.page == PAIRS:
            left.append((f"compare {len(self.request.runs)} runs", "bold"))
            if self.made is not None and self.comparison is not None and self.comparison.baseline is not None:
                left.append((f"   against {_name(labels[self.comparison.baseline])} (baseline)", "$dim"))
            elif self.made is not None:
                left.append(("   each with each", "$dim"))
        else:
            left += [(_name(labels[pair.candidate]), "bold"), ("  against  ", "$dim")]
            left += [(_name(labels[pair.baseline]), "bold"), (" (baseline)", "$dim")]
            if self.many and self.comparison is not None:
                left.append((f"   pair {self._place + 1} of {len(self.comparison.pairs)}", "$dim"))
        right = line(self._state())
        self.query_one("#head", Steady).draw(spread(line(*left), right, self.size.width - 2))

    def _state(self) -> tuple[str, str]:
        if self._busy:
            return self._moved, "$running"
        if self._failure is not None:
            return "not compared", "$bad"
        benchmarks = (
            dict.fromkeys(run.benchmark or "?" for run in self.comparison.runs) if self.comparison else {}
        )
        return ", ".join(list(benchmarks)[:3]), "$dim"

    def _draw_panel(self) -> None:
        comparison, pair = self.comparison, self.pair
        self.panel.display = comparison is not None
        if comparison is None or pair is None:
            return
        width, low = max(20, self.size.width - 2), self.size.height < LOW
        if self.page == PAIRS:
            verdict = whole_verdict(comparison, self.labels)
            made = [*verdict_lines(verdict, width, 3), *many_guard_lines(comparison, width)]
            made.append(
                line(
                    (f"{'by':<{LABEL}}", "$dim"),
                    (self.metric or "no metric", "bold"),
                    (self._treated(), "$dim"),
                )
            )
        else:
            metric = self._metric_here()
            made = verdict_lines(self._verdict(pair), width, 3)
            made += guard_lines(pair, forced=comparison.forced, width=width, most=2 if low else 6)
            made += pairing_lines(pair, comparison.errors, width)
            if self.page not in READ:
                made.append(line())
                made += metric_lines(pair, metric, width, 3 if low else 8)
                made += power_lines(pair, metric, width, 1 if low else 2)
                made += spent_line(pair, width)
        self.panel.draw(lines(made))

    def _verdict(self, pair: PairComparison) -> Verdict:
        """That of the chosen metric."""
        metric = self._metric_here()
        return next((each.verdict for each in pair.metrics if each.metric == metric), pair.verdict)

    def _treated(self) -> str:
        return f"   errors {'as zero' if self.request.errors == ZERO else 'left out'}"

    def _draw_pages(self) -> None:
        width = max(10, self.size.width - 2)
        left: list[Part] = [(f"{RULE * 2} ", "$faint")]
        for page in ([PAIRS] if self.many else []) + [FLIPS, TAGS, FIGURES, CONFIG, ERRORS]:
            left.append((page, "bold underline $accent" if page == self.page else "$dim"))
            left.append((f" {RULE} ", "$faint"))
        pages, right = line(*left), line(*self._by())
        rule = RULE * max(0, width - pages.cell_length - right.cell_length)
        rows = [pages.append(line((rule, "$faint"))).append(right).truncate(width)]
        if self.page == FLIPS and self.flipped is not None:
            rows.append(self._kinds().truncate(width, ellipsis=True))
        self.query_one("#pages", Steady).draw(lines(rows if self.made is not None else []))

    def _by(self) -> list[Part]:
        metric = self._metric_here()
        if self.page not in (FLIPS, TAGS) or metric is None:
            return []
        parts: list[Part] = [(f" by {_name(metric)}", "$dim")]
        if self._tag is not None and self.page == FLIPS:
            parts += [(f" {DOT} tagged ", "$dim"), (_name(self._tag), "$accent")]
        return parts

    def _kinds(self) -> Content:
        assert self.flipped is not None
        counts = self.flipped.flips.counts
        parts: list[Part] = ["   "]
        for number, (name, kinds) in enumerate(SHOWS.items()):
            count = sum(counts[kind] for kind in kinds) if kinds else len(self.flipped.flips)
            parts.append((f" {DOT} " if number else "", "$faint"))
            parts.append(
                (f"{name} {figures.count(count)}", "bold underline" if name == self._show else "$dim")
            )
        return line(*parts)

    def _draw_empty(self) -> None:
        said = self._nothing()
        self.set_class(bool(said), "-empty")
        if said:
            self.query_one("#empty", Static).update(lines(said))

    def _nothing(self) -> list[Content]:
        if self._failure is not None:
            again = line(("r", "$accent"), " tries again, ", ("esc", "$accent"), " goes back.")
            return [line(("The runs cannot be compared.", "$bad")), line(self._failure), line(), again]
        if self.made is None:
            return [line((f"{self._moved} …", "$dim")), line(), line(("esc", "$accent"), " leaves at once.")]
        if self.page == FLIPS and not self.table.rows.shown:
            return self._no_flips()
        if self.page == TAGS and not self.tags_table.rows.shown and self.flipped is not None:
            return [line(("The samples of these runs have no tags.", "$dim"))]
        return []

    def _no_flips(self) -> list[Content]:
        if self._metric_here() is None:
            return [line(("No metric was scored in both runs.", "$dim"))]
        if self.flipped is None or self._choosing:
            return [line(("Looking at the samples …", "$dim"))]
        if self.filter_bar.words or self._tag is not None:
            return [
                line(
                    "No sample matches. ",
                    ("esc", "$accent"),
                    " drops the filter, ",
                    ("f", "$accent"),
                    " shows others.",
                )
            ]
        what = {
            "changed": "No sample changed from right to wrong or back.",
            "all": "No sample has a score in both runs.",
        }
        return [
            line(
                what.get(self._show, f"No sample is {self._show}."), "  ", ("f", "$accent"), " shows others."
            )
        ]

    # The sample under the cursor, beside the list where there is room

    def _draw_beside(self) -> None:
        wanted = (self.pair, self.table.row)
        if self.size.width < BROAD or self.page != FLIPS or self.flipped is None or wanted == self._beside:
            return
        if self._beside_timer is not None:
            self._beside_timer.stop()
        self._beside_timer = self.set_timer(BESIDE_AFTER_S, self._ask_beside)

    def _ask_beside(self) -> None:
        comparison, pair, place = self.comparison, self.pair, self.table.row
        if not self._group_free("beside"):
            # A run is being read through for another sample; one at a time.
            self._beside_timer = self.set_timer(BESIDE_AFTER_S, self._ask_beside)
            return
        self._beside = (pair, place)
        reader = self.query_one("#beside", Reader)
        if comparison is None or pair is None or place is None or self.flipped is None:
            reader.show([])
            return
        sample_id = self._flip(place).sample_id
        names = (f"{self.labels[pair.baseline]} (baseline)", self.labels[pair.candidate])
        self.ask("beside", lambda: stacked(texts(comparison, pair, sample_id), names), reader.show)

    # What can be done

    def why_not_any(self) -> str | None:
        """Why nothing can be done yet."""
        return "The runs are not compared yet." if self.made is None else None

    why_not_copy_command = why_not_export = why_not_any

    def _why_not_page(self, page: str) -> str | None:
        return self.why_not_any() or ("This is what is shown." if self.page == page else None)

    def why_not_flips(self) -> str | None:
        """Why there is nothing to turn to; as for the other pages."""
        return self._why_not_page(FLIPS)

    def why_not_tags(self) -> str | None:
        return self._why_not_page(TAGS)

    def why_not_figures(self) -> str | None:
        return self._why_not_page(FIGURES)

    def why_not_config(self) -> str | None:
        return self._why_not_page(CONFIG)

    def why_not_errors(self) -> str | None:
        return self._why_not_page(ERRORS)

    def why_not_show(self) -> str | None:
        """Why the samples cannot be narrowed down now."""
        return self.why_not_any() or (None if self.page == FLIPS else "1 goes back to the samples.")

    why_not_filter = why_not_show

    def why_not_metric(self) -> str | None:
        """Why there is no other metric."""
        made = self.comparison
        few = made is not None and len(made.metrics) < 2
        return self.why_not_any() or ("There is only this metric." if few else None)

    def why_not_pairs(self) -> str | None:
        """Why there is nothing to turn to."""
        return self.why_not_any() or (None if self.many else "There is only this pair of runs.")

    why_not_next_pair = why_not_previous_pair = why_not_pairs

    def why_not_all_pairs(self) -> str | None:
        """Why each with each is the same as all with one."""
        few = len(self.request.runs) < 3
        return self.why_not_any() or ("Of two runs there is only one pair." if few else None)

    def why_not_baseline(self) -> str | None:
        """Why no baseline can be chosen."""
        each = "Each is compared with each; p compares all with one baseline."
        return self.why_not_any() or (each if self.request.all_pairs else None)

    def why_not_force(self) -> str | None:
        """Why there is nothing to force."""
        made = self.comparison
        blocked = made is not None and any(pair.guard.blocked for pair in made.pairs)
        return self.why_not_any() or (
            None if blocked else "No metric is blocked: their versions are the same."
        )

    def word_treat(self) -> str:
        """What its key does now."""
        return f"errors {'left out' if self.request.errors == ZERO else 'as zero'}"

    def do_pairs(self) -> None:
        self._turn_to(PAIRS)

    def do_flips(self) -> None:
        self._turn_to(FLIPS)

    def do_tags(self) -> None:
        self._turn_to(TAGS)

    def do_figures(self) -> None:
        self._turn_to(FIGURES)

    def do_config(self) -> None:
        self._turn_to(CONFIG)

    def do_errors(self) -> None:
        self._turn_to(ERRORS)

    def do_show(self) -> None:
        names = list(SHOWS)
        self._show = names[(names.index(self._show) + 1) % len(names)]
        self._draw_pages()
        self._ask_rows()

    def do_filter(self) -> None:
        self.filter_bar.open()

    def do_metric(self) -> None:
        comparison = self.comparison
        assert comparison is not None
        names = (
            comparison.metrics
            if self.page == PAIRS or self.pair is None
            else [m.metric for m in self.pair.metrics]
        )
        now = self.metric if self.page == PAIRS else self._metric_here()
        if names:
            self.metric = names[(names.index(now) + 1) % len(names)] if now in names else names[0]
            self._list_pairs()
            self._ask_flips()

    def do_next_pair(self) -> None:
        self._to_pair(1)

    def do_previous_pair(self) -> None:
        self._to_pair(-1)

    def _to_pair(self, step: int) -> None:
        comparison = self.comparison
        assert comparison is not None
        self.pairs_table.go_to((self._place + step) % len(comparison.pairs))
        self._look_at((self._place + step) % len(comparison.pairs))
        if self.page in READ:
            self._show_page()

    def do_treat(self) -> None:
        self._compare(replace(self.request, errors=self.request.other_errors))

    def do_all_pairs(self) -> None:
        self._compare(replace(self.request, all_pairs=not self.request.all_pairs))

    def do_force(self) -> None:
        self._compare(replace(self.request, force=not self.request.force))

    def do_baseline(self) -> None:
        from themis_tui.screens.compare_menus import BaselineMenu

        assert self.made is not None
        names = [self.labels[address] for address in self.made.addresses]

        def chosen(place: int | None) -> None:
            if place is not None and place != self.request.baseline:
                self._compare(replace(self.request, baseline=place))

        self.app.push_screen(BaselineMenu(names, self.request.baseline), chosen)

    def do_export(self) -> None:
        from themis_tui.screens.compare_menus import ExportMenu

        made = self.made
        assert made is not None

        def chosen(ending: str | None) -> None:
            if ending is not None:
                self.ask("export", lambda: free_path(made, ending), self._export)

        self.app.push_screen(ExportMenu(), chosen)

    def _export(self, path: str) -> None:
        """Have it written by a process of its own: of very many samples that takes long."""
        app = self.app
        if self.made is None:
            return

        def ended(work: Beside) -> None:
            try:
                tell(app, export_ended(work, path))
            except RunError as exc:
                tell(app, exc, bad=True)

        self.work_beside("writing a comparison", export_arguments(self.made, path), ended)
        tell(app, f"Writing {path}")

    def do_copy_command(self) -> None:
        assert self.made is not None
        self.send_to_clipboard(command(self.made), "Command")

    def do_reload(self) -> None:
        self._compare(again=True)

    def do_back(self) -> None:
        if self.made is None:
            super().do_back()
        elif self.page not in (FLIPS, PAIRS):
            self._turn_to(FLIPS)
        elif self.page == FLIPS and self.filter_bar.words:
            self.filter_bar.clear()
        elif self.page == FLIPS and self._tag is not None:
            self._tag = None
            self._ask_rows()
        elif self.page == FLIPS and self.many:
            self._turn_to(PAIRS)
        else:
            super().do_back()


def _runs(pair: PairComparison) -> tuple[str, str]:
    return pair.baseline, pair.candidate


def _name(label: str) -> str:
    return label if len(label) <= MOST_NAME else f"{label[: MOST_NAME - 8]}…{label[-7:]}"
