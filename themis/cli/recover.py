"""``themis runs recover``: what ended processes left on this machine is sent to its store."""

from __future__ import annotations

import argparse

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
            waiting = [each._asdict() for each in kept(store)]
            if given.json:
                output.say_json({"would_send": [each for each in waiting if not each["living"]]})
            else:
                for each in waiting:
                    _say_kept(store.name, each)
                if not waiting:
                    output.note("Nothing waits on this machine.")
            return exit_codes.DONE
        sent = recover(store, given.run)
    finally:
        store.backend.close()
    if given.json:
        output.say_json({"sent": [_as_object(each) for each in sent]})
    else:
        _say(store.name, sent)
    return exit_codes.FAILED if any(each.set_aside for each in sent) else exit_codes.DONE


def _say_kept(store: str, each: dict[str, object]) -> None:
    by = "its process sends it" if each["living"] else "would be sent"
    address = output.cut(output.address(store, str(each["run_id"])), MOST_CELLS)
    output.say(f"{address}  {each['size']:,} bytes, {by}")


def _as_object(sent: Sent) -> dict[str, object]:
    return {**sent._asdict(), "set_aside": [str(each) for each in sent.set_aside]}


def _say(store: str, sent: list[Sent]) -> None:
    for each in sent:
        address = output.cut(output.address(store, each.run_id), MOST_CELLS)
        if each.segments:
            output.say(f"{address}  sent, {output.plural(each.segments, 'file')} of records")
        for path in each.set_aside:
            output.say(f"{address}  not taken, kept as {path}")
    if not sent:
        output.note(f"Nothing was left on this machine for {output.cut(redacted(store), MOST_CELLS)}.")
