"""The letter that an answer chooses."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from themis.core.latex import boxed
from themis.metrics.answers import last_part
from themis.metrics.base import Metric, Score
from themis.metrics.text import NO_REFERENCE, normalised

MOST_LIKELY = "ABCDEFGHIJ"
"""Letters that a bare one is taken for, where the reference does not bring the options."""

# Signs that may stand around a letter: (B), **B**, "B", $B$, \text{B}
_OPEN = r"[\s*_(\"'“‘\[{$]{0,12}(?:\\(?:text|mathrm|mathbf|textbf)\{)?[\s*_(\"'“‘\[{]{0,4}"
_LETTER = rf"{_OPEN}(?P<letter>[A-Za-z])(?![\w'’])"
_CUES = re.compile(
    r"(?:\b(?i:answers?|choice|option|alternative)\b[^\n.:=]{0,60}?(?:\b(?i:is|are|be|was)\b|[:=])"
    r"|\b(?i:choose|chose|pick|select|go\s+with)\b"
    r"|(?<![^\W_])(?i:answer)\b)"
    r"[\s*_]{0,12}(?:(?i:most\s+likely|definitely|probably|clearly|therefore|still|the|option|choice|letter|answer)\b[\s:*_]{1,4}){0,3}"
    + _LETTER
)
_IS_RIGHT = re.compile(
    rf"(?<![\w'’]){_LETTER}[)\]*_.\"'’”]{{0,4}}\s+(?i:is|seems|must\s+be)\s+(?i:the\s+)?"
    r"(?i:most\s+likely\s+|most\s+|only\s+|best\s+|single\s+){0,3}(?i:correct|right|answer|accurate|choice|appropriate|best)\b"
)
_START = re.compile(rf"{_LETTER}(?=[)\]*_]{{0,3}}[.):\]*]|[^\S\n]*(?:\n|$)|[^\S\n]+[-–—]\s)")
_WHOLE = re.compile(rf"\W*?{_LETTER}\W*")
_NOT_WRONG = r"(?![)\]*_]{0,3}\s+(?:is|are|was|seems)\s+(?:incorrect|wrong|not|false)\b)"
_MARKED = re.compile(rf"(?:\((?P<letter>[A-Z])\)|\*\*\(?(?P<bold>[A-Z])[).:]{{0,2}}\*\*){_NOT_WRONG}")
_BARE = re.compile(
    rf"(?<![A-Za-z0-9_'’.-])(?<!\bnot )(?P<letter>[A-Z])(?![A-Za-z0-9_'’-])(?!\.\w){_NOT_WRONG}"
)
_ANOTHER = re.compile(
    r"[)\]*_\"'”]{0,4}\s{0,3}(?:,|/|&|\b(?:and|or)\b)\s{0,3}(?:and\s|or\s)?[(*_\[]{0,4}[A-Z]"
    # Not where a sentence goes on: "C, and B is wrong".
    r"(?![\w'’])(?!\s+(?:is|are|was|has|would|says)\b)"
)
_REASON = re.compile(r"\s+(?:because|since|as|for|but|which|is|due|so|given|from|in|with|based|that)\b")
_NOT_ALONE = re.compile(r"\s+[a-z]")
_PREFIX = re.compile(r"\W*(?:(?:the|my|final|correct)\s+)*answer(?:\s+is)?\s*:?\s*", re.IGNORECASE)


class Wanted(NamedTuple):
    """The right letter, and the options by letter where the reference brings them."""

    letter: str
    options: dict[str, str]


class Choice(Metric):
    r"""1 if the letter that the answer chooses is the reference's.

    The letter is, in this order: the whole answer (``B``, ``(b)``, ``B.``); the last ``\boxed{B}``; after
    the last "the answer is", "option", "I choose", or before "is correct"; at the start, set off (``B.
    Paris``); in brackets or bold, or the only bare capital, on the last line. ``A`` and ``I`` are words
    where a word in lower case follows. An answer that names two letters at once chooses none. Where the
    reference brings the options, the text of one of them, alone, stands for its letter.

    A reference is a letter, an index (the number 0 is A), a list of either, any of which is right, or
    ``{"answer": "B", "choices": [...]}`` where ``choices`` are texts, or letters to texts.
    """

    name = "Choice"

    def score(self, response: str, reference: Any) -> Score:
        if reference is None:
            return Score(None, NO_REFERENCE)
        wanted = [_wanted(each) for each in (reference if isinstance(reference, list) else [reference])]
        right = [each for each in wanted if each is not None]
        if not right:
            return Score(None, f"the reference names no letter: {reference!r:.100}")
        letter = chosen_letter(response, right[0].options)
        if letter is None:
            return Score(0, "no letter in the answer")
        return Score(int(any(letter == each.letter for each in right)), letter)


def chosen_letter(text: str, options: dict[str, str]) -> str | None:
    """The letter that an answer chooses among ``options``, or among all letters if there are none."""
    text = last_part(text).strip()
    letters = "".join(options) or string.ascii_uppercase
    whole = _WHOLE.fullmatch(text[:100]) if len(text) <= 100 else None
    if whole is not None and whole["letter"].upper() in letters:
        return whole["letter"].upper()
    box = boxed(text)
    if box is not None and (found := _letter_of(_START.match(box), box, letters)):
        return found
    said = _said(text, letters, options)
    if said:
        return said
    if same := _same_text(text, options):
        return same
    if said is not None:
        return None
    likely = "".join(options) or MOST_LIKELY
    return _letter_of(_START.match(text), text, likely) or _on_last_line(text, likely)


def _said(text: str, letters: str, options: dict[str, str]) -> str | None:
    """The letter that is said to be the answer; an empty text where two are."""
    found = list(_by_place((*_CUES.finditer(text), *_IS_RIGHT.finditer(text)), text, letters, options))
    return found[-1] if found else None


def _by_place(
    matches: Iterable[re.Match[str]], text: str, letters: str, options: dict[str, str]
) -> Iterator[str]:
    for match in sorted(matches, key=lambda each: each.start("letter")):
        letter, after = match["letter"], match.end("letter")
        if letter.upper() not in letters:
            continue
        if _ANOTHER.match(text, after):
            yield ""
        elif _names(options.get(letter.upper()), text, after) or not _is_word(
            letter, text, after, said_before=match.re is _CUES
        ):
            yield letter.upper()


def _names(option: str | None, text: str, after: int) -> bool:
    """Whether the text of the letter's own option follows, as in "A dog" where A is "dog"."""
    return bool(option) and normalised(text[after : after + len(option or "") + 1]) == normalised(
        option or ""
    )


