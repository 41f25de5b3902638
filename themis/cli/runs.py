"""``themis runs list``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from themis.cli import output
from themis.cli.tables import kept_for
from themis.core.codec import paused_gc
from themis.core.options import redacted
from themis.core.safe_text import safe_text
from themis.runs import exit_codes
from themis.runs.catalog import RunRow, open_store
from themis.runs.query import remarks
from themis.runs.selection import Selection, select, select_from
from themis.runs.stores import FIND_WITHIN_S, wanted_stores
from themis.runs.trash import trash_of

MOST_CELLS = 80
"""A run id is shown whole, so that it can be copied."""
_MOST_STATUS, _MOST_NAME = 30, 28


def list_runs(given: argparse.Namespace) -> int:
    """Print the newest runs that match, of one store or of several."""
    names = wanted_stores(given.storage or (), everything=given.all_stores)
    query, limit, trash = " ".join(given.query), None if given.all else given.limit, given.trash or None
    if len(names) == 1:
        with paused_gc():
            selection = select(open_store(names[0]), query, limit, trash=trash)
    else:
        selection = select_from(names, query, limit, trash=trash, within_s=FIND_WITHIN_S, on_slow=_say_slow)
    if given.json:
        output.say_json(_listed(selection))
    elif selection.rows:
        output.say(_table(selection.rows, several=len(names) > 1))
    sys.stdout.flush()
    for failure in selection.failures:
        output.note(f"themis: {output.cut(redacted(failure.name), MOST_CELLS)}: {safe_text(failure.reason)}")
    if len(selection.failures) == len(names):
        return exit_codes.STORE
    if selection.left_out:
        output.note(f"{output.plural(selection.left_out, 'older run')} left out; --all shows all.")
    elif not selection.rows and not given.json:
        for remark in remarks(query):
            output.note(output.cut(remark, 2 * MOST_CELLS))
        _say_none(
            selection, [name for name in names if name not in {each.name for each in selection.failures}]
        )
    return exit_codes.DONE


def _say_slow(names: list[str]) -> None:
    where = output.cut(", ".join(map(redacted, names)), MOST_CELLS)
    output.note(f"Waiting for {where}, {FIND_WITHIN_S:g} s at most. --storage NAME asks only that one.")


def _say_none(selection: Selection, names: list[str]) -> None:
    where = output.cut(", ".join(map(redacted, names)), MOST_CELLS)
    output.note(
        f"None of the {output.plural(selection.stored, 'run')} in {where} matches."
        if selection.stored
        else f"There are no runs in {where}. Start one: themis eval demo --model fake-math-llm"
    )


def _listed(selection: Selection) -> dict[str, Any]:
    return {
        "runs": [as_object(row) for row in selection.rows],
        "left_out": selection.left_out,
        "errors": [
            {"store": redacted(each.name), "kind": type(each.error).__name__, "message": each.reason}
            for each in selection.failures
        ],
    }


class _Column(NamedTuple):
    """One column of the list."""

    title: str
    cell: Callable[[RunRow], str]
    right: bool = False


def _columns(rows: list[RunRow], *, several: bool) -> Iterator[_Column]:
    """What is shown of these runs: of several stores the store and the whole address, of those in the trash
    for how long they are there, and what people call them if they call any.
    """
    yield _Column("STATUS", _status)
    if several:
        yield _Column("STORE", lambda row: output.cut(redacted(row.store), _MOST_NAME))
    yield _Column("RUN", lambda row: output.address(row.store, row.run_id) if several else row.run_id)
    yield _Column("BENCHMARK", lambda row: output.cut(row.benchmark, _MOST_NAME))
    yield _Column("MODEL", lambda row: output.cut(row.model, _MOST_NAME))
    yield _Column("N", _samples, True)
    yield _Column("SCORE", lambda row: output.number(row.score), True)
    yield _Column("±", lambda row: output.number(row.half_width), True)
    yield _Column("ERR", lambda row: output.count(row.errors), True)
    yield _Column("AGE", lambda row: output.age(row.created_at), True)
    if any(row.trashed for row in rows):
        yield _Column("DELETED", lambda row: output.age(_trash(row).get("at")), True)
        yield _Column("BY", lambda row: output.cut(str(_trash(row).get("by") or output.UNKNOWN), _MOST_NAME))
        yield _Column("KEPT", lambda row: kept_for(_trash(row)) if row.trashed else "")
    if any(row.name or row.tags or row.pinned for row in rows):
        yield _Column("NAME", _called)


def _table(rows: list[RunRow], *, several: bool) -> str:
    """Lines for people."""
    columns = list(_columns(rows, several=several))
    right = {number for number, column in enumerate(columns) if column.right}
    lines = ([column.cell(row) for column in columns] for row in rows)
    most = 2 * MOST_CELLS if several else MOST_CELLS
    return output.table([column.title for column in columns], lines, right=right, most=most)


def _trash(row: RunRow) -> dict[str, Any]:
    return trash_of(row.annotations) or {}


def _called(row: RunRow) -> str:
    """The name that a person gave it, with its tags."""
    words = [row.name, *(f"+{tag}" for tag in row.tags), "(pinned)" if row.pinned else ""]
    return output.cut(" ".join(word for word in words if word), MOST_CELLS)


def as_object(row: RunRow) -> dict[str, Any]:
    """A run as ``--json`` shows it in a list."""
    summary = row.summary
    sums = summary.get("summary") or {}
    return {
        "address": output.address(row.store, row.run_id),
        "store": redacted(row.store),
        "run_id": row.run_id,
        "status": row.status.word,
        "reason": row.status.reason,
        "benchmark": row.benchmark,
        "model": row.model,
        "done": row.done,
        "total": row.total,
        "headline": row.headline,
        "metrics": sums.get("metrics") or {},
        "errors": row.errors,
        "tokens": row.tokens,
        "cost": sums.get("cost"),
        "created_at": row.created_at,
        "started_at": summary.get("started_at"),
        "ended_at": summary.get("ended_at"),
        "duration_s": row.duration_s,
        "annotations": summary.get("annotations") or {},
    }


def _status(row: RunRow) -> str:
    word, reason = row.status
    shown = f"{word}: {reason}" if reason and word in ("paused", "failed", "unreadable") else word
    return output.cut(shown, _MOST_STATUS)


def _samples(row: RunRow) -> str:
    total = f"/{output.count(row.total)}" if row.total is not None and row.total != row.done else ""
    return output.count(row.done) + total
