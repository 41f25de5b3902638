"""A store's URI as a backend's name and options; nothing is loaded for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from themis.core.options import split_query

Meaning = tuple[str, dict[str, Any]]
"""A built-in storage name, and the options of its constructor."""

POSTGRES_OPTIONS = ("schema", "journal", "journal_mb", "pgbouncer", "statement_timeout")
"""What in the query of a URI is Themis's own; the rest is libpq's."""
_SERVICE = "service="


def meaning_of(name: str) -> Meaning | None:
    """What a URI of one of :data:`SCHEMES`, or ``service=NAME``, stands for; ``None`` for any other name."""
    if name.startswith(_SERVICE):
        return "postgres", {"connection_string": name}
    scheme, mark, _ = name.partition("://")
    found = SCHEMES.get(scheme.lower()) if mark else None
    return None if found is None else found(name)


def _postgres(uri: str) -> Meaning:
    address, _, query = uri.partition("?")
    theirs: list[str] = []
    options: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        if key in POSTGRES_OPTIONS:
            options[key] = unquote(value)
        else:
            theirs.append(pair)
    return "postgres", {"connection_string": "?".join(filter(None, (address, "&".join(theirs)))), **options}


def _s3(uri: str) -> Meaning:
    address, options = split_query(uri)
    bucket, _, prefix = address.partition("://")[2].partition("/")
    named = {"prefix": unquote(prefix)} if prefix.strip("/") else {}
    return "s3", {"bucket": unquote(bucket), **named, **options}


SCHEMES: dict[str, Callable[[str], Meaning]] = {"postgres": _postgres, "postgresql": _postgres, "s3": _s3}
