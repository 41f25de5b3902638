"""What an answer says of a letter: that it is the one chosen, or that it is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

# Signs that may stand around a letter: (B), **B**, "B", $B$, \text{B}
_OPEN = r"[\s*_(\"'“‘\[{$]{0,12}(?:\\(?:text|mathrm|mathbf|textbf)\{)?[\s*_(\"'“‘\[{]{0,4}"
LETTER = rf"{_OPEN}(?P<letter>[A-Za-z])(?!\w|['’]\w)"
"""A letter by itself, as the group ``letter``."""

_FILLED = (
    r"(?:(?i:most\s+likely|definitely|probably|clearly|therefore|still|the|option|choice|letter|answer"
    r"|not|neither)\b[\s:*_]{1,4}){0,4}"
)
_SAID = re.compile(
    r"(?:\b(?i:answers?|choice|option|alternative)\b[^\n.:=]{0,60}?(?:\b(?i:is|are|be|was)(?i:n['’]t)?\b|[:=])"
    r"|\b(?i:choose|chose|pick|select|go\s+with)\b"
    r"|(?<![^\W_])(?i:answer)\b)"
    r"[\s*_]{0,12}" + _FILLED + LETTER
)
_IS_RIGHT = re.compile(
    rf"(?<![\w'’]){LETTER}[)\]*_.\"'’”]{{0,4}}\s+(?i:is|seems|must\s+be)\s+(?i:the\s+)?"
    r"(?i:most\s+likely\s+|most\s+|only\s+|best\s+|single\s+){0,3}(?i:correct|right|answer|accurate|choice|appropriate|best)\b"
)
_ANOTHER = re.compile(
    r"[)\]*_\"'”]{0,4}\s{0,3}(?:,|/|&|\b(?:and|n?or)\b)\s{0,3}(?:and\s|or\s)?[(*_\[]{0,4}(?P<letter>[A-Z])"
    # Not where a sentence goes on: "C, and B is wrong".
    r"(?![\w'’])(?!\s+(?:is|are|was|has|would|says)\b)"
)

WRONG_AFTER = r"[)\]*_]{0,3}\s+(?:(?:is|are|was|seems)\s+(?:incorrect|wrong|not|false)|(?:is|was)n['’]t)\b"
"""What follows a letter that is not chosen."""

_AROUND = 200
"""Characters of a sentence that are looked at before and after what it says."""
_WRONG_AFTER = re.compile(WRONG_AFTER)
_DENIED = re.compile(
    r"(?:\b(?:not|cannot|never|neither)|n['’]t)\b(?:[\s:*_]+(?:be|the|option|choice|answer|letter)\b)*\W*$",
    re.I,
)
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|cannot|never)|n['’]t)\s+(?:(?!(?:I|we|so)\b)\w+\s+){0,2}$"
    # Of an answer that is named as a bad one.
    r"|\b(?:wrong|incorrect|false|worst|other|another|common|tempting|popular)\s+$"
    r"|\bnone\s+of\s+(?:the|these|those)\s+(?:\w+\s+)?$",
    re.I,
)
_OTHERS = re.compile(
    r"\b(?:people|students|others|they|who)\s+(?:\w+\s+){0,2}$|\b(?:some|many|most)\s+(?:\w+\s+)?$", re.I
)
_CHOOSE = re.compile(r"choose|chose|pick|select|go", re.I)
_BEST_BEFORE = re.compile(r"\b(?:correct|right|best|final)\s+$", re.I)
_IF = re.compile(r"\b(?:if|unless|suppose)\b", re.I)
# "If I had to choose" is how people say what they do choose.
_IF_OTHERWISE = re.compile(r"\b(?:if|unless|suppose)\b(?!\s+(?:I|we)\b)", re.I)
_ONLY_IF = re.compile(r"\s+(?:only\s+)?(?:if|when|unless|for)\b", re.I)
_WOULD = re.compile(r"\bwould\b", re.I)
_GOES_WRONG = re.compile(r"[^.!?\n]*\b(?:wrong|incorrect|mistaken?)\b", re.I)
_REFUSED = re.compile(r"[^.!?\n]{0,60}\?\W{0,4}(?:no|not|nope)\b", re.I)

_EXPLICIT, _CHOSEN, _CONDITIONAL = 2, 1, 0


class Claims(NamedTuple):
    """What a text says: the letter that it chooses, and those that it says are not to be chosen."""

    chosen: str | None
    """Empty if two letters are chosen at once; ``None`` if none is."""
    denied: frozenset[str]


def claims(text: str, is_meant: Callable[[re.Match[str]], bool]) -> Claims:
    """What is said in words. ``is_meant``: whether a match's ``letter`` stands for an option at all.

    An answer that is named as such ("the answer is", "is the answer") goes before one that is chosen or
    called right, and that before one under a condition; of the same rank, the last counts, as people correct
    themselves; only two letters at once give way to one that is then chosen. Denied is what stands after
    "not", or is what others would choose, or is called wrong.
    """
    best, chosen, denied = -1, None, set()
    for match in sorted(_found(text), key=lambda each: each.start("letter")):
        if not is_meant(match):
            continue
        letters = list(_letters(match, text))
        rank = _rank(match, text)
        if rank is None:
            denied.update(letters)
        elif rank >= best or (chosen == "" and rank == _CHOSEN):
            best, chosen = rank, letters[0] if len(letters) == 1 else ""
    return Claims(chosen, frozenset(denied))


def names_another(text: str, after: int) -> bool:
    """Whether a second letter follows at once, as in "B or C"."""
    return _ANOTHER.match(text, after) is not None


def is_said(match: re.Match[str]) -> bool:
    """Whether the letter stands behind what says that it is the answer, not before."""
    return match.re is _SAID


def _found(text: str) -> Iterator[re.Match[str]]:
    yield from _SAID.finditer(text)
    yield from _IS_RIGHT.finditer(text)


def _letters(match: re.Match[str], text: str) -> Iterator[str]:
    yield match["letter"].upper()
    end = match.end("letter")
    while another := _ANOTHER.match(text, end):
        yield another["letter"]
        end = another.end()


def _rank(match: re.Match[str], text: str) -> int | None:
    """How much a claim counts; ``None`` if it denies its letter."""
    start = match.start()
    before, cue = _sentence_before(text, start), text[start : match.start("letter")]
    after = text[match.end() : match.end() + _AROUND]
    if _DENIED.search(cue) or _DENIED_BEFORE.search(before):
        return None
    if _CHOOSE.match(cue) and _OTHERS.search(before):
        return None
    if _WRONG_AFTER.match(text, match.end("letter")) or _REFUSED.match(after):
        return None
    if _IF.search(before):
        otherwise = _IF_OTHERWISE.search(before) and _WOULD.search(cue)
        return None if otherwise or _GOES_WRONG.match(after) else _CONDITIONAL
    if not is_said(match) and _ONLY_IF.match(after):
        return _CONDITIONAL
    if "answer" in match[0].casefold() or _BEST_BEFORE.search(before):
        return _EXPLICIT
    return _CHOSEN


def _sentence_before(text: str, end: int) -> str:
    first = max(0, end - _AROUND)
    return text[max(first, *(text.rfind(sign, first, end) + 1 for sign in ".!?\n")) : end]
