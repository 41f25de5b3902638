"""What may be meant by a query that is being typed: fields, and the values that the runs at hand have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

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
)
from themis.runs.row import RunRow
from themis.runs.words import SIGN, word_at

MOST = 50
"""Completions given at once."""
MOST_ROWS = 5_000
"""Rows looked through, so that typing is never held up."""
MOST_LETTERS = 200
"""A longer value is none that is typed."""
_FOUND_BY = ("status", "model", "benchmark", "tag", "name", "store")
"""Texts whose values are offered for a word without a field, in this order."""


class Completion(NamedTuple):
    """A text that may stand in a query in place of what stands there from ``start`` to ``end``."""

    text: str
    start: int
    end: int
    about: str
    """In a few words what it is."""


def complete(query: str, cursor: int, rows: Sequence[RunRow]) -> list[Completion]:
    """What may be meant by the word at ``cursor``, the most useful first; at most :data:`MOST`.

    Takes any text, also half a query, and never raises. Values are those that occur in ``rows``.
    """
    start, end = word_at(query, max(0, min(cursor, len(query))))
    typed = query[start : max(start, min(cursor, end))]
    dash = typed[:1] if typed[:1] in ("-", "!") else ""
    found = _completions(typed[len(dash) :].replace('"', ""), rows[:MOST_ROWS])
    return [Completion(dash + text, start, end, about) for text, about in islice(_once(found), MOST)]


def _once(found: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    known: set[str] = set()
    for text, about in found:
        if text not in known:
            known.add(text)
            yield text, about


def _completions(typed: str, rows: Sequence[RunRow]) -> Iterator[tuple[str, str]]:
    name, sign, value = _taken_apart(typed)
    field = ALIASES.get(name.casefold(), name.casefold())
    if not sign:
        yield from _without_field(typed, rows)
    elif field in ("is", "has") and sign == ":":
        yield from _words_of(field, value.casefold())
    elif field in TEXTS and sign in (":", "=", "!="):
        yield from _values(field, sign, value, rows)
    elif field in TIMES:
        yield from (
            (f"{field}{sign}{day}", "a day") for day in ("today", "yesterday") if day.startswith(value)
        )
    elif field not in NUMBERS and field not in DURATIONS:
        yield from _found(typed, rows)


def _taken_apart(typed: str) -> tuple[str, str, str]:
    sign = SIGN.search(typed)
    return (typed, "", "") if sign is None else (typed[: sign.start()], sign[0], typed[sign.end() :])


def _without_field(typed: str, rows: Sequence[RunRow]) -> Iterator[tuple[str, str]]:
    wanted = typed.casefold()
    if wanted.startswith(METRIC):
        yield from _metrics(wanted[len(METRIC) :], rows)
        return
    yield from ((text, about) for text, about in _fields() if text.startswith(wanted))
    if wanted:
        yield from _found(typed, rows)


def _fields() -> Iterator[tuple[str, str]]:
    yield from ((f"{name}:", TEXTS[name].about) for name in ("status", "model", "benchmark", "tag"))
    yield "acc>", NUMBERS["acc"].about
    yield from ((f"{name}<", about) for name, about in DURATIONS.items())
    yield "has:", ", ".join(HAS)
    yield "is:", ", ".join((*IS, NEW))
    yield from ((f"{name}:", field.about) for name, field in TEXTS.items())
    yield from ((f"{name}>", amount.about) for name, amount in NUMBERS.items())
    yield METRIC, "any metric, as in metric.Includes>0.5"
    yield from ((f"{name}>", amount.about) for name, amount in TIMES.items())


def _words_of(field: str, wanted: str) -> Iterator[tuple[str, str]]:
    words = HAS if field == "has" else (*IS, NEW, *(each for each in STATUSES if " " not in each))
    yield from ((f"{field}:{word}", "") for word in words if word.startswith(wanted))


def _metrics(wanted: str, rows: Sequence[RunRow]) -> Iterator[tuple[str, str]]:
    counts = Counter(name for row in rows for name in row.means)
    for name, about in _ordered(counts, wanted):
        yield f"{METRIC}{_quoted(name, also=':<>=!')}>", about


def _found(typed: str, rows: Sequence[RunRow]) -> Iterator[tuple[str, str]]:
    for field in _FOUND_BY:
        yield from _values(field, ":", typed, rows)


def _values(field: str, sign: str, typed: str, rows: Sequence[RunRow]) -> Iterator[tuple[str, str]]:
    get = TEXTS[field].get
    counts = Counter(text for row in rows for text in get(row))
    for text, about in _ordered(counts, typed.casefold()):
        yield f"{field}{sign}{_quoted(text)}", about


def _ordered(counts: Counter[str], wanted: str) -> Iterator[tuple[str, str]]:
    """Values that hold what is wanted: those that begin with it first, then those of the most runs."""
    fit = [
        (not folded.startswith(wanted), -count, text)
        for text, count in counts.items()
        # What a terminal would obey, or a line cannot hold, is not put into one.
        if text and len(text) <= MOST_LETTERS and text.isprintable() and wanted in (folded := text.casefold())
    ]
    for _, count, text in sorted(fit):
        yield text, "1 run" if count == -1 else f"{-count:,} runs"


def _quoted(text: str, also: str = "") -> str:
    if any(letter.isspace() or letter in '|"' or letter in also for letter in text):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text
