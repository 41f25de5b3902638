"""Work that takes long, done by ``themis`` in a process of its own.

The process writes into a file without a name, so nothing it prints waits for a reader: it goes on when the
screen is left, and when the app is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import fstat, pread
from typing import IO, Any

from textual.message import Message

from themis.core.errors import RunError

LOOK_EVERY_S = 0.2
MOST_READ = 50_000_000
"""Bytes of an answer."""


@dataclass
class BesideMoved(Message):
    """The work got further, or came to its end."""

    work: Beside


class Beside(threading.Thread):
    """One command, what it says of how far it is, and what it answered."""

    def __init__(
        self,
        what: str,
        arguments: Sequence[str],
        post: Callable[[Message], object],
        then: Callable[[Beside], object],
    ) -> None:
        """``what``: in words. ``arguments``: after ``themis``; their answer is JSON.

        ``then`` is called by the app, on its loop, when the work has ended.
        """
        super().__init__(name="themis-beside", daemon=True)
        self.what = what
        self.arguments = list(arguments)
        self.then = then
        self._post = post
        self.progress: dict[str, Any] = {}
        """``what``, ``done``, ``total`` and more, as the command tells it."""
        self.ended = False
        self.code: int | None = None
        self.answer: dict[str, Any] = {}
        """What it printed at its end."""
        self.problem = ""
        """What it printed on standard error."""

    @property
    def command(self) -> list[str]:
        """What is run."""
        return [sys.executable, "-P", "-m", "themis.cli.main", *self.arguments]

    def run(self) -> None:
        try:
            with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
                self._follow(out, err)
        except Exception as exc:  # whatever keeps it from running is the person's to see
            self.problem = str(exc) or type(exc).__name__
        self.ended = True
        self._tell()

    def _follow(self, out: IO[bytes], err: IO[bytes]) -> None:
        child = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        seen = 0
        while self.code is None:
            try:
                self.code = child.wait(LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                size = fstat(out.fileno()).st_size
                if size != seen:
                    seen = size
                    self._note(_tail(out, size))
        text = _read(out)
        self.answer = _answer(text)
        self.problem = _problem(_read(err).strip())

    def _note(self, text: str) -> None:
        for each in reversed(text.split("\n")):
            if (progress := _progress(each)) is not None:
                if progress != self.progress:
                    self.progress = progress
                    self._tell()
                return

    def _tell(self) -> None:
        try:
            self._post(BesideMoved(self))
        except RuntimeError:  # the app has been left; the process goes on
            return


def checked(work: Beside) -> dict[str, Any]:
    """The answer. Raises :class:`RunError` with what the command said if it failed without one."""
    if work.answer or (not work.problem and work.code == 0):
        return work.answer
    raise RunError(work.problem or f"themis {' '.join(work.arguments[:2])} ended with {work.code}.")


def _tail(file: IO[bytes], size: int, most: int = 4_096) -> str:
    return pread(file.fileno(), most, max(0, size - most)).decode("utf-8", "replace")


def _read(file: IO[bytes]) -> str:
    return pread(file.fileno(), MOST_READ, 0).decode("utf-8", "replace")


def _progress(row: str) -> dict[str, Any] | None:
    if not row.startswith('{"progress"'):
        return None
    try:
        said = json.loads(row)["progress"]
    except (ValueError, KeyError):
        return None  # its end is still to come
    return said if isinstance(said, dict) else None


def _problem(text: str) -> str:
    """What a command said went wrong; asked for JSON, it says that in JSON too, on its last line."""
    try:
        said = json.loads(text.rpartition("\n")[2])["error"]["message"]
    except (ValueError, LookupError, TypeError):
        said = None
    return said if isinstance(said, str) else text[-4_000:]


def _answer(text: str) -> dict[str, Any]:
    """The object after the lines of progress; ``{}`` if there is none."""
    rest = "\n".join(row for row in text.split("\n") if not row.startswith('{"progress"'))
    try:
        said = json.loads(rest)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
