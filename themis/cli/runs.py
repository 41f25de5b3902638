"""``themis runs list``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from themis.cli import output
from themis.core.codec import paused_gc
from themis.core.options import redacted
from themis.core.safe_text import safe_text
from themis.runs import exit_codes
from themis.runs.catalog import RunRow, open_store
from themis.runs.query import remarks
from themis.runs.selection import Selection, select, select_from
from themis.runs.stores import FIND_WITHIN_S, wanted_stores

_HEADER = ("STATUS", "RUN", "BENCHMARK", "MODEL", "N", "SCORE", "±", "ERR", "AGE")
_RIGHT = frozenset({4, 5, 6, 7, 8})
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


def _table(rows: list[RunRow], *, several: bool) -> str:
    """Lines for people; of several stores, each with its store and its whole address."""
    if not several:
        return output.table(_HEADER, map(_cells, rows), right=_RIGHT, most=MOST_CELLS)
    header = (_HEADER[0], "STORE", *_HEADER[1:])
    lines = []
    for row in rows:
        status, _, *others = _cells(row)
        store = output.cut(redacted(row.store), _MOST_NAME)
        lines.append((status, store, output.address(row.store, row.run_id), *others))
    return output.table(header, lines, right={n + 1 for n in _RIGHT}, most=2 * MOST_CELLS)


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


def _cells(row: RunRow) -> tuple[str, ...]:
    word, reason = row.status
    shown = f"{word}: {reason}" if reason and word in ("paused", "failed", "unreadable") else word
    total = f"/{output.count(row.total)}" if row.total is not None and row.total != row.done else ""
    return (
        output.cut(shown, _MOST_STATUS),
        row.run_id,
        output.cut(row.benchmark, _MOST_NAME),
        output.cut(row.model, _MOST_NAME),
        output.count(row.done) + total,
        output.number(row.score),
        output.number(row.half_width),
        output.count(row.errors),
        output.age(row.created_at),
    )
