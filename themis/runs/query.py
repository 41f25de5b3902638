"""The words that pick runs out of a list, the same in the app and on the command line.

::

    smol gsm8k                  both words, each in id, name, tags, benchmark, model or status
    status:failed model:smol    a word in a text: status, model, benchmark, tag, name, store, id, notes, host,
                                executor, user; model=smollm2 is the whole of it, model!=smollm2 any other
    acc>0.5 metric.Includes<=1  the headline metric, or any; n, total, errors, tokens and cost likewise;
                                50% is 0.5, and 10k, 1.5M, 2G are what they say
    age<2d took>1h30m           durations in s, m, h, d, w
    created>2026-11-01          times: created, started, ended, updated; a year, month, day, minute or second
                                is all of it, so > is after its end and = within it; today, yesterday
    has:errors -has:tags        something is there (also score, name, notes, tokens, cost); a dash means not
    is:live is:finished         live, finished, pinned, trashed, new since your last look, or a status
    status:failed | acc<0.1     either; a space is "and" and binds tighter
    name:"two words"            quoted, spaces and signs are letters like others; \\" is a quote in quotes
    lab:run-1                   an address, as lists show it

docs/queries.md is the page for people.
"""

from __future__ import annotations

import math
import operator
import re
import time
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from themis.runs import fields
from themis.runs.fields import (
    ALIASES,
    DURATIONS,
    HAS,
    IS,
    METRIC,
    NEW,
    NUMBERS,
    STATUSES,
    TEXTS,
    TIMES,
    Number,
    RowTest,
)
from themis.runs.row import RunRow
from themis.runs.words import SIGN, QueryError, Word, quoting, words

__all__ = ["QueryError", "asks_for", "check_says_which", "remarks", "row_test"]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_NAME = re.compile(r"[A-Za-z][\w.@-]*")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_SIZES = {"k": 1e3, "m": 1e6, "g": 1e9, "%": 0.01}
_DATE = re.compile(r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:[T_](\d\d?):(\d\d)(?::(\d\d))?)?)?)?")
_FIELDS = ("has", "is", *TEXTS, *NUMBERS, *DURATIONS, *TIMES)
_SAME_STATUS = {
    "done": "completed", "finished": "completed", "ok": "completed", "success": "completed",
    "succeeded": "completed", "error": "failed", "errored": "failed", "stopped": "paused",
    "interrupted": "paused", "active": "running", "live": "running", "dead": "crashed", "pending": "queued",
}  # fmt: skip
"""What others call a status of ours."""
_SHORTEST, _LONGEST = 4, 24
"""Letters of a word that may be one of ours misspelt."""


def row_test(query: str, *, clock: Callable[[], float] = time.time, is_new: RowTest | None = None) -> RowTest:
    """Whether a row is meant by ``query``; an empty one means them all. Raises :class:`QueryError`.

    ``is_new``: what ``is:new`` means; if not given, what this user saw last, see :mod:`themis.runs.news`.
    """
    with quoting(query):
        return _row_test(query, _Parser(clock, is_new))


def _row_test(query: str, parser: _Parser) -> RowTest:
    alternatives: list[list[RowTest]] = [[]]
    bar = -1
    for word in words(query):
        if isinstance(word, int):
            if not alternatives[-1]:
                raise QueryError("Nothing stands before this |.", word)
            bar = word
            alternatives.append([])
        else:
            alternatives[-1].append(parser.test(word))
    if bar >= 0 and not alternatives[-1]:
        raise QueryError("Nothing stands after this |.", bar)
    if len(alternatives) == 1:
        return _all(alternatives[0])
    either = [_all(tests) for tests in alternatives]
    return lambda row: any(test(row) for test in either)


def check_says_which(query: str) -> None:
    """Raise :class:`QueryError` for a query with a word that every run matches, such as ``model:``.

    To look, that is as good as nothing; who deletes by ``model:$MODEL`` with nothing in it means no run.
    """
    row_test(query)
    with quoting(query):
        for word in words(query):
            if not isinstance(word, int):
                _check_says_which(query[word.position : word.end], word)


