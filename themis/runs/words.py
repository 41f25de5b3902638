"""The words of a query and where they stand: what quotes, dashes and bars do, before any is understood."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from themis.core.errors import UsageError

SIGN = re.compile(r">=|<=|!=|[:<>=]")
"""What stands between a field and its value."""

_ENDS_PLAIN = re.compile(r'[\s|"]')
_QUOTED = re.compile(r'[^"\\]+|\\["\\]|\\')


class QueryError(UsageError):
    """A query that cannot be meant, and where in it."""

    def __init__(self, said: str, position: int) -> None:
        super().__init__(said)
        self.position = position
        """Characters before the place."""
        self.query: str | None = None
        """All of it, where it is known."""


@contextmanager
def quoting(query: str) -> Iterator[None]:
    """Let an error say in which query it is."""
    try:
        yield
    except QueryError as exc:
        exc.query = query
        raise


class Word(NamedTuple):
    """One word of a query, without the quotes around parts of it."""

    text: str
    plain: str
    """The same with a NUL for each quoted letter, whose signs mean nothing."""
    position: int
    negated: bool
    quoted: bool
    """Whether it begins with a quote."""
    places: list[int]
    """Where in the query each letter stands."""
    end: int
    """Where in the query the word ends."""

    def place(self, letter: int) -> int:
        """Where in the query a letter stands, or would stand."""
        return self.places[letter] if letter < len(self.places) else self.end


def words(query: str) -> Iterator[Word | int]:
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


def _word(query: str, start: int) -> tuple[Word, int]:
    following = query[start + 1 : start + 2]
    negated = query[start] in "-!" and following not in ("", "|") and not following.isspace()
    place = start + negated
    quoted = query[place] == '"'
    text: list[str] = []
    plain: list[str] = []
    places: list[int] = []
    while place < len(query):
        ending = _ENDS_PLAIN.search(query, place)
        end = ending.start() if ending else len(query)
        text.append(query[place:end])
        plain.append(query[place:end])
        places.extend(range(place, end))
        place = end
        if ending is None or query[end] != '"':
            break
        place = _quoted(query, end, text, plain, places)
    word = Word("".join(text), "".join(plain), start, negated, quoted, places, place)
    return word, place


def _quoted(query: str, start: int, text: list[str], plain: list[str], places: list[int]) -> int:
    """Read on from a quote to behind the one that closes it."""
    place = start + 1
    while place < len(query) and query[place] != '"':
        piece = _QUOTED.match(query, place)
        said = piece[0] if piece else query[place]
        end = place + len(said)
        if said in ('\\"', "\\\\"):
            said, place = said[1], place + 1
        text.append(said)
        plain.append("\0" * len(said))
        places.extend(range(place, end))
        place = end
    if place >= len(query):
        raise QueryError("This quote is never closed.", start)
    return place + 1


def word_at(query: str, cursor: int) -> tuple[int, int]:
    """Where the word at the cursor begins and ends; a quote that is still open holds all that follows."""
    start, place, in_quotes = 0, 0, False
    while place < len(query):
        letter = query[place]
        if in_quotes and letter == "\\" and query[place + 1 : place + 2] in ('"', "\\"):
            place += 1
        elif letter == '"':
            in_quotes = not in_quotes
        elif not in_quotes and (letter.isspace() or letter == "|"):
            if place >= cursor:
                return start, place
            start = place + 1
        place += 1
    return start, len(query)
