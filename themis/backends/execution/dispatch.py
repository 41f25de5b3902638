"""One map spread over workers elsewhere: as much to each as keeps it busy, and nothing lost with one.

The near end of :mod:`.station`. How messages get there is a :class:`Crew`'s business. Items are sent in
batches: each worker has as many as it works on at once, and besides about what it does while a message
travels, by the time that they take. So tiny items go by the thousand, and long ones one by one.
"""

from __future__ import annotations

import pickle
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from themis.backends.execution.base import TICK, TaskFailure
from themis.backends.execution.station import IDS, Failed
from themis.core.errors import ExecutionError, WorkerLost, described

AHEAD_S = 0.05
"""A worker has items for about this long beyond those it works on."""
MOST_AHEAD = 8_000
"""Items that one worker has beyond those it works on, at most."""
LEAST_OUT = 8
MOST_OUT = 24_000
"""Items taken and not yet given back, at most, however many workers there are; beyond their slots."""
MOST_TAKEN = 256
"""Items taken before it is looked again how many may be."""
MOST_OUT_BYTES = 64_000_000
"""Of items and results between here and the workers, as far as their size is known from those before."""
LOOK_AGAIN_S = 0.05
RECALL_AFTER_S = 0.2
"""A worker that gave nothing back for this long, while others are idle, gives up what it has not begun."""
MOST_LOSSES = 3
"""An item whose workers were lost so often is not tried again; the last time it was alone with its worker."""

_END = object()
_GONE = object()


class Crew(Protocol):
    """Workers elsewhere. Its answers are told to the :class:`Dispatch` of a map, in any thread."""

    def open(self, dispatch: Dispatch, func: bytes, slots: list[int], timeout: float | None) -> int:
        """Begin a map with one worker for each count of slots; its number."""

    def give(self, number: int, seat: int, epoch: int, ids: bytes, items: bytes) -> None:
        """Send items to the worker at a seat; answered by :meth:`Dispatch.gave`."""

    def recall(self, number: int, seat: int, epoch: int, most: int) -> None:
        """Ask for items that were not begun; answered by :meth:`Dispatch.recalled`."""

    def close(self, number: int) -> None:
        """End a map."""


class _Seat:
    """A worker's place: the worker may be lost, and another takes it."""

    def __init__(self, index: int, slots: int) -> None:
        self.index = index
        self.slots = slots
        self.epoch = 0
        """Which worker sits there; 0 while none does."""
        self.held: dict[int, Any] = {}
        self.sending = False
        """Whether items are on their way there."""
        self.recalling = False
        self.alone = False
        """Whether it works on a suspect, with nothing beside."""
        self.item_s = 0.0
        """Seconds that an item takes there, lately; 0 while that is unknown."""
        self.heard_at = 0.0

    def wants(self) -> int:
        """How many more items keep it busy."""
        if not self.epoch or self.sending or self.recalling or (self.alone and self.held):
            return 0
        return self.slots + self.ahead() - len(self.held)

    def ahead(self) -> int:
        """How many items it does while a message travels."""
        if not self.item_s:
            return 0
        return min(MOST_AHEAD, int(self.slots * AHEAD_S / self.item_s + 0.5))


