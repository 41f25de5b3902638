"""Telling a run on this host what to do."""

from __future__ import annotations

import os
import signal
from typing import Any

from themis.core.errors import RunError
from themis.evaluation.hold import holder_of
from themis.evaluation.host import boot_id, host_name, is_gone
from themis.runs.watch import RunView

CANCEL_SIGNAL = signal.SIGUSR1
"""A person's cancel; SIGTERM pauses, as a machine going down must not cancel a person's run."""


def cancel(view: RunView) -> str:
    """Ask a run's process to end it as ``cancelled``; returns what was done, in words.

    A second call no longer waits for answers in flight. Raises :class:`RunError` where it cannot be reached.
    """
    _signal(view, CANCEL_SIGNAL)
    return f"{view.run_id} was told to stop; answers in flight are still saved."


def pause(view: RunView) -> str:
    """Ask a run's process to end it as ``paused``, to be resumed later; as :func:`cancel`."""
    _signal(view, signal.SIGTERM)
    return f"{view.run_id} was told to pause; answers in flight are still saved."


def _signal(view: RunView, number: signal.Signals) -> None:
    if not view.status.live:
        raise RunError(f"{view.run_id} is {view.status.word}; there is nothing to stop.")
    where = view.metadata.get("where")
    where = where if isinstance(where, dict) else {}
    pid = _pid(view.run_id, where)
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        raise RunError(f"{view.run_id}: its process {pid} is gone.") from None
    except PermissionError:
        user = where.get("user")
        raise RunError(f"{view.run_id} is run by {user}, and only that user can stop it.") from None


def _pid(run_id: str, where: dict[str, Any]) -> int:
    """The process to tell, as the run's lock says; where it runs only helps to say why there is none."""
    host, pid = where.get("host"), where.get("pid")
    if host != host_name() or where.get("boot_id") != boot_id() or not isinstance(pid, int):
        raise RunError(f"{run_id} runs on {host}; stop it there.")
    if pid == os.getpid():
        raise RunError(f"{run_id} runs in this very process; set its cancel event.")
    if not where.get("detached"):
        raise RunError(f"{run_id} runs in a terminal of its own (process {pid}); press Ctrl-C there.")
    # What a store says is data: a signal goes to nobody whom the lock on this host does not name.
    holder = holder_of(str(where.get("storage")), run_id)
    if holder is None:
        if is_gone(pid, None):
            raise RunError(f"{run_id}: its process {pid} is gone.")
        raise RunError(
            f"{run_id} is not run from this login, as far as its state folder says: process {pid} of "
            f"{where.get('user')} does, or did. Stop it there."
        )
    if holder.pid != pid:
        raise RunError(f"{run_id} names process {pid}, and its lock process {holder.pid}; none was told.")
    # The pid may have been given to another process since.
    if is_gone(holder.pid, holder.started):
        raise RunError(f"{run_id}: its process {pid} is gone.")
    return holder.pid
