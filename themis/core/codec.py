"""Records and documents as JSON bytes, exactly: what is loaded equals what was saved.

msgspec is the fast path. What it cannot say (lone surrogates) goes through :mod:`json`, ASCII-escaped.
msgspec silently changes values that JSON does not know (NaN becomes null, bytes and sets become
something else), so values are walked first and refused with the path to them.
"""

from __future__ import annotations

import gc
import json
import math
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import UnionType
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from themis.core.entities import (
    SCHEMA_VERSION,
    EvaluationRecord,
    ExperimentReport,
    GenerationRecord,
)
from themis.core.errors import RecordRefused, SchemaTooNew, StoreCorrupt

Record = TypeVar("Record", GenerationRecord, EvaluationRecord)

_SCALARS: frozenset[type] = frozenset({str, int, bool, type(None)})
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_UNSTORABLE_IN_DOCUMENTS = re.compile("[\x00\ud800-\udfff]")
_MOST_DEPTH = 200

_ANY_KIND: frozenset[type] = frozenset({*_SCALARS, float, list, dict})
_KNOWN_BY = frozenset({"id", "cache_key", "epoch", "attempt", "revision"})
"""What records are told apart and ranked by: one of a wrong kind spoils the loading of all others."""


def _kinds_by_field(record: type) -> dict[str, frozenset[type]]:
    """Field to the kinds of value in it that can be worked with.

    What merely describes may be any scalar: servers put numbers where words were meant, and an answer
    is not to be lost for that.
    """
    kinds: dict[str, frozenset[type]] = {}
    for name, hint in get_type_hints(record).items():
        parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        found: set[type] = {get_origin(part) or part for part in parts}
        if hint is Any:
            found |= _ANY_KIND
        elif name not in _KNOWN_BY and found & {str, int, float}:
            found |= _SCALARS | {float}
        kinds[name] = frozenset(found)
    return kinds


_GENERATION_KINDS = _kinds_by_field(GenerationRecord)
_EVALUATION_KINDS = _kinds_by_field(EvaluationRecord)