class Dispatch:
    """One call of ``map``. A thread takes the items; whoever hears from workers sends them more."""

    def __init__(
        self,
        crew: Crew,
        func: bytes,
        items: Iterable[Any],
        slots: list[int],
        timeout: float | None,
        cancel: threading.Event | None,
        tick: float | None,
        dumps: Callable[[Any], bytes],
    ) -> None:
        self._crew = crew
        self._func = func
        self._items = iter(items)
        self._timeout = timeout
        self._cancel = cancel
        self._tick = tick
        self._dumps = dumps
        self._seats = [_Seat(index, count) for index, count in enumerate(slots)]
        self._slots = sum(slots)
        self._lock = threading.RLock()
        self._waiting: deque[tuple[int, Any]] = deque()
        self._suspects: deque[tuple[int, Any]] = deque()
        """Items that were lost with more than one worker: each is alone with the next."""
        self._losses: dict[int, int] = {}
        self._number = -1
        self._taken = self._yielded = 0
        self._item_bytes = 0.0
        self._hungry = False
        self._fed = False
        """Whether all items were taken."""
        self._closed = False
        self._failure: BaseException | None = None
        self._room = threading.Condition()
        self._ready: SimpleQueue[Any] = SimpleQueue()
        self.batches = self.batched = 0

    # For the reader of results

    def results(self) -> Iterator[list[Any]]:
        """Results and :class:`TaskFailure` as they complete, those that came together in one list; or
        ``[TICK]``. Raises what the iterable raised, after the last of them; :class:`WorkerLost` when there
        are no workers any more."""
        if self._stopped():
            return
        slots = [seat.slots for seat in self._seats]
        with self._lock:
            if self._closed:
                return
            self._number = self._crew.open(self, self._func, slots, self._timeout)
        threading.Thread(target=self._feed, name="themis-feeder", daemon=True).start()
        waited = 0.0
        while not (self._fed and self._yielded >= self._taken):
            try:
                ready = self._ready.get(timeout=LOOK_AGAIN_S)
            except Empty:
                if self._stopped():
                    return
                self._balance()
                waited += LOOK_AGAIN_S
                if self._tick is not None and waited >= self._tick:
                    waited = 0.0
                    yield [TICK]
                continue
            waited = 0.0
            if ready is _END:
                continue
            if isinstance(ready, BaseException):
                raise ready
            if self._stopped():
                return
            outcomes = self._outcomes(*ready)
            yield outcomes
            self._yielded += len(outcomes)
            with self._room:
                self._room.notify()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Take no more, and have the workers stop."""
        with self._lock:
            self._closed = True
            number, self._number = self._number, -1
        with self._room:
            self._room.notify_all()
        self._ready.put(_END)
        if number >= 0:
            self._crew.close(number)

    @staticmethod
    def _outcomes(items: list[Any], values: bytes | list[Any], gone: int) -> list[Any]:
        try:
            given: list[Any] = pickle.loads(values) if isinstance(values, bytes) else values
        except Exception as exc:
            failed = Failed("raised", f"the result of a worker cannot be loaded here: {described(exc)}")
            given = [failed] * len(items)
        if not gone and Failed not in set(map(type, given)):
            return given
        return [
            TaskFailure(item, *value) if type(value) is Failed else value
            for item, value in zip(items, given, strict=True)
            if item is not _GONE  # it came back from another worker before
        ]

    # For people

    @property
    def running(self) -> int:
        """Items that workers work on now, as far as is known here."""
        return sum(min(seat.slots, len(seat.held)) for seat in self._seats)

    @property
    def queued(self) -> int:
        """Items that were taken and wait for a worker's slot."""
        waiting = len(self._waiting) + len(self._suspects)
        return waiting + sum(max(0, len(seat.held) - seat.slots) for seat in self._seats)

    # What workers tell, in any thread

    def seated(self, seat: int, epoch: int) -> None:
        """A worker is ready."""
        with self._lock:
            self._seats[seat].epoch = epoch
            self._seats[seat].heard_at = time.monotonic()
            self._fill(self._seats[seat])

    def gave(self, seat: int) -> None:
        """Items have arrived where they were sent."""
        with self._lock:
            self._seats[seat].sending = False
            self._fill(self._seats[seat])

    def recalled(self, seat: int, ids: bytes) -> None:
        """Items that were not begun come back."""
        with self._lock:
            place = self._seats[seat]
            place.recalling = False
            numbers = [number for number in array(IDS, ids) if number in place.held]
            self._waiting.extendleft((number, place.held.pop(number)) for number in numbers)
            for each in sorted(self._seats, key=lambda other: other is place):
                self._fill(each)

    def collected(self, seat: int, ids: bytes, values: bytes, item_s: float) -> None:
        """Results."""
        numbers = array(IDS, ids)
        with self._lock:
            place = self._seats[seat]
            take, had = place.held.pop, len(place.held)
            items = [take(number, _GONE) for number in numbers]
            gone = len(items) - (had - len(place.held))
            if self._losses:
                for number in numbers:
                    self._losses.pop(number, None)
            self._note_bytes(len(values) / max(1, len(numbers)))
            place.item_s, place.heard_at = item_s, time.monotonic()
            self._ready.put((items, values, gone))
            self._fill(place)

    def lost(self, seat: int, why: str, *, blame: bool) -> None:
        """A worker is gone: what it had is done by others. ``blame``: one of its items may be the cause."""
        with self._lock:
            place = self._seats[seat]
            held, place.held = place.held, {}
            place.epoch, place.sending, place.recalling = 0, False, False
            for number, item in reversed(held.items()):
                losses = self._losses.get(number, 0) + blame
                if losses:
                    self._losses[number] = losses
                if losses >= MOST_LOSSES:
                    failed = Failed("worker_lost", f"{losses} workers were lost with it: {why}")
                    self._ready.put(([item], [failed], 0))
                elif losses > 1:
                    self._suspects.appendleft((number, item))
                else:
                    self._waiting.appendleft((number, item))
            for each in self._seats:
                self._fill(each)

    def failed(self, error: BaseException) -> None:
        """There will be no workers any more."""
        self._ready.put(error)

    # Under the lock

    def _fill(self, seat: _Seat) -> None:
        wants = seat.wants()
        if wants <= 0 or self._closed:
            return
        seat.alone = bool(self._suspects) and not seat.held
        if seat.alone:
            batch = [self._suspects.popleft()]
        else:
            waiting = self._waiting
            batch = [waiting.popleft() for _ in range(min(wants, len(waiting)))]
        if batch:
            self._send(seat, batch)
        if not self._waiting:
            self._hungry = True

    def _send(self, seat: _Seat, batch: list[tuple[int, Any]]) -> None:
        ids = array(IDS, [number for number, _ in batch]).tobytes()
        try:
            items = self._dumps([item for _, item in batch])
        except Exception as exc:
            self._send_singly(seat, batch, exc)
            return
        if not seat.held:
            seat.heard_at = time.monotonic()
        seat.held.update(batch)
        seat.sending = True
        self._note_bytes(len(items) / len(batch))
        self.batches += 1
        self.batched += len(batch)
        self._crew.give(self._number, seat.index, seat.epoch, ids, items)

    def _send_singly(self, seat: _Seat, batch: list[tuple[int, Any]], exc: Exception) -> None:
        """One of them does not travel; that one fails, and the others go their way."""
        if len(batch) == 1:
            failed = Failed("raised", f"the item cannot travel to a worker: {described(exc)}")
            self._ready.put(([batch[0][1]], [failed], 0))
            return
        half = len(batch) // 2
        self._waiting.extendleft(reversed(batch[half:]))
        self._send(seat, batch[:half])

    def _note_bytes(self, each: float) -> None:
        self._item_bytes += (
            (each - self._item_bytes) * 0.2 if each < self._item_bytes else each - self._item_bytes
        )

    def _balance(self) -> None:
        """Where somebody is idle and nothing waits, take back what others have not begun."""
        with self._lock:
            for seat in self._seats:
                self._fill(seat)
            if self._waiting or not any(seat.epoch and not seat.held for seat in self._seats):
                return
            now = time.monotonic()
            for seat in self._seats:
                ahead = len(seat.held) - seat.slots
                if ahead > 0 and seat.epoch and not seat.recalling and now - seat.heard_at > RECALL_AFTER_S:
                    seat.recalling = True
                    self._crew.recall(self._number, seat.index, seat.epoch, ahead)

    # In the feeder's thread

    def _stopped(self) -> bool:
        return self._closed or (self._cancel is not None and self._cancel.is_set())

    def _feed(self) -> None:
        try:
            while room := self._room_for():
                if not self._take(room):
                    return
        except BaseException as exc:  # raised again when what is in flight has come back
            self._failure = exc
        finally:
            self._fed = True
            self._ready.put(_END)

    def _take(self, most: int) -> bool:
        """Take items, so that each can be sent at once; whether there may be more."""
        put, items, before = self._waiting.append, self._items, self._taken
        stopped = self._cancel.is_set if self._cancel is not None else bool
        for taken in range(before, before + most):
            if self._closed or stopped():
                return False
            try:
                item = next(items)
            except StopIteration:
                return False
            put((taken, item))
            self._taken = taken + 1
            if self._hungry:
                self._fill_hungry()
        return True

    def _room_for(self) -> int:
        """How many more items may be taken; waits until there is room, and is 0 when it is over."""
        with self._room:
            while not self._stopped():
                by_size = int(MOST_OUT_BYTES / max(1.0, self._item_bytes))
                # No more than is soon begun: a run that is paused waits for what was taken.
                soon = LEAST_OUT + 3 * sum(seat.ahead() for seat in self._seats)
                out = self._slots + min(MOST_OUT, by_size, soon) - (self._taken - self._yielded)
                room = min(out, MOST_TAKEN)
                if room > 0:
                    return room
                self._room.wait(LOOK_AGAIN_S)
        return 0

    def _fill_hungry(self) -> None:
        with self._lock:
            self._hungry = False
            for seat in self._seats:
                self._fill(seat)


def no_workers(why: str) -> WorkerLost:
    """There are no workers, and there will be none; resumed, a run goes on from here."""
    return WorkerLost(f"{why} What was answered is saved; resume the run to go on.")


def refused(why: str) -> ExecutionError:
    """Workers cannot do this work at all."""
    return ExecutionError(f"The work cannot be done on these workers: {why}")
