"""Records as rows: exact bytes, and beside them columns for SQL, in the binary form that COPY takes.

The form: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". A field is its length in
four bytes, -1 for NULL, then its value, big-endian.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from themis.core.current import identity, rank
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.safe_text import storable

HASH_BYTES = 16
LONGEST_TEXT = 1_000
"""Characters of a column: what is longer stands whole in the body."""
_MOST = 2**63 - 1

_START = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_COUNT = struct.Struct("!h")
_LENGTH = struct.Struct("!i")
_INTEGER = struct.Struct("!iq")
_DOUBLE = struct.Struct("!id")
_HASH = _LENGTH.pack(HASH_BYTES)
_JSONB_VERSION = b"\x01"
_encode = msgspec.json.Encoder().encode


class Table(NamedTuple):
    """Where records of one kind lie."""

    name: str
    record: type[Any]
    key: str
    columns: tuple[str, ...]
    rank: tuple[str, ...]
    """What tells which of two rows is current, by :mod:`themis.core.current`; with ``{t}`` for the row."""
    fields: Callable[[Any], list[bytes]]


def key_hash(text: str) -> bytes:
    """What stands for an identity in a key: an index cannot hold long texts, nor a column every text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:HASH_BYTES]


def copy_data(table: Table, run_no: int, records: list[Any], lines: bytes) -> bytes:
    """The rows of records and their lines, as ``COPY … FROM STDIN (FORMAT BINARY)`` takes them.

    Of several records with one identity the current one: a COPY stops at the second.
    """
    bodies = lines.split(b"\n")
    bodies.pop()
    head = _COUNT.pack(len(table.columns)) + _INTEGER.pack(8, run_no)
    length = _LENGTH.pack
    parts = [_START]
    for place in _current_places(records):
        parts.append(head)
        parts += table.fields(records[place])
        body = bodies[place]
        parts += (length(len(body)), body)
    parts.append(_END)
    return b"".join(parts)


def read_rows(chunks: Iterable[bytes | bytearray | memoryview]) -> Iterator[tuple[int, bytes]]:
    """The rows that ``COPY (SELECT seq, body …) TO STDOUT (FORMAT BINARY)`` gives, one in each chunk."""
    first = True
    for chunk in chunks:
        row = bytes(chunk)
        if first:
            row, first = row[len(_START) :], False
        if len(row) > 2:
            yield int.from_bytes(row[6:14], "big", signed=True), row[18:]


def _current_places(records: list[Any]) -> Iterator[int]:
    places: dict[str, int] = {}
    for place, record in enumerate(records):
        held = places.setdefault(identity(record), place)
        if held != place and rank(record) >= rank(records[held]):
            places[identity(record)] = place
    return iter(places.values())


def _generation(record: GenerationRecord) -> list[bytes]:
    usage = record.usage or {}
    timing = record.timing or {}
    return [
        _HASH,
        key_hash(record.id),
        _integer(record.attempt),
        _text(record.id if record.sample_id is None else record.sample_id),
        _integer(record.epoch),
        _error(record.error),
        _double(timing.get("model_s")),
        _integer(usage.get("input_tokens")),
        _integer(usage.get("output_tokens")),
        _double(record.cost),
    ]


def _evaluation(record: EvaluationRecord) -> list[bytes]:
    scores = _encode({storable(name)[:LONGEST_TEXT]: _score(value) for name, value in record.scores.items()})
    return [
        _HASH,
        key_hash(record.cache_key),
        _HASH,
        key_hash(record.id),
        _integer(record.attempt),
        _integer(record.revision),
        _text(record.id if record.sample_id is None else record.sample_id),
        _integer(record.epoch),
        _text(record.group),
        _error(record.error),
        _double(record.latency_s),
        _integer(record.output_tokens),
        _double(record.cost),
        _LENGTH.pack(len(scores) + 1),
        _JSONB_VERSION,
        scores,
    ]


def _score(value: Any) -> float | int | None:
    """A number, so that SQL may average it: a bool is 0 or 1, and what is neither is none."""
    if isinstance(value, (bool, int)):
        return max(-_MOST, min(int(value), _MOST))
    return value if isinstance(value, float) and math.isfinite(value) else None


def _text(value: Any) -> bytes:
    if value is None:
        return _NULL
    data = storable(str(value)[:LONGEST_TEXT]).encode()
    return _LENGTH.pack(len(data)) + data


def _error(error: Any) -> bytes:
    """The kind of an error; a text whenever there is one, since NULL says that it was answered."""
    if error is None:
        return _NULL
    return _text(error.get("kind") or "" if isinstance(error, dict) else "")


def _integer(value: Any) -> bytes:
    if type(value) is not int:
        if not isinstance(value, (bool, int)):
            return _NULL
        value = int(value)
    return _INTEGER.pack(8, max(-_MOST, min(value, _MOST)))


def _double(value: Any) -> bytes:
    try:
        return _DOUBLE.pack(8, value)
    except (struct.error, OverflowError):  # none, a text where a number was meant, or a huge integer
        return _NULL


GENERATIONS = Table(
    name="generation_row",
    record=GenerationRecord,
    key="id_hash",
    columns=(
        "run_no", "id_hash", "attempt", "sample_id", "epoch", "error_kind", "latency_s", "input_tokens",
        "output_tokens", "cost", "body",
    ),
    rank=("{t}.attempt", "{t}.error_kind IS NULL"),
    fields=_generation,
)  # fmt: skip
EVALUATIONS = Table(
    name="evaluation_row",
    record=EvaluationRecord,
    key="key_hash",
    columns=(
        "run_no", "key_hash", "id_hash", "attempt", "revision", "sample_id", "epoch", "group_key",
        "error_kind", "latency_s", "output_tokens", "cost", "scores", "body",
    ),
    rank=("{t}.attempt", "{t}.error_kind IS NULL", "{t}.revision"),
    fields=_evaluation,
)  # fmt: skip
