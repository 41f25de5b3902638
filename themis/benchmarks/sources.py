"""Where a benchmark's rows come from; files have a module of their own."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

from themis.core.errors import BenchmarkError
from themis.core.hashing import DIGITS, canonical_json


class Source(ABC):
    """Rows, and what tells one source from another."""

    description: str
    """For people, and for starting the run again: a path, or a name."""
    is_json: bool = False
    """Whether every value comes from JSON, and so can be stored."""
    once: bool = False
    """Whether the rows can be read only once."""

    @abstractmethod
    def rows(self) -> Iterator[Mapping[str, Any]]:
        """The rows from the first on."""

    @abstractmethod
    def fingerprint(self) -> str | None:
        """A hash over the whole source; ``None`` where it can be read only once."""

    @abstractmethod
    def length(self) -> int | None:
        """How many rows there are, where that is known without reading them."""


class RowsSource(Source):
    """Rows in memory, or anything that can be iterated over again and again."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], description: str) -> None:
        self._rows = rows
        self.description = description

    def rows(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._rows)

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for number, row in enumerate(self._rows):
            try:
                digest.update(canonical_json(row if type(row) is dict else dict(row)).encode("ascii") + b"\n")
            except (TypeError, ValueError, RecursionError) as exc:
                raise BenchmarkError(f"Row {number + 1} is not made of JSON values: {exc}") from exc
        return digest.hexdigest()[:DIGITS]

    def length(self) -> int | None:
        return len(self._rows) if isinstance(self._rows, Sized) else None


class IteratorSource(Source):
    """Rows that come by once."""

    once = True

    def __init__(self, rows: Iterator[Mapping[str, Any]], description: str = "iterator") -> None:
        self._rows = rows
        self.description = description

    def rows(self) -> Iterator[Mapping[str, Any]]:
        return self._rows

    def fingerprint(self) -> None:
        return None

    def length(self) -> None:
        return None
