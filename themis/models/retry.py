"""The one layer that asks again: nothing below it retries, nothing above it does."""

from __future__ import annotations

import time
from collections.abc import Callable

import tenacity

from themis.core.errors import ModelError
from themis.models.base import Answer, Request, pause

AGAIN = frozenset({"rate_limit", "server", "connection", "timeout"})
"""Error kinds that may go away by themselves."""
MOST_CALLS = 6
MOST_WAIT_S = 60.0
UNLIMITED_S = 600.0
"""Seconds an answer may take, all calls and waiting included, where the caller sets no time-out."""


def ask_again(ask: Callable[[Request], Answer], request: Request, *, most_calls: int = MOST_CALLS) -> Answer:
    """Ask, and ask again after a failure that may pass, within the request's time.

    A wait that the server asked for is honoured, with jitter added; else waits grow, with full jitter.
    The answer's ``wait_s`` holds the seconds waited. Raises the last :class:`ModelError`, with its ``calls``.
    """
    began = time.monotonic()
    allowed = UNLIMITED_S if request.timeout is None else request.timeout
    waited = 0.0

    def left() -> float:
        return allowed - (time.monotonic() - began)

    def wait(seconds: float) -> None:
        nonlocal waited
        start = time.monotonic()
        pause(seconds, request._replace(timeout=max(0.0, left())))
        waited += time.monotonic() - start

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda exc: isinstance(exc, ModelError) and exc.kind in AGAIN),
        stop=lambda state: state.attempt_number >= most_calls or left() <= 0 or _stopped(request),
        wait=_wait,
        sleep=wait,
        reraise=True,
    )
    calls = 0
    try:
        for attempt in retrying:
            with attempt:
                calls += 1
                answer = ask(request._replace(call=calls, timeout=max(0.001, left())))
                answer.wait_s += waited
    except ModelError as exc:
        exc.calls = calls
        raise
    return answer


_grow = tenacity.wait_random_exponential(multiplier=0.5, max=MOST_WAIT_S)
_jitter = tenacity.wait_random(0, 1)


def _wait(state: tenacity.RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome is not None else None
    asked = failure.retry_after if isinstance(failure, ModelError) else None
    if asked is not None:
        return asked + _jitter(state)
    return _grow(state)


def _stopped(request: Request) -> bool:
    return request.stop is not None and request.stop.is_set()
