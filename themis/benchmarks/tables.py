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

BATCH = 1 << 16
"""Characters after which a batch of rows is full."""


class CsvSource(FileSource):
    """A table in UTF-8 with a header; every cell is a text. Columns without a name are left out.

    A cell cannot be null: an empty one in the column ``answer`` is no reference.
    """

    is_json = True

    def raw(self) -> Iterator[Mapping[str, Any]]:
        with closing(self._records()) as records:
            names = self._header(records)
            wanted = [(index, name) for index, name in enumerate(names) if name]
            for line, cells in records:
                if len(cells) != len(names):
                    raise BenchmarkError(
                        f"{self.path}, line {line}: {len(cells)} cells where the header has {len(names)}."
                    )
                row: dict[str, str | None] = {name: cells[index] for index, name in wanted}
                if row.get("answer") == "":
                    row["answer"] = None
                yield row

    def length(self) -> int:
        with closing(self._records()) as records:
            self._header(records)
            return sum(1 for _ in records)

    def _header(self, records: Iterator[tuple[int, list[str]]]) -> list[str]:
        names = [name.strip() for name in next(records, (0, []))[1]]
        if not names:
            raise BenchmarkError(f"{self.path} is empty; a table starts with a line of column names.")
        repeated = next((name for name in names if name and names.count(name) > 1), None)
        if repeated is not None:
            raise BenchmarkError(f"{self.path} has two columns of the name {repeated!r:.100}.")
        if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            raise BenchmarkError(
                f"{self.path} has one column, {names[0]!r:.100}. Cells are parted by commas, or in a .tsv "
                "file by tabs."
            )
        self.columns.check(names, str(self.path))
        return names

    def _records(self) -> Generator[tuple[int, list[str]], None, None]:
        """Line and cells of the header, then of each row; empty lines are passed over."""
        tabs = self.path.name.lower().endswith((".tsv", ".tsv.gz"))
        with self._opened() as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(self._lines(text), delimiter="\t" if tabs else ",", strict=True)
            batch: list[tuple[int, list[str]]] = [(0, [])]
            while batch:
                batch, failure = _batch(reader)
                yield from batch
                if failure is not None:
                    line, exc = failure
                    raise BenchmarkError(
                        f"{self.path}, line {line}: not a row of a UTF-8 table ({exc})."
                    ) from exc


def _batch(reader: Any) -> tuple[list[tuple[int, list[str]]], tuple[int, Exception] | None]:
    """The next records with their lines, and the line and reason where there can be no more of them."""
    batch: list[tuple[int, list[str]]] = []
    size = 0
    with _long_cells():
        while size < BATCH:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                break
            except (csv.Error, UnicodeDecodeError) as exc:
                return batch, (line, exc)
            if cells:
                batch.append((line, cells))
                size += sum(map(len, cells))
    return batch, None


class _Limit:
    """How many readers need the cell limit of :mod:`csv`, which is one for the process, to be high."""

    lock = threading.Lock()
    readers = 0
    usual = 0


@contextmanager
def _long_cells() -> Iterator[None]:
    # Held for one batch at a time, so that code of others finds its own limit again.
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
