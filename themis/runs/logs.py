"""What runners of this host printed."""

from __future__ import annotations

from pathlib import Path

from themis.runs.places import log_path


def logs_of(run_id: str) -> list[Path]:
    """The logs of a run's launches on this host, newest first."""
    pattern = log_path(run_id, "*")
    return sorted(pattern.parent.glob(pattern.name), reverse=True)
