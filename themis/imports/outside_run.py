"""A run that another tool made, in our records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import UsageError

MOST_JSON = 500_000_000
"""Bytes of a JSON document that is read whole."""
MOST_LINE = 100_000_000
"""Bytes of one sample."""
MOST_SAMPLES = 5_000_000
LATEST = 253_402_300_800
"""Seconds from 1970 to the year 10000."""

Pair = tuple[GenerationRecord, EvaluationRecord]


class NotImportable(UsageError):
    """A file that is no log of a tool that is known, or one that must not be read."""


@dataclass
class OutsideRun:
    """One run of another tool. Its samples are read when they are asked for."""

    tool: str
    tool_version: str | None
    identity: str
    """What the tool calls it: the same run under another file name is the same run here."""
    asked: dict[str, Any]
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    status: str
    """Of the tool: whether it came to its end."""
    pairs: Iterator[Pair]
    files: list[Path]
    reported: dict[str, float] = field(default_factory=dict)
    """Metric to mean, as the tool reports it: its own, which may treat errors and epochs otherwise."""


def loads(data: bytes | str, what: str) -> Any:
    """A JSON value of an outside file; NaN and infinities, which those hold, are ``None``.

    Raises :class:`NotImportable`.
    """
    try:
        return json.loads(data, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError) as exc:
        raise NotImportable(f"{what} is not JSON that can be read: {exc}") from exc


def number(value: Any) -> float | int | None:
    """A score, where it is one."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if abs(value) < 2**53 else float(value) if abs(value) < 1e300 else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def whole(value: Any) -> int | None:
    """A count, where it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def moment(text: Any) -> float | None:
    """Seconds since 1970 of an ISO time or of a number of seconds; ``None`` for what is no time of ours."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text) if 0 <= text < LATEST else None
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def part(holder: Any, name: str) -> dict[str, Any]:
    """A part that should be an object; ``{}`` where it is not."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, dict) else {}


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
