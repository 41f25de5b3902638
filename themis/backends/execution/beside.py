"""Reading an executor from a thread beside, so that its reader never waits long for a result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from queue import Empty, SimpleQueue
from typing import Any

from themis.backends.execution.base import TICK

MOST_UNREAD = 32
"""Results that wait to be read, above which no more are taken from the executor."""


class _End:
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_beside(results: Callable[[], Iterator[Any]], tick: float, *, loop: bool = False) -> Iterator[Any]:
    """What ``results()`` yields, and :data:`TICK` whenever nothing came for ``tick`` seconds.

    It is called and read in a thread of its own, as an executor may do all its work before it returns;
    what it raises is raised here. ``loop``: that thread has an event loop, as an executor that was written
    for the main thread expects. Closing this leaves that thread
    behind if its executor does not come back.
    """
    read: SimpleQueue[Any] = SimpleQueue()
    room = threading.Event()
    closed = threading.Event()

    def drive() -> None:
        try:
            with _event_loop() if loop else nullcontext():
                hand_over()
            read.put(_End())
        except BaseException as exc:  # raised again where the results are read
            read.put(_End(exc))

    def hand_over() -> None:
        for result in results():
            read.put(result)
            while read.qsize() >= MOST_UNREAD and not closed.is_set():
                room.clear()
                room.wait(tick)
            if closed.is_set():
                break

    threading.Thread(target=drive, name="themis-executor", daemon=True).start()
    try:
        while True:
            try:
                result = read.get(timeout=tick)
            except Empty:
                yield TICK
                continue
            if type(result) is _End:
                if result.error is not None:
                    raise result.error
                return
            if read.qsize() < MOST_UNREAD:
                room.set()
            yield result
    finally:
        closed.set()
        room.set()


@contextmanager
def _event_loop() -> Iterator[None]:
    import asyncio  # only executors of strangers need it, and it takes long to load

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()
