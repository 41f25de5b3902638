"""Where in an answer the answer stands: after the thoughts, near the end, in a box."""

from __future__ import annotations

import re

READ_CHARACTERS = 20_000
"""Characters from the end in which a final answer is looked for."""

_THOUGHTS_END = "</think>"
_BOX = re.compile(r"\\f?boxe?d?\b\s*")


def last_part(text: str) -> str:
    """The end of an answer, without the thoughts that a reasoning model writes before it."""
    end = text[-READ_CHARACTERS:]
    return end.rpartition(_THOUGHTS_END)[2] or end


def boxed(text: str) -> str | None:
    r"""What the last ``\boxed{…}`` holds, braces within it balanced; ``None`` if there is none."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    found = _BOX.match(text, start) if start >= 0 else None
    if found is None:
        return None
    if text[found.end() : found.end() + 1] != "{":
        # TeX takes the next sign: \boxed 5
        word = re.compile(r"[^\s$]*").match(text, found.end())
        return word[0] if word and word[0] else None
    depth = 0
    for brace in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, found.end()):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[found.end() + 1 : brace.start()].strip()
    return None
