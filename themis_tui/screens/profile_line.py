"""How a profile is drawn: as a line of the list, and with all it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.cells import cell_len
from textual.color import Color, ColorParseError
from textual.content import Content

from themis.core.check_step import CheckStep
from themis.core.options import redacted
from themis.runs.profiles import ProfileRow
from themis_tui import figures
from themis_tui.glyphs import STATUS, SWATCH, VERDICT
from themis_tui.text import block, line, plain
from themis_tui.widgets.columns import Cell, Column, cell

TITLES = {"storage": "Storages", "executor": "Executors", "endpoint": "Models"}
NOUNS = {"storage": "storage", "executor": "executor", "endpoint": "model endpoint"}
FLAGS = ("default", "protected", "readonly")
_BUILT_IN = {"storage": "local", "executor": "by model", "endpoint": ""}
_WORKS = {"storage": "reachable", "executor": "works", "endpoint": "answers"}
_TELLING = ("root", "base_url", "bucket", "service", "address", "max_workers", "max_concurrent")
"""Settings by which people know a profile: the first that it has is shown in the list."""


@dataclass(frozen=True)
class Heading:
    """A line of the list that is no profile: what follows is of this kind."""

    kind: str
    default: str | None
    """What is meant where none is named, if that is no profile."""


@dataclass
class Trial:
    """What trying a profile has shown so far."""

    row: ProfileRow
    """As it was tried."""
    at: float
    """When it was begun."""
    steps: list[CheckStep] = field(default_factory=list)
    ended: bool = False

    @property
    def failed(self) -> bool:
        """Whether it has come to a step that went wrong."""
        return any(not step.ok for step in self.steps)


Line = Heading | ProfileRow


def grouped(rows: Iterable[ProfileRow], defaults: dict[str, str]) -> list[Line]:
    """Profiles below the headings of their kinds."""
    found = list(rows)
    made: list[Line] = []
    for kind in TITLES:
        of_kind = [row for row in found if row.kind == kind]
        other = None if any(row.default for row in of_kind) else defaults.get(kind, _BUILT_IN[kind])
        made += [Heading(kind, other), *of_kind]
    return made


def columns(trials: dict[str, Trial]) -> list[Column[Line]]:
    """Of the list. ``trials``: by place, as they are when it is drawn."""
    return [
        Column("NAME", lambda row: _name(row, trials), 14, grow=True, most=40),
        Column("TYPE", _type, 6, grow=True, most=14, rank=2),
        Column("IS", _words, 9, grow=True, most=30, rank=1),
        Column("SETTING", _telling, 12, grow=True, most=60, rank=3),
    ]


def _name(row: Line, trials: dict[str, Trial]) -> Cell:
    if isinstance(row, Heading):
        return cell(TITLES[row.kind], "accent")
    sign, tone = health(row, trials.get(row.place))[:2]
    swatch = ((f"{SWATCH} ", f"colour {row.colour}"),) if row.colour else ()
    return ((f"{sign} ", tone), *swatch, (row.name, "bad" if row.problem else "plain"))


def _type(row: Line) -> Cell:
    return cell("" if isinstance(row, Heading) else _type_of(row), "dim")


def _words(row: Line) -> Cell:
    if isinstance(row, Heading):
        return cell(f"default {row.default}" if row.default else "", "faint")
    if row.problem is not None:
        return cell("broken", "bad")
    return cell(" ".join(word for word in FLAGS if getattr(row, word)), "running")


def _telling(row: Line) -> Cell:
    if isinstance(row, Heading):
        return ()
    for name in _TELLING:
        if name in row.settings:
            value = row.settings[name]
            return cell(shown(value) if isinstance(value, str) else f"{name} {shown(value)}", "faint")
    return ()


def health(row: ProfileRow, trial: Trial | None) -> tuple[str, str, str]:
    """Sign, tone and word for whether a profile works."""
    if row.problem is not None:
        return VERDICT["error"], "bad", "broken"
    if trial is None:
        return STATUS["queued"], "faint", "not tried"
    if trial.failed:
        return VERDICT["wrong"], "bad", f"{trial.steps[-1].name} failed"
    if not trial.ended:
        return STATUS["stalled"], "running", "trying …"
    return STATUS["running"], "running", _WORKS[row.kind]


def shown(value: Any) -> str:
    """A setting as the file has it."""
    return str(value).lower() if isinstance(value, bool) else redacted(str(value))


def swatch_style(colour: str) -> str | None:
    """A style for a colour that a profile names, if it is one that screens know."""
    try:
        return None if colour in ("auto", "transparent") else Color.parse(colour).hex6
    except ColorParseError:
        return None


# With all it says


def told(row: ProfileRow, trial: Trial | None, width: int, *, tall: bool) -> Iterator[Content]:
    """Its settings, then the steps of trying it. ``tall``: a line for each step."""
    if row.problem is not None:
        yield block(redacted(row.problem)[:4_000], "$bad")
        yield line()
        yield line(("e", "$accent"), " mends it here; ", ("r", "$accent"), " reads the file again.")
        return
    settings = list(_settings(row))
    wide = max((min(cell_len(plain(name)), 20) for name, _ in settings), default=0) + 3
    for name, value in settings:
        said = line((f"{plain(name, 20):<{wide}}", "$faint"), value)
        # Where there is little room the steps need it more than the end of a long value.
        yield said if tall or trial is None else said.truncate(width, ellipsis=True)
    flags = ", ".join(word for word in FLAGS if getattr(row, word))
    if row.colour:
        style = swatch_style(row.colour) or "$faint"
        colour = line((f"{SWATCH} ", style), row.colour)
        yield line((f"{'is':<{wide}}", "$faint"), flags + ("   " if flags else "")).append(colour)
    elif flags:
        yield line((f"{'is':<{wide}}", "$faint"), flags)
    if trial is None:
        return
    yield line()
    yield from _steps_below(trial, width) if tall else _steps_along(trial, width)
    failed = [step for step in trial.steps if not step.ok]
    if failed and not tall:
        yield block(failed[0].message[:4_000], "$bad")


def _settings(row: ProfileRow) -> Iterator[tuple[str, str]]:
    if row.kind != "endpoint":
        yield "type", row.type
    for name, value in row.settings.items():
        yield name, shown(value)


def step_parts(step: CheckStep) -> tuple[str, str, str]:
    """What it is, with its sign; how long it took; its tone."""
    sign, tone = (VERDICT["right"], "$running") if step.ok else (VERDICT["wrong"], "$bad")
    return f"{sign} {step.name}", figures.seconds(step.seconds), tone


def _steps_below(trial: Trial, width: int) -> Iterator[Content]:
    for step in trial.steps:
        name, took, tone = step_parts(step)
        if step.ok:
            said = line(
                (name[:2], tone), f"{step.name:<11}", (f"{took:>6}   ", "$dim"), (step.message, "$dim")
            )
            yield said.truncate(width, ellipsis=True)
        else:
            yield line((f"{name:<13}", tone), (f"{took:>6}", "$dim"))
            yield block(step.message[:4_000], "$bad")
    if not trial.ended:
        yield line(("  trying …", "$running"))


def _steps_along(trial: Trial, width: int) -> Iterator[Content]:
    row: list[Content] = []
    used = 0
    for step in trial.steps:
        name, took, tone = step_parts(step)
        piece = line((name[:2], tone), (name[2:], "" if step.ok else tone), (f" {took}   ", "$dim"))
        if used and used + piece.cell_length > width:
            yield _joined(row)
            row, used = [], 0
        row.append(piece)
        used += piece.cell_length
    if not trial.ended:
        row.append(line(("trying …", "$running")))
    yield _joined(row)


def _joined(pieces: Sequence[Content]) -> Content:
    return Content("").join(pieces)


def _type_of(row: ProfileRow) -> str:
    return row.type if row.kind != "endpoint" or row.problem is not None else ""
