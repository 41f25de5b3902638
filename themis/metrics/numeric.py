"""The final number of an answer."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from themis.core.errors import UsageError
from themis.core.latex import boxed
from themis.metrics.answers import last_part
from themis.metrics.base import Metric, Score
from themis.metrics.text import NO_REFERENCE

MOST_DIGITS = 400
"""A number of more digits is not taken for one, nor one whose exponent is larger."""

# A sign is one only where nothing stands before it that it could be subtracted from.
_NOT_MINUS = r"(?<![\w)\]}.,%])"
_PLAIN = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?|\.\d++"
_NUMBER = re.compile(
    rf"(?:{_NOT_MINUS}(?P<sign>[-+−–]))?"
    + r"(?:\\?[$€£¥₹])?"
    + rf"(?:{_NOT_MINUS}(?P<sign2>[-+−–]))?"
    # Not within H2O or x_1; other scripts write no spaces: 共18个.
    + r"(?<![A-Za-z\d])(?<![A-Za-z]_)(?<!\d\.)"
    + r"(?:\\[dt]?frac\{\s?(?P<top>[-+−]?\d{1,40})\s?\}\{\s?(?P<bottom>[-+−]?\d{1,40})\s?\}"
    + rf"|(?P<number>{_PLAIN})(?!(?:st|nd|rd|th)\b)"
    + r"(?:[eE](?P<exponent>[-+−]?\d{1,4})(?!\w)|\s?(?:[x×*]|\\times)\s?10\^\{?(?P<power>[-+−]?\d{1,4})\}?"
    + r"|\^\{?(?P<raised>[-+−]?\d{1,4})\}?(?!\w)"
    + r"|/(?P<over>\d{1,40}(?!\d|[./]\d))"
    + r"|\s(?P<part>\d{1,10})/(?P<of>\d{1,10})(?!\d|[./]\d)|(?![eE][-+−]?\d)))"
    + r"\s?(?P<percent>\\?%)?"
)
_MARK = re.compile(r"####[^\S\n]*([^\n]*)")
_CUE = re.compile(
    # Not where it is to be expressed as something.
    r"\banswers?\b(?!\s+(?:as|in|into)\b)[^\n.:=\d]{0,80}?(?:\bis\b|\bare\b|\bwas\b|\bequals\b|[:=])[^\n\d]{0,40}?"
    r"(?=[-+−–]?\\?[$€£¥₹]?[-+−–]?(?:\.?\d|\\[dt]?frac))([^\n]*)",
    re.IGNORECASE,
)
_BOLD = re.compile(r"(?:\*\*|__)([^*_\n]{1,200})(?:\*\*|__)")
_ENUMERATED = re.compile(r"^[^\S\n]*(?:[-*•][^\S\n]+)?\d{1,3}[.)](?=[^\S\n]+\S)", re.MULTILINE)
_HEADING = re.compile(r"\s*(?:step\b|\d{1,3}[.)](?:\s|$))", re.IGNORECASE)
# What is worked out before the result: 3 + 4 = 7, or x = 7.
_WORKING = re.compile(r"[^=\n]{0,200}=")
# The same with units: 9 eggs x $2 = $18.
_TERM = r"[\s$€£¥₹(\\]{0,4}[\d.,]{1,20}%?(?:[^\S\n][A-Za-z]{1,20}){0,2}\)?"
_WORKING_WITH_UNITS = re.compile(rf"{_TERM}(?:\s?(?:[x×*·+÷/−-]|\\times)\s?{_TERM}){{1,20}}\s?=")
_DENIED = re.compile(r"\b(?:not|rather\s+than|instead\s+of)\s+\\?[$€£¥₹]?[-+−]?\.?\d\S*", re.IGNORECASE)
_SPACED_MINUS = re.compile(r"(?<=[:=][^\S\n])([-−])[^\S\n](?=\\?[$€£¥₹]?\.?\d)")


class Number(NamedTuple):
    """A number as it stands in a text."""

    text: str
    value: Fraction
    percent: bool


class NumericMatch(Metric):
    r"""1 if the final number of the answer is the reference's, exactly or within ``tolerance``.

    The final number is, in this order: what follows the last ``####``; what the last ``\boxed{…}`` holds;
    what follows the last "the answer is"; a number in bold on the last line that has numbers; the last
    number that does not stand after "not". Numbers are written as in English (``-1,234.5``, ``$3``, ``3/4``,
    ``1 1/2``, ``\frac{3}{4}``, ``1.2e-3``, ``10^6``); ``50%`` equals both ``50`` and ``0.5``. A reference is
    a number, or a text whose final number counts, such as a whole solution that ends in ``#### 42``; of
    several, any may be met.
    """

    name = "NumericMatch"
    version = "2"

    def __init__(self, tolerance: float = 0.0, relative: bool = False) -> None:
        """``tolerance``: the largest difference; with ``relative``, as a share of the reference."""
        if not 0 <= tolerance < math.inf:
            raise UsageError(f"NumericMatch: tolerance is {tolerance}; it is a number of at least 0.")
        self.tolerance = float(tolerance)
        self.relative = relative
        # As it was written: 0.3 allows what differs by 0.3.
        self._allowed = Fraction(str(self.tolerance))

    @property
    def params(self) -> dict[str, Any]:
        return {"tolerance": self.tolerance, "relative": self.relative}

    def score(self, response: str, reference: Any) -> Score:
        if reference is None:
            return Score(None, NO_REFERENCE)
        wanted = [_wanted(each) for each in (reference if isinstance(reference, list) else [reference])]
        numbers = [each for each in wanted if each is not None]
        if not numbers:
            return Score(None, "the reference holds no number")
        found = final_number(response)
        if found is None:
            return Score(0, "no number in the answer")
        return Score(int(any(self._equal(found, each) for each in numbers)), found.text)

    def _equal(self, found: Number, wanted: Number) -> bool:
        allowed = self._allowed * abs(wanted.value) if self.relative else self._allowed
        if abs(found.value - wanted.value) <= allowed:
            return True
        if found.percent == wanted.percent:
            return False
        share = found.value / 100 if found.percent else found.value
        meant = wanted.value / 100 if wanted.percent else wanted.value
        return abs(share - meant) <= (self._allowed * abs(meant) if self.relative else self._allowed)


def final_number(text: str) -> Number | None:
    """The number that an answer ends in, or says is its answer; ``None`` if it holds no number."""
    text = _SPACED_MINUS.sub(r"\1", _grouped_by_commas(last_part(text)))
    marked = _last(_MARK.finditer(text))
    if marked is not None and (number := _first(marked)) is not None:
        return number
    box = boxed(text)
    if box is not None and (number := _result(box)) is not None:
        return number
    said = _last(_CUE.finditer(text))
    if said is not None and (number := _result(said)) is not None:
        return number
    rest = _DENIED.sub("", _ENUMERATED.sub("", text))
    return _bold(rest) or _last_number(rest) or _last_number(text)


def _bold(text: str) -> Number | None:
    for line in reversed(text.splitlines()):
        if _NUMBER.search(line) is None:
            continue
        bold = [each for each in _BOLD.findall(line) if not _HEADING.match(each)]
        numbers = [number for number in map(_result, bold) if number is not None]
        return numbers[-1] if numbers else None
    return None


def _result(text: str) -> Number | None:
    """The first number, after what is only worked out: ``3 + 4`` in ``3 + 4 = 7``."""
    start = 0
    while found := _WORKING.match(text, start):
        # Words between would make it another statement: "18, as 9 * 2 = 18".
        if re.search(r"[^\W\d_]{2}", _without_commands(found[0])):
            found = _WORKING_WITH_UNITS.match(text, start)
            if found is None:
                break
        start = found.end()
    return _first(text[start:]) or _first(text)


def _without_commands(text: str) -> str:
    return re.sub(r"\\[a-zA-Z]+", "", text)


def _numbers(text: str) -> Iterator[Number]:
    for found in _NUMBER.finditer(text):
        number = _read(found)
        if number is not None:
            yield number


def _first(text: str) -> Number | None:
    return next(_numbers(text), None)


def _last_number(text: str) -> Number | None:
    return next(iter(deque(_numbers(text), maxlen=1)), None)


def _last(found: Iterator[re.Match[str]]) -> str | None:
    return next((last[1] for last in deque(found, maxlen=1)), None)


def _read(found: re.Match[str]) -> Number | None:
    try:
        value = _value(found)
    except (ZeroDivisionError, ValueError, ArithmeticError):
        return None
    if value is None:
        return None
    sign = found["sign"] or found["sign2"]
    return Number(found[0].strip(), -value if sign and sign != "+" else value, found["percent"] is not None)


def _value(found: re.Match[str]) -> Fraction | None:
    if found["top"]:
        return Fraction(_whole(found["top"]), _whole(found["bottom"]))
    digits = found["number"].replace(",", "")
    exponent = _whole(found["exponent"] or found["power"] or "0")
    raised = _whole(found["raised"] or "1")
    if len(digits) * max(1, abs(raised)) > MOST_DIGITS or abs(exponent) > MOST_DIGITS:
        return None
    value = Fraction(Decimal(digits)) ** raised * Fraction(10) ** exponent
    if found["over"]:
        return value / int(found["over"])
    if found["part"]:
        return value + Fraction(int(found["part"]), int(found["of"]))
    return value


def _whole(text: str) -> int:
    return int(text.replace("−", "-"))


def _grouped_by_commas(text: str) -> str:
    # Thin spaces and TeX's own ways between groups of three.
    return re.sub(r"(?<=\d)(?:\{,\}|\\[,!]|,\\!|[\u00a0\u202f\u2009])(?=\d{3}(?!\d))", ",", text)


def _wanted(reference: Any) -> Number | None:
    if isinstance(reference, bool):
        return None
    if isinstance(reference, (int, float, Decimal)):
        return _exactly(reference)
    return _in_reference(reference) if isinstance(reference, str) else None


def _exactly(reference: int | float | Decimal) -> Number | None:
    try:
        return Number(str(reference), Fraction(str(reference)), False)
    except (ValueError, OverflowError):  # NaN, infinity, and integers too long to be written
        return None


@lru_cache(maxsize=1024)
def _in_reference(reference: str) -> Number | None:
    return final_number(reference)
