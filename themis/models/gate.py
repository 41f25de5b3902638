"""How many requests an endpoint gets: few until one has succeeded, and none once it only refuses."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from themis.core.errors import ModelError
from themis.models.base import REFUSALS, Request

MOST_UNTRIED = 4
"""Requests in flight before the first success: a wrong key or name costs no more than these at once."""
MOST_REFUSALS = 5
"""Refusals in a row, with no success between, after which nothing more is asked."""
IN_TROUBLE = 3
"""Failures in a row, of any kind, after which the endpoint is said to be in trouble."""
MOST_SAID = 120
"""Characters of what went wrong that are told while it does."""
LOOK_EVERY_S = 0.05
"""How often whoever waits looks whether the run has ended."""


class Gate:
    """Of one model in one process; safe for threads and event loops together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tried = False
        self._in_flight = 0
        self._refusals = 0
        self._given_up = 0
        self._failures = 0
        self._last: ModelError | None = None
        self._fatal: tuple[str, str, int | None] | None = None
        self._waiting: deque[Callable[[], Any]] = deque()

    def reset(self) -> None:
        """Forget refusals: what was wrong may be mended."""
        with self._lock:
            self._refusals, self._given_up, self._failures, self._fatal = 0, 0, 0, None

    def trouble(self) -> str | None:
        """What went wrong last, if nothing else did lately."""
        last, failures = self._last, self._failures
        if last is None or failures < IN_TROUBLE:
            return None
        return f"{failures} failures in a row: {str(last)[:MOST_SAID]}"

    def gave_up(self, failure: ModelError) -> None:
        """A question was asked until its time was up, in vain.

        Where nothing was ever answered, a few of these are fatal: most likely nobody is there.
        """
        with self._lock:
            self._given_up += 1
            if not self._tried and self._given_up >= MOST_REFUSALS and self._fatal is None:
                self._be_shut(failure, f"fatal: nothing answers, {failure}")
        self._wake_if_shut()

    def _wake_if_shut(self) -> None:
        with self._lock:
            if self._fatal is None:
                return
            woken, self._waiting = self._waiting, deque()
        for wake in woken:
            wake()

    def _be_shut(self, failure: ModelError, said: str) -> None:
        self._fatal = (said, failure.kind, failure.status)
        failure.fatal = said

    @contextmanager
    def slot(self, request: Request) -> Iterator[float]:
        """Room for one request; gives the seconds that were waited for it.

        Raises :class:`ModelError` with ``calls`` 0: the refusal that is fatal, or kind ``interrupted`` once
        the run has ended. Waiting ends with the first answer, so it has no other bound.
        """
        began = None
        while not self._entered():
            began = began or time.monotonic()
            woken = threading.Event()
            with self._turn(woken.set):
                while not woken.wait(LOOK_EVERY_S):
                    _check_stop(request)
        with self._request():
            yield 0.0 if began is None else time.monotonic() - began

    @asynccontextmanager
    async def slot_awaited(self, request: Request) -> AsyncIterator[float]:
        """As :meth:`slot`, without holding up its loop."""
        began = None
        while not self._entered():
            began = began or time.monotonic()
            await self._woken(request)
        with self._request():
            yield 0.0 if began is None else time.monotonic() - began

    async def _woken(self, request: Request) -> None:
        import asyncio  # loaded long ago if this is awaited, and needed by nothing else here

        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:  # the loop is over, and who waited with it
                self._pass_on()

        with self._turn(wake):
            while not woken.is_set():
                _check_stop(request)
                try:
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await woken.wait()
                except TimeoutError:
                    continue

    @contextmanager
    def _turn(self, wake: Callable[[], Any]) -> Iterator[None]:
        """A place among those who wait; given up, it is gone, and a turn that had come goes to the next."""
        with self._lock:
            free = self._tried or self._fatal is not None or self._in_flight < MOST_UNTRIED
            if not free:
                self._waiting.append(wake)
        if free:
            wake()
        try:
            yield
        except BaseException:
            with self._lock:
                waits = wake in self._waiting
                if waits:
                    self._waiting.remove(wake)
            if not waits:
                self._pass_on()
            raise

    @contextmanager
    def _request(self) -> Iterator[None]:
        """One request in flight, and what came of it."""
        try:
            yield
        except ModelError as exc:
            self._leave(exc)
            raise
        except BaseException:
            self._leave(None)
            raise
        self._succeed()

    def _entered(self) -> bool:
        with self._lock:
            if self._fatal is not None:
                said, kind, status = self._fatal
                raise ModelError(said, kind=kind, status=status, calls=0, fatal=said)
            if not self._tried and self._in_flight >= MOST_UNTRIED:
                return False
            self._in_flight += 1
            return True

    def _succeed(self) -> None:
        with self._lock:
            self._in_flight -= 1
            self._refusals = self._failures = 0
            self._tried = True
            woken, self._waiting = self._waiting, deque()
        for wake in woken:
            wake()

    def _leave(self, failure: ModelError | None) -> None:
        with self._lock:
            self._in_flight -= 1
            if failure is not None:
                self._failures, self._last = self._failures + 1, failure
            if failure is not None and failure.kind in REFUSALS:
                self._refusals += 1
                if self._refusals >= MOST_REFUSALS:
                    self._be_shut(failure, f"fatal: {failure.status or failure.kind} {_cause(failure)}")
        self._wake_if_shut()
        self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            wake = self._waiting.popleft() if self._waiting else None
        if wake is not None:
            wake()


def _cause(failure: ModelError) -> str:
    # The status stands before it.
    text = str(failure)
    return text.removeprefix(f"HTTP {failure.status}: ")


def _check_stop(request: Request) -> None:
    if request.stop is not None and request.stop.is_set():
        raise ModelError("The run was stopped.", kind="interrupted", calls=0)