def _check_says_which(said: str, word: Word) -> None:
    sign = None if word.quoted else SIGN.search(word.plain)
    if not word.text or (sign is not None and sign[0] in (":", "!=") and sign.end() == len(word.text)):
        raise QueryError(
            f"{said!r:.60} has nothing to compare with, so it would mean every run. Say which.", word.position
        )
    if word.negated and _no_field(word):
        raise QueryError(
            f"{said!r:.60} would mean every run without this text, as {_no_field(word)!r:.60} is no field. "
            "Put it in quotes if that is meant.",
            word.position,
        )


def remarks(query: str) -> list[str]:
    """What whoever finds nothing by a query that can be meant should know of it."""
    with quoting(query):
        found = [word for word in words(query) if not isinstance(word, int)]
    return [
        f"{name!r:.60} is no field, so {query[word.position : word.end]!r:.60} was looked for as a text."
        for word in found
        if (name := _no_field(word))
    ]


def _no_field(word: Word) -> str | None:
    """The part before the colon of a word that looks like a field and is a text."""
    sign = None if word.quoted else SIGN.search(word.plain)
    if sign is None or sign[0] != ":" or not _NAME.fullmatch(word.plain, 0, sign.start()):
        return None
    name = word.text[: sign.start()]
    field = ALIASES.get(name.casefold(), name.casefold())
    return None if field in _FIELDS or field.startswith(METRIC) else name


def asks_for(query: str, what: str) -> bool:
    """Whether ``is:what`` stands in a query, negated or not: what is hidden otherwise is then not."""
    try:
        found = list(words(query))
    except QueryError:
        return False
    wanted = f"is:{what}"
    return any(not isinstance(word, int) and word.plain.casefold() == wanted for word in found)


def _all(tests: list[RowTest]) -> RowTest:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        one, other = tests
        return lambda row: one(row) and other(row)
    return lambda row: all(test(row) for test in tests)


