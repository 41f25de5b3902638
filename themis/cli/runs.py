"""``themis runs list``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from themis.cli import output
from themis.core.codec import paused_gc
from themis.core.options import redacted
from themis.runs import exit_codes
from themis.runs.catalog import RunRow, open_store
from themis.runs.selection import select

_HEADER = ("STATUS", "RUN", "BENCHMARK", "MODEL", "N", "SCORE", "±", "ERR", "AGE")
_RIGHT = frozenset({4, 5, 6, 7, 8})
MOST_CELLS = 80
"""A run id is shown whole, so that it can be copied."""
_MOST_STATUS, _MOST_NAME = 30, 28


def list_runs(given: argparse.Namespace) -> int:
    """Print the newest runs that match."""
    with paused_gc():
        store = open_store(given.storage)
        selection = select(
            store,
            " ".join(given.query),
            None if given.all else given.limit,
            trash=given.trash or None,
        )
    if given.json:
        output.say_json([as_object(row) for row in selection.rows])
    elif selection.rows:
        rows = (_cells(row) for row in selection.rows)
        output.say(output.table(_HEADER, rows, right=_RIGHT, most=MOST_CELLS))
    if selection.left_out:
        sys.stdout.flush()
        output.note(f"{output.plural(selection.left_out, 'older run')} left out; --all shows all.")
    elif not selection.rows and not given.json:
        name = output.cut(redacted(store.name), MOST_CELLS)
        output.note(
            f"None of the {output.plural(selection.stored, 'run')} in {name} matches."
            if selection.stored
            else f"There are no runs in {name}. Start one: themis eval demo --model fake-math-llm"
        )
    return exit_codes.DONE


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
