"""What runners of this host printed."""

from __future__ import annotations

import re
from pathlib import Path

from themis.core.run_ids import is_run_id
from themis.runs.places import log_path


def logs_of(run_id: str) -> list[Path]:
    """The logs of a run's launches on this host, newest first."""
    if not is_run_id(run_id):
        # What a stranger stored under such an id was never launched.
        return []
    logs = log_path(run_id, "").parent
    # The name of another run may begin with this one's.
    mine = re.compile(re.escape(run_id) + r"-\d{8}-\d{6}-[0-9a-f]{6}\.log")
    return sorted((each for each in logs.glob("*.log") if mine.fullmatch(each.name)), reverse=True)


def last_log(run_id: str, most: int = 60_000) -> tuple[Path, str] | None:
    """The newest log of a run on this host, and its last ``most`` bytes; ``None`` if there is none."""
    logs = logs_of(run_id)
    if not logs:
        return None
    with open(logs[0], "rb") as file:
        file.seek(max(0, file.seek(0, 2) - most))
        return logs[0], file.read().decode("utf-8", "replace")
