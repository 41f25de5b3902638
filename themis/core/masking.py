"""Secrets that this process has read, kept out of what it says."""

from __future__ import annotations

MASK = "***"
SHORTEST = 6
"""Characters below which a secret is not looked for: it would be found in half of all words."""

_secrets: set[str] = set()


def keep_secret(secret: str) -> None:
    """From now on :func:`masked` takes ``secret`` out of texts."""
    if len(secret) >= SHORTEST:
        _secrets.add(secret)


def masked(text: str) -> str:
    """``text`` with every secret that was read in this process as ``***``; the longest first."""
    if not _secrets:
        return text
    for secret in sorted(_secrets, key=len, reverse=True):
        for form in (secret, repr(secret)[1:-1]):
            if form in text:
                text = text.replace(form, MASK)
    return text
