"""``themis runs list`` and ``themis runs delete``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from themis.cli import output
from themis.core.codec import paused_gc
from themis.core.errors import UsageError
from themis.core.options import redacted
from themis.core.safe_text import safe_text
from themis.runs import exit_codes
from themis.runs.catalog import RunRow, open_store
from themis.runs.selection import Selection, select, select_from
from themis.runs.stores import wanted_stores

_HEADER = ("STATUS", "RUN", "BENCHMARK", "MODEL", "N", "SCORE", "±", "ERR", "AGE")
_RIGHT = frozenset({4, 5, 6, 7, 8})
MOST_CELLS = 80
"""A run id is shown whole, so that it can be copied."""
_MOST_STATUS, _MOST_NAME = 30, 28


def list_runs(given: argparse.Namespace) -> int:
    """Print the newest runs that match, of one store or of several."""
    names = wanted_stores(given.storage or (), everything=given.all_stores)
    query, limit = " ".join(given.query), None if given.all else given.limit
    if len(names) == 1:
        with paused_gc():
            selection = select(open_store(names[0]), query, limit)
    else:
        selection = select_from(names, query, limit)
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
        _say_none(
            selection, [name for name in names if name not in {each.name for each in selection.failures}]
        )
    return exit_codes.DONE


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
