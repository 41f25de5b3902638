"""Hashes by which samples, prompts and runs are compared.

A hash is the first 32 hex digits of SHA-256 over JSON with sorted keys, no spaces, ASCII-escaped.
"""

from __future__ import annotations

import hashlib
import json
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

__all__ = ["canonical_json", "hash_json", "hash_text", "quoted"]

DIGITS = 32

canonical_json = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
).encode
"""The one JSON text of a value. Raises ``ValueError`` or ``TypeError`` for what JSON does not know."""


def hash_json(value: Any) -> str:
    """The hash of a JSON value."""
    return hash_text(canonical_json(value))


def hash_text(text: str) -> str:
    """The hash of a text that already is canonical JSON."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:DIGITS]
