"""What every remote store shares: records wait in a journal on this machine until the store has them."""

from __future__ import annotations

import atexit
import os
import threading
import time
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from themis.backends.storage import journal
from themis.backends.storage.base import StorageBackend
from themis.backends.storage.drain import FIRST_WAIT_S, LONGEST_WAIT_S, UNMENDED, Drain
from themis.backends.storage.files import FileClosed
from themis.backends.storage.journal import Journal, Kept, Opening, Segment, SetAside
from themis.core import codec
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import RunNotFound, StorageError, StoreUnreachable, described
from themis.core.run_ids import checked_run_id

MOST_OPEN_RUNS = 64
"""Runs whose journals are open at once; the one unused for longest is sent and closed."""
MEGABYTE = 1 << 20
GROWTH = 4
"""Times ``segment_bytes`` that a segment may grow to while others are sent: readers hold one whole."""
PATIENCE_S = 120.0
"""How long a flush waits for a store that is away."""
READING_PATIENCE_S = 10.0
EXIT_PATIENCE_S = 5.0
"""The same at the exit of a program that did not close its store."""


class Sent(NamedTuple):
    """What became of the journals that ended writers had left for one run."""

    run_id: str
    segments: int
    """Sent to the store."""
    set_aside: list[Path]
    """Kept on this machine: the run they belong to was deleted, or the store will never take them."""


class _Writing(NamedTuple):
    journal: Journal
    drain: Drain