class _Parser:
    """Makes a test of each word."""

    def __init__(self, clock: Callable[[], float], is_new: RowTest | None) -> None:
        self._clock = clock
        self._is_new = is_new

    def test(self, word: Word) -> RowTest:
        if "*" in word.plain or word.plain[:1] == "(":
            _check_letters(word)
        test = _bare(word.text) if word.quoted else self._signed(word)
        return (lambda row: not test(row)) if word.negated else test

    def _signed(self, word: Word) -> RowTest:
        sign = SIGN.search(word.plain)
        if sign is None:
            return _bare(word.text)
        name, value = word.text[: sign.start()], word.text[sign.end() :]
        field = ALIASES.get(name.casefold(), name.casefold())
        if field.startswith(METRIC):
            return self._metric(word, name, sign, value)
        if not _NAME.fullmatch(word.plain, 0, sign.start()):
            return _bare(word.text)
        if field in ("has", "is"):
            return self._has_or_is(word, field, sign, value)
        if field in TEXTS:
            return _text(word, field, sign, value)
        if field in TIMES:
            return self._time(word, field, sign, value)
        if field in NUMBERS or field in DURATIONS:
            return self._amount(word, field, sign, value)
        return _unknown(word, name, field, sign)

    def _metric(self, word: Word, name: str, sign: re.Match[str], value: str) -> RowTest:
        wanted = name[len(METRIC) :]
        if not wanted or sign[0] == ":":
            raise QueryError("A metric is compared, as in metric.Includes>0.5.", word.position)
        return _compared(fields.metric(wanted), sign[0], _number(word, sign.end(), value))

    def _amount(self, word: Word, field: str, sign: re.Match[str], value: str) -> RowTest:
        example = f"{field}<2d" if field in DURATIONS else f"{field}>0.5"
        if sign[0] == ":":
            raise QueryError(f"{field} is compared, as in {example}.", word.position)
        if field in DURATIONS:
            return _compared(fields.duration(field, self._clock), sign[0], _seconds(word, sign.end(), value))
        return _compared(NUMBERS[field].get, sign[0], _number(word, sign.end(), value))

    def _time(self, word: Word, field: str, sign: re.Match[str], value: str) -> RowTest:
        begin, end = _span(value, self._clock) or (math.nan, math.nan)
        if not begin < end:
            raise QueryError(
                "A time is wanted here, such as 2026-11-01, 2026-11, 2026-11-01T18:30 or today.",
                word.place(sign.end()),
            )
        get = TIMES[field].get
        within: dict[str, Callable[[float], bool]] = {
            ">": lambda t: t >= end,
            ">=": lambda t: t >= begin,
            "<": lambda t: t < begin,
            "<=": lambda t: t < end,
            "!=": lambda t: not begin <= t < end,
        }
        is_within: Callable[[float], bool] = within.get(sign[0], lambda t: begin <= t < end)

        def meant(row: RunRow) -> bool:
            found = get(row)
            return found is not None and is_within(found)

        return meant

    def _has_or_is(self, word: Word, field: str, sign: re.Match[str], value: str) -> RowTest:
        if sign[0] != ":":
            raise QueryError(f"{field} takes a colon, as in {field}:{next(iter(HAS))}.", word.position)
        wanted = value.casefold()
        if field == "has":
            if wanted not in HAS:
                raise QueryError(
                    f"has: takes {', '.join(HAS)}; not {value!r:.60}.{_meant(wanted, HAS)}", word.position
                )
            return HAS[wanted]
        if wanted == NEW:
            return self._new()
        if wanted in STATUSES:
            return lambda row: row.status.word == wanted
        if wanted not in IS:
            known = (*IS, NEW, *STATUSES)
            raise QueryError(
                f"is: takes {', '.join((*IS, NEW))}, or a status; not {value!r:.60}.{_meant(wanted, known)}",
                word.position,
            )
        return IS[wanted]

    def _new(self) -> RowTest:
        if self._is_new is None:
            from themis.runs.news import Seen  # only who asks for it reads what was seen

            self._is_new = Seen().is_new
        return self._is_new


def _bare(text: str) -> RowTest:
    wanted = text.casefold()

    def test(row: RunRow) -> bool:
        if wanted in f"{row.run_id}\n{row.benchmark}\n{row.model}\n{row.status.word}".casefold():
            return True
        if not row.annotations:
            return False
        return wanted in row.name.casefold() or any(wanted in tag.casefold() for tag in row.tags)

    return test


def _bare_or_address(text: str) -> RowTest:
    """``STORE:RUN_ID``, as lists and errors show it, is what a person pastes."""
    bare, wanted = _bare(text), text.casefold()
    return lambda row: bare(row) or wanted in row.address.casefold()


def _text(word: Word, field: str, sign: re.Match[str], value: str) -> RowTest:
    get, wanted = TEXTS[field].get, value.casefold()
    if field == "status" and "\0" not in word.plain:
        _check_status(wanted, sign[0], word.place(sign.end()))
    if sign[0] == ":":
        return lambda row: any(wanted in text.casefold() for text in get(row))
    if sign[0] == "=":
        return lambda row: any(wanted == text.casefold() for text in get(row))
    if sign[0] == "!=":
        return lambda row: all(wanted != text.casefold() for text in get(row))
    raise QueryError(
        f"{field} is a text; it takes {field}:part, {field}=whole or {field}!=whole.", word.position
    )


def _check_status(wanted: str, sign: str, position: int) -> None:
    """A word that no status of ours has is a slip; in quotes it may be a stranger's."""
    if wanted in STATUSES or (sign == ":" and any(wanted in each for each in STATUSES)):
        return
    near = _near(wanted, STATUSES) or _SAME_STATUS.get(wanted)
    meant = f"; perhaps {near} was meant" if near else ""
    known = ", ".join(STATUSES)
    raise QueryError(
        f"No run is {wanted!r:.60}{meant}. A status is one of {known}; another has to stand in quotes.",
        position,
    )


