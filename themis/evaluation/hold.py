"""One runner a run on this host: a lock that goes when its process goes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from themis.core.errors import RunHeld
from themis.evaluation.host import host_dir


@contextmanager
def held(store: str, run_id: str) -> Iterator[None]:
    """Hold a run of a store while it is executed. Raises :class:`RunHeld` with the holder's pid.

    The lock excludes processes of this host only, for as long as the holder lives.
    """
    path = lock_path(store, run_id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode("utf-8", "replace").strip() or "another process"
            raise RunHeld(
                f"The run {run_id!r} is being run by {holder}. Wait for it, or cancel it."
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(fd)


def is_held(store: str, run_id: str) -> bool:
    """Whether a living process of this host executes the run."""
    try:
        fd = os.open(lock_path(store, run_id), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def lock_path(store: str, run_id: str) -> Path:
    """The lock's file: of this boot of this host, so that none outlives what it speaks of."""
    digest = hashlib.sha256(json.dumps([store, run_id]).encode()).hexdigest()[:24]
    return host_dir() / "locks" / f"{digest}.lock"
