"""One process's own files in a run's folder."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from themis.backends.storage.files import FileClosed, GrowingFile
from themis.core.errors import RunNotFound


class RunWriter:
    """The files that one backend, in one process, appends to for one run."""

    def __init__(self, folder: Path, unsynced: set[Path]) -> None:
        """``unsynced`` gathers the folders whose names are not durable yet."""
        self.folder = folder
        self._unsynced = unsynced
        self._lock = threading.Lock()
        self._closed = False
        self._name = os.urandom(4).hex()
        self._open: int | None = None
        self._files: dict[str, GrowingFile] = {}
        self._seen_there = True

    def append(self, kind: str, data: bytes) -> None:
        """Add lines to the file of one kind, ``gen`` or ``eval``.

        Raises :class:`FileClosed` once closed, :class:`RunNotFound` if the run was deleted.
        """
        file = self._usable(kind)
        if file is None:
            with self._lock:
                if self._closed:
                    raise FileClosed
                file = self._usable(kind) or self._opened(kind)
        file.append(data)

    def _usable(self, kind: str) -> GrowingFile | None:
        file = self._files.get(kind)
        return None if file is None or file.spoilt else file

    def _opened(self, kind: str) -> GrowingFile:
        if kind in self._files:
            self._files[kind].close(sync=True)
            self._open = None  # the name of the spoilt one is taken
        try:
            if self._open is None:
                make_folder(self.folder, self._unsynced)
                self._open = 1 + max((_open_number(name) for name in os.listdir(self.folder)), default=0)
            file = GrowingFile(self.folder / f"{kind}-{self._open:06d}-{self._name}.jsonl")
        except FileNotFoundError as exc:
            raise self._deleted() from exc
        self._files[kind] = file
        self._unsynced.add(self.folder)
        self._seen_there = False
        return file

    def sync(self) -> None:
        """Return when all that was appended is on the disk; :class:`RunNotFound` if the run was deleted."""
        for file in list(self._files.values()):
            file.sync()
        if not self._seen_there:
            self._seen_there = True
            if not self.folder.exists():
                raise self._deleted()

    def close(self, *, sync: bool) -> None:
        """Let go of the files, synced or not."""
        with self._lock:
            self._closed = True
            for file in self._files.values():
                file.close(sync=sync)

    def _deleted(self) -> RunNotFound:
        return RunNotFound(f"{self.folder.name}: the run was deleted while it was written to.")


def make_folder(folder: Path, unsynced: set[Path]) -> None:
    """Make a run's folder, if it is not there, and note that its name is to be synced."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        unsynced.add(folder.parent.parent)
    unsynced.add(folder.parent)


def _open_number(name: str) -> int:
    kind, _, rest = name.partition("-")
    number = rest.partition("-")[0]
    return int(number) if kind in ("gen", "eval") and number.isdecimal() else 0
