"""How a run reads as a line of the list, and as a few lines below it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from textual.content import Content

from themis.core.options import redacted
from themis.runs.row import RunRow
from themis_tui import figures
from themis_tui.glyphs import DOT, PIN, STATUS
from themis_tui.text import Part, cut_middle, line, lines, plain
from themis_tui.widgets.columns import Cell, Column, cell
from themis_tui.words import (
    MOST_LINES,
    MOST_NOTES,
    also_said,
    notes_said,
    tags_said,
    trash_said,
    trashed_at,
)

TONES = {
    "running": "running",
    "queued": "running",
    "stalled": "accent",
    "no signal": "accent",
    "paused": "accent",
    "completed": "plain",
    "failed": "bad",
    "crashed": "bad",
    "cancelled": "dim",
}
SEP = f" {DOT} "
MOST_NAME, MOST_ID = 30, 34
"""Cells of a name and an id that stand on one line."""
_MADE_ID = re.compile(r"\d{4}(\d{4})-(\d{4})\d{2}-.+-([a-z0-9]{4})")
"""Year, day, hour, second, benchmark, model, chance: see ``make_run_id``."""


Also = Callable[[RunRow], Sequence[str]]
"""The stores that have the same run too."""


def columns(
    clock: Callable[[], float], *, stores: bool = False, also: Also = lambda _: ()
) -> list[Column[RunRow]]:
    """The columns of the list; the last to find room are the first to go.

    ``stores``: whether runs of several stores are in it, so that each says of which it is, and how many
    others have it ``also``.
    """
    of_store: list[Column[RunRow]] = []
    if stores:
        of_store = [
            Column("STORE", partial(_store, also=also), 8, grow=True, most=16, rank=1, order=_store_key)
        ]
    return [
        Column("STATUS", _status, 11, order=lambda row: row.status.word, brief=_sign),
        Column("RUN", _name, 14, grow=True, most=48, tail=True, order=_name_key),
        *of_store,
        Column("BENCHMARK", _benchmark, 10, grow=True, most=20, rank=3, order=_benchmark_key),
        Column("MODEL", _model, 13, grow=True, most=34, rank=2, order=_model_key),
        Column("N", _counted, 9, right=True, grow=True, most=9, rank=1, order=_done_key, down=True),
        Column("SCORE", _score, 10, right=True, order=lambda row: row.score, down=True),
        Column(
            "ERR", _errors, 4, right=True, rank=4 if stores else 1, order=lambda row: row.errors, down=True
        ),
        Column("TOKENS", _tokens, 7, right=True, rank=6, order=lambda row: row.tokens, down=True),
        Column("TOOK", _took, 7, right=True, rank=5, order=lambda row: row.duration_s, down=True),
        Column("TAGS", _tags, 12, grow=True, most=24, rank=7, order=_tags_key),
        Column("AGE", lambda row: cell(_age(row, clock()), "dim"), 4, right=True, order=_age_key),
    ]


def run_name(row: RunRow) -> str:
    """The name a person gave, else the id."""
    return row.name or row.run_id


def short_name(row: RunRow) -> str:
    """The name a person gave, else what tells a made id from others; benchmark and model stand beside it."""
    return row.name or short_id(row.run_id)


def short_id(run_id: str) -> str:
    """What tells a made id from others; another one whole."""
    made = _MADE_ID.fullmatch(run_id)
    return f"{made[1]}-{made[2]}-{made[3]}" if made is not None else run_id


def tone_of(word: str) -> str:
    """The tone of a status word."""
    return TONES.get(word, "dim")


def status_part(word: str) -> Part:
    """Sign and word, in the status's colour."""
    tone = tone_of(word)
    return f"{STATUS.get(word, '?')} {word}", "$foreground" if tone == "plain" else f"${tone}"


