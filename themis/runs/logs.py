"""What runners of this host printed."""

from __future__ import annotations

import re
from pathlib import Path

from themis.core.run_ids import is_run_id
from themis.runs.places import digest, log_path


def logs_of(run_id: str, store: str | None = None) -> list[Path]:
    """The logs of a run's launches on this host, newest first.

    ``store``: as in ``where.storage``; leaves out those of runs of the same id in other stores, as far as
    that is known of a log, see :func:`names_store`.
    """
    if not is_run_id(run_id):
        # What a stranger stored under such an id was never launched.
        return []
    logs = log_path(run_id, "").parent
    # The name of another run may begin with this one's.
    of_store = "[0-9a-f]{12}" if store is None else digest(store, run_id)
    mine = re.compile(re.escape(run_id) + rf"-\d{{8}}-\d{{6}}-[0-9a-f]{{6}}(-{of_store})?\.log")
    return sorted((each for each in logs.glob("*.log") if mine.fullmatch(each.name)), reverse=True)


def names_store(log: Path) -> bool:
    """Whether it is known of which store's run a log is: not if its run never came up, or long ago."""
    return re.search(r"-[0-9a-f]{6}-[0-9a-f]{12}\.log$", log.name) is not None


def last_log(run_id: str, store: str | None = None, most: int = 60_000) -> tuple[Path, str] | None:
    """The newest log of a run on this host, and its last ``most`` bytes; ``None`` if there is none.

    ``store``: as for :func:`logs_of`.
    """
    logs = logs_of(run_id, store)
    if not logs:
        return None
    with open(logs[0], "rb") as file:
        file.seek(max(0, file.seek(0, 2) - most))
        return logs[0], file.read().decode("utf-8", "replace")
