"""What the tables of all kinds have in common."""

from __future__ import annotations

import re
from typing import Any

from themis.core.errors import UsageError
from themis.core.masking import holds_password
from themis.core.schema import looks_secret
from themis.profiles.secrets import check_reference, is_reference

MOST_NAME = 80

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COLOUR = re.compile(r"[a-z][a-z_]{0,30}|#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_NO_TEXT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_MOST = 1 << 63
"""Whole numbers of TOML are smaller; one of thousands of digits could not even be shown."""
ADDRESSES = ("connection_string", "conninfo", "dsn")
"""Options that hold a secret only where there is a password in them."""


def checked_name(name: str, noun: str) -> str:
    """``name``, if a profile can have it. Raises :class:`UsageError`."""
    if len(name) > MOST_NAME or not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r:.60} cannot name {noun}: a name takes letters, digits and ._- , at most {MOST_NAME}, "
            "and begins with a letter or digit."
        )
    return name


def checked_colour(value: Any) -> str:
    """A colour's name, or ``#rrggbb``. Raises :class:`UsageError`."""
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise UsageError("colour has to be a name such as 'green', or '#rrggbb'.")
    return value


def checked_flag(key: str, value: Any) -> bool:
    """``true`` or ``false``. Raises :class:`UsageError`."""
    if not isinstance(value, bool):
        raise UsageError(f"{key} is not true or false.")
    return value


def checked_option(key: str, value: Any, *, secret: bool = False) -> Any:
    """An option of a backend as the file may hold it: a text, number or flag, and no secret itself.

    ``secret``: whether the backend says that it is one, whatever its name. Raises :class:`UsageError` that
    does not quote the value.
    """
    if not isinstance(value, (str, int, float, bool)):
        raise UsageError(
            f"{key!r:.60} is a {type(value).__name__}; it has to be a text, a number, true or false."
        )
    if isinstance(value, str) and _NO_TEXT.search(value):
        raise UsageError(f"{key!r:.60} holds a line break, a control character, or what is no text.")
    if (isinstance(value, int) and not -_MOST <= value < _MOST) or value != value:
        raise UsageError(f"{key!r:.60} is a number beyond those that TOML knows.")
    if not (secret or looks_secret(key)):
        if isinstance(value, str) and holds_password(value):
            raise UsageError(f"{key!r:.60} holds a password. {_BY_REFERENCE}")
        return value
    if value == "":
        raise UsageError(f"{key!r:.60} is empty; leave it out (--unset {key}) for none. {_BY_REFERENCE}")
    if isinstance(value, str) and is_reference(value):
        return check_reference(value)
    if key in ADDRESSES and isinstance(value, str) and not holds_password(value):
        return value  # an address without a password is none
    raise UsageError(f"{key!r:.60} holds a secret itself. {_BY_REFERENCE}")


_BY_REFERENCE = (
    "This file takes a reference to it, never the secret: env:NAME, file:PATH, command:COMMAND or "
    "keyring:SERVICE/NAME."
)
