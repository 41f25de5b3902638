"""How a run is told to end early, by its own process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Literal

Status = Literal["paused", "cancelled"]


class StopSignal(threading.Event):
    """Set once somebody wants the run to end; says as what, and why.

    Set, it lets what is in flight finish and be saved. ``now`` is set when that is no longer waited for.
    A plain event handed to ``evaluate`` as ``cancel`` means ``cancelled``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.status: Status = "cancelled"
        self.reason: str | None = None
        self.now = threading.Event()
        self._saying = threading.Lock()
        self._said: tuple[Status, str | None] | None = None

    def pause(self, reason: str) -> None:
        """End as ``paused`` with a reason. Said twice, what is in flight is no longer waited for."""
        self._end("paused", reason)

    def cancel(self, reason: str | None = None) -> None:
        """End as ``cancelled``, also what was to be paused. Said twice, nothing in flight is waited for."""
        self._end("cancelled", reason)

    def _end(self, status: Status, reason: str | None) -> None:
        with self._saying:
            said = (status, reason)
            if said == self._said:
                self.now.set()
            elif not self.is_set() or (status == "cancelled" and self.status == "paused"):
                self.status, self.reason = said
                self.set()
            self._said = said


INTERRUPTED = "interrupted"


@contextmanager
def hearing(numbers: Iterable[signal.Signals], obey: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Have ``obey`` called, in a thread, for each of these signals that comes, however fast they do.

    A second signal can come while the handler of the first is at work. What a handler does must bear that;
    setting an event does not, putting into a :class:`queue.SimpleQueue` does. Main thread only.
    """
    heard: SimpleQueue[int] = SimpleQueue()

    def listen() -> None:
        while number := heard.get():
            obey(signal.Signals(number))

    listener = threading.Thread(target=listen, name="themis-signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, lambda number, frame: heard.put(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        heard.put(0)
        listener.join()


@contextmanager
def interrupts(stop: StopSignal) -> Iterator[None]:
    """Let Ctrl-C pause the run, so that what is in flight is saved; twice no longer waits for it.

    Like :func:`asyncio.run`, only in the main thread, and only where nobody else handles it.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    with hearing([signal.SIGINT], lambda number: stop.pause(INTERRUPTED)):
        yield


_running: dict[str, threading.Event] = {}


def register(token: str, stop: threading.Event) -> None:
    """Let the tasks of a run in this process find its stop signal by the run's token."""
    _running[token] = stop


def unregister(token: str) -> None:
    """The run is over."""
    _running.pop(token, None)


def stop_of(token: str) -> threading.Event | None:
    """The stop signal of a run in this process; ``None`` in any other."""
    return _running.get(token)
