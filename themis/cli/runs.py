"""``themis runs list`` and ``themis runs delete``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from themis.cli import output
from themis.core.codec import paused_gc
from themis.core.errors import UsageError
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
        selection = select(store, " ".join(given.query), None if given.all else given.limit)
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


def delete_runs(given: argparse.Namespace) -> int:
    """Show what would go, ask, and delete it."""
    from themis.runs.catalog import find_run
    from themis.runs.delete import delete, preview

    found = [find_run(address, given.storage) for address in dict.fromkeys(given.run)]
    previews = [preview(store, run_id) for store, run_id in found]
    doomed = [
        {"address": output.address(each.store, each.run_id), "status": each.status, "records": each.records}
        for each in previews
    ]
    if given.dry_run:
        if given.json:
            output.say_json({"would_delete": doomed})
        else:
            output.say(_doomed_table(doomed))
        return exit_codes.DONE
    for store, run_id in found:
        _refuse_live(store, run_id)
    if not given.yes and not _confirmed(doomed):
        output.note("Nothing was deleted.")
        return exit_codes.INTERRUPTED
    deleted: list[str] = []
    try:
        for (store, run_id), each in zip(found, doomed, strict=True):
            delete(store, run_id)
            deleted.append(str(each["address"]))
    finally:
        _say_deleted(deleted, as_json=given.json)
    return exit_codes.DONE


def _refuse_live(store: Any, run_id: str) -> None:
    """Nothing goes if one of several cannot."""
    from themis.core.errors import RunHeld
    from themis.runs.watch import look

    status = look(store.backend, run_id).status
    if status.live:
        raise RunHeld(
            f"{run_id} is {status.word}, so nothing was deleted. Cancel it first: themis runs cancel {run_id}"
        )


def _confirmed(doomed: list[dict[str, Any]]) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("Without a terminal to ask on, deleting needs --yes. Nothing was deleted.")
    output.note(_doomed_table(doomed))
    sys.stderr.write(f"Delete {output.plural(len(doomed), 'run')} for good? Type y to delete: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _doomed_table(doomed: list[dict[str, Any]]) -> str:
    rows = [(each["address"], each["status"], output.count(each["records"])) for each in doomed]
    return output.table(("RUN", "STATUS", "SAMPLES"), rows, right={2}, most=MOST_CELLS + 40)


def _say_deleted(deleted: list[str], *, as_json: bool) -> None:
    if as_json:
        output.say_json({"deleted": deleted})
    else:
        for address in deleted:
            output.say(f"deleted {output.cut(address, MOST_CELLS + 40)}")
