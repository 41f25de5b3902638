"""A terminal of our own on a real pty: it keeps every byte, shows what is on the screen, and obeys little.

What an app writes is taken apart into :class:`Token`. The screen follows those few that Textual draws with;
:func:`strange` says which of them an app has no business to write.
"""

from __future__ import annotations

import base64
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from rich.cells import cell_len

WITHIN_S = 30.0
APP = [sys.executable, "-m", "themis_tui"]

_TAKE_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "[signal.signal(int(n), signal.SIG_IGN) for n in sys.argv[1].split()]; "
    "os.execvp(sys.argv[2], sys.argv[2:])"
)
"""What a login does: the pty becomes the terminal that the process is controlled by."""

_TOKEN = re.compile(
    r"""(?P<csi>\x1b\[(?P<private>[<-?]*)(?P<numbers>[0-9:;]*)(?P<between>[ -/]*)(?P<final>[@-~]))
      | (?P<osc>\x1b\](?P<said>[^\x07\x1b]*)(?:\x07|\x1b\\))
      | (?P<string>\x1b[PX^_][^\x1b]*\x1b\\)
      | (?P<escape>\x1b[ -/]*[0-OQ-WYZ\\`-~])
      | (?P<broken>\x1b\[[<-?]*[0-9:;]*[ -/]*(?=\x1b))
      | (?P<control>[\x00-\x1a\x1c-\x1f\x7f])
      | (?P<text>[^\x00-\x1f\x7f]+)""",
    re.VERBOSE,
)
_UNSEEN = frozenset(
    map(
        chr,
        (
            0x061C,
            0x200E,
            0x200F,
            0x2028,
            0x2029,
            *range(0x202A, 0x202F),
            *range(0x2066, 0x206A),
            *range(0xFFF9, 0xFFFC),
            *range(0xE0000, 0xE0080),
        ),
    )
)
"""What turns text around, or carries what nobody sees."""


class Token(NamedTuple):
    """A piece of what was written: a sequence, a control character, or text."""

    kind: str
    shape: str
    """The same for sequences that do the same elsewhere, in another colour, with another content."""
    text: str


class Reading:
    """Bytes as they come, taken apart; what is not whole waits for the rest, or for what breaks it off."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
        self._rest = ""

    def tokens(self, data: bytes) -> list[Token]:
        text = self._rest + self._decode(data)
        found, at = [], 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None and len(text) - at > 200_000:
                raise AssertionError(f"a sequence without an end: {text[at : at + 200]!r}")
            if match is None:
                break
            found.append(_token(match))
            at = match.end()
        self._rest = text[at:]
        return found


def _token(match: re.Match[str]) -> Token:
    kind = str(match.lastgroup)
    for kind in ("csi", "osc", "string", "escape", "broken", "control", "text"):
        if match[kind] is not None:
            break
    text = match[0]
    if kind == "csi":
        numbers = "…" if match["final"] in "mHABCDGd" and not match["private"] else match["numbers"]
        return Token(kind, f"csi {match['private']}{numbers}{match['between']}{match['final']}", text)
    if kind == "osc":
        return Token(kind, f"osc {match['said'].partition(';')[0]}", text)
    return Token(kind, kind if kind == "text" else f"{kind} {text!r}"[:40], text)


class Screen:
    """What a person would see, as far as Textual's own ways of drawing go."""

    def __init__(self, columns: int, rows: int) -> None:
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        self._rows = [[" "] * columns for _ in range(rows)]
        self._columns = columns
        self._x = self._y = 0

    @property
    def text(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self._rows)

    def follow(self, token: Token) -> None:
        if token.kind == "text":
            self._put(token.text)
        elif token.text == "\r":
            self._x = 0
        elif token.text == "\n":
            self._y = min(self._y + 1, len(self._rows) - 1)
        elif token.shape == "csi …H":
            numbers = [int(each or 1) for each in token.text[2:-1].split(";")]
            self._y = min(numbers[0], len(self._rows)) - 1
            self._x = numbers[1] - 1 if len(numbers) > 1 else 0
        elif token.shape in ("csi ?1049h", "csi 2J"):
            self.resize(self._columns, len(self._rows))

    def _put(self, text: str) -> None:
        row = self._rows[self._y]
        if text.isascii() and self._x + len(text) <= self._columns:
            row[self._x : self._x + len(text)] = text
            self._x += len(text)
            return
        for each in text:
            width = cell_len(each)
            if width and self._x < self._columns:
                row[self._x : self._x + width] = [each, *[""] * (width - 1)][: self._columns - self._x]
                self._x += width
            elif 0 < self._x <= self._columns and len(row[self._x - 1]) < 20:
                row[self._x - 1] += each


