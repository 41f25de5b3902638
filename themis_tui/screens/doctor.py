"""What is wrong with a store and its runs, or with this installation, and what mends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from themis.core.errors import RunError
from themis.core.options import redacted
from themis.runs.installation import Check, examine
from themis_tui import figures
from themis_tui.actions import bindings
from themis_tui.beside import Beside, checked
from themis_tui.glyphs import BACK
from themis_tui.screens.base import ThemisScreen
from themis_tui.text import line, spread, tell
from themis_tui.widgets.key_line import KeyLine
from themis_tui.widgets.reader import Passage, Reader

MOST_RUNS = 200
"""Runs whose findings are shown."""
MOST_SAID = 600
"""Characters of one finding."""
PROBLEM = "problem"

Answer = Mapping[str, Any]
"""What ``themis runs doctor --json`` prints."""


class DoctorScreen(ThemisScreen):
    """Findings, one below the other."""

    PLACES = ("doctor",)
    TITLE_HELP = "What is wrong, and what mends it. Nothing that was answered is ever removed or rewritten."
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("doctor")]
    DEFAULT_CSS = "DoctorScreen > #head { height: 1; padding: 0 1; margin-bottom: 1; }"

    reader = getters.query_one(Reader)

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Reader()
        yield KeyLine()

    def on_mount(self) -> None:
        self.reader.focus()
        self.do_reload()

    def on_resize(self) -> None:
        self.draw_head()

    def draw_head(self) -> None:
        """The first line: what is looked at, and how it stands."""
        said, tone = self.state()
        left = line((f"{BACK} ", "$accent"), (self.about(), "bold"))
        self.query_one("#head", Static).update(spread(left, line((said, tone)), self.size.width - 2))
        self.query_one(KeyLine).renew()

    def about(self) -> str:
        """What is looked at."""
        raise NotImplementedError

    def state(self) -> tuple[str, str]:
        """How it stands, and the style of that."""
        raise NotImplementedError

    def do_reload(self) -> None:
        """Look through all of it again."""
        raise NotImplementedError

    def why_not_mend(self) -> str | None:
        """Why there is nothing to mend by a key."""
        return "Nothing here is mended by a key; each line says what mends it."

    def do_mend(self) -> None:
        """Mend what is safe to mend."""


class StoreDoctorScreen(DoctorScreen):
    """One store and every run in it, looked through by ``themis runs doctor``."""

    def __init__(self, storage: str | None) -> None:
        super().__init__()
        self._storage = storage
        self.answer: Answer | None = None
        self.work: Beside | None = None

    def about(self) -> str:
        return f"check of {redacted(self._storage) if self._storage else 'the default store'}"

    def state(self) -> tuple[str, str]:
        if self.work is not None:
            done, total = self.work.progress.get("done"), self.work.progress.get("total")
            known = isinstance(done, int) and isinstance(total, int)
            return ("looking through" + (f" {done:,} of {total:,}" if known else " …"), "$running")
        if self.answer is None:
            return "", "$dim"
        wrong = sum(each.get("level") == PROBLEM for each in findings(self.answer))
        mended = sum(each.get("failed") is None for each in self.answer.get("mended") or [])
        if wrong - mended > 0:
            return f"{wrong - mended} to mend", "$bad"
        return ("all mended" if mended else "all in order"), "$running"

    def do_reload(self) -> None:
        self._examine(fix=False)

    def _examine(self, *, fix: bool) -> None:
        if self.work is not None:
            return
        store = [] if self._storage is None else [f"--storage={self._storage}"]
        arguments = ["runs", "doctor", *store, "--progress=json", "--json", *(["--fix"] if fix else [])]
        what = f"{'mending' if fix else 'checking'} {redacted(self._storage or 'the default store')}"
        app = self.app

        def ended(work: Beside) -> None:
            if self in app.screen_stack:
                self._ended(work)
            elif fix:
                mended = sum(each.get("failed") is None for each in work.answer.get("mended") or [])
                tell(app, f"{what}: {mended} mended." if work.answer else f"{what} failed: {work.problem}")

        self.work = self.work_beside(what, arguments, ended)
        self.draw_head()

    def show_works(self, works: Sequence[Beside]) -> None:
        if self.work is not None:
            self.draw_head()

    def _ended(self, work: Beside) -> None:
        self.work = None
        try:
            self.answer = checked(work)
            self.reader.show(store_passages(self.answer))
        except RunError as exc:
            self.reader.show([Passage(redacted(str(exc)), "it could not be looked at", tone="bad")])
        self.draw_head()

    def why_not_mend(self) -> str | None:
        if self.work is not None:
            return "It is still being looked through."
        if self.answer is None or not can_mend(self.answer):
            return super().why_not_mend()
        return None

    def do_mend(self) -> None:
        from themis_tui.screens.dialogs import ConfirmDialog

        assert self.answer is not None
        safe = can_mend(self.answer)
        many = "this" if len(safe) == 1 else f"these {len(safe)}"
        facts = [f"{each.get('said')}: {each.get('mend')}"[:300] for each in safe[:8]]
        facts += [f"and {len(safe) - 8} more"] if len(safe) > 8 else []
        dialog = ConfirmDialog(f"Mend {many}?", facts, "Mend")
        self.app.push_screen(dialog, lambda yes: self._examine(fix=True) if yes else None)


class InstallationScreen(DoctorScreen):
    """Versions, extras, paths, terminal, profiles and stores, as ``themis doctor`` looks at them."""

    def __init__(self) -> None:
        super().__init__()
        self.checks: list[Check] = []
        self.ended = False

    def about(self) -> str:
        return "check of this installation"

    def state(self) -> tuple[str, str]:
        wrong = sum(check.ok is False for check in self.checks)
        if wrong:
            return f"{wrong} to mend", "$bad"
        return ("all in order", "$running") if self.ended else ("looking …", "$running")

    def do_reload(self) -> None:
        self.checks, self.ended = [], False
        self.ask_each("installation", examine, self._found)
        self.draw_head()

    def _found(self, check: Check | None) -> None:
        if check is None:
            self.ended = True
            self.reader.show([*wrong_passages(self.checks), *installation_passages(self.checks)])
        else:
            self.checks.append(check)
            self.reader.show(installation_passages(self.checks), keep_place=True)
        self.draw_head()


def findings(answer: Answer) -> list[dict[str, Any]]:
    """All that was found, of the store and of its runs."""
    parts = [*(answer.get("stores") or []), *(answer.get("runs") or [])]
    return [each for part in parts for each in part.get("findings") or []]


def can_mend(answer: Answer) -> list[dict[str, Any]]:
    """What ``--fix`` would mend, or would have mended."""
    return [] if answer.get("mended") else [each for each in findings(answer) if each.get("can_fix")]


def store_passages(answer: Answer) -> Iterator[Passage]:
    """A store and those of its runs of which there is something to say."""
    runs = answer.get("runs") or []
    wrong = [each for each in runs if each.get("findings")]
    mended = {(each.get("kind"), each.get("said")): each.get("failed") for each in answer.get("mended") or []}
    for store in answer.get("stores") or []:
        count = store.get("runs") or 0
        fine = len(runs) - len(wrong)
        said = f"{figures.count(count)} run{'' if count == 1 else 's'}, {figures.count(fine)} in order"
        yield Passage(said, str(store.get("store")))
        yield from _found(store.get("findings") or [], mended)
    for run in wrong[:MOST_RUNS]:
        counts = run.get("counts") or {}
        said = ", ".join(f"{figures.count(count)} {name}" for name, count in counts.items() if count)
        yield Passage(said, str(run.get("address")), str(run.get("status")), tone="dim")
        yield from _found(run["findings"], mended)
    if len(wrong) > MOST_RUNS:
        yield Passage(f"and {len(wrong) - MOST_RUNS} more runs; themis runs doctor names them all.")


def _found(found: Iterable[Mapping[str, Any]], mended: Mapping[tuple[Any, Any], Any]) -> Iterator[Passage]:
    for each in found:
        problem, key = each.get("level") == PROBLEM, (each.get("kind"), each.get("said"))
        sign = "✗" if problem and mended.get(key, "") is not None else "·"
        yield Passage(f"  {sign} {str(each.get('said'))[:MOST_SAID]}", tone="bad" if sign == "✗" else "plain")
        if key not in mended:
            by_key = "   (f mends it)" if each.get("can_fix") else ""
            yield Passage(f"    → {str(each.get('mend'))[:MOST_SAID]}{by_key}", tone="dim")
        elif mended[key] is None:
            yield Passage("    ✓ mended", tone="running")
        else:
            yield Passage(f"    could not be mended: {str(mended[key])[:MOST_SAID]}", tone="bad")


def wrong_passages(checks: Sequence[Check]) -> Iterator[Passage]:
    """What is wrong, which may stand far below what is not."""
    for number, check in enumerate(each for each in checks if each.ok is False):
        said = f"  ✗ {check.group} {check.name[:60]}: {redacted(check.said)[:MOST_SAID]}"
        yield Passage(said, "to mend" if number == 0 else "", tone="bad", indent=4)
        if check.mend:
            yield Passage(f"    → {redacted(check.mend)[:MOST_SAID]}", tone="dim", indent=6)


def installation_passages(checks: Sequence[Check]) -> Iterator[Passage]:
    """One passage for each group of facts; what is wrong stands out."""
    group = ""
    for check in checks:
        sign = {True: "✓", False: "✗", None: " "}[check.ok]
        said = f"  {sign} {check.name[:60]:<14} {redacted(check.said)[:MOST_SAID]}"
        heading = check.group if check.group != group else ""
        group = check.group
        yield Passage(said, heading, tone="bad" if check.ok is False else "plain")
        if check.mend:
            yield Passage(f"    {'':<14} → {redacted(check.mend)[:MOST_SAID]}", tone="dim")
