"""A model endpoint as a profile names it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from themis.core.errors import UsageError
from themis.core.options import converted
from themis.profiles.secrets import check_reference

RESERVED = ("fake-math-llm", "litellm", "openai", "python")
"""Names that mean another kind of model."""
APIS = ("chat", "completions")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked, and with which key."""

    name: str
    base_url: str
    """What comes before ``/chat/completions``."""
    model: str | None = None
    """The model asked where ``NAME:MODEL`` names none."""
    key: str | None = None
    """A reference to its key, see :mod:`themis.profiles.secrets`. It goes to this endpoint only."""
    api: str = "chat"
    """``chat`` or ``completions``."""
    timeout: float | None = None
    """Seconds that one request may take; asking again is counted apart."""

    @classmethod
    def of_table(cls, name: str, table: Any) -> Endpoint:
        """The endpoint of a table of the file. Raises :class:`UsageError` for what it cannot mean."""
        if not _NAME.fullmatch(name) or name in RESERVED:
            raise UsageError(
                f"{name!r:.60} cannot name an endpoint: it takes letters, digits and ._- , and is none of "
                f"{', '.join(RESERVED)}."
            )
        known = {each.name: each.type for each in fields(cls) if each.name != "name"}
        if not isinstance(table, dict):
            raise UsageError(f"it is not a table with {', '.join(known)}.")
        for key in table:
            if key not in known:
                raise UsageError(f"it has no {key!r:.60}; there are {', '.join(known)}.")
        if "base_url" not in table:
            raise UsageError("it needs base_url, such as https://models.example.org/v1.")
        values = {key: _checked(key, value) for key, value in table.items()}
        return cls(name, **values)


def _checked(key: str, value: Any) -> Any:
    if key == "timeout":
        number = converted(value, float, "timeout")
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not number > 0:
            raise UsageError(f"timeout is {value!r:.60}, not a time such as 30 or '2m'.")
        return float(number)
    if not isinstance(value, str) or not value:
        # Not quoted: it may be a key.
        raise UsageError(f"{key} is a {type(value).__name__} or empty; it has to be a text.")
    if key == "key":
        return check_reference(value)
    if key == "api" and value not in APIS:
        raise UsageError(f"api is {value!r:.60}; it has to be {' or '.join(APIS)}.")
    return value
