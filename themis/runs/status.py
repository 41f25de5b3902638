"""The truth about a run's status: what was written, and what can be proven from here.

Nothing is ever written by looking.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from themis.evaluation.host import NO_SIGNAL_S, boot_id, host_name, is_gone

STALLED_S = 60.0
"""Beating, but with nothing finished for at least this long."""
LIVE = frozenset({"queued", "running", "stalled", "no signal"})
ENDED = frozenset({"completed", "failed", "cancelled"})


class Status(NamedTuple):
    """One word, and why."""

    word: str
    """``queued``, ``running``, ``paused``, ``completed``, ``failed``, ``cancelled`` as written; ``stalled``,
    ``no signal``, ``crashed`` as derived; ``unknown`` where a run has no metadata."""
    reason: str | None = None

    @property
    def live(self) -> bool:
        """Whether somebody may still be working on it."""
        return self.word in LIVE


def status_of(metadata: dict[str, Any], *, now: float | None = None) -> Status:
    """What a run's metadata say, corrected by what this host can prove."""
    word = metadata.get("status")
    reason = metadata.get("status_reason")
    if not isinstance(word, str):
        return Status("unknown", "it has records but no metadata")
    reason = reason if isinstance(reason, str) else None
    if word != "running":
        return Status(word, reason)
    where = _object(metadata, "where")
    if _is_gone(where):
        return Status("crashed", f"process {where.get('pid')} is gone")
    moment = time.time() if now is None else now
    beat = _object(metadata, "heartbeat").get("at") or metadata.get("updated_at")
    if isinstance(beat, (int, float)) and moment - beat > NO_SIGNAL_S:
        if where.get("host") == host_name() and where.get("boot_id") != boot_id():
            return Status("crashed", "its host was started anew since")
        return Status("no signal", f"no signal for {moment - beat:.0f} s")
    return _stalled(metadata, moment) or Status("running", reason)


def _stalled(metadata: dict[str, Any], moment: float) -> Status | None:
    progress = _object(metadata, "progress")
    finished = progress.get("finished_at")
    slow = progress.get("latency_p95_s")
    allowed = max(STALLED_S, 5 * slow if isinstance(slow, (int, float)) else 0.0)
    if isinstance(finished, (int, float)) and moment - finished > allowed:
        return Status("stalled", f"nothing finished for {moment - finished:.0f} s")
    return None


def _object(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    # A stranger's run may have anything there.
    value = metadata.get(name)
    return value if isinstance(value, dict) else {}


def _is_gone(where: dict[str, Any]) -> bool:
    """Whether it is proven that the process that ran it no longer lives."""
    # Hosts may share a name: a run of another boot that still beats lives elsewhere.
    if where.get("host") != host_name() or where.get("boot_id") != boot_id():
        return False
    pid, started = where.get("pid"), where.get("pid_started")
    if not isinstance(pid, int):
        return False
    return is_gone(pid, started if isinstance(started, int) else None)
