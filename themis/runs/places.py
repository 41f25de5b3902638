"""Where runners of this host leave what watchers on it read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from themis.core.directories import state_dir
from themis.core.run_ids import checked_run_id
from themis.evaluation.host import host_dir


def run_dir(store: str, run_id: str) -> Path:
    """The folder of one run of one store, for this boot of this host; ``store`` as in ``where.storage``.

    Raises :class:`InvalidRunId` for an id that might lead elsewhere.
    """
    return host_dir() / "runs" / f"{checked_run_id(run_id)}-{digest(store, run_id)}"


def digest(store: str, run_id: str) -> str:
    """12 hex digits that tell a run from those of the same id in other stores."""
    return hashlib.sha256(json.dumps([store, run_id]).encode()).hexdigest()[:12]


def progress_path(store: str, run_id: str) -> Path:
    """The snapshot that the runner replaces up to ten times a second."""
    return run_dir(store, run_id) / "progress.json"


def log_path(run_id: str, launched: str, store: str | None = None) -> Path:
    """What the runner printed; kept until somebody deletes it. Raises as :func:`run_dir`.

    ``store``: as there, once it is known.
    """
    of_store = "" if store is None else f"-{digest(store, run_id)}"
    return state_dir() / "logs" / f"{checked_run_id(run_id)}-{launched}{of_store}.log"
