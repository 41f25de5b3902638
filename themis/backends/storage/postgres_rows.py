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

from themis.core import codec
from themis.core.current import rank
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.safe_text import storable

HASH_BYTES = 16
LONGEST_TEXT = 1_000
"""Characters of a column: what is longer stands whole in the body."""
ROWS_A_CHUNK = 200
"""Rows that are sent while the next are made: the server works meanwhile."""
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
    seen: msgspec.json.Decoder[Any]
    """Reads of a line what the columns hold."""
    identity: str
    """The field that tells which record it is."""
    key: str
    columns: tuple[str, ...]
    rank: tuple[str, ...]
    """What tells which of two rows is current, by :mod:`themis.core.current`; with ``{t}`` for the row."""
    fields: Callable[[Any], tuple[bytes, ...]]
    """All columns but the run and the body."""


class _SeenGeneration(msgspec.Struct, gc=False):
    """What is shown of a generation. Nothing is expected of a value's kind: a column may stay empty."""

    id: str
    sample_id: Any = None
    epoch: Any = 1
    attempt: int = 1
    error: Any = None
    usage: Any = None
    timing: Any = None
    cost: Any = None


class _SeenEvaluation(msgspec.Struct, gc=False):
    """As above, of an evaluation."""

    cache_key: str
    id: str
    scores: dict[str, Any] = msgspec.field(default_factory=dict)
    sample_id: Any = None
    epoch: Any = 1
    attempt: int = 1
    revision: int = 1
    group: Any = None
    error: Any = None
    latency_s: Any = None
    output_tokens: Any = None
    cost: Any = None


def key_hash(text: str) -> bytes:
    """What stands for an identity in a key: an index cannot hold long texts, nor a column every text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:HASH_BYTES]


def seen_in(table: Table, lines: bytes) -> list[Any]:
    """Of each line what its columns hold. Raises :class:`StoreCorrupt` for one that is no record."""
    try:
        return table.seen.decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # texts that take the slow path
        return codec.decode_lines(lines, table.record, "A segment of the journal").records


def copy_chunks(table: Table, run_no: int, seen: list[Any], lines: bytes) -> Iterator[bytes]:
    """The rows of lines, as ``COPY … FROM STDIN (FORMAT BINARY)`` takes them.

    Of several records with one identity the current one: a COPY stops at the second.
    """
    bodies = lines.split(b"\n")
    head = _COUNT.pack(len(table.columns)) + _INTEGER.pack(8, run_no)
    length, fields = _LENGTH.pack, table.fields
    parts = [_START]
    most = ROWS_A_CHUNK * (len(fields(seen[0])) + 3)
    for place in _current_places(table, seen):
        body = bodies[place]
        parts += (head, *fields(seen[place]), length(len(body)), body)
        if len(parts) >= most:
            yield b"".join(parts)
            parts.clear()
    parts.append(_END)
    yield b"".join(parts)


def _current_places(table: Table, seen: list[Any]) -> Iterable[int]:
    name = table.identity
    places: dict[str, int] = {}
    for place, record in enumerate(seen):
        key = getattr(record, name)
        held = places.setdefault(key, place)
        if held != place and rank(record) >= rank(seen[held]):
            places[key] = place
    return places.values()


_GENERATION_START = struct.Struct(f"!i{HASH_BYTES}siq")
_GENERATION_END = struct.Struct("!iqiidiqiqid")


def _generation(record: Any) -> tuple[bytes, ...]:
    name = _text(record.id if record.sample_id is None else record.sample_id)
    if record.error is None:
        try:  # as nearly all are: every number there
            usage = record.usage
            return (
                _GENERATION_START.pack(HASH_BYTES, key_hash(record.id), 8, record.attempt),
                name,
                _GENERATION_END.pack(
                    8, record.epoch, -1, 8, record.timing["model_s"], 8, usage["input_tokens"],
                    8, usage["output_tokens"], 8, record.cost,
                ),
            )  # fmt: skip
        except (struct.error, OverflowError, TypeError, KeyError):
            pass
    usage = record.usage if isinstance(record.usage, dict) else {}
    timing = record.timing if isinstance(record.timing, dict) else {}
    return (
        _HASH,
        key_hash(record.id),
        _integer(record.attempt),
        name,
        _integer(record.epoch),
        _error(record.error),
        _double(timing.get("model_s")),
        _integer(usage.get("input_tokens")),
        _integer(usage.get("output_tokens")),
        _double(record.cost),
    )


_EVALUATION_START = struct.Struct(f"!i{HASH_BYTES}si{HASH_BYTES}siqiq")


def _evaluation(record: Any) -> tuple[bytes, ...]:
    scores = _encode({storable(name)[:LONGEST_TEXT]: _score(value) for name, value in record.scores.items()})
    return (
        _evaluation_start(record),
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
    )


def _evaluation_start(record: Any) -> bytes:
    keys = HASH_BYTES, key_hash(record.cache_key), HASH_BYTES, key_hash(record.id)
    try:
        return _EVALUATION_START.pack(*keys, 8, record.attempt, 8, record.revision)
    except struct.error:  # numbers that no column can hold
        return _EVALUATION_START.pack(*keys, 8, _bounded(record.attempt), 8, _bounded(record.revision))


def _score(value: Any) -> float | int | None:
    """A number, so that SQL may average it: a bool is 0 or 1, and what is neither is none."""
    if isinstance(value, int):
        return _bounded(value)
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
    return _INTEGER.pack(8, _bounded(value)) if isinstance(value, int) else _NULL


def _bounded(number: int) -> int:
    return max(-_MOST, min(int(number), _MOST))


def _double(value: Any) -> bytes:
    try:
        return _DOUBLE.pack(8, value)
    except (struct.error, OverflowError):  # none, a text where a number was meant, or a huge integer
        return _NULL


GENERATIONS = Table(
    name="generation_row",
    record=GenerationRecord,
    seen=msgspec.json.Decoder(_SeenGeneration),
    identity="id",
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
    seen=msgspec.json.Decoder(_SeenEvaluation),
    identity="cache_key",
    key="key_hash",
    columns=(
        "run_no", "key_hash", "id_hash", "attempt", "revision", "sample_id", "epoch", "group_key",
        "error_kind", "latency_s", "output_tokens", "cost", "scores", "body",
    ),
    rank=("{t}.attempt", "{t}.error_kind IS NULL", "{t}.revision"),
    fields=_evaluation,
)  # fmt: skip