def _is_word(letter: str, text: str, after: int, *, said_before: bool) -> bool:
    """Whether a single letter is an article or a pronoun, as in "the answer is a dog"."""
    if _NOT_ALONE.match(text, after) is None:
        return False
    # "The answer is A because" names a letter; "the answer is A cat" does not.
    return letter.islower() or (letter in "AI" and said_before and _REASON.match(text, after) is None)


def _letter_of(found: re.Match[str] | None, text: str, letters: str) -> str | None:
    if found is None or found["letter"].upper() not in letters:
        return None
    return None if _ANOTHER.match(text, found.end("letter")) else found["letter"].upper()


def _on_last_line(text: str, letters: str) -> str | None:
    line = text.rpartition("\n")[2]
    marked = {found["letter"] or found["bold"] for found in _MARKED.finditer(line)} & set(letters)
    if len(marked) == 1:
        return marked.pop()
    bare = {
        found["letter"]
        for found in _BARE.finditer(line)
        if not (found["letter"] in "AI" and _NOT_ALONE.match(line, found.end()))
        or _ANOTHER.match(line, found.end())
    } & set(letters)
    return bare.pop() if len(bare) == 1 and not marked else None


def _same_text(text: str, options: dict[str, str]) -> str | None:
    if not options:
        return None
    by_text = {normalised(option): letter for letter, option in options.items()}
    for said in (text, text.rpartition("\n")[2]):
        said = said[:2_000].strip(" *_\"'“”`")
        prefix = _PREFIX.match(said)
        for each in (said, said[prefix.end() :] if prefix else said):
            letter = by_text.get(normalised(each.strip(" *_\"'“”`")))
            if letter is not None:
                return letter
    return None


def _wanted(reference: Any) -> Wanted | None:
    options: dict[str, str] = {}
    if isinstance(reference, dict):
        options = _options(reference.get("choices"))
        reference = reference.get("answer", reference.get("letter"))
    if isinstance(reference, int) and not isinstance(reference, bool):
        letter = string.ascii_uppercase[reference] if 0 <= reference < 26 else ""
    else:
        letter = str(reference).strip().strip("().:*[] ").upper()
    if len(letter) != 1 or letter not in string.ascii_uppercase:
        return None
    return Wanted(letter, options if letter in options else {})


def _options(choices: Any) -> dict[str, str]:
    if isinstance(choices, list):
        return {letter: str(text) for letter, text in zip(string.ascii_uppercase, choices, strict=False)}
    if isinstance(choices, dict):
        return {str(letter).upper(): str(text) for letter, text in choices.items()}
    return {}
