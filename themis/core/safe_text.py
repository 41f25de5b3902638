"""Text from models, datasets, stores and errors, made harmless for a terminal.

Storage keeps text as it is; only what is drawn, printed or exported for people passes through here.
"""

from __future__ import annotations

import re
from typing import Any

_SUBSTITUTES: dict[int, int] = {
    # C0 controls become their visible pictures, so that ESC is seen and not obeyed.
    **{code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)},
    0x7F: 0x2421,
    # C1 controls are the 8-bit twins of escape sequences.
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
    # Bidirectional controls can make text read as something it is not.
    **dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
    # Line and paragraph separators break a row in two.
    **dict.fromkeys((0x2028, 0x2029), 0x0A),
    # Invisible tag characters and interlinear marks carry text nobody sees.
    **dict.fromkeys((*range(0xE0000, 0xE0080), *range(0xFFF9, 0xFFFC)), 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}

# Marks that stand on the letter before them, or take no room at all; a few make letters, thousands a smear.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0e31-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff"
)
_MARKS += "\u200b-\u200d\u2060-\u2064\u20d0-\u20ff\u302a-\u302f\ufe00-\ufe0f\ufe20-\ufe2f\ufeff"
_SMEAR = re.compile(f"([{_MARKS}]{{8}})[{_MARKS}]+")

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")

LIMIT = 65_536
"""Characters shown unless a caller asks for more."""


def safe_text(text: object, limit: int = LIMIT) -> str:
    """``text`` with control, bidi and surrogate characters shown as signs; newline stays, tabs expand.

    At most ``limit`` characters are kept; a cut is marked by an ellipsis. Of marks upon one letter eight are
    kept, and then a sign.
    """
    string = text if isinstance(text, str) else str(text)
    cut = string[:limit] + "…" if len(string) > limit else string
    safe = cut.translate(_SUBSTITUTES).expandtabs(4)
    return safe if safe.isascii() else _SMEAR.sub("\\1\ufffd", safe)


def safe_line(text: object, limit: int = 1_000) -> str:
    """``safe_text`` on one line: newlines become the sign ``⏎``."""
    return safe_text(text, limit).replace("\n", "⏎")


def storable(text: str) -> str:
    """``text`` with NUL and lone surrogates replaced by U+FFFD, as documents demand."""
    return text if text.isascii() and "\x00" not in text else _NOT_STORABLE.sub("\ufffd", text)


def storable_value(value: Any) -> Any:
    """A JSON value with :func:`storable` applied to every string in it, keys too."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable_value(key): storable_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable_value(item) for item in value]
    return value
