"""How far a piece of work is: a line that renews itself for people, JSON lines for programs."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any

from themis.cli import output

EVERY_S = 0.2


class Ticker:
    """Tells progress at most five times a second, and the last of it always.

    ``as_json``: objects on stdout, one a line; else a line on stderr where that is a terminal.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._told_at = 0.0
        self._drawn = 0

    def tell(self, what: str, done: int, total: int | None, **more: Any) -> None:
        """``done`` of ``total`` of what is being done."""
        now = time.monotonic()
        if now - self._told_at < EVERY_S and done != total:
            return
        self._told_at = now
        if self._as_json:
            output.say(output.to_json({"progress": {"what": what, "done": done, "total": total, **more}}))
            sys.stdout.flush()
        elif sys.stderr.isatty():
            of = f" of {output.count(total)}" if total is not None else ""
            self._draw(output.cut(f"{what} {output.count(done)}{of}", 78))

    def close(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._draw("")
            self._drawn = 0

    def _draw(self, line: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write("\r" + line.ljust(self._drawn) + "\r")
            sys.stderr.flush()
        self._drawn = len(line)