class JournalledStorage(StorageBackend):
    """A remote store. A ``save_*`` of records returns when they are in a journal on this machine.

    From then on they survive ``kill -9``; a thread of each open run takes them to the store, and ``flush``
    waits for it. While the store is away saving goes on, up to ``journal_mb`` of unsent records a run, and
    waits then. What an ended writer left is sent when its run is next opened for writing on this machine, or
    by :meth:`recover`; it never makes a run anew. Only records pass through the journal.

    A subclass calls :meth:`_set_up_journal`, makes :meth:`_open_run` and :meth:`_send`, calls
    :meth:`_settle` before it loads the records of a run, and :meth:`_discard` before it deletes one.
    """

    thread_safe = True

    segment_bytes = MEGABYTE
    segment_age_s = 0.2
    metadata_every_s = 0.0
    """How often a runner saves its progress at most, where it would save it more often."""

    def _set_up_journal(
        self, place: str, *, journal: bool, journal_mb: int, patience_s: float = PATIENCE_S
    ) -> None:
        """``place`` names the store, the same way from each process of this machine, and holds no secret.

        Without ``journal`` a ``save_*`` returns when the store has the records.
        """
        self._place = place
        self._journals = journal
        self._most_unsent = journal_mb * MEGABYTE
        self.patience_s = patience_s
        """How long a flush waits for the store, in seconds."""
        self._begin_journals()
        _stores[id(self)] = self

    def _begin_journals(self) -> None:
        self._writings: OrderedDict[str, _Writing] = OrderedDict()
        self._openings: dict[str, Opening] = {}
        self._opening_lock = threading.RLock()

    @property
    def place(self) -> str:
        """The store in words, by whatever name it was opened: of two backends of one store they are equal."""
        return self._place

    @abstractmethod
    def _open_run(self, run_id: str) -> Opening:
        """Make the run in the store, empty, if it is not there. One that is being deleted is not found."""

    @abstractmethod
    def _send(self, run_id: str, opening: Opening, name: str, kind: str, lines: bytes) -> None:
        """Store whole lines of one kind, ``gen`` or ``eval``, as they are; once more changes nothing.

        :class:`RunNotFound` if the run that was opened is no longer there; none is made.
        """

    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        self._append(run_id, "gen", codec.encode_line(record))

    def save_generation_records(self, run_id: str, records: Iterable[GenerationRecord]) -> None:
        self._append(run_id, "gen", codec.encode_lines(records))

    def save_evaluation_record(self, run_id: str, record: EvaluationRecord) -> None:
        self._append(run_id, "eval", codec.encode_line(record))

    def save_evaluation_records(self, run_id: str, records: Iterable[EvaluationRecord]) -> None:
        self._append(run_id, "eval", codec.encode_lines(records))

    def flush(self, meanwhile: Callable[[], None] | None = None) -> None:
        """As promised. ``meanwhile`` is called twice a second of waiting; what it raises ends the wait.

        Raises :class:`StoreUnreachable` once the store has taken nothing for :attr:`patience_s`.
        """
        failure: StorageError | None = None
        patience_s = self.patience_s
        for run_id in self._hurried():
            try:
                self._flush_run(run_id, patience_s, meanwhile)
                self._recover(run_id, journal.place_folder(self._place) / run_id)
            except StorageError as exc:  # the other runs are sent all the same
                failure = failure or exc
                if isinstance(exc, StoreUnreachable):
                    patience_s = 0.0  # they had as long already
        if failure is not None:
            raise failure

    def _hurried(self) -> list[str]:
        """The open runs, whose records are all on their way: side by side, not one run after another."""
        writings = list(self._writings.items())
        for _, writing in writings:
            writing.drain.hurry()
        return [run_id for run_id, _ in writings]

    def close(self) -> None:
        """As promised; what the store does not take stays in the journal, and that is raised."""
        with self._opening_lock:
            try:
                with suppress(RunNotFound):  # of a run that was deleted there is nothing to keep
                    self.flush()
            finally:
                for writing in list(self._writings.values()):
                    _end(writing)
                self._writings.clear()
                self._openings.clear()

    def trouble(self) -> str | None:
        """Why records do not reach the store at present, and what is kept here; ``None`` if they do."""
        troubles = [each.drain.trouble() for each in list(self._writings.values())]
        return next((each for each in troubles if each), None)

    def has_room(self, run_id: str, timeout: float = 0.0) -> bool:
        """Whether a save would not have to wait for the store, waiting for that up to ``timeout`` seconds."""
        writing = self._writings.get(run_id)
        return writing is None or writing.drain.has_room(self._most_unsent, timeout)

    def recover(self, run_id: str | None = None) -> list[Sent]:
        """Send what ended writers left on this machine for one run, or all. Raises what the store raises, but
        :class:`StoreUnreachable` only once it has taken nothing for ten seconds.
        """
        folder = journal.place_folder(self._place)
        runs = journal.kept_runs(folder) if run_id is None else [checked_run_id(run_id)]
        patience_s = min(self.patience_s, READING_PATIENCE_S)
        found = [self._recover(each, folder / each, patience_s) for each in runs]
        return [each for each in found if each.segments or each.set_aside]

    def kept(self) -> list[Kept]:
        """What writers on this machine, living or ended, have not sent to this store yet."""
        return list(journal.kept_in(journal.place_folder(self._place)))

    def set_aside(self) -> list[SetAside]:
        """Records on this machine that this store will not take, and why."""
        return list(journal.set_aside_in(journal.place_folder(self._place)))

    def _settle(self, run_id: str) -> None:
        """Before records are loaded: those saved here are in the store."""
        with suppress(RunNotFound):
            self._flush_run(run_id, min(self.patience_s, READING_PATIENCE_S))

    def _discard(self, run_id: str) -> None:
        """Before a run is deleted: nothing of it is sent any more."""
        with self._opening_lock:
            self._openings.pop(run_id, None)
            writing = self._writings.pop(run_id, None)
        if writing is not None:
            _end(writing, discard=True)

    def _opened_as(self, run_id: str, opening: Opening) -> None:
        """Say which run of this id there is now, when its metadata were saved: what is saved from here on
        belongs to it, and can be kept though the store goes away."""
        with self._opening_lock:
            known = self._openings.get(run_id)
            if known is not None and known.run != opening.run:
                self._forget(run_id)
            self._openings.setdefault(run_id, opening)

    def _append(self, run_id: str, kind: str, lines: bytes) -> None:
        checked_run_id(run_id)
        if not lines:
            return
        if not self._journals:
            self._send_at_once(run_id, kind, lines)
            return
        while True:
            writing = self._writing(run_id)
            if writing.drain.lost is not None:
                self._forget(run_id, writing)
                raise writing.drain.lost
            while not writing.drain.has_room(self._most_unsent, 1.0):
                pass
            try:
                writing.journal.append(kind, lines)
            except FileClosed:
                continue  # another thread closed the store, or opened so many runs that this one gave way
            writing.drain.begin()
            return

    def _flush_run(self, run_id: str, patience_s: float, meanwhile: Callable[[], None] | None = None) -> None:
        writing = self._writings.get(run_id)
        if writing is None:
            return
        try:
            writing.drain.flush(patience_s, meanwhile)
        finally:
            if writing.drain.lost is not None:  # told now; what is saved from here on is of another opening
                self._forget(run_id, writing)

    def _send_at_once(self, run_id: str, kind: str, lines: bytes) -> None:
        opening = self._opening(run_id)
        name = f"{opening.number:06d}-{os.urandom(8).hex()}-{kind[0]}000001.jsonl"
        try:
            self._send(run_id, opening, name, kind, lines)
        except RunNotFound:
            self._forget(run_id)
            raise

    def _opening(self, run_id: str) -> Opening:
        opening = self._openings.get(run_id)
        if opening is None:
            with self._opening_lock:
                opening = self._openings.get(run_id)
                if opening is None:
                    opening = self._openings[run_id] = self._open_run(run_id)
        return opening

    def _writing(self, run_id: str) -> _Writing:
        writing = self._writings.get(run_id)
        if writing is not None:
            return writing
        with self._opening_lock:
            writing = self._writings.get(run_id)
            if writing is None:
                if len(self._writings) >= MOST_OPEN_RUNS:
                    self._close_oldest()
                opening = self._opening(run_id)
                folder = journal.name_place(self._place) / run_id
                with suppress(StoreUnreachable):  # the next flush tries it again
                    self._recover(run_id, folder)
                made = Journal(folder, opening, most_bytes=GROWTH * self.segment_bytes)
                writing = self._writings[run_id] = _Writing(made, self._drain(run_id, made))
            return writing

    def _drain(self, run_id: str, made: Journal) -> Drain:
        def send(segment: Segment) -> None:
            self._send(run_id, made.opening, segment.name, segment.kind, segment.lines())

        return Drain(made, send, segment_bytes=self.segment_bytes, segment_age_s=self.segment_age_s)

    def _close_oldest(self) -> None:
        run_id, writing = next(iter(self._writings.items()))
        with suppress(RunNotFound):  # it was deleted: nothing to keep
            self._flush_run(run_id, self.patience_s)
        self._forget(run_id, writing)

    def _forget(self, run_id: str, writing: _Writing | None = None) -> None:
        """Let the next save open the run anew; ``writing``: only if it is still this one."""
        with self._opening_lock:
            held = self._writings.get(run_id)
            if writing is not None and held is not writing:
                return
            self._openings.pop(run_id, None)
            self._writings.pop(run_id, None)
        if held is not None:
            _end(held)

    def _recover(self, run_id: str, folder: Path, patience_s: float = 0.0) -> Sent:
        sent, aside = 0, []
        for orphan in journal.orphans(folder):
            for segment in orphan.segments:
                lines = segment.lines()
                try:
                    if lines:
                        send = partial(self._send, run_id, orphan.opening, segment.name, segment.kind, lines)
                        _patiently(send, patience_s)
                except (RunNotFound, *UNMENDED) as exc:
                    aside.append(journal.set_aside(segment, described(exc)))
                else:
                    sent += 1
                    segment.path.unlink()
        return Sent(run_id, sent, aside)


