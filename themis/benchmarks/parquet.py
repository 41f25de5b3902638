"""Parquet files, and the Arrow streams that packages carry; only here is pyarrow imported."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from themis.benchmarks.files import FileSource
from themis.core.errors import BenchmarkError, MissingExtra

BATCH = 256
"""Rows held at once."""


class ParquetSource(FileSource):
    """A Parquet file. Dates become ISO texts, decimals texts; a float that is no number becomes null."""

    def raw(self) -> Iterator[Mapping[str, Any]]:
        with self._table() as table:
            self.columns.check(table.schema_arrow.names, str(self.path))
            for batch in table.iter_batches(batch_size=BATCH):
                yield from _rows(batch)

    def length(self) -> int:
        with self._table() as table:
            return int(table.metadata.num_rows)

    def _table(self) -> Any:
        parquet = _pyarrow("pyarrow.parquet", str(self.path))
        try:
            return parquet.ParquetFile(self.path)
        except ValueError as exc:  # pyarrow's own errors are ValueErrors
            raise BenchmarkError(f"{self.path} is not a Parquet file: {exc}") from exc


def arrow_rows(data: bytes, where: str) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow stream. Raises :class:`MissingExtra` without pyarrow."""
    ipc = _pyarrow("pyarrow.ipc", where)
    try:
        with ipc.open_stream(data) as reader:
            for batch in reader:
                yield from _rows(batch)
    except ValueError as exc:
        raise BenchmarkError(f"{where} is not an Arrow stream: {exc}") from exc


def _pyarrow(module: str, where: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as exc:
        raise MissingExtra(
            f"{where} is read with pyarrow. Install it: pip install 'themis-tui[parquet]'"
        ) from exc


def _rows(batch: Any) -> Iterator[dict[str, Any]]:
    for row in batch.to_pylist():
        # Pictures and the like; no prompt can show them.
        yield {name: _plain(value) for name, value in row.items() if not _is_binary(value)}


def _is_binary(value: Any) -> bool:
    return isinstance(value, bytes) or (
        isinstance(value, dict) and any(isinstance(each, bytes) for each in value.values())
    )


def _plain(value: Any) -> Any:
    """The JSON value that means the same; others are left for the sample's own check to refuse."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
