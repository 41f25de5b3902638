"""Run ids: the rule for given ones, and how they are made.

A run id becomes part of paths and object keys, so the rule is strict: 1 to 80 of ``A-Z a-z 0-9 . _ -``,
starting with a letter, a digit or an underscore, not ending with a dot.
"""

from __future__ import annotations

import os
import re
import time

from themis.core.errors import InvalidRunId

RULE = "1 to 80 of the characters A-Z a-z 0-9 . _ -, with no dot or dash at the start and no dot at the end"
_VALID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_-])?")
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def checked_run_id(run_id: str) -> str:
    """``run_id`` itself; raises :class:`InvalidRunId` with the rule if it breaks it."""
    if not isinstance(run_id, str) or not _VALID.fullmatch(run_id):
        raise InvalidRunId(f"{run_id!r:.200} cannot be a run id. A run id has {RULE}.")
    return run_id


def is_run_id(name: str) -> bool:
    """Whether ``name`` keeps the rule."""
    return bool(_VALID.fullmatch(name))


def make_run_id(benchmark: str, model: str, *, now: float | None = None) -> str:
    """A new id ``YYYYMMDD-HHMMSS-<benchmark>-<model>-<4 random>`` in UTC, at most 80 characters."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    chance = "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(4))
    return f"{stamp}-{slug(benchmark, 24)}-{slug(model, 30)}-{chance}"


def slug(name: str, length: int) -> str:
    """``name`` as a part of a run id, at most ``length`` characters of its last part."""
    words = re.sub(r"[^A-Za-z0-9._]+", "-", name.rsplit("/", 1)[-1]).strip("-._")
    return words[:length].strip("-._") or "x"
