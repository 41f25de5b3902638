"""The one layer that asks again: nothing below it retries, nothing above it does."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tenacity

from themis.core.errors import ModelError
from themis.models.base import Answer, Request, pause, pause_awaited
from themis.models.gate import Gate

AGAIN = frozenset({"rate_limit", "server", "connection", "timeout"})
"""Error kinds that may go away by themselves."""
MOST_CALLS = 60
MOST_LIMITS = 1_000
"""Calls that end in a rate limit, which are counted apart."""
MOST_WAIT_S = 15.0
"""Between two calls, unless the server asks for more: it may answer others all the while."""
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
    gate: Gate | None = None,
) -> Answer:
    """Ask, and ask again after a failure of a kind in ``again``, within the request's time.

    A wait that the server asked for is honoured, with jitter added; else waits grow, with full jitter. A wait
    for longer than there is time is not begun. Every call passes ``gate``; what the first waits there is no
    part of the request's time. ``most_calls`` does not count limits that were kept to: time ends these.

    The answer's ``wait_s`` holds the seconds waited, ``retry_s`` those of calls that failed, and ``usage``
    counts the tokens of all. Raises the last :class:`ModelError` of the model, with its ``calls``; one of
    kind ``interrupted`` if the run ended meanwhile.
    """
    asking = _Asking(request, most_calls, again, gate)

    def ask_once() -> Answer:
        with asking.call() as asked:
            if gate is None:
                return ask(asked)
            with gate.slot(asked) as waited:
                return ask(asking.let_in(asked, waited))

    def ask_once_more() -> Answer:
        asking.tell_first_failure()
        return ask_once()

    def wait(seconds: float) -> None:
        with asking.waiting(seconds) as allowed:
            pause(seconds, allowed)

    with asking.whole():
        try:
            # Most answers come at the first call, which needs no machinery.
            return asking.answered(ask_once())
        except ModelError as exc:
            asking.check_again(exc)
        return asking.answered(tenacity.Retrying(sleep=wait, **asking.policy())(ask_once_more))


async def ask_again_awaited(
    ask: Callable[[Request], Awaitable[Answer]],
    request: Request,
    *,
    most_calls: int = MOST_CALLS,
    again: frozenset[str] = AGAIN,
    gate: Gate | None = None,
) -> Answer:
    """As :func:`ask_again`, without holding up its loop."""
    asking = _Asking(request, most_calls, again, gate)

    async def ask_once() -> Answer:
        with asking.call() as asked:
            if gate is None:
                return await ask(asked)
            async with gate.slot_awaited(asked) as waited:
                return await ask(asking.let_in(asked, waited))

    async def ask_once_more() -> Answer:
        asking.tell_first_failure()
        return await ask_once()

    async def wait(seconds: float) -> None:
        with asking.waiting(seconds) as allowed:
            await pause_awaited(seconds, allowed)

    with asking.whole():
        try:
            return asking.answered(await ask_once())
        except ModelError as exc:
            asking.check_again(exc)
        retrying = tenacity.AsyncRetrying(sleep=wait, **asking.policy())
        return asking.answered(await retrying(ask_once_more))


class _Asking:
    """The calls for one answer: how many there were, what they took, and how the last one failed."""

    def __init__(self, request: Request, most_calls: int, again: frozenset[str], gate: Gate | None) -> None:
        self._request = request
        self._gate = gate
        self._most_calls = most_calls
        self._again = again
        self._began = time.monotonic()
        self._allowed = UNLIMITED_S if request.timeout is None else request.timeout
        self._calls = self._limits = 0
        self._wait_s = self._retry_s = 0.0
        self._failure: ModelError | None = None
        self._told_first = False
        self._usage: list[dict[str, Any]] = []

    def policy(self) -> dict[str, Any]:
        """When tenacity is to ask again."""
        return {
            "retry": tenacity.retry_if_exception(self._is_worth_it),
            "stop": self._is_over,
            "wait": _wait,
            "reraise": True,
        }

    def check_again(self, failure: ModelError) -> None:
        """Raise the first failure unless it is worth asking again."""
        if not self._is_worth_it(failure):
            raise failure

    def tell_first_failure(self) -> None:
        """Raise the failure of the call that was made before the machinery, so that it counts; once."""
        if not self._told_first and self._failure is not None:
            self._told_first = True
            raise self._failure

    def _is_worth_it(self, exc: BaseException) -> bool:
        return isinstance(exc, ModelError) and exc.kind in self._again

    @contextmanager
    def whole(self) -> Iterator[None]:
        """All of the calls; what they end in tells of them."""
        try:
            yield
        except ModelError as exc:
            exc.calls = self._calls
            exc.wait_s, exc.retry_s = self._wait_s, self._retry_s
            exc.usage = _summed(self._usage)
            if self._gate is not None and exc.kind in self._again and not _stopped(self._request):
                self._gate.gave_up(exc)
            raise

    @contextmanager
    def call(self) -> Iterator[Request]:
        """One call, as it is to be made."""
        began, waited = time.monotonic(), self._wait_s
        self._calls += 1
        try:
            yield self._request._replace(call=self._calls, timeout=max(0.001, self._left()))
        except ModelError as exc:
            self._failure = exc
            self._limits += exc.kind == "rate_limit"
            if not exc.calls:
                self._calls -= 1  # it was not made
                self._wait_s += time.monotonic() - began
            elif exc.kind in self._again:
                self._retry_s += time.monotonic() - began - (self._wait_s - waited)
            if exc.usage is not None:
                self._usage.append(exc.usage)
            raise

    def let_in(self, request: Request, waited: float) -> Request:
        """The request, after it waited so many seconds to be made."""
        self._wait_s += waited
        if self._calls == 1:
            self._began += waited
        return request._replace(timeout=max(0.001, self._left()))

    @contextmanager
    def waiting(self, seconds: float) -> Iterator[Request]:
        """A wait between two calls."""
        left = self._left()
        if seconds > left and self._failure is not None:
            # It would be over by then: why there is no answer is what the model said last.
            raise self._failure
        began = time.monotonic()
        try:
            yield self._request._replace(timeout=left)
        finally:
            self._wait_s += time.monotonic() - began

    def answered(self, answer: Answer) -> Answer:
        """The answer, told of all calls for it."""
        answer.wait_s += self._wait_s
        answer.retry_s += self._retry_s
        if self._usage:
            answer.usage = _summed([*self._usage, answer.usage or {}])
        return answer

    def _left(self) -> float:
        return self._allowed - (time.monotonic() - self._began)

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        return (
            state.attempt_number - self._limits >= self._most_calls
            or self._limits >= MOST_LIMITS
            or self._left() <= 0
            or _stopped(self._request)
        )


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


def _summed(usages: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Tokens of several calls; a count that one of them does not tell is unknown in the sum."""
    if not usages:
        return None
    names = dict.fromkeys(name for usage in usages for name in usage)
    counts = {name: [usage.get(name) for usage in usages] for name in names}
    return {name: None if None in each else sum(each) for name, each in counts.items()}
