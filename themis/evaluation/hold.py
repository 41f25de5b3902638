"""One runner a run on this host: a lock that goes when its process goes."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from themis.backends.storage.files import translated
from themis.core.directories import make_private
from themis.core.errors import RunHeld
from themis.core.options import redacted
from themis.evaluation.host import host_dir, process_started

_TRIES = 10
_TRY_EVERY_S = 0.005
_LOCAL = "LocalStorageBackend("


class Holder(NamedTuple):
    """The process that a lock says it is held by."""

    pid: int
    started: int | None
    """As :func:`themis.evaluation.host.process_started` gives it."""


@contextmanager
def held(store: str, run_id: str) -> Iterator[None]:
    """Hold a run of a store while it is executed. Raises :class:`RunHeld` with the holder's pid.

    The lock excludes processes of this host only, for as long as the holder lives. Raises
    :class:`StorageError` where the state directory cannot be written to.
    """
    path = lock_path(store, run_id)
    with translated(path, "hold the run"):
        make_private(path.parent)
        fd = _locked(path, run_id)
    try:
        me = Holder(os.getpid(), process_started(os.getpid()))
        # On a full disk nobody can read who holds it; it excludes all the same, so that deleting can go on.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(me._asdict()).encode("ascii"), 0)
        yield
    finally:
        # Before it is let go: whoever gets this file's lock after that sees that it is no longer there.
        with suppress(OSError):
            path.unlink()
        os.close(fd)


def holder_of(store: str, run_id: str) -> Holder | None:
    """The living process of this host that executes the run, as its lock says; ``None`` if it has none."""
    try:
        fd = os.open(lock_path(store, run_id), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who look do not take each other for a holder.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(fd)
    finally:
        os.close(fd)
    return None


def lock_path(store: str, run_id: str) -> Path:
    """The lock's file: of this boot of this host, so that none outlives what it speaks of."""
    digest = hashlib.sha256(json.dumps([_resolved(store), run_id]).encode()).hexdigest()[:24]
    return host_dir() / "locks" / f"{digest}.lock"


def _resolved(store: str) -> str:
    # The same folder through a symbolic link is the same store; so is one whose password is not stored.
    if not store.startswith(_LOCAL):
        return redacted(store)
    with suppress(ValueError, SyntaxError, OSError, RecursionError, MemoryError):
        root = ast.literal_eval(store[len(_LOCAL) : -1])
        if isinstance(root, str):
            return f"{_LOCAL}{os.path.realpath(root)!r})"
    return store


def _locked(path: Path, run_id: str) -> int:
    for attempt in range(_TRIES):
        if attempt:
            # Somebody who only looks is gone by then.
            time.sleep(_TRY_EVERY_S)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, path):
                return fd
            holder = None
        except BlockingIOError:
            holder = _named(fd)
        os.close(fd)
    by = "another process" if holder is None else f"process {holder.pid}"
    raise RunHeld(f"The run {run_id!r} is being run by {by}. Wait for it, or cancel it.")


def _is_at(fd: int, path: Path) -> bool:
    """Whether an open file is still the one at a path: its last holder may have removed it since."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _named(fd: int) -> Holder | None:
    """Who a lock's file says holds it; ``None`` while that is not written yet."""
    try:
        said = json.loads(os.pread(fd, 200, 0))
        return Holder(int(said["pid"]), None if said["started"] is None else int(said["started"]))
    except (ValueError, TypeError, KeyError):
        return None
