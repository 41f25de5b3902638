"""Files that only grow and files that are replaced whole: what the local store is made of."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from themis.core.errors import AccessDenied, Conflict, RunNotFound, StorageError, StoreFull, StoreUnreachable

BLOCK = 1 << 20
"""Bytes read at once."""

_fdatasync = getattr(os, "fdatasync", os.fsync)

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


_CANNOT_LOCK = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
LOCK_WITHIN_S = 5.0
"""How long another's work on one small document may take."""
_LOCK_EVERY_S = 0.005


class FileClosed(Exception):
    """The file was closed by another thread before it could be appended to; a new one may be opened."""


@contextmanager
def translated(path: Path, doing: str) -> Iterator[None]:
    """Turn an ``OSError`` into ours, naming the place and what was being done there."""
    try:
        yield
    except StorageError:
        raise
    except OSError as exc:
        why = exc.strerror or str(exc)
        if exc.errno in _DENIED:
            raise AccessDenied(f"{path}: no permission to {doing} ({why}).") from exc
        if exc.errno in _FULL:
            raise StoreFull(f"{path}: no room to {doing} ({why}). Free some space and go on.") from exc
        raise StoreUnreachable(f"{path}: cannot {doing} ({why}).") from exc


def nearest_existing(path: Path) -> Path:
    """``path``, or the nearest above it that is there, be it a folder or not."""
    return next((each for each in (path, *path.parents) if os.path.lexists(each)), path)


class GrowingFile:
    """A file with one writer, to which whole pieces are appended.

    A piece that cannot be written whole leaves nothing behind, so only a killed writer tears a line.
    """

    def __init__(self, path: Path, *, mode: int = 0o666, may_move: bool = True) -> None:
        """``mode``: Who may read it, less what the umask takes away.

        ``may_move``: Whether its folder is renamed to delete it. Else an append only asks whether the file
        was removed, which takes a quarter of the time.
        """
        self.path = path
        self._is_there = self._is_at_its_path if may_move else self._has_a_name
        self._lock = threading.Lock()
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, mode)
        self.size = 0
        self._dirty = False
        self.spoilt = False
        """A torn piece stands at the end: nothing may follow it, another file takes what comes."""

    def append(self, data: bytes) -> None:
        """Write ``data`` whole. Raises ``OSError``; :class:`RunNotFound` if the file was deleted.

        :class:`FileClosed` if it is closed, or spoilt.
        """
        with self._lock:
            if self._fd < 0 or self.spoilt:
                raise FileClosed
            try:
                self._write(data)
                self.size += len(data)
            except BaseException:  # an interrupt may come in the middle, too
                self._take_back()
                raise
            self._dirty = True
            # Looked at last: a run that is deleted after this was not deleted when the save began.
            if not self._is_there():
                raise RunNotFound(f"{self.path.parent.name}: the run was deleted while it was written to.")

    def _is_at_its_path(self) -> bool:
        """False from the rename on with which a deletion begins, long before the file itself is gone."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _has_a_name(self) -> bool:
        return os.fstat(self._fd).st_nlink > 0

    def _take_back(self) -> None:
        # A second failure here would hide the first; the reader drops a torn line, but only the last.
        self.spoilt = True
        with suppress(OSError):
            os.ftruncate(self._fd, self.size)
            self.spoilt = False

    def _write(self, data: bytes) -> None:
        written = os.write(self._fd, data)
        while written < len(data):
            written += os.write(self._fd, memoryview(data)[written:])

    def sync(self) -> None:
        """Return when everything appended is on the disk."""
        with self._lock:
            self._sync()

    def close(self, *, sync: bool) -> None:
        """Let go of the file, synced or not; what another thread appends meanwhile is before or refused."""
        with self._lock:
            if self._fd < 0:
                return
            try:
                if sync:
                    self._sync()
            finally:
                os.close(self._fd)
                self._fd = -1

    def _sync(self) -> None:
        if self._dirty and self._fd >= 0:
            _fdatasync(self._fd)
            self._dirty = False


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file at once: a reader sees the old or the new, also after a power cut.

    Which of the two is settled only when the folder has been synced.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Exclude every other thread and process that locks ``path``, for as long as the holder lives.

    On NFS it excludes other hosts too, where the server keeps locks; a file system that cannot lock at all
    excludes nobody. Raises :class:`Conflict` if another holds it for too long, ``FileNotFoundError`` if its
    folder is not there. The file stays: to remove it would let two hold it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + LOCK_WITHIN_S
        while not _got(fd):
            if time.monotonic() > deadline:
                raise Conflict(
                    f"{path.parent}: another process has been writing there for {LOCK_WITHIN_S:g} s."
                )
            time.sleep(_LOCK_EVERY_S)
        yield
    finally:
        os.close(fd)


def _got(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        if exc.errno not in _CANNOT_LOCK:
            raise
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def whole_lines(path: Path) -> Iterator[bytes]:
    """A file's bytes in pieces that end with a newline; the last may not, if its writer was killed."""
    with open(path, "rb", buffering=0) as file:
        held: list[bytes] = []
        while block := file.read(BLOCK):
            end = block.rfind(b"\n") + 1
            if end == 0:
                held.append(block)
                continue
            held.append(block[:end])
            yield b"".join(held)
            held = [block[end:]] if end < len(block) else []
        if held:
            yield b"".join(held)
