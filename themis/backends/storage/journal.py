"""Records on their way to a remote store, kept on this machine until the store has them.

::

    <state>/journal/<store>/place.json                        what the store is, for people
                            <run_id>/<open>-<writer>/lock     held for as long as the writer lives
                                                     run.json which run of that id they belong to
                                                     g000001.jsonl, e000002.jsonl, …
                            .set-aside/<run_id>/<open>-<writer>-g000001.jsonl, …why

A file is a *segment*: it has one writer, it only grows until it is sealed, and only a sealed one is sent. In
the store it is called ``<open>-<writer>-g000001.jsonl``, so that sending it twice changes nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from themis.backends.storage.files import FileClosed, GrowingFile, translated, write_whole
from themis.core.directories import make_private, state_dir
from themis.core.errors import RunNotFound, StorageError

KINDS = ("gen", "eval")
"""In the order in which they are sent: a generation is there before its evaluation."""
SET_ASIDE = ".set-aside"
_LOCK, _RUN, _PLACE = "lock", "run.json", "place.json"


class Opening(NamedTuple):
    """A run as it was found when it was opened for writing."""

    number: int
    """One more than the highest that the store had seen, where its segments keep their names."""
    run: str = ""
    """What tells this run from another of the same id, made after it was deleted; empty if nothing does."""


class Segment(NamedTuple):
    """Lines of one kind in a file of their own."""

    path: Path
    kind: str
    number: int
    size: int

    @property
    def name(self) -> str:
        """What it is called in the store."""
        return f"{self.path.parent.name}-{self.path.name}"

    def lines(self) -> bytes:
        """Its finished lines: a killed writer may have left a torn one at the end."""
        with translated(self.path, "read the journal"):
            data = self.path.read_bytes()
        return data[: data.rfind(b"\n") + 1]


class Journal:
    """What one opening of one run, in one process, has still to send."""

    def __init__(self, folder: Path, opening: Opening, *, most_bytes: int | None = None) -> None:
        """``folder``: That of the run; one for this writer is made in it.

        ``most_bytes``: No segment that has so many grows further, however long it has to wait to be sent.
        """
        self.opening = opening
        self._most_bytes = most_bytes
        self.folder = folder / f"{opening.number:06d}-{os.urandom(4).hex()}"
        with translated(self.folder, "begin a journal"):
            self._lock_fd = _begin(self.folder, opening.run)
        self._lock = threading.Lock()
        self._growing: dict[str, GrowingFile] = {}
        self._sealed: deque[Segment] = deque()
        self._last = 0
        self._closed = False
        self.growing_bytes = 0
        self.growing_since = 0.0
        """When the first of the bytes that are not sealed came, by the monotonic clock."""
        self.unsent_bytes = 0

    def append(self, kind: str, data: bytes) -> None:
        """Keep whole lines; they survive ``kill -9`` from then on. :class:`FileClosed` once closed."""
        with self._lock, translated(self.folder, "save records in the journal"):
            if self._closed:
                raise FileClosed
            file = self._growing.get(kind)
            if file is None or file.spoilt or self._is_full(file):
                self._seal(kind)
                self._last += 1
                path = self.folder / f"{kind[0]}{self._last:06d}.jsonl"
                file = GrowingFile(path, mode=0o600, may_move=False)
                self._growing[kind] = file
            try:
                file.append(data)
            except RunNotFound as exc:
                raise StorageError(
                    f"{self.folder} was removed while records waited there for their store. What was not "
                    "sent is lost; resume the run to ask it again."
                ) from exc
            if not self.growing_bytes:
                self.growing_since = time.monotonic()
            self.growing_bytes += len(data)
            self.unsent_bytes += len(data)

    def seal(self) -> int:
        """Let nothing more into the segments that grow, and give the number of the last segment there is."""
        with self._lock:
            for kind in KINDS:
                self._seal(kind)
            self.growing_bytes = 0
            return self._last

    def sealed(self) -> list[Segment]:
        """What can be sent, oldest first."""
        with self._lock:
            return list(self._sealed)

    def is_empty(self) -> bool:
        """Whether everything that was appended has been sent, or set aside."""
        with self._lock:
            return not self.growing_bytes and not self._sealed

    def is_sent(self, number: int) -> bool:
        """Whether all segments up to that number have been sent, or set aside."""
        with self._lock:
            return all(each.number > number for each in self._sealed)

    def sent(self, segment: Segment) -> None:
        """Let go of a segment: the store has it."""
        self._let_go(segment)
        segment.path.unlink(missing_ok=True)

    def set_aside(self, segment: Segment, why: str) -> None:
        """Keep a segment that the store will not take where ``doctor`` shows it, and send it no more."""
        set_aside(segment, why)
        self._let_go(segment)

    def close(self, *, discard: bool = False) -> None:
        """Let go of the journal; what was not sent stays for the next opening, unless ``discard``."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for kind in KINDS:
                self._seal(kind)
            self.growing_bytes = 0
            # Emptied before it is let go of, so that whoever gets the lock finds nothing half removed.
            if discard or not self._sealed:
                _remove(self.folder)
            os.close(self._lock_fd)

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's, without a change to it."""
        # Both hold the one lock, and it would outlive the parent.
        self._closed = True
        with suppress(OSError):
            os.close(self._lock_fd)

    def _is_full(self, file: GrowingFile) -> bool:
        return self._most_bytes is not None and file.size >= self._most_bytes

    def _seal(self, kind: str) -> None:
        file = self._growing.pop(kind, None)
        if file is not None:
            file.close(sync=False)
            self._sealed.append(_segment(file.path, file.size))

    def _let_go(self, segment: Segment) -> None:
        with self._lock:
            self._sealed.remove(segment)
            self.unsent_bytes -= segment.size


