"""What people say of runs, in little room."""

from __future__ import annotations

from collections.abc import Sequence

from themis.core.options import redacted

MOST_TAG, MOST_TAGS, MOST_NOTES, MOST_LINES = 60, 20, 400, 4
"""Characters, tags, characters, lines: a stranger may have stored any number."""


def tags_said(tags: Sequence[str]) -> str:
    """Tags in a row; of very many the first."""
    return " ".join(tag[:MOST_TAG] for tag in tags[:MOST_TAGS])


def notes_said(notes: str) -> str:
    """Notes on one line; of long ones the beginning."""
    return " ".join(notes[:MOST_NOTES].split())


def also_said(stores: Sequence[str]) -> str:
    """Stores that have a run too, in a row."""
    return ", ".join(redacted(store) for store in stores)
