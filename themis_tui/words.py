"""What people say of runs, in little room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from themis.core.options import redacted
from themis.runs.trash import DAY_S, expires_at, is_purging, trash_of
from themis_tui import figures

MOST_BY = 60
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


def trashed_at(annotations: Mapping[str, Any]) -> float | None:
    """When a run was moved to the trash, if that is known."""
    at = (trash_of(annotations) or {}).get("at")
    return float(at) if isinstance(at, (int, float)) and not isinstance(at, bool) else None


def trash_said(annotations: Mapping[str, Any], now: float) -> str:
    """When a run was deleted, by whom, and how long it is kept; ``""`` for one that is not in the trash."""
    trash = trash_of(annotations)
    if trash is None:
        return ""
    at, by, until = trashed_at(annotations), trash.get("by"), expires_at(trash)
    said = "deleted" if at is None else f"deleted {figures.ago(now - at)}"
    said += f" by {by[:MOST_BY]}" if isinstance(by, str) and by else ""
    if is_purging(annotations):
        return f"{said}, and being deleted for good"
    if until is None:
        return said
    days = (until - now) / DAY_S
    if days <= 0:
        return f"{said}; 'themis runs gc' deletes it for good"
    left = f"{days:.0f} days" if days >= 1.5 else "a day" if days > 0.5 else "hours"
    return f"{said}; {left} left"
