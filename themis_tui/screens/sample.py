"""One sample whole."""

from __future__ import annotations

import json
import os
from typing import ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import RunNotFound
from themis.core.safe_text import safe_line
from themis.runs.samples import SampleRow, Whole, whole_samples
from themis_tui import figures
from themis_tui.actions import bindings
from themis_tui.glyphs import BACK, DOT, VERDICT
from themis_tui.screens.base import MOST_COPIED, ThemisScreen
from themis_tui.screens.sample_line import TONES, next_wrong, passages, raw
from themis_tui.text import Part, line, spread, tell
from themis_tui.widgets.key_line import KeyLine
from themis_tui.widgets.reader import Passage, Reader

NEIGHBOURS = 10
"""Samples to either side that are read with the one that is shown."""

Records = tuple[GenerationRecord | None, EvaluationRecord | None]


class SampleScreen(ThemisScreen):
    """Prompt, response, reference, scores; the neighbours are a key away."""

    CSS_PATH = "sample.tcss"
    PLACES = ("sample",)
    TITLE_HELP = "One sample whole. Control characters in texts are shown as signs, not obeyed."
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("sample")]

    reader = getters.query_one(Reader)

    def __init__(self, storage: str | None, run_id: str, rows: list[SampleRow], sample_id: str) -> None:
        super().__init__()
        self.storage = storage
        self.run_id = run_id
        self.rows = rows
        self.place = next((n for n, row in enumerate(rows) if row.id == sample_id), 0)
        self.raw = False
        self._records: Records = (None, None)
        self._kept: dict[str, Whole] = {}

    @property
    def row(self) -> SampleRow:
        """The sample that is shown."""
        return self.rows[self.place]

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Reader()
        yield KeyLine()

    def on_mount(self) -> None:
        self.reader.focus()
        self._load()

    def on_resize(self) -> None:
        self._draw_head()

    def _load(self) -> None:
        self._draw_head()
        if self.row.id in self._kept:
            self._show(self._kept)
            return
        door, run_id = self.doors.to(self.storage), self.run_id
        # The neighbours come along: the next key asks for one of them.
        rows = self.rows[max(0, self.place - NEIGHBOURS) : self.place + NEIGHBOURS + 1]
        ids = [row.id for row in rows]
        self.ask("sample", lambda: whole_samples(door.open().backend, run_id, ids), self._show)

    def _show(self, kept: dict[str, Whole]) -> None:
        self._kept = kept
        self._records = kept.get(self.row.id, (None, None))
        self._draw()

    def failed(self, group: str, error: Exception) -> None:
        if group == "sample":
            self.reader.show([Passage(str(error), "cannot be read", tone="bad")])
        else:
            super().failed(group, error)

    def _draw(self) -> None:
        generation, evaluation = self._records
        if generation is None:
            self.failed("sample", RunNotFound("The store no longer has this sample."))
            return
        self.reader.show((raw if self.raw else passages)(generation, evaluation))

    def _draw_head(self) -> None:
        row = self.row
        left: list[Part] = [(f"{BACK} ", "$accent"), (row.id, "bold")]
        left.append((f"   {figures.count(self.place + 1)} of {figures.count(len(self.rows))}", "$dim"))
        if row.epoch > 1:
            left.append((f" {DOT} epoch {row.epoch}", "$dim"))
        if self.raw:
            left.append(("   raw", "$accent"))
        tone = TONES[row.verdict]
        style = "$foreground" if tone == "plain" else f"${tone}"
        score = "" if row.score is None else f"   score {row.score:g}"
        right = line((f"{VERDICT[row.verdict]} {row.verdict}", style), (score, "$dim"))
        self.query_one("#head", Static).update(spread(line(*left), right, self.size.width - 2))

    # What can be done

    def action_next(self, step: int) -> None:
        """Go to a neighbour."""
        place = self.place + step
        if 0 <= place < len(self.rows):
            self.place = place
            self._load()
        else:
            tell(self.app, "This is the last sample." if step > 0 else "This is the first sample.")

    def do_next_wrong(self) -> None:
        self._to_wrong(1)

    def do_previous_wrong(self) -> None:
        self._to_wrong(-1)

    def _to_wrong(self, step: int) -> None:
        place = next_wrong(self.rows, self.place, step)
        if place is None:
            tell(self.app, "No other wrong sample in this list.")
        else:
            self.place = place
            self._load()

    def do_raw(self) -> None:
        self.raw = not self.raw
        self._draw_head()
        self._draw()

    def do_copy_id(self) -> None:
        self.send_to_clipboard(safe_line(self.row.id, MOST_COPIED), "Id")

    def do_write(self) -> None:
        generation, evaluation = self._records
        if generation is None:
            return
        path = os.path.abspath(f"{self.run_id}-sample-{self.place + 1}.json")
        documents = {
            "generation": generation.__dict__,
            "evaluation": None if evaluation is None else evaluation.__dict__,
        }

        def work() -> str:
            with open(path, "x", encoding="ascii") as file:
                json.dump(documents, file, indent=2)
            return path

        self.ask("write", work, lambda written: tell(self.app, f"Written to {written}"))
