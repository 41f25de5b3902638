"""Files of rows, by their ending: JSONL and CSV, also gzipped, and Parquet. None is held in memory whole."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import threading
import zlib
from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from themis.benchmarks.columns import Columns
from themis.benchmarks.sources import Source
from themis.core.errors import BenchmarkError
from themis.core.hashing import DIGITS, hash_json

BUFFER = 1 << 18
"""Bytes read at once: each reading lets other threads in, which costs more than a row."""
LONGEST_CELL = 1 << 28
"""Characters of one CSV cell. Python's own limit of 131,072 refuses texts that people do ask about."""


class FileSource(Source):
    """A file of rows. Its fingerprint covers the bytes of the file and the choice of columns."""

    def __init__(self, path: Path, columns: Columns | None = None) -> None:
        """Raises :class:`BenchmarkError` if there is no such file."""
        self.path = Path(os.path.abspath(os.path.expanduser(path)))
        self.columns = columns or Columns()
        self.description = str(self.path)
        if not os.path.isfile(self.path):
            raise BenchmarkError(f"There is no file {self.path}.")

    def rows(self) -> Iterator[Mapping[str, Any]]:
        if not self.columns:
            return self.raw()
        return self._mapped()

    @abstractmethod
    def raw(self) -> Iterator[Mapping[str, Any]]:
        """The rows as the file has them."""

    def fingerprint(self) -> str:
        with open(self.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
        return hash_json([digest, self.columns.hash]) if self.columns else digest

    def _mapped(self) -> Iterator[Mapping[str, Any]]:
        for number, row in enumerate(self.raw(), 1):
            yield self.columns.row(row, f"Row {number} of {self.path}") if isinstance(row, dict) else row

    @property
    def _packed(self) -> bool:
        return self.path.suffix.lower() == ".gz"

    def _opened(self) -> IO[bytes]:
        if self._packed:
            return cast(IO[bytes], gzip.open(self.path, "rb"))
        return open(self.path, "rb", buffering=BUFFER)

    def _lines(self, file: IO[Any]) -> Iterator[Any]:
        return _unpacked(file, self.path) if self._packed else iter(file)


class JsonlSource(FileSource):
    """A file of JSON objects, one a line; empty lines are passed over."""

    is_json = True

    def raw(self) -> Iterator[Mapping[str, Any]]:
        decode = msgspec.json.Decoder().decode
        with self._opened() as file:
            for number, line in enumerate(self._lines(file), 1):
                if line.isspace():
                    continue
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    yield self._lenient(line, number)

    def _lenient(self, line: bytes, number: int) -> Any:
        # What Python's json takes (a byte order mark, lone surrogates), our users' files may hold.
        try:
            return json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as exc:
            raise BenchmarkError(f"{self.path}, line {number}: not a JSON object ({exc}).") from exc

    def length(self) -> int:
        count = 0
        with self._opened() as file:
            for line in self._lines(file):
                count += not line.isspace()
        return count


class CsvSource(FileSource):
    """A table in UTF-8 with a header; every cell is a text. Columns without a name are left out."""

    is_json = True

    def raw(self) -> Iterator[Mapping[str, Any]]:
        with closing(self._records()) as records:
            names = next(records)[1]
            self._check_header(names)
            wanted = [(index, name) for index, name in enumerate(names) if name]
            for line, cells in records:
                if len(cells) != len(names):
                    raise BenchmarkError(
                        f"{self.path}, line {line}: {len(cells)} cells where the header has {len(names)}."
                    )
                yield {name: cells[index] for index, name in wanted}

    def length(self) -> int:
        with closing(self._records()) as records:
            return sum(1 for _ in records) - 1

    def _check_header(self, names: list[str]) -> None:
        repeated = next((name for name in names if name and names.count(name) > 1), None)
        if repeated is not None:
            raise BenchmarkError(f"{self.path} has two columns of the name {repeated!r:.100}.")
        if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            raise BenchmarkError(
                f"{self.path} has one column, {names[0]!r:.100}. Cells are parted by commas, or in a .tsv "
                "file by tabs."
            )
        self.columns.check(names, str(self.path))

    def _records(self) -> Generator[tuple[int, list[str]], None, None]:
        """Line and cells of the header, then of each row."""
        tabs = self.path.name.lower().endswith((".tsv", ".tsv.gz"))
        with self._opened() as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(self._lines(text), delimiter="\t" if tabs else ",", strict=True)
            header = self._next(reader)
            if not header:
                raise BenchmarkError(f"{self.path} is empty; a table starts with a line of column names.")
            yield 1, [name.strip() for name in header]
            while True:
                line = reader.line_num + 1
                cells = self._next(reader)
                if cells is None:
                    return
                if cells:
                    yield line, cells

    def _next(self, reader: Iterator[list[str]]) -> list[str] | None:
        line = getattr(reader, "line_num", 0) + 1
        try:
            with _long_cells():
                return next(reader, None)
        except (csv.Error, UnicodeDecodeError) as exc:
            raise BenchmarkError(f"{self.path}, line {line}: not a row of a UTF-8 table ({exc}).") from exc


class _Limit:
    """How many readers need the cell limit of :mod:`csv`, which is one for the process, to be high."""

    lock = threading.Lock()
    readers = 0
    usual = 0


@contextmanager
def _long_cells() -> Iterator[None]:
    # Held for one row at a time, so that code of others finds its own limit again.
    with _Limit.lock:
        if not _Limit.readers:
            _Limit.usual = csv.field_size_limit(LONGEST_CELL)
        _Limit.readers += 1
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.readers -= 1
            if not _Limit.readers:
                csv.field_size_limit(_Limit.usual)


def _unpacked(file: IO[Any], path: Path) -> Iterator[Any]:
    try:
        yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
        raise BenchmarkError(f"{path} cannot be unpacked: {exc}") from exc
