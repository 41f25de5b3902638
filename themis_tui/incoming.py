"""What a terminal sends, made fit for Textual's parser before it gets there."""

from __future__ import annotations

import codecs
from typing import Any

PASTE, PASTED = "\x1b[200~", "\x1b[201~"


class Incoming:
    """Bytes to text: no UTF-8 becomes signs, and a paste holds no escape that would be read as keys."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._pasting = False
        self._before = ""
        """The last characters handed on, in which a paste may have begun."""
        self._held = ""
        """The end of what is pasted so far, as far as it may be the beginning of its end."""

    def decode(self, data: bytes, final: bool = False) -> str:
        """What the parser gets; called as an incremental decoder is."""
        rest, made = self._decode(data, final), ""
        while rest:
            piece, rest = self._pasted(rest) if self._pasting else self._typed(rest)
            made += piece
        return made

    def _typed(self, text: str) -> tuple[str, str]:
        seen = self._before + text
        at = seen.find(PASTE)
        if at < 0:
            self._before = seen[1 - len(PASTE) :]
            return text, ""
        self._pasting, known = True, len(self._before)
        self._before = ""
        end = at + len(PASTE)
        return seen[known:end], seen[end:]

    def _pasted(self, text: str) -> tuple[str, str]:
        seen = self._held + text
        at = seen.find(PASTED)
        if at < 0:
            kept = next((n for n in range(len(PASTED) - 1, 0, -1) if seen.endswith(PASTED[:n])), 0)
            self._held = seen[len(seen) - kept :]
            return seen[: len(seen) - kept].replace("\x1b", "␛"), ""
        self._pasting, self._held = False, ""
        return seen[:at].replace("\x1b", "␛") + PASTED, seen[at + len(PASTED) :]


def make_fit() -> None:
    """Let Textual read by :class:`Incoming`. Its own way ends with the first byte that is no UTF-8."""
    from textual.drivers import linux_driver

    def decoder(_: str) -> Any:
        return Incoming

    setattr(linux_driver, "getincrementaldecoder", decoder)  # noqa: B010 - it is no part of its interface
