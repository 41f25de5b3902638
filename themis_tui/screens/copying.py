"""Copying runs to another store: where to, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from textual import getters
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from themis.core.errors import RunError
from themis.core.options import redacted
from themis.runs import exit_codes
from themis.runs.copy import CopyTarget, copy_targets
from themis.runs.delete import DeletePreview, preview
from themis.runs.stores import wanted_stores
from themis_tui import figures
from themis_tui.beside import Beside, checked
from themis_tui.doors import Doors
from themis_tui.glyphs import DOT
from themis_tui.screens.dialog import Dialog
from themis_tui.text import line, lines, tell
from themis_tui.widgets.key_line import KeyLine

MOST_NAMED = 5
MOST_TOLD = 3
GO_ON = "The same copy again goes on with what is missing."


class Plan(NamedTuple):
    """What would be copied, and where it could go."""

    runs: list[DeletePreview]
    targets: list[CopyTarget]


def plan(doors: Doors, runs: Sequence[tuple[str | None, str]]) -> Plan:
    """Look at the runs and the profiles; off the loop only."""
    looked = [preview(doors.to(store).open(), run_id) for store, run_id in runs]
    return Plan(looked, copy_targets(wanted_stores(), {each.store for each in looked}))


class StoreList(OptionList):
    """Its key stands in the line of keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "copy there", tooltip="Copy into this store", id="copy.choose")
    ]


class CopyDialog(Dialog[str | None]):
    """One line for each store; those that cannot be written to say why."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "cancel", key_display="esc", tooltip="Copy nothing", id="copy.leave"),
        Binding("j", "cursor(1)", "down", show=False, id="copy.down"),
        Binding("k", "cursor(-1)", "up", show=False, id="copy.up"),
    ]
    CSS_PATH = "copying.tcss"

    options = getters.query_one(OptionList)

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def compose(self) -> ComposeResult:
        many = "this run" if len(self._plan.runs) == 1 else f"{len(self._plan.runs)} runs"
        with Vertical(id="dialog"):
            yield Static(line((f"Copy {many} to", "bold")), id="dialog-title")
            yield StoreList(compact=True)
            yield Static(line("No other store can be written to; a profile names one."), id="dialog-none")
            with VerticalScroll(id="dialog-facts", can_focus=False):
                yield Static(lines(copy_facts(self._plan.runs)))
            yield KeyLine()

    def on_mount(self) -> None:
        wide = max((len(redacted(each.name)) for each in self._plan.targets), default=0)
        for target in self._plan.targets:
            self.options.add_option(Option(_line(target, min(24, wide)), disabled=target.why_not is not None))
        possible = [place for place, each in enumerate(self._plan.targets) if each.why_not is None]
        self.query_one("#dialog-none").display = not possible
        self.options.highlighted = possible[0] if possible else None
        self.options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._leave(self._plan.targets[event.option_index].name)

    def action_cursor(self, step: int) -> None:
        if step > 0:
            self.options.action_cursor_down()
        else:
            self.options.action_cursor_up()

    def action_leave(self) -> None:
        self._leave(None)

    def _leave(self, answer: str | None) -> None:
        if self.is_active:
            self.dismiss(answer)


def copy_facts(runs: Sequence[DeletePreview]) -> list[Content]:
    """How much it is, and what will not be copied."""
    records = sum(each.records or 0 for each in runs)
    size = sum(each.bytes or 0 for each in runs)
    total = [f"{len(runs)} run{'' if len(runs) == 1 else 's'}"]
    total.append(f"{figures.count(records)} outcome{'' if records == 1 else 's'}")
    total += [figures.size(size)] if size else []
    facts = [line((f" {DOT} ".join(total), "$foreground"))]
    for each in runs[:MOST_NAMED]:
        kept = (f"   {each.status}: not copied while it is", "$bad") if each.live else ""
        facts.append(line((f"{redacted(each.store)}:{each.run_id}", "$dim"), kept))
    if len(runs) > MOST_NAMED:
        live = sum(each.live for each in runs[MOST_NAMED:])
        said = f", {live} of them live and not copied" if live else ""
        facts.append(line((f"and {len(runs) - MOST_NAMED} more{said}", "$dim")))
    return [*facts, line(("Each is read back and compared before it counts as whole.", "$dim"))]


def copy_arguments(runs: Sequence[DeletePreview], target: str) -> list[str]:
    """What ``themis`` is asked."""
    addresses = [f"{each.store}:{each.run_id}" for each in runs]
    return ["runs", "copy", f"--to={target}", "--progress=json", "--json", "--", *addresses]


def copy_ended(app: App[Any], target: str, work: Beside) -> None:
    """Say what became of it."""
    name = redacted(target)
    try:
        answer = checked(work)
    except RunError as exc:
        # What was asked in vain would be so again.
        go_on = "" if work.code == exit_codes.USAGE else f"\n{GO_ON}"
        tell(app, f"The copy to {name} failed: {redacted(str(exc))[:400]}{go_on}", bad=True)
        return
    copied, refused = answer.get("copied") or [], answer.get("refused") or {}
    if copied:
        many = "1 run" if len(copied) == 1 else f"{len(copied)} runs"
        tell(app, f"{many} copied to {name}, read back and found the same.")
    for address, why in list(refused.items())[:MOST_TOLD]:
        tell(app, f"{redacted(address)} was not copied: {redacted(str(why))[:400]}", bad=True)
    if len(refused) > MOST_TOLD:
        tell(app, f"And {len(refused) - MOST_TOLD} more were not copied.", bad=True)


def _line(target: CopyTarget, wide: int) -> Content:
    name = f"{redacted(target.name):<{wide}}"
    if target.why_not is None:
        return line(name)
    return line((name, "$faint"), (f"   {target.why_not[:200]}", "$faint"))
