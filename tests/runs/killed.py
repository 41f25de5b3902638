"""A process that does one thing to runs, and kills itself at the nth step: ``VERB KIND N ROOT``.

A step is a call of the store, and inside a deletion the removal of any one file or folder.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.runs.file_store import FileStore
from themis.backends import LocalStorageBackend, StorageBackend
from themis.backends.storage.foreign import whole
from themis.runs.catalog import Store
from themis.runs.copy import copy_run
from themis.runs.delete import delete, restore
from themis.runs.purge import purge

RUN = "r1"
VERBS = ("save", "load", "list", "run", "delete", "iter", "flush")
STEPS = [name for name in dir(LocalStorageBackend) if name.split("_")[0] in VERBS]


class Countdown:
    """Ends this process, as ``kill -9`` does, before the step of that number."""

    def __init__(self, left: int) -> None:
        self.left = left

    def step(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def around(self, function: Any) -> Any:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return function(*args, **kwargs)

        return stepped


def opened(kind: str, root: Path) -> StorageBackend:
    return LocalStorageBackend(root) if kind == "local" else FileStore(str(root))


def store(kind: str, root: Path, name: str) -> Store:
    return Store(name, whole(opened(kind, root / name)))


def watched(kind: str, root: Path, name: str, countdown: Countdown) -> Store:
    backend = opened(kind, root / name)
    for step in STEPS:
        if hasattr(backend, step):
            setattr(backend, step, countdown.around(getattr(backend, step)))
    return Store(name, whole(backend))


def do(verb: str, one: Store, other: Store) -> None:
    if verb == "delete":
        delete(one, RUN)
    elif verb == "restore":
        restore(one, RUN)
    elif verb == "purge":
        purge(one, RUN)
    else:
        copy_run(one, RUN, other)


def main() -> None:
    verb, kind, left, root = sys.argv[1:]
    countdown = Countdown(int(left))
    one = watched(kind, Path(root), "one", countdown)
    other = watched(kind, Path(root), "other", countdown)
    for name in ("unlink", "rmdir", "rename", "replace"):
        setattr(os, name, countdown.around(getattr(os, name)))
    do(verb, one, other)


if __name__ == "__main__":
    main()
