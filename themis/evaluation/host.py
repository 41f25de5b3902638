"""This host and this boot of it: what tells a living process from one of an earlier life."""

from __future__ import annotations

import functools
import getpass
import os
from pathlib import Path

from themis.core.directories import state_dir

NO_SIGNAL_S = 45.0
"""Without a new heartbeat for this long, a run elsewhere is said to give no signal."""


@functools.cache
def boot_id() -> str:
    """An id that changes at every start of the machine; the host's name where the system gives none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return host_name()


def host_name() -> str:
    """The machine's own name."""
    return os.uname().nodename


def host_dir() -> Path:
    """Where locks, sockets and progress of this boot's runners lie."""
    return state_dir() / "hosts" / boot_id()


def process_started(pid: int) -> int | None:
    """When a process began, in the kernel's ticks: with the pid it names one process, also after pids
    are used again. ``None`` if there is no such process, if it has ended and only its parent has not asked
    how, or if the system does not tell.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name may hold spaces and parentheses; what follows its last one is plain.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def is_gone(pid: int, started: int | None) -> bool:
    """Whether it is sure that the process which had this pid, and began then, no longer lives."""
    now_started = process_started(pid)
    if now_started is not None:
        return started is not None and now_started != started
    if Path("/proc/self/stat").exists():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def user_name() -> str:
    """This user's name; the number where the machine knows none."""
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):  # no such user in the password database
        return str(os.getuid())
