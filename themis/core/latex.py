"""The little LaTeX that is read here: what a text puts into a box."""

from __future__ import annotations

import re
from collections import deque

_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*")
_TOKEN = re.compile(r"[^\s$]*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def boxed(text: str) -> str | None:
    r"""What the last ``\boxed{…}`` or ``\fbox{…}`` holds, braces within it balanced; ``None`` without one.

    ``\boxed 5`` and ``\boxed5`` hold what stands up to the next space or dollar.
    """
    found = next(iter(deque(_BOX.finditer(text), maxlen=1)), None)
    if found is None:
        return None
    if text[found.end() : found.end() + 1] != "{":
        token = _TOKEN.match(text, found.end())
        # What ends the sentence is no part of it.
        return (token[0].rstrip(".,;:") or None) if token else None
    depth = 0
    for brace in _BRACE.finditer(text, found.end()):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[found.end() + 1 : brace.start()].strip()
    return None