def _check_letters(word: Word) -> None:
    """Raise for what elsewhere would group or stand for any letters: as a text it would match nothing."""
    if word.plain.startswith("("):
        raise QueryError(
            'There are no parentheses: a space is "and", and binds tighter than |. In quotes they are '
            "letters.",
            word.place(0),
        )
    star = word.plain.find("*")
    if star >= 0:
        raise QueryError(
            "A * stands for nothing else here: a text is found by any part of it. In quotes it is a letter.",
            word.place(star),
        )


def _unknown(word: Word, name: str, field: str, sign: re.Match[str]) -> RowTest:
    near = _near(field, _FIELDS)
    if sign[0] == ":":
        if near:
            raise QueryError(f"There is no field {name!r}; perhaps {near}: was meant.", word.position)
        return _bare_or_address(word.text)
    known = ", ".join((*NUMBERS, *DURATIONS, *TIMES, f"{METRIC}NAME"))
    meant = f"; perhaps {near} was meant" if near else ""
    raise QueryError(f"{name!r:.60} cannot be compared{meant}; these can: {known}.", word.position)


def _compared(number: Number, sign: str, wanted: float) -> RowTest:
    compare = _COMPARE[sign]

    def test(row: RunRow) -> bool:
        found = number(row)
        return found is not None and compare(found, wanted)

    return test


def _seconds(word: Word, start: int, value: str) -> float:
    if not _DURATION.fullmatch(value):
        raise QueryError("A duration is wanted here, such as 90s, 15m, 2h, 3d or 1w.", word.place(start))
    return sum(float(each[:-1]) * _UNITS[each[-1]] for each in re.findall(r"[\d.]+[smhdw]", value))


def _number(word: Word, start: int, value: str) -> float:
    size = _SIZES.get(value[-1:].casefold(), 1.0)
    digits = value[:-1] if value[-1:].casefold() in _SIZES else value
    try:
        number = float(digits.replace("_", "")) * size
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise QueryError("A number is wanted here.", word.place(start))
    return number


def _span(value: str, clock: Callable[[], float]) -> tuple[float, float] | None:
    """When the time that ``value`` names begins and ends, on this machine's clock."""
    wanted = value.casefold()
    try:
        if wanted in ("today", "yesterday"):
            day = date.fromtimestamp(clock()) - timedelta(days=wanted == "yesterday")
            return _moment(day.year, day.month, day.day), _moment(day.year, day.month, day.day + 1)
        found = _DATE.fullmatch(value)
        if found is None:
            return None
        given = [int(each) for each in found.groups() if each is not None]
        datetime(*given, *[1, 1][len(given) - 1 :])  # type: ignore[arg-type]  # refuses the 31st of June
        ending = [*given[:-1], given[-1] + 1]
        return _moment(*given), _moment(*ending)
    except (ValueError, OverflowError, OSError):
        return None


def _moment(year: int, month: int = 1, day: int = 1, *clock_time: int) -> float:
    """Seconds since 1970; a part one above its largest is the first of the next."""
    hour, minute, second = (*clock_time, 0, 0, 0)[:3]
    return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))


def _meant(wanted: str, known: Iterable[str]) -> str:
    near = _near(wanted, known)
    return f" Perhaps {near} was meant." if near else ""


def _near(wanted: str, known: Iterable[str]) -> str | None:
    """The known word that differs by about one letter. Cheap: a query may hold thousands of words."""
    if not _SHORTEST <= len(wanted) <= _LONGEST:
        return None
    ours = _without_a_letter(wanted)
    return next(
        (
            each
            for each in known
            if len(each) >= _SHORTEST and not _without_one_of_ours(each).isdisjoint(ours)
        ),
        None,
    )


def _without_a_letter(word: str) -> frozenset[str]:
    """The word, and what is left of it without each of its letters."""
    return frozenset((word, *(word[:n] + word[n + 1 :] for n in range(len(word)))))


_without_one_of_ours = cache(_without_a_letter)