def preview(row: RunRow, now: float, width: int, *, store: bool = False, also: Sequence[str] = ()) -> Content:
    """What is known of one run, in four lines. ``store``: also where it is; ``also``: who else has it."""
    first: list[Part] = [(run_name(row), "bold $foreground")]
    if row.name:
        first = [
            (line(row.name).truncate(MOST_NAME, ellipsis=True).plain, "bold $foreground"),
            (f"  {cut_middle(plain(row.run_id), MOST_ID)}", "$dim"),
        ]
    if row.pinned:
        first.insert(0, (f"{PIN} ", "$accent"))
    if store:
        first.append((f"  {redacted(row.store)}", "$dim"))
    first += ["  ", status_part(row.status.word)]
    if row.status.reason:
        first += [(f"  {row.status.reason}", f"${tone_of(row.status.word)}")]
    first.append((f"{SEP}{_ago(row, now)}", "$dim"))
    second: list[Part] = [(row.benchmark or "?", "$foreground"), SEP, (row.model or "?", "$foreground")]
    second += [SEP, f"{figures.done_of(row.done, row.total)} samples"]
    if row.errors:
        second += [SEP, (f"{figures.count(row.errors)} errors", "$bad")]
    if row.duration_s is not None:
        second += [SEP, f"took {figures.seconds(row.duration_s)}"]
    rows = [line(*first), line(*second), _scores(row), _notes(row, now, also)]
    return lines(each.truncate(width, ellipsis=True) for each in rows)


def preview_beside(
    row: RunRow, now: float, width: int, *, store: bool = False, also: Sequence[str] = ()
) -> Content:
    """The same in a column beside the list, and every metric."""
    pin: list[Part] = [(f"{PIN} ", "$accent")] if row.pinned else []
    rows = [line(*pin, (run_name(row), "bold $foreground"))]
    if row.name:
        rows.append(line((cut_middle(plain(row.run_id), width), "$dim")))
    rows.append(line(status_part(row.status.word)))
    if row.trashed:
        rows.append(line((trash_said(row.annotations, now), "$accent")))
    if row.status.reason:
        rows.append(line((row.status.reason, f"${tone_of(row.status.word)}")))
    rows.append(line())
    if store:
        rows.append(_fact("store", redacted(row.store)))
    if also:
        rows.append(_fact("also in", also_said(also)))
    rows += [_fact("benchmark", row.benchmark or "?"), _fact("model", row.model or "?")]
    rows.append(_fact("samples", figures.done_of(row.done, row.total)))
    rows.append(_fact("errors", figures.count(row.errors), "$bad" if row.errors else "$foreground"))
    rows += [_fact("started", _ago(row, now)), _fact("took", figures.seconds(row.duration_s))]
    tokens = (row.summary.get("summary") or {}).get("tokens") or {}
    if tokens.get("input") is not None:
        said = f"{figures.count(tokens['input'])} in{SEP}{figures.count(tokens.get('output'))} out"
        rows.append(_fact("tokens", said))
    where = row.summary.get("where") or {}
    if where.get("executor"):
        rows.append(_fact("executor", f"{where['executor']} on {where.get('host')}"))
    if row.tags:
        rows.append(_fact("tags", tags_said(row.tags), "$accent"))
    metrics: dict[str, Any] = (row.summary.get("summary") or {}).get("metrics") or {}
    rows += [line(), *(_metric(name, metric) for name, metric in list(metrics.items())[:12])]
    if row.notes:
        rows += [line(), *(line((each, "$dim")) for each in row.notes[:MOST_NOTES].splitlines()[:MOST_LINES])]
    return lines(each.truncate(width, ellipsis=True) for each in rows)


def _ago(row: RunRow, now: float) -> str:
    return figures.ago(None if row.created_at is None else now - row.created_at)


def _fact(name: str, said: str, style: str = "$foreground") -> Content:
    return line((f"{name:<11}", "$dim"), (said, style))


def _metric(name: str, metric: dict[str, Any]) -> Content:
    half = figures.half_width(metric.get("stderr"))
    return line(
        (f"{name[:24]:<26}", "$dim"), (figures.score(metric.get("mean")), "bold"), (f" {half}", "$dim")
    )


