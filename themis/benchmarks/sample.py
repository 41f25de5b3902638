"""One question of a benchmark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from themis.core.codec import check_value
from themis.core.errors import BenchmarkError, RecordRefused
from themis.core.hashing import hash_json

HASH_ID_DIGITS = 16
_EPOCH_MARK = re.compile(r"#\d+\Z")


@dataclass(slots=True)
class Sample:
    """A question: what the prompt is made of, and what the answer should be."""

    id: str
    fields: dict[str, Any]
    """Input fields, for the prompt template: the row without ``id``, ``answer``, ``tags`` and ``group``."""
    reference: Any
    """The expected answer, or a list of acceptable ones; ``None`` where there is none."""
    hash: str
    """Hash of fields and reference."""
    tags: list[str] = field(default_factory=list)
    group: str | None = None
    """Cluster of samples that belong together, such as one reading passage."""


def samples(
    rows: Iterable[Mapping[str, Any]], limit: int | None = None, *, is_json: bool = False
) -> Iterator[Sample]:
    """The first ``limit`` rows as samples; ``is_json`` if their values need no check.

    A row without ``id`` gets a content hash (``-2``, ``-3`` after it for repeats). Raises
    :class:`BenchmarkError`, naming the row, for a repeated id, one that ends in ``#`` and digits (those
    mark epochs), and values that JSON does not know.
    """
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        if number == limit:
            return
        sample = _sample(row, number, is_json)
        if sample.id in seen:
            if row.get("id") is not None:
                raise BenchmarkError(f"Row {number + 1} repeats the id {sample.id!r:.100}. Ids must differ.")
            sample.id = _next_free(sample.id, seen)
        seen[sample.id] = 1
        yield sample


def _next_free(digest: str, seen: dict[str, int]) -> str:
    while True:
        seen[digest] += 1
        name = f"{digest}-{seen[digest]}"
        if name not in seen:
            return name


def _sample(row: Mapping[str, Any], number: int, is_json: bool) -> Sample:
    if not isinstance(row, Mapping):
        raise BenchmarkError(f"Row {number + 1} is a {type(row).__name__}, not a dict of fields.")
    fields = dict(row)
    own_id, reference = fields.pop("id", None), fields.pop("answer", None)
    tags, group = fields.pop("tags", None), fields.pop("group", None)
    if not fields:
        raise BenchmarkError(f"Row {number + 1} has no input field; it has: {', '.join(map(str, row))}.")
    try:
        if not is_json:
            check_value({**fields, "answer": reference})
        digest = hash_json([fields, reference])
    except (RecordRefused, ValueError, RecursionError) as exc:
        raise BenchmarkError(f"Row {number + 1} cannot be stored: {exc}") from exc
    return Sample(
        digest[:HASH_ID_DIGITS] if own_id is None else _checked_id(own_id, number),
        fields,
        reference,
        digest,
        [] if tags is None else _tags(tags, number),
        None if group is None else str(group),
    )


def _checked_id(own_id: Any, number: int) -> str:
    if isinstance(own_id, bool) or not isinstance(own_id, (str, int)):
        raise BenchmarkError(f"Row {number + 1}: the id {own_id!r:.100} is neither text nor a whole number.")
    text = str(own_id)
    if not text or ("#" in text and _EPOCH_MARK.search(text)):
        raise BenchmarkError(
            f"Row {number + 1}: the id {text!r:.100} is empty or ends in '#' and digits, which mark epochs."
        )
    return text


def _tags(tags: Any, number: int) -> list[str]:
    if isinstance(tags, str):
        return [tags]
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        return tags
    raise BenchmarkError(f"Row {number + 1}: tags are {tags!r:.100}, not a list of texts.")
