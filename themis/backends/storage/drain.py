"""The thread that takes a journal to its store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from themis.backends.storage.journal import Journal, Segment
from themis.core.errors import (
    RecordRefused,
    RunNotFound,
    StorageError,
    StoreCorrupt,
    StoreUnreachable,
    described,
)

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 8.0
"""Between tries while the store does not take anything."""
FLUSH_TICK_S = 0.5
IDLE_S = 5.0
"""A thread that has had nothing to do for so long ends; the next record starts another."""
UNMENDED = (RecordRefused, StoreCorrupt)
"""What no later try will change: the segment is set aside, so that those behind it are sent."""

Send = Callable[[Segment], None]
"""Stores a segment. :class:`RunNotFound`: the run was deleted."""


class Drain:
    """Sends what a journal holds, oldest first, on a thread of its own that lives while there is work."""

    def __init__(self, journal: Journal, send: Send, *, segment_bytes: int, segment_age_s: float) -> None:
        """A segment is sealed, and sent, once it has so many bytes or its first record is so old."""
        self.journal = journal
        self._send = send
        self._segment_bytes = segment_bytes
        self._segment_age_s = segment_age_s
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._not_before = 0.0
        self._failures = 0
        self._in_a_row = 0
        self._taken_at = 0.0
        self._failure: StorageError | None = None
        self._failing_since = 0.0
        """Since the epoch."""
        self.lost: StorageError | None = None
        """Why some of what was saved will never be in the store."""

    def begin(self) -> None:
        """Say that something was appended."""
        with self._changed:
            if self._thread is None and not self._stopped:
                self._start()
            elif self.journal.growing_bytes >= self._segment_bytes:
                self._changed.notify_all()

    def flush(self, patience_s: float, meanwhile: Callable[[], None] | None = None) -> None:
        """Return when all that was appended is in the store; ``meanwhile`` is called every half second.

        Raises what the store raised, but :class:`StoreUnreachable` only once it has taken nothing for
        ``patience_s``; and why records were set aside, if any were.
        """
        failures = self._failures
        last = self.hurry()
        begun = time.monotonic()
        while not self._is_sent(last):
            failed = self._failure if self._failures > failures else None
            if failed is not None and not isinstance(failed, StoreUnreachable):
                raise failed
            if self._stopped or time.monotonic() - max(begun, self._taken_at) >= patience_s:
                raise self._failure or StoreUnreachable(
                    f"The store took nothing for {patience_s:g} s. The records are kept in "
                    f"{self.journal.folder}."
                )
            if meanwhile is not None:
                meanwhile()
        if self.lost is not None:
            raise self.lost

    def hurry(self) -> int:
        """Begin to send all that was appended, and wait for none of it; the number of its last segment."""
        last = self.journal.seal()
        with self._changed:
            self._not_before = 0.0
            if self._thread is None and not self._stopped and not self.journal.is_empty():
                self._start()
            self._changed.notify_all()
        return last

    def _is_sent(self, last: int) -> bool:
        """Whether all segments up to that number are gone, waiting a little for that."""
        with self._changed:
            if not self.journal.is_sent(last):
                self._changed.wait(FLUSH_TICK_S)
            return self.journal.is_sent(last)

    def has_room(self, limit: int, timeout: float) -> bool:
        """Whether less than ``limit`` bytes are kept, waiting up to ``timeout`` seconds for it."""
        if self.journal.unsent_bytes < limit:
            return True
        with self._changed:
            self._changed.wait_for(lambda: self.journal.unsent_bytes < limit or self._stopped, timeout)
        return self.journal.unsent_bytes < limit

    def trouble(self) -> str | None:
        """Why nothing is sent at present, and what is kept; ``None`` while all is well."""
        failure = self._failure
        if failure is None:
            return None
        since = time.strftime("%H:%M:%S", time.localtime(self._failing_since))
        kept = self.journal.unsent_bytes
        return f"{described(failure)} ({kept:,} bytes kept on this machine since {since})"

    def stop(self) -> None:
        """End the thread once what it is sending is sent or has failed."""
        with self._changed:
            self._stopped = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _start(self) -> None:
        self._thread = threading.Thread(
            target=self._run, name=f"drain {self.journal.folder.parent.name}", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        while self._waited():
            self.journal.seal()
            for segment in self.journal.sealed():
                if self._stopped or not self._sent(segment):
                    break

    def _waited(self) -> bool:
        """Wait until something is due; false if there is nothing to wait for."""
        idle_until = time.monotonic() + IDLE_S
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                due = self._due_at()
                if due is not None and due <= now:
                    return True
                until = idle_until if due is None else due
                if until <= now:
                    break
                self._changed.wait(until - now)
            self._thread = None
            return False

    def _due_at(self) -> float | None:
        journal = self.journal
        if journal.sealed() or journal.growing_bytes >= self._segment_bytes:
            return self._not_before
        if journal.growing_bytes:
            return max(self._not_before, journal.growing_since + self._segment_age_s)
        return None

    def _sent(self, segment: Segment) -> bool:
        """Whether a segment is off our hands."""
        try:
            self._try(segment)
        except Exception as exc:  # whatever it is, the records stay here and are tried again
            self._failed(exc)
            return False
        with self._changed:
            self._failure, self._in_a_row = None, 0
            self._taken_at = time.monotonic()
            self._changed.notify_all()
        return True

    def _try(self, segment: Segment) -> None:
        try:
            self._send(segment)
        except (RunNotFound, *UNMENDED) as exc:
            self.journal.set_aside(segment, described(exc))
            self.lost = exc
        else:
            self.journal.sent(segment)

    def _failed(self, exc: Exception) -> None:
        with self._changed:
            if self._failure is None:
                self._failing_since = time.time()
            self._failure = exc if isinstance(exc, StorageError) else StorageError(described(exc))
            self._not_before = time.monotonic() + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._in_a_row)
            self._in_a_row += 1
            self._failures += 1
            self._changed.notify_all()