def _scores(row: RunRow) -> Content:
    parts: list[Part] = []
    metrics: dict[str, Any] = (row.summary.get("summary") or {}).get("metrics") or {}
    for name, metric in list(metrics.items())[:4]:
        parts += [(f"{name} ", "$dim"), (figures.score(metric.get("mean")), "$foreground")]
        parts += [(f" {figures.half_width(metric.get('stderr'))}   ", "$dim")]
    tokens = (row.summary.get("summary") or {}).get("tokens") or {}
    if tokens.get("input") is not None:
        parts.append((f"{figures.count(tokens['input'])} tokens in{SEP}", "$dim"))
        parts.append((f"{figures.count(tokens.get('output'))} out", "$dim"))
    return line(*parts)


def _notes(row: RunRow, now: float, also: Sequence[str]) -> Content:
    """What people did to it and say of it; where nobody did, where it ran."""
    parts: list[Part] = []
    if row.trashed:
        parts.append((trash_said(row.annotations, now), "$accent"))
    if row.tags:
        parts += [SEP] if parts else []
        parts.append((f"tags {tags_said(row.tags)}", "$accent"))
    if row.notes:
        parts += [SEP] if parts else []
        parts.append((notes_said(row.notes), "$dim"))
    if also:
        parts += [SEP] if parts else []
        parts.append((f"also in {also_said(also)}", "$dim"))
    where = row.summary.get("where") or {}
    if where.get("executor"):
        parts += [(SEP, "$faint")] if parts else []
        parts.append((f"{where['executor']} on {where.get('host')}", "$faint"))
    return line(*parts)


def _status_shown(row: RunRow) -> tuple[str, str]:
    """Its word and tone in the list; what lies in the trash says only that."""
    word = "trashed" if row.trashed else row.status.word
    return word, tone_of(word)


def _status(row: RunRow) -> Cell:
    word, tone = _status_shown(row)
    return cell(f"{STATUS.get(word, '?')} {word}", tone)


def _counted(row: RunRow) -> Cell:
    if row.done is None:
        return cell(figures.NONE, "faint")
    if row.total is None or row.done == row.total:
        return cell(figures.count(row.done))
    said = figures.brief if row.total >= 1_000 else figures.count
    return ((said(row.done), "plain"), (f"/{said(row.total)}", "faint"))


def _score(row: RunRow) -> Cell:
    if row.score is None:
        return cell(figures.NONE, "faint")
    half = figures.half_width(row.stderr)
    return ((figures.score(row.score), "plain"), (f" {half}" if half else "", "faint"))


def _sign(row: RunRow) -> Cell:
    word, tone = _status_shown(row)
    return cell(STATUS.get(word, "?"), tone)


def _store(row: RunRow, also: Also) -> Cell:
    others = len(also(row))
    return ((redacted(row.store), "dim"), *(((f" +{others}", "faint"),) if others else ()))


def _tags(row: RunRow) -> Cell:
    return cell(tags_said(row.tags), "dim")


def _tags_key(row: RunRow) -> str | None:
    return tags_said(row.tags).casefold() or None


def _store_key(row: RunRow) -> str:
    return row.store.casefold()


def _name(row: RunRow) -> Cell:
    name = cell(short_name(row))
    return ((f"{PIN} ", "accent"), *name) if row.pinned else name


def _done_key(row: RunRow) -> int | None:
    return row.done


def _benchmark(row: RunRow) -> Cell:
    return cell(row.benchmark, "dim")


def _model(row: RunRow) -> Cell:
    return cell(row.model, "dim")


def _tokens(row: RunRow) -> Cell:
    return cell(figures.count(row.tokens), "dim")


def _took(row: RunRow) -> Cell:
    return cell(figures.seconds(row.duration_s), "dim")


def _name_key(row: RunRow) -> str:
    return run_name(row).casefold()


def _benchmark_key(row: RunRow) -> str:
    return row.benchmark.casefold()


def _model_key(row: RunRow) -> str:
    return row.model.casefold()


def _age_key(row: RunRow) -> float | None:
    return None if row.created_at is None else -row.created_at


def _errors(row: RunRow) -> Cell:
    return cell(figures.count(row.errors), "bad" if row.errors else "faint")


def _age(row: RunRow, now: float) -> str:
    """Of a run in the trash, since it is there."""
    since = trashed_at(row.annotations) if row.trashed else row.created_at
    return figures.age(None if since is None else now - since)
