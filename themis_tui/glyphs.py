"""The signs of the app, and their ASCII twins for terminals that have no others."""

from __future__ import annotations

import locale
import os

VARIABLE = "THEMIS_ASCII"

STATUS = {
    "queued": "○",
    "running": "●",
    "stalled": "◌",
    "no signal": "◌",
    "paused": "‖",
    "completed": "✓",
    "failed": "✗",
    "crashed": "†",
    "cancelled": "⊘",
    "trashed": "▽",
}
"""Status word to the sign beside it."""
VERDICT = {"right": "✓", "partly": "◐", "wrong": "✗", "error": "!", "unscored": "·"}
NONE = "–"
DOT = "·"
CURSOR = "▌"
MARK = "◆"
PIN = "★"
BACK = "‹"
SWATCH = "■"
RULE = "─"
UP, DOWN = "▴", "▾"
FULL, EMPTY = "━", "─"
SPARKS = "▁▂▃▄▅▆▇█"
LEFT_END, RIGHT_END, POINT = "├", "┤", "●"
ZERO = "┼"
"""Where a difference is none."""
TO = "→"

_PAIRS = (
    "▽v ★* ○o ●* ◌~ ‖= ✓+ ✗x †! ⊘/ "
    "◐% ·. –- ▌> ◆# ‹< ─- ━= █# ■# ┼| →> ▁_ ▂_ ▃. ▄- ▅- ▆= ▇+ ├[ ┤] ±~ …~ ×x ⏎\\ ▾v ▴^"
)
_TWINS = str.maketrans({pair[0]: pair[1] for pair in _PAIRS.split()})


def ascii_wanted() -> bool:
    """Whether this terminal should get ASCII: asked for, or a locale without UTF-8."""
    asked = os.environ.get(VARIABLE)
    if asked is not None:
        return asked not in ("", "0")
    return "utf" not in locale.getpreferredencoding(False).lower()


def drawn(text: str, ascii_only: bool) -> str:
    """``text`` as it can be drawn: with the twins, and ``?`` for what has none, if ASCII is wanted."""
    if not ascii_only or text.isascii():
        return text
    return text.translate(_TWINS).encode("ascii", "replace").decode("ascii")
