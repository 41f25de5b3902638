"""Secrets that this process has read, kept out of what it says."""

from __future__ import annotations

import re
from urllib.parse import unquote

MASK = "***"
SHORTEST = 6
"""Characters below which a secret is not looked for: it would be found in half of all words."""

_secrets: set[str] = set()
# In an address, or in the key=value form of one.
_PASSWORD = re.compile(
    r"://[^/@\s:]*:([^/@\s]+)@|\b(?:password|passwd|secret|token)\s*=\s*'?([^\s;&']+)", re.I
)


def keep_secret(secret: str) -> None:
    """From now on :func:`masked` takes out ``secret``, and the password in it if it is an address."""
    parts = [part for found in _PASSWORD.findall(secret) for part in found if part]
    for each in (secret, *parts, *map(unquote, parts)):
        if len(each) >= SHORTEST:
            _secrets.add(each)


def holds_password(address: str) -> bool:
    """Whether there is a password in an address: ``scheme://user:password@host``, ``password=…``."""
    return _PASSWORD.search(address) is not None


def masked(text: str) -> str:
    """``text`` with every secret that was read in this process as ``***``; the longest first."""
    if not _secrets:
        return text
    for secret in sorted(_secrets, key=len, reverse=True):
        for form in (secret, repr(secret)[1:-1]):
            if form in text:
                text = text.replace(form, MASK)
    return text
