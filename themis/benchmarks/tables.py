"""Tables: files of cells with commas or tabs between them."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from themis.benchmarks.files import FileSource
from themis.core.errors import BenchmarkError

LONGEST_CELL = 1 << 28
"""Characters of one cell. Python's own limit of 131,072 refuses texts that people do ask about."""


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
