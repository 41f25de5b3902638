"""``themis runs recover``: what ended processes left on this machine is sent to its store."""

from __future__ import annotations

import argparse

from themis.backends.storage.journal import Kept
from themis.backends.storage.journalled import Sent
from themis.cli import output
from themis.core.options import redacted
from themis.runs import exit_codes
from themis.runs.catalog import open_store
from themis.runs.recover import kept, recover

MOST_CELLS = 120


def recover_runs(given: argparse.Namespace) -> int:
    """Send it, and say what could not be sent; 1 if anything was set aside."""
    store = open_store(given.storage)
    try:
        if given.dry_run:
            waiting = kept(store, given.run)
            if given.json:
                ended = [each._asdict() for each in waiting if not each.living]
                output.say_json({"would_send": ended, "sent_by_their_process": _living(waiting)})
            else:
                for each in waiting:
                    _say_kept(store.name, each)
                if not waiting:
                    output.note("Nothing waits on this machine.")
            return exit_codes.DONE
        sent = recover(store, given.run)
        waiting = [each for each in kept(store, given.run) if each.living]
    finally:
        store.backend.close()
    if given.json:
        objects = [_as_object(each) for each in sent]
        output.say_json({"sent": objects, "sent_by_their_process": _living(waiting)})
    else:
        _say(store.name, sent, waiting)
    return exit_codes.FAILED if any(each.set_aside for each in sent) else exit_codes.DONE


def _say_kept(store: str, each: Kept) -> None:
    address = output.cut(output.address(store, each.run_id), MOST_CELLS)
    if not each.living:
        output.say(f"{address}  {output.size(each.size)} would be sent")
        return
    process = "its process" if each.pid is None else f"its process {each.pid}"
    output.say(f"{address}  {output.size(each.size)} wait; {process} still runs and sends them itself")


def _living(waiting: list[Kept]) -> list[dict[str, object]]:
    return [each._asdict() for each in waiting if each.living]


def _as_object(sent: Sent) -> dict[str, object]:
    return {**sent._asdict(), "set_aside": [str(each) for each in sent.set_aside]}


def _say(store: str, sent: list[Sent], waiting: list[Kept]) -> None:
    for each in sent:
        address = output.cut(output.address(store, each.run_id), MOST_CELLS)
        if each.segments:
            output.say(f"{address}  sent, {output.plural(each.segments, 'file')} of records")
        for path in each.set_aside:
            output.say(f"{address}  not taken, kept as {path}")
    for kept_there in waiting:
        _say_kept(store, kept_there)
    if not sent and not waiting:
        output.note(f"Nothing was left on this machine for {output.cut(redacted(store), MOST_CELLS)}.")
