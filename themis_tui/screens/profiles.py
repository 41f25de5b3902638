"""The profiles of the user: listed, tried, changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from themis.core.check_step import CheckStep
from themis.core.options import redacted
from themis.profiles import load_profiles, profiles_path
from themis.runs import profiles
from themis.runs.profiles import ProfileRow
from themis_tui import figures
from themis_tui.actions import bindings
from themis_tui.glyphs import BACK, RULE
from themis_tui.screens.base import WIDE, ThemisScreen
from themis_tui.screens.profile_line import Heading, Line, Trial, columns, grouped, health, swatch_style, told
from themis_tui.text import block, cut_middle, line, lines, plain, spread, tell
from themis_tui.widgets.key_line import KeyLine
from themis_tui.widgets.table import Table

LONG_AGO_S = 60.0


@dataclass(frozen=True)
class Look:
    """What the file says."""

    rows: list[ProfileRow]
    defaults: dict[str, str]
    problems: dict[str, str]
    """Beside those of profiles."""
    path: Path


def look() -> Look:
    """Read the file; not on the loop."""
    said = load_profiles()
    return Look(
        profiles.list_profiles(said), said.defaults, profiles.problems_elsewhere(said), profiles_path()
    )


class ProfileTable(Table[Line]):
    """The cursor passes over headings."""

    def go_to(self, place: int) -> None:
        rows = self.rows.shown
        if not rows:
            return super().go_to(0)  # the file has not been read yet
        place = min(max(0, place), max(0, len(rows) - 1))
        step = -1 if place < self.cursor else 1
        after = range(place, len(rows) if step > 0 else -1, step)
        back = range(place, -1 if step > 0 else len(rows), -step)
        for each in (*after, *back):
            if isinstance(rows[each], ProfileRow):
                super().go_to(each)
                if each == 1:
                    self.scroll_to(y=0, animate=False, immediate=True)  # its heading is worth seeing
                return None
        return super().go_to(0)

    def _style(self, tone: str, under: bool) -> Style:
        named = tone.removeprefix("colour ")
        if named == tone:
            return super()._style(tone, under)
        colour = swatch_style(named)
        base = super()._style("faint", under)
        return base if colour is None else base + Style(color=colour)


class ProfilesScreen(ThemisScreen):
    """The list at the left or above, what the profile under the cursor says beside it."""

    CSS_PATH = "profiles.tcss"
    PLACES = ("profiles",)
    TITLE_HELP = (
        "Names for storages, executors and endpoints of models. They stand in a file of yours, which you may "
        "edit by hand too; secrets are only referred to there."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("profiles")]

    table = getters.query_one("#profiles", ProfileTable)

    def __init__(self) -> None:
        super().__init__()
        self.look: Look | None = None
        self._begun: list[Trial] = []
        self._wanted: str | None = None
        """Place that the cursor goes to when the file has been read again."""

    @property
    def trials(self) -> dict[str, Trial]:
        """By place; they outlive this screen, and hold while their profiles say the same."""
        trials: dict[str, Trial] = getattr(self.app, "trials")  # noqa: B009 - the app's class imports the screens
        return trials

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(id="problem")
        with Container(id="body"):
            yield ProfileTable(columns(self.trials), _key, id="profiles")
            with Vertical(id="told"):
                yield Static(id="told-title")
                with VerticalScroll(id="told-scroll"):
                    yield Static(id="told-text")
        yield KeyLine()

    def on_mount(self) -> None:
        self._draw()
        self.set_focus(self.table)

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.do_reload()  # a form, another terminal or an editor may have changed the file

    def on_resize(self) -> None:
        self._draw()

    @property
    def row(self) -> ProfileRow | None:
        """The profile under the cursor."""
        row = self.table.row
        return row if isinstance(row, ProfileRow) else None

    # What is seen

    def _show(self, seen: Look) -> None:
        there = {row.place: row for row in seen.rows}
        for place, trial in list(self.trials.items()):
            if place not in there or _changed(trial.row, there[place]):
                del self.trials[place]  # it told of what is no more
        self.look = seen
        self.table.show(grouped(seen.rows, seen.defaults))
        if self._wanted is not None and self.table.go_to_key(self._wanted):
            self._wanted = None
        self._draw()

    @on(Table.CursorMoved)
    def _follow_cursor(self) -> None:
        self._draw_told()
        self.query_one("#told-scroll", VerticalScroll).scroll_home(animate=False)

    def _draw(self) -> None:
        seen, width = self.look, self.size.width - 2
        left = line((f"{BACK} ", "$accent"), ("profiles", "bold"))
        right = line()
        if seen is not None:
            wrong = len(seen.problems) + sum(row.problem is not None for row in seen.rows)
            said = f"{wrong} to mend" if wrong else ""
            room = width - left.cell_length - len(said) - 6
            path = cut_middle(plain(_from_home(seen.path)), room, 24) if room > 30 else ""
            right = line((said, "$bad"), "   " if said and path else "", (path, "$faint"))
        self.query_one("#head", Static).update(spread(left, right, width))
        problem = self.query_one("#problem", Static)
        problems = [] if seen is None else list(seen.problems.values())
        problem.display = bool(problems)
        problem.update(lines(block(redacted(each)[:2_000], "$bad") for each in problems[:3]))
        self.table.redraw_changed()
        self._draw_told()

    def _draw_told(self) -> None:
        row, aside = self.row, self.size.width >= WIDE
        width = max(20, self.query_one("#told-scroll").size.width - 3)
        title, text = self.query_one("#told-title", Static), self.query_one("#told-text", Static)
        self.query_one(KeyLine).renew()
        if row is None:
            title.update(line())
            text.update(lines(self._nothing()))
            return
        sign, tone, word = health(row, self.trials.get(row.place))
        since = self._since_trial(row)
        state = line((f"{sign} {word}", f"${tone}"), (f"  {since}" if since else "", "$faint"))
        head = spread(line((row.name, "bold")), state, width + 1)
        rule = line((RULE * max(1, self.size.width - 2), "$raised"))
        title.update(lines([head, line()] if aside else [rule, line(" ").append(head)]))
        text.update(lines(told(row, self.trials.get(row.place), width, tall=aside)))

    def _since_trial(self, row: ProfileRow) -> str:
        """How long ago it was tried, where that is long enough for things to have changed."""
        trial = self.trials.get(row.place)
        since = 0.0 if trial is None or row.problem is not None else self.clock() - trial.at
        return figures.ago(since) if since >= LONG_AGO_S else ""

    def _nothing(self) -> list[Content]:
        if self.look is None:
            return [line(("Reading …", "$dim"))]
        if "" in self.look.problems:
            return [line("Mend the file by hand, then ", ("r", "$accent"), " reads it again.")]
        return [
            line(("No profiles yet.", "bold")),
            line("A profile is a name for a storage, an executor or an endpoint of a model."),
            line("Press ", ("a", "$accent"), " to add the first."),
        ]

    # What can be done

    def why_not_edit(self) -> str | None:
        """Why there is nothing to change."""
        return None if self.row is not None else "There is no profile under the cursor; a adds one."

    def word_open(self) -> str:
        """What enter does here."""
        return "edit"

    why_not_open = why_not_edit

    def why_not_test(self) -> str | None:
        """Why it cannot be tried or taken as an example."""
        if self.row is not None and self.row.problem is not None:
            return f"It is broken: {redacted(self.row.problem)[:300]}"
        return self.why_not_edit()

    why_not_duplicate = why_not_test

    def word_default(self) -> str:
        """What its key does to this profile now."""
        return "no default" if self.row is not None and self.row.default else "default"

    def why_not_default(self) -> str | None:
        """Why it cannot be what is meant."""
        return self.why_not_edit() if self.row is not None and self.row.default else self.why_not_test()

    def why_not_remove(self) -> str | None:
        """Why it has to stay."""
        if self.row is not None and self.row.default:
            return f"{self.row.name} is the default; * makes it none, or another one."
        return self.why_not_edit()

    def do_reload(self) -> None:
        self.ask("look", look, self._show)

    @on(Table.Opened)
    def _open(self) -> None:
        self.action_do("edit")

    def do_add(self) -> None:
        from themis_tui.screens.kind_menu import KindMenu

        line_ = self.table.row
        self.app.push_screen(KindMenu("storage" if line_ is None else line_.kind), self._add)

    def _add(self, kind: str | None) -> None:
        if kind is not None:
            self._open_form(kind, None, new=True)

    def do_edit(self) -> None:
        if self.row is not None:
            self._open_form(self.row.kind, self.row, new=False)

    def do_duplicate(self) -> None:
        if self.row is not None:
            self._open_form(self.row.kind, self.row, new=True)

    def _open_form(self, kind: str, row: ProfileRow | None, *, new: bool) -> None:
        from themis_tui.screens.profile_form import ProfileFormScreen

        self.app.push_screen(ProfileFormScreen(kind, row, new=new, saved=self._saved))

    def _saved(self, row: ProfileRow) -> None:
        self._wanted = row.place
        tell(self.app, f"{row.place} is written.")
        self.do_reload()

    def do_test(self) -> None:
        row = self.row
        if row is None:
            return
        self.trials[row.place] = trial = Trial(row, self.clock())
        self._begun.append(trial)
        self._draw()
        kind, name = row.kind, row.name
        self.ask_each(
            f"test {row.place}", lambda: profiles.steps(kind, name), lambda step: self._stepped(trial, step)
        )

    def _stepped(self, trial: Trial, step: CheckStep | None) -> None:
        if step is None:
            trial.ended = True
        else:
            trial.steps.append(step)
            trial.ended = not step.ok
        self._draw()
        if self.row is not None and self.trials.get(self.row.place) is trial:
            below = self.query_one("#told-scroll", VerticalScroll)
            self.call_after_refresh(below.scroll_end, animate=False)

    def why_not_doctor(self) -> str | None:
        """Why there is no store to look through."""
        if self.row is not None and self.row.kind != "storage":
            return "Only a storage holds runs that can be looked through."
        return self.why_not_test()

    def do_doctor(self) -> None:
        if self.row is not None:
            self.check_store(self.row.name)

    def do_default(self) -> None:
        row = self.row
        if row is None:
            return
        name = None if row.default else row.name

        def work() -> None:
            profiles.set_default(row.kind, name)

        said = (
            f"{row.name} is the default now." if name is not None else f"{row.name} is no default any more."
        )
        self.ask("change", work, lambda _: self._done(said))

    def do_remove(self) -> None:
        from themis_tui.screens.dialogs import ConfirmDialog

        row = self.row
        if row is None:
            return
        facts = [row.place, "What it leads to stays as it is; only the name is forgotten."]
        dialog = ConfirmDialog("Remove this profile?", facts, "Remove")
        self.app.push_screen(dialog, lambda yes: self._remove(row) if yes else None)

    def _remove(self, row: ProfileRow) -> None:
        def work() -> None:
            profiles.remove(row.kind, row.name)

        self.ask("change", work, lambda _: self._done(f"{row.place} is removed."))

    def _done(self, said: str) -> None:
        tell(self.app, said)
        self.do_reload()

    def on_unmount(self) -> None:
        for trial in self._begun:
            if not trial.ended and self.trials.get(trial.row.place) is trial:
                del self.trials[trial.row.place]  # nobody hears the rest of it

    def failed(self, group: str, error: Exception) -> None:
        trial = self.trials.get(group.removeprefix("test "))
        if group.startswith("test ") and trial is not None:
            self._stepped(trial, CheckStep("open", False, 0.0, redacted(str(error) or type(error).__name__)))
        else:
            super().failed(group, error)


def _key(row: Line) -> str:
    return f"[{row.kind}]" if isinstance(row, Heading) else row.place


def _from_home(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _changed(before: ProfileRow, now: ProfileRow) -> bool:
    return (before.type, before.settings, before.readonly, before.problem) != (
        now.type,
        now.settings,
        now.readonly,
        now.problem,
    )
