"""Runners that a long-lived launcher has started: each has to be taken leave of when it ends."""

from __future__ import annotations

import os
import threading
from contextlib import suppress


def reap_when_ended(pid: int) -> None:
    """Wait for a child in a daemon thread.

    An ended child that nobody waits for keeps its entry in the process table, so a runner that was killed
    would look alive for as long as its launcher lives.
    """
    threading.Thread(target=_reap, args=(pid,), name=f"themis-reap-{pid}", daemon=True).start()


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):  # not ours, or already taken leave of
        os.waitpid(pid, 0)
