"""Where a benchmark's rows come from: the built-in ones, files, iterables."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

import msgspec

from themis.core.errors import BenchmarkError
from themis.core.hashing import DIGITS, canonical_json

BUFFER = 1 << 18
"""Bytes read at once: each reading lets other threads in, which costs more than a row."""


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


class JsonlSource(Source):
    """A file of JSON objects, one a line; empty lines are passed over."""

    is_json = True

    def __init__(self, path: Path) -> None:
        """Raises :class:`BenchmarkError` if there is no such file."""
        self.path = Path(os.path.abspath(path.expanduser()))
        self.description = str(self.path)
        if not os.path.isfile(self.path):
            raise BenchmarkError(f"There is no file {self.path}.")

    def rows(self) -> Iterator[Mapping[str, Any]]:
        decode = msgspec.json.Decoder().decode
        with open(self.path, "rb", buffering=BUFFER) as file:
            for number, line in enumerate(file, 1):
                if line.isspace():
                    continue
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    yield self._lenient(line, number)

    def _lenient(self, line: bytes, number: int) -> Any:
        # What Python's json takes (a byte order mark, lone surrogates), our users' files may hold.
        try:
            return json.loads(line.decode("utf-8-sig"))
        except ValueError as exc:
            raise BenchmarkError(f"{self.path}, line {number}: not a JSON object ({exc}).") from exc

    def fingerprint(self) -> str:
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]

    def length(self) -> int:
        count = 0
        with open(self.path, "rb") as file:
            for line in file:
                count += not line.isspace()
        return count
