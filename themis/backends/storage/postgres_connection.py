"""A connection that gives up on a server that has fallen silent."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


class PostgresConnection(psycopg.Connection[Any]):
    """As the driver's, and what is asked of it fails once nothing has come for :attr:`silence_s`.

    The time-outs of the server end nothing when the server itself hangs, and those of TCP nothing while its
    kernel still answers.
    """

    silence_s = math.inf

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """As the driver's; all that blocks goes through here."""
        try:
            return super().wait(_heard(gen, self.silence_s), *args, **options)
        except _Silent:
            self.close()  # without a word more: to roll back would be to wait again
        raise psycopg.OperationalError(f"the server has said nothing for {self.silence_s:g} s")


class _Silent(Exception):
    """Nothing came in time."""


def _heard(gen: Generator[Any, Any, T], silence_s: float) -> Generator[Any, Any, T]:
    """The driver's steps, which are told what the socket is ready for: every 0.1 s nothing, if it is not."""
    try:
        wanted = next(gen)
        until = time.monotonic() + silence_s
        while True:
            ready = yield wanted
            if ready:
                until = time.monotonic() + silence_s
            elif time.monotonic() > until:
                raise _Silent
            wanted = gen.send(ready)
    except StopIteration as end:
        value: T = end.value
        return value
