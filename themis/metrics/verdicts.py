"""What a judge decided, read out of what it wrote."""

from __future__ import annotations

import re
from typing import NamedTuple

READ_CHARACTERS = 20_000
"""Characters from the end in which a verdict is looked for."""
MOST_REASON = 2_000

_VERDICT = re.compile(
    r"(?P<first>^[^\S\n]{0,4}[*_#>\-\"'`(\[]{0,4}[^\S\n]{0,2})?"
    r"\b(?:(?:final[ \t]+)?(?:score|rating)|(?P<graded>grade|verdict))\b[\s*_\"'`:：=<\[]{1,8}"
    r"(?:(?P<number>\d{1,4}(?:[.,]\d{1,8})?|\.\d{1,8})(?!\w)(?![.,]\d)"
    r"(?:\s?(?P<percent>%)|\s?(?:/|out\s+of)\s?(?P<most>\d{1,4}(?:\.\d{1,4})?))?"
    r"|(?P<word>correct|incorrect|partially|partial|partly|pass|fail|yes|no|c|p|i)\b)",
    re.IGNORECASE | re.MULTILINE,
)
_WORDS = {"c": 1.0, "correct": 1.0, "pass": 1.0, "yes": 1.0}
_WORDS |= {"p": 0.5, "partial": 0.5, "partially": 0.5, "partly": 0.5}
_WORDS |= {"i": 0.0, "incorrect": 0.0, "fail": 0.0, "no": 0.0}


class Verdict(NamedTuple):
    """A score from 0 to 1, and what the judge wrote before it."""

    score: float
    reason: str


def read_verdict(said: str) -> Verdict | None:
    """The last verdict that a judge wrote; ``None`` if there is none, or it is no share of 1.

    One that a line starts with goes before what is said of scores elsewhere. ``SCORE: 0.8``, ``SCORE: 0,8``,
    ``score = 80%``, ``Rating: 4/5``, ``GRADE: C`` (correct; P partly, I incorrect), in any case and emphasis.
    """
    text = said[-READ_CHARACTERS:]
    found = None
    for match in _VERDICT.finditer(text):
        if match["word"] is not None and match["graded"] is None:
            continue
        if found is None or found["first"] is None or match["first"] is not None:
            found = match
    score = None if found is None else _score(found)
    if found is None or score is None:
        return None
    reason = text[: found.start()].strip(" \t\r\n*_#-\"'`") or text.strip()
    return Verdict(score, reason[-MOST_REASON:])


def _score(found: re.Match[str]) -> float | None:
    if found["word"] is not None:
        return _WORDS[found["word"].lower()]
    most = 100.0 if found["percent"] else float(found["most"] or 1)
    score = float(found["number"].replace(",", ".")) / most if most else -1.0
    return score if 0 <= score <= 1 else None
