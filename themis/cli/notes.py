"""``themis runs tag``, ``note``, ``name``, ``pin`` and ``unpin``: what people say of a run."""

from __future__ import annotations

import argparse
from typing import Any

from themis.cli import output
from themis.core.errors import UsageError
from themis.runs import exit_codes
from themis.runs.annotations import change_tags, set_name, set_notes, set_pinned, tags_of
from themis.runs.catalog import Store, find_run


def tag_run(given: argparse.Namespace) -> int:
    """Add tags to a run, and take tags away."""
    for each in given.tag:
        if each[:1] not in ("+", "-") or len(each) < 2:
            raise UsageError(f"{each!r:.100} says neither +tag nor -tag.")
    store, run_id = find_run(given.run, given.storage)
    notes = change_tags(
        store,
        run_id,
        add=[each[1:] for each in given.tag if each[0] == "+"],
        remove=[each[1:] for each in given.tag if each[0] == "-"],
    )
    return _said(given, store, run_id, notes, "tags", " ".join(tags_of(notes)))


def note_run(given: argparse.Namespace) -> int:
    """Write notes on a run, in place of those before."""
    store, run_id = find_run(given.run, given.storage)
    notes = set_notes(store, run_id, given.text)
    return _said(given, store, run_id, notes, "notes", str(notes.get("notes") or ""))


def name_run(given: argparse.Namespace) -> int:
    """Give a run a name for people."""
    store, run_id = find_run(given.run, given.storage)
    notes = set_name(store, run_id, given.text)
    return _said(given, store, run_id, notes, "name", str(notes.get("name") or ""))


def pin_run(given: argparse.Namespace) -> int:
    """Pin a run."""
    return _pinned(given, True)


def unpin_run(given: argparse.Namespace) -> int:
    """Let a pinned run go."""
    return _pinned(given, False)


def _pinned(given: argparse.Namespace, pinned: bool) -> int:
    store, run_id = find_run(given.run, given.storage)
    notes = set_pinned(store, run_id, pinned)
    return _said(given, store, run_id, notes, "pinned", "yes" if notes.get("pinned") else "no")


def _said(
    given: argparse.Namespace, store: Store, run_id: str, notes: dict[str, Any], field: str, value: str
) -> int:
    store.backend.flush()
    address = output.address(store.name, run_id)
    if given.json:
        output.say_json({"address": address, "annotations": notes})
    else:
        output.say(f"{output.cut(address, 120)}  {field}: {output.cut(value, 200) or output.UNKNOWN}")
    return exit_codes.DONE
