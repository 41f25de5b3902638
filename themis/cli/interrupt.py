"""Work that Ctrl-C and SIGTERM bring to a good end."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Generic, TypeVar

from themis.evaluation.stop import INTERRUPTED, StopSignal

T = TypeVar("T")

HEAR_EVERY_S = 0.1

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruptible(Generic[T]):
    """Does ``work`` in a thread, so that this one, which gets the signals, is always free to hear them.

    The first signal pauses the run, and what is in flight is still saved; the second no longer waits for it;
    a third leaves everything as it is.
    """

    def __init__(self, work: Callable[[], T], stop: StopSignal, notice: Callable[[str], None]) -> None:
        self.signalled: str | None = None
        """The first signal that came, by name."""
        self._work = work
        self._stop = stop
        self._notice = notice
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._noted: deque[int] = deque()

    def result(self) -> T:
        """What ``work`` returns or raises. Call it from the main thread."""
        thread = threading.Thread(target=self._run, name="themis-eval", daemon=True)
        with self._listening():
            thread.start()
            while thread.is_alive():
                # A signal that comes just before a lock is waited for is heard only when the wait ends.
                thread.join(HEAR_EVERY_S)
                self._obey()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as exc:  # raised again in the main thread
            self._error = exc

    @contextmanager
    def _listening(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        try:
            for number, handler in before.items():
                # Under nohup, and in the background of a shell, a signal is ignored on purpose.
                if handler is not signal.SIG_IGN:
                    signal.signal(number, self._heard)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        # Another signal may come in the midst of this; all it may do is take note.
        self._noted.append(number)

    def _obey(self) -> None:
        while self._noted:
            number = self._noted.popleft()
            if self._stop.now.is_set():
                raise KeyboardInterrupt
            again = self._stop.is_set()
            self.signalled = self.signalled or signal.Signals(number).name
            self._stop.pause(INTERRUPTED)
            self._notice(
                "Stopping at once; answers in flight are lost."
                if again
                else "Interrupted: answers in flight are still saved, then the run pauses. "
                "Ctrl-C again stops at once."
            )
