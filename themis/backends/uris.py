"""A store's URI as a backend's name and options; nothing is loaded for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from themis.core.options import split_query

Meaning = tuple[str, dict[str, Any]]
"""A built-in storage name, and the options of its constructor."""


def meaning_of(name: str) -> Meaning | None:
    """What a URI of one of :data:`SCHEMES` stands for; ``None`` for any other name."""
    scheme, mark, _ = name.partition("://")
    found = SCHEMES.get(scheme.lower()) if mark else None
    return None if found is None else found(name)


def _s3(uri: str) -> Meaning:
    address, options = split_query(uri)
    bucket, _, prefix = address.partition("://")[2].partition("/")
    named = {"prefix": unquote(prefix)} if prefix.strip("/") else {}
    return "s3", {"bucket": unquote(bucket), **named, **options}


SCHEMES: dict[str, Callable[[str], Meaning]] = {"s3": _s3}
