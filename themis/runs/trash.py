"""What lies in the trash: runs that a person deleted and may still want back."""

from __future__ import annotations

from typing import Any

TRASH_DAYS = 30.0
"""How long a deleted run is kept, unless somebody says otherwise."""
DAY_S = 86_400.0


def is_trashed(summary: dict[str, Any]) -> bool:
    """Whether a run, by its line in a listing, lies in the trash."""
    return trash_of(summary.get("annotations")) is not None


def trash_of(annotations: Any) -> dict[str, Any] | None:
    """``{at, by, until}`` of a run in the trash, of which a stranger may have left out any or all."""
    trash = annotations.get("trash") if isinstance(annotations, dict) else None
    if not trash:
        return None
    return trash if isinstance(trash, dict) else {}


def is_purging(annotations: Any) -> bool:
    """Whether somebody began to delete the run for good."""
    trash = trash_of(annotations)
    return trash is not None and "purging" in trash


def expires_at(trash: dict[str, Any]) -> float | None:
    """When a run in the trash may go for good; ``None`` if nobody can tell, so never by itself."""
    until, at = _time(trash.get("until")), _time(trash.get("at"))
    return until if until is not None or at is None else at + TRASH_DAYS * DAY_S


def _time(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
