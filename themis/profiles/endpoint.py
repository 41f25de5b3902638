"""A model endpoint as a profile names it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from themis.core.errors import UsageError
from themis.core.options import converted
from themis.profiles.secrets import check_reference
from themis.profiles.table import checked_colour, checked_name, checked_option

RESERVED = ("fake-math-llm", "litellm", "openai", "python")
"""Names that mean another kind of model."""
APIS = ("chat", "completions")


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked, and with which key.

    Args:
        base_url: What comes before ``/chat/completions``.
        model: The model asked where ``NAME:MODEL`` names none.
        key: A reference to its key, such as ``env:NAME``; it goes to this endpoint only.
        api: The protocol, ``chat`` or the older ``completions``.
        timeout: Seconds that one request may take; asking again is counted apart.
        colour: By which the app tells it from others.
    """

    name: str
    base_url: str
    model: str | None = None
    key: str | None = None
    api: Literal["chat", "completions"] = "chat"
    timeout: float | None = None
    colour: str | None = None

    @classmethod
    def of_table(cls, name: str, table: Any) -> Endpoint:
        """The endpoint of a table of the file. Raises :class:`UsageError` for what it cannot mean."""
        checked_name(name, "an endpoint")
        if name in RESERVED:
            raise UsageError(f"{name} cannot name an endpoint: it is none of {', '.join(RESERVED)}.")
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
        checked_option(key, value)
        number = converted(value, float, "timeout")
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not number > 0:
            raise UsageError(f"timeout is {value!r:.60}, not a time such as 30 or '2m'.")
        return float(number)
    if not isinstance(value, str) or not value:
        # Not quoted: it may be a key.
        raise UsageError(f"{key} is a {type(value).__name__} or empty; it has to be a text.")
    if key == "key":
        return check_reference(value)
    if key == "colour":
        return checked_colour(value)
    checked_option(key, value)
    if key == "base_url":
        _check_address(value)
    if key == "api" and value not in APIS:
        raise UsageError(f"api is {value!r:.60}; it has to be {' or '.join(APIS)}.")
    return value


def _check_address(base_url: str) -> None:
    """Raise :class:`UsageError`, which does not quote it, for what may hold a key or is no address."""
    try:
        parts = urlsplit(base_url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or True)
    except ValueError:
        is_one = False
    if not is_one:
        raise UsageError("base_url is not an http or https address, such as https://models.example.org/v1.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "base_url holds a user, or something after ? or #, and a key there would be written down. Give "
            "the key by reference, key = 'env:NAME'."
        )
