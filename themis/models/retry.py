"""The one layer that asks again: nothing below it retries, nothing above it does."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import tenacity

from themis.core.errors import ModelError
from themis.models.base import Answer, Request, pause

AGAIN = frozenset({"rate_limit", "server", "connection", "timeout"})
"""Error kinds that may go away by themselves."""
MOST_CALLS = 6
MOST_WAIT_S = 60.0
MOST_JITTER_S = 1.0
"""Added at most to a wait that the server asked for."""
UNLIMITED_S = 600.0
"""Seconds an answer may take, all calls and waiting included, where the caller sets no time-out."""


def ask_again(
    ask: Callable[[Request], Answer],
    request: Request,
    *,
    most_calls: int = MOST_CALLS,
    again: frozenset[str] = AGAIN,
) -> Answer:
    """Ask, and ask again after a failure of a kind in ``again``, within the request's time.

    A wait that the server asked for is honoured, with jitter added; else waits grow, with full jitter.
    The answer's ``wait_s`` holds the seconds waited. Raises the last :class:`ModelError` of the model, with
    its ``calls``; one of kind ``interrupted`` if the run ended meanwhile.
    """
    began = time.monotonic()
    allowed = UNLIMITED_S if request.timeout is None else request.timeout
    waited = 0.0
    calls = 0
    failure: ModelError | None = None

    def left() -> float:
        return allowed - (time.monotonic() - began)

    def ask_once() -> Answer:
        nonlocal calls, failure
        calls += 1
        try:
            return ask(request._replace(call=calls, timeout=max(0.001, left())))
        except ModelError as exc:
            failure = exc
            raise

    def wait(seconds: float) -> None:
        nonlocal waited
        start = time.monotonic()
        try:
            pause(seconds, request._replace(timeout=max(0.0, left())))
        except ModelError as exc:
            if exc.kind == "timeout" and failure is not None:
                # Time was up while waiting: why there is no answer is what the model said last.
                raise failure from None
            raise
        waited += time.monotonic() - start

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda exc: isinstance(exc, ModelError) and exc.kind in again),
        stop=lambda state: state.attempt_number >= most_calls or left() <= 0 or _stopped(request),
        wait=_wait,
        sleep=wait,
        reraise=True,
    )
    try:
        answer = retrying(ask_once)
    except ModelError as exc:
        exc.calls = calls
        raise
    answer.wait_s += waited
    return answer


_grow = tenacity.wait_random_exponential(multiplier=0.5, max=MOST_WAIT_S)


def _wait(state: tenacity.RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome is not None else None
    asked = failure.retry_after if isinstance(failure, ModelError) else None
    if asked is None:
        return _grow(state)
    # In proportion, so that a server that asks for little is not kept waiting long.
    return asked + random.uniform(0.0, min(MOST_JITTER_S, asked + 0.1))


def _stopped(request: Request) -> bool:
    return request.stop is not None and request.stop.is_set()