def _patiently(send: Callable[[], None], patience_s: float) -> None:
    """Try again for so long while the store is away."""
    until = time.monotonic() + patience_s
    wait_s = FIRST_WAIT_S
    while True:
        try:
            send()
            return
        except StoreUnreachable:
            if time.monotonic() + wait_s > until:
                raise
        time.sleep(wait_s)
        wait_s = min(LONGEST_WAIT_S, 2 * wait_s)


def _end(writing: _Writing, *, discard: bool = False) -> None:
    writing.drain.stop()
    writing.journal.close(discard=discard)


_stores: WeakValueDictionary[int, JournalledStorage] = WeakValueDictionary()


def _begin_anew_in_a_forked_child() -> None:
    # The threads are the parent's alone, and so is what it still has to send.
    for store in list(_stores.values()):
        for writing in store._writings.values():
            writing.journal.abandon()
        store._begin_journals()


def _send_what_is_left() -> None:
    for store in list(_stores.values()):
        store._hurried()
        patience_s = EXIT_PATIENCE_S
        for run_id, writing in list(store._writings.items()):
            try:
                writing.drain.flush(patience_s)
            except StorageError as exc:
                if isinstance(exc, StoreUnreachable):
                    patience_s = 0.0  # the others had as long already
                import logging

                log = logging.getLogger("themis.storage")
                log.warning("%s: records of %s wait on this machine: %s", store, run_id, described(exc))


os.register_at_fork(after_in_child=_begin_anew_in_a_forked_child)
atexit.register(_send_what_is_left)
