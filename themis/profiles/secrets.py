"""Secrets are referred to, never written down: ``env:NAME`` and ``file:path``."""

from __future__ import annotations

import os
from pathlib import Path

from themis.core.errors import SecretUnavailable, UsageError

KINDS = ("env", "file")


def check_reference(reference: str) -> str:
    """``reference``, if it is one. Raises :class:`UsageError` that does not quote it: it may be a secret."""
    kind, colon, place = reference.partition(":")
    if kind not in KINDS or not colon or not place:
        raise UsageError("A key is given by reference, env:NAME or file:path, never the key itself.")
    return reference


def resolved(reference: str) -> str:
    """The secret that a reference means, without white space around it.

    Raises :class:`SecretUnavailable` where there is none, where others can read it, and for what is not one
    line of plain characters; the secret itself stands in no error.
    """
    secret = _read(check_reference(reference)).strip()
    if not secret or not secret.isascii() or not secret.isprintable():
        # Said here, without the secret: what refuses it further down would quote it.
        raise SecretUnavailable(
            f"What {reference} holds cannot be a key: it has to be one line of plain characters."
        )
    return secret


def _read(reference: str) -> str:
    kind, _, place = reference.partition(":")
    if kind == "env":
        value = os.environ.get(place)
        if not value:
            raise SecretUnavailable(f"The environment has no {place}, which the key is read from.")
        return value
    path = Path(place).expanduser()
    try:
        if path.stat().st_mode & 0o077:
            raise SecretUnavailable(f"{path} can be read by others; chmod 600 it.")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise SecretUnavailable(f"The key cannot be read from {path}: {exc.strerror}") from None
