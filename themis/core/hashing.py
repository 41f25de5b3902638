"""Hashes by which samples, prompts and runs are compared.

A hash is the first 32 hex digits of SHA-256 over JSON with sorted keys, no spaces, ASCII-escaped.
"""

from __future__ import annotations

import json
from hashlib import sha256
from json import encoder as json_encoder
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

__all__ = ["DIGITS", "canonical_json", "hash_json", "hash_text", "quoted"]

DIGITS = 32

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
# ``JSONEncoder.encode`` builds its C part anew at each call, which costs more than a sample's JSON does.
_make = getattr(json_encoder, "c_make_encoder", None)
_c_encoder = _make and _make(None, _encoder.default, quoted, None, ":", ",", True, False, False)


def canonical_json(value: Any) -> str:
    """The one JSON text of a value. Raises ``ValueError`` or ``TypeError`` for what JSON does not know."""
    if _c_encoder is None:
        return _encoder.encode(value)
    return "".join(_c_encoder(value, 0))


def hash_json(value: Any) -> str:
    """The hash of a JSON value."""
    return hash_text(canonical_json(value))


def hash_text(text: str) -> str:
    """The hash of a text that already is canonical JSON."""
    return sha256(text.encode("ascii")).hexdigest()[:DIGITS]
