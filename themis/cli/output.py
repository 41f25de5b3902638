"""What the commands print: aligned tables, numbers for people, JSON for programs.

Texts from stores, models and data sets pass through :mod:`themis.core.safe_text` here. JSON is
ASCII-escaped, so it is exact and harmless at once.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

from themis.core.errors import ThemisError, UsageError
from themis.core.safe_text import safe_line, safe_text

UNKNOWN = "–"
_AROUND = 60
"""Cells of a query that are shown on each side of its fault."""


class Problems(UsageError):
    """Several options that cannot be meant: option to what is wrong with it."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("\n".join(f"{option}: {message}" for option, message in problems.items()))
        self.problems = problems


def say(text: str = "") -> None:
    """A line of the result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line for people beside the result. A terminal that is gone ends nothing."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def say_json(value: Any, *, indent: int | None = 2) -> None:
    """A JSON value; what JSON cannot say becomes null or text."""
    say(to_json(value, indent=indent))


def to_json(value: Any, *, indent: int | None = None) -> str:
    """``value`` as ASCII-escaped JSON."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except (ValueError, TypeError):
        return json.dumps(_finite(value), indent=indent, default=str)


def tell_error(error: BaseException, *, as_json: bool) -> None:
    """One error on stderr: ``themis: message``, or a JSON object."""
    message, notes = message_of(error), getattr(error, "__notes__", [])
    if as_json:
        said: dict[str, Any] = {"kind": type(error).__name__, "message": message}
        if isinstance(error, Problems):
            said["kind"] = "UsageError"
            said["problems"] = {option: _redacted(text) for option, text in error.problems.items()}
        if notes:
            said["notes"] = notes
        if (place := _place_in(error)) is not None:
            said["query"], said["position"] = place
        note(to_json({"error": said}))
    elif isinstance(error, Problems):
        note("\n".join(f"themis: {safe_line(line)}" for line in message.split("\n")))
    else:
        note("\n".join(safe_text(each) for each in (f"themis: {message}", *notes)))
        if (place := _place_in(error)) is not None:
            note(_pointed_at(*place))


def _place_in(error: BaseException) -> tuple[str, int] | None:
    """The query that cannot be meant, and how many characters stand before the place."""
    query, position = getattr(error, "query", None), getattr(error, "position", None)
    return (query, position) if isinstance(query, str) and isinstance(position, int) else None


def _pointed_at(query: str, position: int) -> str:
    """The query with a sign below the place; of a long one what is around it."""
    begin = max(0, position - _AROUND)
    before = ("…" if begin else "") + safe_line(query[begin:position])
    after = cut(query[position : position + _AROUND], _AROUND)
    return f"    {before}{after}\n    {' ' * cells_of(before)}^"


def message_of(error: BaseException) -> str:
    """What an error says; one that is not ours is named by its type too."""
    if isinstance(error, (ThemisError, OSError)):
        return _redacted(str(error)) or type(error).__name__
    hint = "" if os.environ.get("THEMIS_DEBUG") else " (THEMIS_DEBUG=1 shows where)"
    return _redacted(f"{type(error).__name__}: {error}{hint}")


def address(store: str, run_id: str) -> str:
    """``STORE:RUN_ID``, without the password that a store's name may hold."""
    return f"{_redacted(store)}:{run_id}"


def pasted(command: str) -> str:
    """A command to paste; one whose password is masked says that it is.

    Pasted with the mask it would only be refused by the server.
    """
    masked = "***@" in command or "=***" in command
    note = "\n        (give the password for ***: it is not shown, so this does not run as it is)"
    return command + note if masked else command


def _redacted(text: str) -> str:
    # Imported when there is something to say: "themis --help" needs none of it.
    from themis.core.options import redacted

    return redacted(text)


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = (), most: int = 44
) -> str:
    """Aligned columns, two spaces apart, each at most ``most`` cells wide. ``right``: aligned right."""
    cells = [list(header), *([cut(cell, most) for cell in row] for row in rows)]
    widths = [max(cells_of(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(_padded(cell, widths[n], right=n in right) for n, cell in enumerate(row)).rstrip()
        for row in cells
    )


def cells_of(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def cut(text: str, most: int) -> str:
    """``text`` on one harmless line of at most ``most`` cells; a cut is marked by an ellipsis."""
    line = safe_line(text, 4 * most)
    if cells_of(line) <= most:
        return line
    taken, width = 0, 0
    for character in line:
        width += _cell(character)
        if width > most - 1:
            break
        taken += 1
    return line[:taken] + "…"


def number(value: Any, digits: int = 3) -> str:
    """A score with so many decimals; a dash for what is unknown."""
    return f"{value:.{digits}f}" if is_number(value) else UNKNOWN


def count(value: Any) -> str:
    """A count with thousands apart."""
    return f"{value:,.0f}" if is_number(value) else UNKNOWN


def size(value: Any) -> str:
    """``812 B``, ``12 kB``, ``3.4 MB``: bytes by thousands."""
    if not is_number(value):
        return UNKNOWN
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}" if value < 10 * factor else f"{value / factor:,.0f} {unit}"
    return f"{value:.0f} B"


def duration(seconds: Any) -> str:
    """``35 ms``, ``1.4 s``, ``12 s``, ``4 min``, ``3 h``, ``2 d``."""
    if not is_number(seconds):
        return UNKNOWN
    if 0 < seconds < 0.95:
        return f"{seconds * 1_000:.2g} ms" if seconds < 0.0095 else f"{seconds * 1_000:.0f} ms"
    return f"{seconds:.1f} s" if 0 < seconds < 9.95 else _whole_units(max(0.0, seconds))


def age(moment: Any) -> str:
    """How long ago a time was, in whole units."""
    return _whole_units(max(0.0, time.time() - moment)) if is_number(moment) else UNKNOWN


def _whole_units(seconds: float) -> str:
    for unit, size, limit in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} d"


def moment(value: Any) -> str:
    """A time on this machine's clock."""
    if not is_number(value):
        return UNKNOWN
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(value))
    except (OverflowError, ValueError, OSError):
        return UNKNOWN


def plural(amount: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def is_number(value: Any) -> bool:
    """Whether ``value`` is a finite number: a store may hold anything."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - cells_of(cell))
    return space + cell if right else cell + space


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
