"""Secrets that this process has read, kept out of what it says."""

from __future__ import annotations

import json
import re
import threading
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
SHORT = 6
"""Characters below which a secret is masked only where it stands as a word: it would be found in half of all
words."""
SHORTEST = 3
"""Characters below which it is not masked at all, as every number would be."""

_secrets: set[str] = set()
_forms: tuple[re.Pattern[str] | str, ...] = ()
"""How the secrets may stand in a text, the longest first."""
_keeping = threading.Lock()

_NO_REFERENCE = "(?!(?:env|file|command|keyring):)"
_NAMES = "(?:ssl)?password|passwd|passphrase|secret|token|(?:api|(?:secret[-_]?)?access|secret)[-_]?key"
_PASSWORDS = (
    # In an address, as it has to be written;
    re.compile(r"://[^/@\s:]*:([^/@\s]+)@"),
    # with signs that should have been encoded, where it is no port;
    re.compile(r"://[^/@\s:\[]*:(?!\d*(?:[/?#]|$))(\S+)@"),
    # in the key=value form of one;
    re.compile(rf"\b(?:[\w-]{{0,40}}[-_])?(?:{_NAMES})\s*=\s*'?{_NO_REFERENCE}([^\s;&']+)", re.IGNORECASE),
    # in its query.
    re.compile(rf"[?&](?:key|sig|signature)={_NO_REFERENCE}([^\s;&']+)", re.IGNORECASE),
)


def keep_secret(secret: str) -> None:
    """From now on :func:`masked` takes out ``secret``, and the password in it if it is an address."""
    global _forms
    parts = [part for pattern in _PASSWORDS for part in pattern.findall(secret)]
    with _keeping:
        new = {each for each in (secret, *parts, *map(unquote, parts)) if len(each) >= SHORTEST}
        if not new <= _secrets:
            _secrets.update(new)
            written = {form for each in _secrets for form in _written(each)}
            _forms = tuple(map(_wanted, sorted(written, key=len, reverse=True)))


def holds_password(address: str) -> bool:
    """Whether there is a password in an address: ``scheme://user:password@host``, ``password=…``.

    A reference to one, ``password=env:NAME``, is none.
    """
    return any(pattern.search(address) for pattern in _PASSWORDS)


def masked(text: str) -> str:
    """``text`` with every secret that was read in this process as ``***``, plain, quoted or percent-encoded.

    One of fewer than :data:`SHORT` characters only where no letter or digit is beside it.
    """
    for form in _forms:
        if not isinstance(form, str):
            text = form.sub(MASK, text)
        elif form in text:
            text = text.replace(form, MASK)
    return text


def _written(secret: str) -> tuple[str, ...]:
    as_code, as_json = repr(secret)[1:-1], json.dumps(secret)[1:-1]
    # What cannot be encoded stands in no address.
    encoded = secret.encode("utf-8", "surrogatepass")
    return secret, as_code, as_json, quote(encoded, safe=""), quote(encoded), quote_plus(encoded)


def _wanted(form: str) -> re.Pattern[str] | str:
    if len(form) >= SHORT:
        return form
    return re.compile(f"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])")
