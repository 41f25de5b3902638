"""The words that pick runs out of a list, the same in the app and on the command line.

::

    smol gsm8k                  both words, each in id, name, tags, benchmark, model or status
    status:failed model:smol    a word in one of FIELDS
    acc>0.5 metric.Includes<=1  the headline metric, or any; n, errors, tokens, took and age likewise
    age<2d took>1h30m           durations in s, m, h, d, w
    has:errors -has:tags        something is there; a dash before a word means not
    status:failed | acc<0.1     either; a space is "and" and binds tighter
    name:"two words"            quoted, spaces and signs are letters like others
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from themis.core.errors import UsageError
from themis.runs.catalog import RunRow

FIELDS = ("id", "name", "tag", "benchmark", "model", "status", "store")
HAS = ("errors", "score", "tags", "name", "tokens")
METRIC = "metric."

RowTest = Callable[[RunRow], bool]
Number = Callable[[RunRow], float | None]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_COMPARISON = re.compile(r"([A-Za-z][\w.@-]*)(>=|<=|!=|>|<|=)(.*)", re.DOTALL)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")


class QueryError(UsageError):
    """A query that cannot be meant, and where in it."""

    def __init__(self, said: str, position: int) -> None:
        super().__init__(said)
        self.position = position
        """Characters before the place."""


class _Word(NamedTuple):
    """One word of a query, without the quotes around parts of it."""

    text: str
    position: int
    negated: bool
    quoted: bool
    """Whether it begins with a quote, so that its signs mean nothing."""


def row_test(query: str, *, clock: Callable[[], float] = time.time) -> RowTest:
    """Whether a row is meant by ``query``; an empty one means them all. Raises :class:`QueryError`."""
    alternatives: list[list[RowTest]] = [[]]
    bar = -1
    for word in _words(query):
        if isinstance(word, int):
            if not alternatives[-1]:
                raise QueryError("Nothing stands before this |.", word)
            bar = word
            alternatives.append([])
        else:
            alternatives[-1].append(_test(word, clock))
    if bar >= 0 and not alternatives[-1]:
        raise QueryError("Nothing stands after this |.", bar)
    if len(alternatives) == 1:
        return _all(alternatives[0])
    either = [_all(tests) for tests in alternatives]
    return lambda row: any(test(row) for test in either)


def _all(tests: list[RowTest]) -> RowTest:
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def _words(query: str) -> Iterator[_Word | int]:
    """The words of a query; a bar as its position."""
    place = 0
    while place < len(query):
        if query[place].isspace():
            place += 1
        elif query[place] == "|":
            yield place
            place += 1
        else:
            word, place = _word(query, place)
            yield word


def _word(query: str, start: int) -> tuple[_Word, int]:
    place = start
    negated = query[place] in "-!" and place + 1 < len(query) and query[place + 1] not in " |\t\n"
    place += negated
    quoted = query[place] == '"'
    letters: list[str] = []
    while place < len(query) and not query[place].isspace() and query[place] != "|":
        if query[place] != '"':
            letters.append(query[place])
            place += 1
            continue
        end = query.find('"', place + 1)
        if end < 0:
            raise QueryError("This quote is never closed.", place)
        letters.append(query[place + 1 : end])
        place = end + 1
    return _Word("".join(letters), start, negated, quoted), place


def _test(word: _Word, clock: Callable[[], float]) -> RowTest:
    test = _bare(word.text) if word.quoted else _signed(word, clock)
    return (lambda row: not test(row)) if word.negated else test


def _signed(word: _Word, clock: Callable[[], float]) -> RowTest:
    comparison = _COMPARISON.fullmatch(word.text)
    field, colon, rest = word.text.partition(":")
    if comparison is not None and not (colon and len(field) < len(comparison[1])):
        name, sign, value = comparison.groups()
        return _comparison(word, name, sign, value, clock)
    if not colon:
        return _bare(word.text)
    field_name = field.casefold()
    if field_name == "has":
        return _has(word, rest.casefold())
    if field_name in FIELDS:
        wanted = rest.casefold()
        return lambda row: any(wanted in text for text in _texts(row, field_name))
    near = get_close_matches(field_name, (*FIELDS, "has"), 1, 0.7)
    if near:
        raise QueryError(f"There is no field {field!r}; perhaps {near[0]}: was meant.", word.position)
    return _bare(word.text)


def _bare(text: str) -> RowTest:
    wanted = text.casefold()

    def test(row: RunRow) -> bool:
        notes = row.summary.get("annotations")
        if wanted in f"{row.run_id}\n{row.benchmark}\n{row.model}\n{row.status.word}".casefold():
            return True
        return bool(notes) and any(wanted in text for name in ("name", "tag") for text in _texts(row, name))

    return test


def _has(word: _Word, what: str) -> RowTest:
    tests: dict[str, RowTest] = {
        "errors": lambda row: bool(row.errors),
        "score": lambda row: row.score is not None,
        "tokens": lambda row: bool(row.tokens),
        "tags": lambda row: bool(_texts(row, "tag")),
        "name": lambda row: _texts(row, "name") != ("",),
    }
    if what not in tests:
        raise QueryError(f"has: takes {', '.join(HAS)}; not {what!r}.", word.position)
    return tests[what]


def _comparison(word: _Word, name: str, sign: str, value: str, clock: Callable[[], float]) -> RowTest:
    number, is_duration = _number_of(word, name, clock)
    wanted = _wanted(word, sign, value, is_duration)
    compare = _COMPARE[sign]

    def test(row: RunRow) -> bool:
        found = number(row)
        return found is not None and compare(found, wanted)

    return test


def _number_of(word: _Word, name: str, clock: Callable[[], float]) -> tuple[Number, bool]:
    """What stands before the sign, and whether it is a duration."""
    if name.casefold().startswith(METRIC):
        return _metric(name[len(METRIC) :]), False
    numbers: dict[str, tuple[Number, bool]] = {
        "acc": (lambda row: row.score, False),
        "score": (lambda row: row.score, False),
        "n": (lambda row: row.done, False),
        "total": (lambda row: row.total, False),
        "errors": (lambda row: row.errors, False),
        "tokens": (lambda row: row.tokens, False),
        "took": (lambda row: row.duration_s, True),
        "age": (lambda row: None if row.created_at is None else clock() - row.created_at, True),
    }
    found = numbers.get(name.casefold())
    if found is None:
        known = ", ".join((*numbers, f"{METRIC}NAME"))
        raise QueryError(f"{name!r} cannot be compared; these can: {known}.", word.position)
    return found


def _metric(wanted: str) -> Number:
    def number(row: RunRow) -> float | None:
        metrics = (row.summary.get("summary") or {}).get("metrics") or {}
        for name, metric in metrics.items():
            if name.casefold() == wanted.casefold() and isinstance(metric, dict):
                mean = metric.get("mean")
                return float(mean) if isinstance(mean, (int, float)) else None
        return None

    return number


def _wanted(word: _Word, sign: str, value: str, is_duration: bool) -> float:
    position = word.position + word.negated + word.text.index(sign) + len(sign)
    if is_duration:
        if not _DURATION.fullmatch(value):
            raise QueryError("A duration is wanted here, such as 90s, 15m, 2h, 3d or 1w.", position)
        return sum(float(each[:-1]) * _UNITS[each[-1]] for each in re.findall(r"[\d.]+[smhdw]", value))
    try:
        return float(value.replace("_", ""))
    except ValueError:
        raise QueryError("A number is wanted here.", position) from None


def _texts(row: RunRow, name: str) -> tuple[str, ...]:
    if name == "id":
        return (row.run_id.casefold(),)
    if name == "status":
        return (row.status.word,)
    if name in ("benchmark", "model", "store"):
        return (str(getattr(row, name)).casefold(),)
    notes = row.summary.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    if name == "name":
        return (str(notes.get("name") or "").casefold(),)
    tags = notes.get("tags")
    return tuple(str(tag).casefold() for tag in tags) if isinstance(tags, list) else ()