MOST_SHAPES = 1_000
_Shape = tuple[type, tuple[str, ...], tuple[type, ...]]
_shapes: dict[_Shape, tuple[int, ...]] = {}
"""Class, fields and kinds of value of a record to the places that have to be looked into: the records of a
run have a few shapes, and what depends on the shape alone is found out once."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


class Lines(NamedTuple):
    """Records read from a piece of a file, and the bytes of an unfinished last line."""

    records: list[Any]
    torn: bytes


def encode_line(record: GenerationRecord | EvaluationRecord) -> bytes:
    """One record as a line, newline included. Raises :class:`RecordRefused` with the path."""
    return encode_lines((record,))


def encode_lines(records: Iterable[GenerationRecord | EvaluationRecord]) -> bytes:
    """Records as lines. Raises :class:`RecordRefused` for the first that cannot be stored exactly."""
    objects: list[dict[str, Any]] = []
    known = None
    for record in records:
        fields = record.__dict__
        objects.append(fields)
        values = tuple(fields.values())
        shape = (type(record), tuple(fields), tuple(map(type, values)))
        places = _shapes.get(shape)
        if places is None:
            places = _checked_shape(shape, fields)
        for place in places:
            value = values[place]
            # One dict of metric versions serves a whole run: it is looked at once.
            if not value or value is known:
                continue
            kind = type(value)
            if value - value == 0.0 if kind is float else kind is dict and _is_plain(value):
                continue
            check_value(fields)
            break
        known = fields.get("metric_versions")
    try:
        return _encoder.encode_lines(objects)
    except (UnicodeEncodeError, OverflowError, RecursionError):
        return b"".join(_ascii(fields) + b"\n" for fields in objects)


def _checked_shape(shape: _Shape, fields: dict[str, Any]) -> tuple[int, ...]:
    """The places of a record that have to be looked into; the others are good by their kind alone.

    Raises :class:`RecordRefused` if a value is of a kind that its field cannot hold.
    """
    record, names, kinds = shape
    allowed = _EVALUATION_KINDS if issubclass(record, EvaluationRecord) else _GENERATION_KINDS
    for name, kind in zip(names, kinds, strict=True):
        if kind not in allowed.get(name, _ANY_KIND):
            check_value(fields)  # what is not JSON at all is told first
            raise RecordRefused(_wrong_kind(name, fields[name]))
    if len(_shapes) >= MOST_SHAPES:
        _shapes.clear()
    places = tuple(place for place, kind in enumerate(kinds) if kind not in _SCALARS)
    _shapes[shape] = places
    return places


def decode_lines(data: bytes, kind: type[Record], where: str = "", first_line: int = 1) -> Lines:
    """The records in ``data``; bytes after the last newline come back as ``torn``.

    Raises :class:`StoreCorrupt` naming ``where`` and the line, if a finished line cannot be read. Lines are
    counted from ``first_line``, for a file that is read in pieces.
    """
    end = data.rfind(b"\n") + 1
    whole, torn = (data, b"") if end == len(data) else (data[:end], data[end:])
    decoder = _decoder_of(kind)
    try:
        return Lines(decoder.decode_lines(whole), torn)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        lines = whole.split(b"\n")[:-1]
        numbered = enumerate(lines, first_line)
        return Lines([_decode_line(line, kind, where, n) for n, line in numbered if line], torn)


class _GenerationRank(msgspec.Struct, gc=False):
    """What a generation is known and ranked by."""

    id: str
    attempt: int = 1
    error: Any = None


class _EvaluationRank(msgspec.Struct, gc=False):
    """What an evaluation is known and ranked by."""

    cache_key: str
    attempt: int = 1
    error: Any = None
    revision: int = 1


def decode_ranks(data: bytes, kind: type[Record], where: str = "", first_line: int = 1) -> Lines:
    """As :func:`decode_lines`, but perhaps of each record only what it is known and ranked by.

    It takes half the time. A line that cannot be read otherwise is perhaps not noticed.
    """
    end = data.rfind(b"\n") + 1
    decoder = _decoder_of(_EvaluationRank if kind is EvaluationRecord else _GenerationRank)
    try:
        return Lines(decoder.decode_lines(data if end == len(data) else data[:end]), data[end:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode_lines(data, kind, where, first_line)


def encode_document(document: Any, *, exact_text: bool = False) -> bytes:
    """Metadata, annotations or a report as JSON bytes.

    Metadata and annotations hold neither NUL nor lone surrogates, so that every store can query them:
    unless ``exact_text``, such a string raises :class:`RecordRefused` with the path to it.
    """
    check_value(document)
    if not exact_text:
        _check_document_text(document, "")
    try:
        return _encoder.encode(document)
    except (UnicodeEncodeError, OverflowError, RecursionError):
        return _ascii(document)


def decode_document(data: bytes, where: str = "") -> Any:
    """The document that ``encode_document`` made. Raises :class:`StoreCorrupt` naming ``where``."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return _loaded(data)
        except (ValueError, RecursionError) as exc:
            raise StoreCorrupt(f"{where or 'A document'} is not JSON: {exc}") from exc


def encode_report(report: ExperimentReport) -> bytes:
    """A report as JSON bytes; any text survives."""
    return encode_document(report.__dict__, exact_text=True)


def decode_report(data: bytes, where: str = "") -> ExperimentReport:
    """The report that ``encode_report`` made; one of a newer schema raises :class:`SchemaTooNew`."""
    fields = decode_document(data, where)
    if not isinstance(fields, dict):
        raise StoreCorrupt(f"{where or 'A report'} is not a JSON object.")
    check_schema(fields, where)
    known = ExperimentReport.__dataclass_fields__
    try:
        return ExperimentReport(**{key: value for key, value in fields.items() if key in known})
    except TypeError as exc:
        raise StoreCorrupt(f"{where or 'A report'} is not a report: {exc}") from exc


def check_schema(document: dict[str, Any], where: str = "") -> None:
    """Raise :class:`SchemaTooNew` if ``document`` says it was written by a newer Themis."""
    version = document.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{where or 'This run'} has schema version {version}; this Themis reads up to "
            f"{SCHEMA_VERSION}. Upgrade it: pip install -U themis-tui"
        )


