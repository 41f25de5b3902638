"""The letter that an answer chooses."""

from __future__ import annotations

import re
import string
from collections.abc import Container
from typing import Any, NamedTuple

from themis.core.latex import boxed
from themis.metrics.answers import last_part
from themis.metrics.base import Metric, Score
from themis.metrics.claims import LETTER, WRONG_AFTER, claims, is_said, names_another
from themis.metrics.text import NO_REFERENCE, normalised

MOST_LIKELY = "ABCDEFGHIJ"
"""Letters that a bare one is taken for, where the reference does not bring the options."""

_START = re.compile(rf"{LETTER}(?=[)\]*_]{{0,3}}[.):\]*]|[^\S\n]*(?:\n|$)|[^\S\n]+[-–—]\s)")
_WHOLE = re.compile(rf"\W*?{LETTER}\W*")
_MARKED = re.compile(rf"(?:\((?P<letter>[A-Z])\)|\*\*\(?(?P<bold>[A-Z])[).:]{{0,2}}\*\*)(?!{WRONG_AFTER})")
_BARE = re.compile(
    r"(?<![A-Za-z0-9_'’.-])(?<!\b[Nn]ot )(?<!\bnot option )(?P<letter>[A-Z])(?![A-Za-z0-9_-]|['’]\w)(?!\.\w)"
    rf"(?!{WRONG_AFTER})"
)
_REASON = re.compile(r"\s+(?:because|since|as|for|but|which|is|due|so|given|from|in|with|based|that)\b")
_NOT_ALONE = re.compile(r"\s+[a-z]")
_INDEX = re.compile(r"[0-9]{1,2}")
_SET_OFF = r"[^\w\n]{0,8}%s(?=[.):\]]|[^\S\n]*$)"
_FULL_WIDTH = {0xFEE0 + code: code for code in range(0x21, 0x7F)}
_PREFIX = re.compile(r"\W*(?:(?:the|my|final|correct)\s+)*answer(?:\s+is)?\s*:?\s*", re.IGNORECASE)


class Wanted(NamedTuple):
    """The right letter, and the options by letter where the reference brings them."""

    letter: str
    options: dict[str, str]


class Choice(Metric):
    r"""1 if the letter that the answer chooses is the reference's.

    The letter is, in this order: the whole answer (``B``, ``(b)``, ``B.``); the last ``\boxed{B}``; after
    the last "the answer is"; after the last "option", "I choose", or before "is correct"; the same under a
    condition; at the start, set off (``B. Paris``), unless a list of the options starts there; in brackets
    or bold, or the only bare capital, on the last line. What stands after "not", or is what others choose,
    is not chosen. ``A`` and ``I`` are words where a word in lower case follows. An answer that names two
    letters at once chooses none. Where the reference brings the options, the text of one of them, alone,
    stands for its letter.

    A reference is a letter, an index (0, or the text ``0``, is A), a list of either, any of which is right,
    or ``{"answer": "B", "choices": [...]}`` where ``choices`` are texts, or letters to texts.
    """

    name = "Choice"
    version = "2"

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
    text = last_part(text).translate(_FULL_WIDTH).strip()
    letters = "".join(options) or string.ascii_uppercase
    whole = _WHOLE.fullmatch(text[:100]) if len(text) <= 100 else None
    if whole is not None and whole["letter"].upper() in letters:
        return whole["letter"].upper()
    box = boxed(text)
    if box is not None and (found := _letter_of(_START.match(box), box, letters)):
        return found
    chosen, denied = claims(text, lambda match: _is_meant(match, text, letters, options))
    if chosen:
        return chosen
    if same := _same_text(text, options):
        return same
    if chosen is not None:
        return None
    likely = set("".join(options) or MOST_LIKELY) - denied
    text = _without_list(text)
    return _letter_of(_START.match(text), text, likely) or _on_last_line(text, likely)


def _is_meant(match: re.Match[str], text: str, letters: str, options: dict[str, str]) -> bool:
    letter, after = match["letter"], match.end("letter")
    if letter.upper() not in letters:
        return False
    return (
        names_another(text, after)
        or _names(options.get(letter.upper()), text, after)
        or not _is_word(letter, text, after, said_before=is_said(match))
    )


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


def _letter_of(found: re.Match[str] | None, text: str, letters: Container[str]) -> str | None:
    if found is None or found["letter"].upper() not in letters:
        return None
    return None if names_another(text, found.end("letter")) else found["letter"].upper()


def _without_list(text: str) -> str:
    """The text without a list of the options that it starts by: to recite them is not to choose.

    A list goes on where the next line with anything on it begins by the next letter.
    """
    start = _START.match(text)
    if start is None:
        return text
    letter, recited, end = ord(start["letter"]), 0, 0
    for line in text.splitlines(keepends=True):
        if re.match(_SET_OFF % re.escape(chr(letter + recited)), line):
            recited += 1
        elif not line.isspace():
            break
        end += len(line)
    return text[end:].strip() if recited > 1 else text


def _on_last_line(text: str, letters: set[str]) -> str | None:
    line = text.rpartition("\n")[2]
    marked = {found["letter"] or found["bold"] for found in _MARKED.finditer(line)} & letters
    if len(marked) == 1:
        return marked.pop()
    bare = {
        found["letter"]
        for found in _BARE.finditer(line)
        if not (found["letter"] in "AI" and _NOT_ALONE.match(line, found.end()))
        or names_another(line, found.end())
    } & letters
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
    if isinstance(reference, str) and _INDEX.fullmatch(reference.strip()):
        reference = int(reference)
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