class PtyTerminal:
    """A process whose terminal we are."""

    def __init__(
        self,
        command: list[str] | None = None,
        *,
        size: tuple[int, int] = (80, 24),
        ignoring: Iterable[int] = (),
        stdout: int | None = None,
        stderr: int | None = None,
        keep: bool = True,
        **environment: str | None,
    ) -> None:
        """``ignoring``: signals. ``keep``: all bytes; ``environment``: ``None`` leaves a name out."""
        self.written = bytearray()
        self.shapes: Counter[str] = Counter()
        self.faults: list[str] = []
        self.clipboard: list[str] = []
        self.screen = Screen(*size)
        self.last_at = time.monotonic()
        self.allowed: frozenset[str] | None = None
        """Shapes that are no fault; ``None`` while they are being learned."""
        self._keep = keep
        self._reading = Reading()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._stale = False
        self._open = True
        self._may_read = threading.Event()
        self._may_read.set()
        self._leader, follower = pty.openpty()
        self.resize(*size)
        self.modes_before = termios.tcgetattr(self._leader)
        asked = {
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            "COLORTERM": "truecolor",
            "NO_COLOR": None,
            "THEMIS_ASCII": None,
            **environment,
        }
        full = {**os.environ, **{name: value for name, value in asked.items() if value is not None}}
        for name in [name for name, value in asked.items() if value is None]:
            full.pop(name, None)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-ISc",
                _TAKE_TERMINAL,
                " ".join(str(int(each)) for each in ignoring),
                *(command or APP),
            ],
            stdin=follower,
            stdout=follower if stdout is None else stdout,
            stderr=follower if stderr is None else stderr,
            env=full,
            start_new_session=True,
        )
        os.close(follower)
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    # What the app does

    @property
    def text(self) -> str:
        """What is on the screen."""
        with self._lock:
            return self.screen.text

    def until(self, condition: Callable[[str], Any], within_s: float = WITHIN_S) -> str:
        """Wait until the screen is as it should be; fails with the screen after a deadline."""
        deadline = time.monotonic() + within_s
        while True:
            with self._changed:
                text = self.screen.text
                self._stale = False
            if condition(text):
                return text
            with self._changed:
                left = deadline - time.monotonic()
                if not self._stale and left > 0:
                    self._changed.wait(min(left, 0.2))
                stale = self._stale
            if not stale:
                assert self._reader.is_alive(), f"it ended:\n{text}"
                assert left > 0, f"{_wanted(condition)} did not come within {within_s:g} s:\n{text}"

    def ended(self, within_s: float = WITHIN_S) -> int:
        """Wait for the process to end; gives its exit code."""
        code = self.process.wait(within_s)
        self._reader.join(within_s)
        return code

    def cpu_s(self) -> float:
        """Seconds of CPU that the process has had."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # What the person does

    def press(self, *keys: str) -> None:
        """Send what a keyboard sends, one key at a time."""
        for key in keys:
            self.send(KEYS.get(key, key))

    def send(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        while data:
            data = data[os.write(self._leader, data[:512]) :]

    def resize(self, columns: int, rows: int) -> None:
        with self._lock:
            self.screen.resize(columns, rows)
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def stop_reading(self) -> None:
        """Leave what is written where it is, as a hung connection does."""
        self._may_read.clear()

    def read_again(self) -> None:
        self._may_read.set()

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    @property
    def modes(self) -> list[Any]:
        """Settings of the line, to be compared with ``modes_before``."""
        return termios.tcgetattr(self._leader)

    def hang_up(self) -> None:
        """The terminal is gone, as when a connection ends."""
        self._open = False
        self._may_read.set()
        self._reader.join(WITHIN_S)
        with suppress(OSError):
            os.close(self._leader)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.hang_up()

    def __enter__(self) -> PtyTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    def _read(self) -> None:
        while self._open:
            self._may_read.wait()
            ready, _, _ = select.select([self._leader], [], [], 0.05)
            if not ready or not self._may_read.is_set():
                continue
            try:
                data = os.read(self._leader, 65_536)
            except OSError:  # the last process of the terminal has ended
                return
            if not data:
                return
            with self._lock:
                self._take(data)

    def _take(self, data: bytes) -> None:
        self.last_at = time.monotonic()
        if self._keep:
            self.written += data
        for token in self._reading.tokens(data):
            self.screen.follow(token)
            self.shapes[token.shape] += 1
            if token.shape == "osc 52":
                self.clipboard.append(_copied(token.text))
            elif said := strange(token, self.allowed):
                self.faults.append(said)
        self._stale = True
        self._changed.notify_all()


def _copied(text: str) -> str:
    body = text.removeprefix("\x1b]52;c;").rstrip("\x07")
    return base64.b64decode(body, validate=True).decode("utf-8")


def _wanted(condition: Callable[[str], Any]) -> object:
    return getattr(getattr(condition, "__self__", None), "pattern", "it")


def strange(token: Token, allowed: frozenset[str] | None) -> str | None:
    """Why an app should not have written this."""
    if allowed is not None and token.shape not in allowed:
        return f"never over harmless text: {token.text[:200]!r}"
    if token.kind == "text" and not token.text.isascii():
        bad = [
            each for each in token.text if each in _UNSEEN or unicodedata.category(each) in ("Cc", "Cs", "Cn")
        ]
        if bad := [each for each in bad if each in _UNSEEN or unicodedata.category(each) != "Cn"]:
            return f"{bad!r} in {token.text[:200]!r}"
    return None


def pasted(text: str) -> str:
    """``text`` as a terminal sends what is pasted."""
    return f"\x1b[200~{text.replace(chr(27) + '[201~', '')}\x1b[201~"


KEYS = {
    "esc": "\x1b[27u",
    "enter": "\r",
    "tab": "\t",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "left": "\x1b[D",
    "right": "\x1b[C",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f5": "\x1b[15~",
    "f6": "\x1b[17~",
    "backspace": "\x7f",
    **{f"ctrl+{letter}": chr(ord(letter) & 31) for letter in "abcdefghijklmnopqrstuvwxyz"},
    "ctrl+backslash": "\x1c",
}
"""What a terminal sends for the keys that are not one character; esc as one that can tell it from alt."""
