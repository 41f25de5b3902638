"""An event loop beside: for whoever is no coroutine, or must not hold up the loop it is in."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

R = TypeVar("R")

GRACE_S = 0.5
"""Seconds beyond its deadline that a coroutine has to end after it was cancelled, and the loop to say so."""


class LoopThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.runs = True
        self._thread = threading.Thread(target=self._run, name="themis-loop", daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., Any], *arguments: Any) -> bool:
        """Have ``function`` called on the loop; whether it still takes calls."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # it is closed
            return False
        return True

    def wait_for(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """What a coroutine gives, awaited on the loop; to be called from another thread."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End it after what it is doing now; what is awaited there is cancelled."""
        self.runs = False
        self.call(self._loop.stop)

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=GRACE_S))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            self.runs = False
            asyncio.set_event_loop(None)
            loop.close()


async def in_thread(function: Callable[..., R], *arguments: Any) -> R:
    """What ``function`` gives, called in a daemon thread of its own, so that nobody queues behind another and
    one that never comes back keeps no process alive. The context of the caller goes along.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[R] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def work() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = context.run(function, *arguments)
        except BaseException as exc:  # raised again where it is awaited
            error = exc
        with suppress(RuntimeError):  # the loop is over, and who waited with it
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="themis-beside", daemon=True).start()
    return await done