class Kept(NamedTuple):
    """What one writer on this machine has not sent yet."""

    run_id: str
    segments: int
    size: int
    """In bytes."""
    living: bool
    """Whether its writer lives, and sends it by itself."""
    pid: int | None
    """The process that began it; ``None`` where it did not say so."""


class SetAside(NamedTuple):
    """Records that their store will not take."""

    run_id: str
    path: Path
    why: str


class Orphan:
    """A journal whose writer ended before it had sent everything."""

    def __init__(self, folder: Path, lock_fd: int) -> None:
        self.folder = folder
        self._lock_fd = lock_fd
        self.opening = Opening(int(folder.name.partition("-")[0]), _run_of(folder))
        self.segments = segments_in(folder)

    def close(self) -> None:
        """Let go of it; what was not sent stays."""
        if not segments_in(self.folder):
            _remove(self.folder)
        os.close(self._lock_fd)


def place_folder(place: str) -> Path:
    """Where the journals of a store lie on this machine; ``place`` names the store and holds no secret."""
    return state_dir() / "journal" / hashlib.sha256(place.encode()).hexdigest()[:24]


def name_place(place: str) -> Path:
    """Make the folder of a store's journals, with a file in it that says to a person which it is."""
    folder = place_folder(place)
    with translated(folder, "begin a journal"):
        make_private(folder)
        header = folder / _PLACE
        if not header.exists():
            write_whole(header, json.dumps({"place": place}).encode())
    return folder


def places() -> Iterator[tuple[str, Path]]:
    """The stores that anything is kept for on this machine, and the folder of each."""
    for header in sorted((state_dir() / "journal").glob(f"*/{_PLACE}")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            yield str(json.loads(header.read_bytes())["place"]), header.parent


def kept_runs(folder: Path) -> list[str]:
    """The ids of the runs with journals in a store's folder, whoever writes them."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(
        each for each in names if each != SET_ASIDE and not each.startswith(".") and (folder / each).is_dir()
    )


def orphans(folder: Path) -> Iterator[Orphan]:
    """The journals in a run's folder that no living process writes, oldest first, each held while it is used.

    Journals of this process and of others that live are left out: their writers send them.
    """
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    for name in names:
        try:
            fd = os.open(folder / name / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue  # another has just sent it, or has just begun it
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        orphan = Orphan(folder / name, fd)
        try:
            yield orphan
        finally:
            orphan.close()
    with suppress(OSError):  # others may have begun there meanwhile
        folder.rmdir()


def kept_in(folder: Path) -> Iterator[Kept]:
    """What writers have not sent yet, in a store's folder; nothing is changed."""
    for run_id in kept_runs(folder):
        for writer in sorted((folder / run_id).glob(f"*/{_LOCK}")):
            segments = segments_in(writer.parent)
            if segments:
                size = sum(each.size for each in segments)
                yield Kept(run_id, len(segments), size, _is_held(writer), _pid_of(writer.parent))


def set_aside_in(folder: Path) -> Iterator[SetAside]:
    """What was set aside in a store's folder."""
    for path in sorted((folder / SET_ASIDE).glob("*/*.jsonl")):
        why = path.with_name(f"{path.name}.why")
        said = why.read_text(errors="replace").strip() if why.exists() else "it does not say why"
        yield SetAside(path.parent.name, path, said)


def segments_in(folder: Path) -> list[Segment]:
    """The segments in a writer's folder, in the order in which they were begun."""
    with suppress(FileNotFoundError):
        found = [path for path in folder.iterdir() if path.suffix == ".jsonl"]
        segments = [_segment(path, path.stat().st_size) for path in found]
        return sorted(segments, key=lambda each: each.number)
    return []


def set_aside(segment: Segment, why: str) -> Path:
    """Move a segment that its store will not take out of the way, with the reason; returns where it is."""
    run = segment.path.parent.parent
    folder = run.parent / SET_ASIDE / run.name
    with translated(folder, "set records aside"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / f"{segment.name}.why").write_text(f"{why}\n", errors="backslashreplace")
        os.replace(segment.path, folder / segment.name)
    return folder / segment.name


def _begin(folder: Path, run: str) -> int:
    """Make a writer's folder, which nobody sees before its lock is held; returns the lock."""
    hidden = folder.parent.parent / f".{folder.name}"
    hidden.mkdir(parents=True, mode=0o700)
    lock_fd = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock_fd, fcntl.LOCK_EX)
    (hidden / _RUN).write_text(json.dumps({"run": run, "pid": os.getpid()}))
    while True:
        folder.parent.mkdir(exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):  # the last writer of the run has just removed the run's folder
            os.rename(hidden, folder)
            return lock_fd


def _segment(path: Path, size: int) -> Segment:
    kind = "gen" if path.name.startswith("g") else "eval"
    return Segment(path, kind, int(path.stem[1:]), size)


def _is_held(lock: Path) -> bool:
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look do not take each other for a writer.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _run_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / _RUN).read_bytes())["run"])
    except (OSError, ValueError, KeyError, TypeError):  # its writer was killed as it began: nothing was saved
        return ""


def _pid_of(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / _RUN).read_bytes())["pid"])
    except (OSError, ValueError, KeyError, TypeError):  # of a version that did not write it
        return None


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # other writers of the run are still there
        folder.parent.rmdir()