def check_value(value: Any) -> None:
    """Raise :class:`RecordRefused` with the path to the first value that JSON cannot give back."""
    _check_nested(value, "", 1)


def _is_plain(values: dict[Any, Any]) -> bool:
    """Whether a dict holds nothing but scalars: most do, and need no walk with a path."""
    for key, value in values.items():
        if type(key) is not str:
            return False
        kind = type(value)
        if kind is float:
            if value - value != 0.0:
                return False
        elif kind not in _SCALARS:
            return False
    return True


def _check_nested(value: Any, path: str, depth: int) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is float:
        if not math.isfinite(value):
            raise RecordRefused(f"{path or 'the value'} is {value!r}, which JSON cannot hold. Use None.")
    elif depth > _MOST_DEPTH:
        raise RecordRefused(f"{path[:200]}… is nested more than {_MOST_DEPTH} levels deep.")
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                _refuse_key(key, path)
            if type(item) not in _SCALARS:
                _check_nested(item, f"{path}.{key}" if path else key, depth + 1)
    elif kind is list:
        for index, item in enumerate(value):
            if type(item) not in _SCALARS:
                _check_nested(item, f"{path}[{index}]", depth + 1)
    else:
        raise RecordRefused(
            f"{path or 'the value'} is a {kind.__module__}.{kind.__qualname__}, which JSON cannot give "
            "back. Use str, int, float, bool, None, list or dict with text keys."
        )


def _refuse_key(key: Any, path: str) -> None:
    raise RecordRefused(f"{path or 'the value'} has the key {key!r:.100}; JSON keys are text.")


def _check_document_text(value: Any, path: str) -> None:
    if isinstance(value, str):
        if _UNSTORABLE_IN_DOCUMENTS.search(value):
            raise RecordRefused(
                f"{path or 'the document'} holds NUL or a lone surrogate, which metadata and annotations "
                "may not. Replace them by U+FFFD (themis.core.safe_text.storable)."
            )
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_document_text(key, f"{path}.<key>" if path else "<key>")
            _check_document_text(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_document_text(item, f"{path}[{index}]")


def _ascii(value: Any) -> bytes:
    _refuse_surrogate_pairs(value, "")
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def _refuse_surrogate_pairs(value: Any, path: str) -> None:
    # Escaped side by side, two halves would be read back as one character.
    if isinstance(value, str):
        if _SURROGATE_PAIR.search(value):
            raise RecordRefused(
                f"{path or 'the value'} holds two surrogates side by side, which JSON would join."
            )
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_surrogate_pairs(key, f"{path}.<key>")
            _refuse_surrogate_pairs(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_surrogate_pairs(item, f"{path}[{index}]")


def _decoder_of(kind: type) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder


def _decode_line(line: bytes, kind: type[Record], where: str, number: int) -> Any:
    try:
        return _decoder_of(kind).decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            kinds = _EVALUATION_KINDS if kind is EvaluationRecord else _GENERATION_KINDS
            fields = {key: value for key, value in _loaded(line).items() if key in kinds}
            for name, value in fields.items():
                if type(value) not in kinds[name]:
                    raise TypeError(_wrong_kind(name, value))
            return kind(**fields)
        except (ValueError, TypeError, AttributeError, RecursionError) as exc:
            raise StoreCorrupt(f"{where or 'A file'}, line {number}: not a record ({exc}).") from exc


def _wrong_kind(name: str, value: Any) -> str:
    return f"{name} is {value!r:.100}, which this field cannot be"


def _loaded(data: bytes) -> Any:
    """By :mod:`json`, but no number that could not have been saved."""
    return json.loads(data, parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is a number that JSON cannot hold")
    return number


_gc_lock = threading.Lock()
_gc_pauses = 0


@contextmanager
def paused_gc() -> Iterator[None]:
    """Hold the garbage collector while many records are made; they hold no cycles."""
    global _gc_pauses
    with _gc_lock:
        if _gc_pauses == 0 and not gc.isenabled():
            counted = False
        else:
            counted = True
            _gc_pauses += 1
            gc.disable()
    try:
        yield
    finally:
        if counted:
            with _gc_lock:
                _gc_pauses -= 1
                if _gc_pauses == 0:
                    gc.enable()
