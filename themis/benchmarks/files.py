"""Files of rows, read one after another; JSONL here, tables and Parquet in modules of their own."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from themis.benchmarks.columns import Columns
from themis.benchmarks.sources import Source
from themis.core.errors import BenchmarkError
from themis.core.hashing import DIGITS, hash_json

BUFFER = 1 << 18
"""Bytes read at once: each reading lets other threads in, which costs more than a row."""


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
            import gzip

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


def _unpacked(file: IO[Any], path: Path) -> Iterator[Any]:
    try:
        yield from file
    except (EOFError, OSError, zlib.error) as exc:
        raise BenchmarkError(f"{path} cannot be unpacked: {exc}") from exc
