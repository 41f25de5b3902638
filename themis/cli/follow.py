"""``themis runs watch``, ``cancel``, ``pause`` and ``log``: runs that are going on elsewhere."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from themis.cli import output
from themis.cli.progress import describe, title
from themis.core.errors import UsageError
from themis.core.safe_text import safe_text
from themis.runs import control, exit_codes
from themis.runs.catalog import Store, find_run
from themis.runs.logs import logs_of
from themis.runs.watch import RunView, look

LOOK_EVERY_S = 0.5
SAY_EVERY_S = 2.0


def watch_run(given: argparse.Namespace) -> int:
    """Print how far a run is until it ends; the exit code is the one the run ended with."""
    store, run_id = find_run(given.run, given.storage)
    say = _say_object if given.json else _say_line
    said_at, said = 0.0, None
    try:
        for view in _views(store, run_id):
            if said is None and not given.json:
                output.say(f"{run_id}: {title(view.metadata)}")
            state = (view.status.word, view.progress.done if view.progress is not None else None)
            now = time.monotonic()
            # A change of status is said at once, progress now and then.
            due = said is None or state[0] != said[0] or (state != said and now - said_at >= SAY_EVERY_S)
            if due or not view.status.live:
                say(store, view)
                sys.stdout.flush()
                said_at, said = now, state
    except KeyboardInterrupt:
        output.note("No longer watching; the run goes on.")
        return exit_codes.INTERRUPTED
    return exit_codes.code_of_status(view.status.word)


def _views(store: Store, run_id: str) -> Iterator[RunView]:
    """The run again and again, the last time when nobody works on it any more."""
    while True:
        view = look(store.backend, run_id)
        yield view
        if not view.status.live:
            return
        time.sleep(LOOK_EVERY_S)


def _say_line(store: Store, view: RunView) -> None:
    word, reason = view.status
    parts = [describe(view.progress)] if view.progress is not None else []
    if word != "running":
        parts.append(f"{word}: {output.cut(reason, 200)}" if reason else word)
    output.say(" · ".join(parts) or word)


def _say_object(store: Store, view: RunView) -> None:
    said: dict[str, Any] = {
        "address": output.address(store.name, view.run_id),
        "status": view.status.word,
        "reason": view.status.reason,
        "progress": view.progress.__dict__ if view.progress is not None else None,
    }
    output.say_json(said, indent=None)


def cancel_run(given: argparse.Namespace) -> int:
    """Tell a launched run to end as cancelled."""
    return _told(given, control.cancel)


def pause_run(given: argparse.Namespace) -> int:
    """Tell a launched run to end as paused."""
    return _told(given, control.pause)


def _told(given: argparse.Namespace, tell: Any) -> int:
    store, run_id = find_run(given.run, given.storage)
    message = tell(look(store.backend, run_id))
    if given.json:
        output.say_json({"address": output.address(store.name, run_id), "message": message})
    else:
        output.say(output.cut(message, 400))
    return exit_codes.DONE


def show_log(given: argparse.Namespace) -> int:
    """Print the logs that launches of a run left on this host, newest last."""
    store, run_id = find_run(given.run, given.storage)
    logs = logs_of(run_id, look(store.backend, run_id).stored_in)
    if not logs:
        raise UsageError(
            f"There is no log of {run_id} on this host. Runs have one that were launched with --detach or "
            "from themis-tui."
        )
    for log in reversed(logs):
        output.note(f"{log}:")
        with open(log, encoding="utf-8", errors="replace") as file:
            for line in file:
                output.say(safe_text(line.rstrip("\n"), sys.maxsize))
    return exit_codes.DONE
