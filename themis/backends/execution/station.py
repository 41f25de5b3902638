"""What a worker elsewhere does with the items it is given: the far end of :mod:`.dispatch`.

It knows nothing of what brought the items there. Ray's actors hold one; so can those of any other cluster.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from themis.backends.execution.base import TaskFailure
from themis.backends.execution.coroutines import AsyncExecutionBackend
from themis.core.errors import MissingExtra, SecretUnavailable, WorkersExhausted, described
from themis.profiles.secrets import resolved

LINGER_S = 0.004
"""Results that come within this travel together."""
BEAT_S = 1.0
"""At the latest after this, whoever collects is told that there is nothing yet."""
CHUNK_S = 0.000_3
"""Work of about this long is done in one go: less than what makes threads worth starting."""
MOST_CHUNK = 4_000
FIRST_S = 0.05
"""What an item is taken to take before one was done."""
MOST_BYTES = 8_000_000
"""Of results that travel together; one that is larger travels alone."""
MOST_RESULT_BYTES = 256_000_000
"""Of one result. A larger one fails, as it might bring down all it passes through."""
CLOSE_WITHIN_S = 0.5
"""What is still at work this long after a map was closed hangs."""
IDS = "Q"
"""How the numbers of items travel: as an :mod:`array` of this."""


class Failed(NamedTuple):
    """In place of a result."""

    kind: str
    message: str
    error: BaseException | None = None

    @classmethod
    def raised(cls, exc: BaseException) -> Failed:
        """By the item's own work. An error that would not survive the way is told in words only."""
        error: BaseException | None = exc
        try:
            error = exc if type(pickle.loads(_dumps(exc))) is type(exc) else None
        except Exception:
            error = None
        return cls("raised", described(exc), error)


class Results(NamedTuple):
    """What was collected."""

    ids: bytes
    values: bytes
    """A pickled list of results, and of :class:`Failed`."""
    item_s: float = 0.0
    """Seconds that an item takes here, lately; 0 while that is unknown."""
    exhausted: bool = False
    """Whether so much hangs here that the worker has to be replaced."""


class Station:
    """The work of one worker: any number of maps, each with its function. Used from one event loop."""

    def __init__(self) -> None:
        self._works: dict[int, _Work] = {}

    def open(self, number: int, func: bytes, slots: int, timeout: float | None) -> str | None:
        """Get ready to work for a map, ``slots`` items at once; why that cannot be, or ``None``."""
        try:
            loaded = pickle.loads(func)
        except Exception as exc:
            return (
                f"the function cannot be loaded there: {described(exc)}. Install the code that it needs "
                "where workers run, in the same version."
            )
        for secret in getattr(loaded, "secrets", ()):
            try:
                resolved(secret)
            except (MissingExtra, SecretUnavailable) as exc:
                return f"a key cannot be read: {exc} Keys do not travel; each worker reads them where it is."
        self._works[number] = _Work(loaded, slots, timeout, asyncio.get_running_loop())
        return None

    def give(self, number: int, ids: bytes, items: bytes) -> None:
        """More items for a map."""
        work = self._works.get(number)
        if work is None:
            return
        numbers = array(IDS, ids)
        try:
            work.give(list(zip(numbers, pickle.loads(items), strict=True)))
        except Exception as exc:
            failed = Failed("raised", f"the item cannot be loaded by the worker: {described(exc)}")
            work.give_back([(each, failed) for each in numbers])

    async def collect(self, number: int) -> Results:
        """What is done since; waits for it, but not for long."""
        work = self._works.get(number)
        return Results(b"", b"") if work is None else await work.collect()

    def recall(self, number: int, most: int) -> bytes:
        """Give back the numbers of up to ``most`` items that nobody has begun; they are not done here."""
        work = self._works.get(number)
        return b"" if work is None else work.recall(most)

    async def close(self, number: int) -> bool:
        """Begin nothing more for a map; whether nothing hangs."""
        work = self._works.pop(number, None)
        return True if work is None else await work.close()


class _Work:
    """One map's."""

    def __init__(self, func: Any, slots: int, timeout: float | None, loop: asyncio.AbstractEventLoop) -> None:
        self._func = func
        self._loop = loop
        self._incoming: deque[tuple[int, Any]] = deque()
        self._arrived = threading.Condition()
        self._ready: deque[tuple[int, Any]] = deque()
        self._something = asyncio.Event()
        self._listening = False
        self._given = self._sent = 0
        self._busy: set[object] = set()
        """Calls of a plain function that have not come back; also those that nobody waits for any more."""
        self._cancel = threading.Event()
        self._exhausted = False
        self._chunk = 1
        self._item_s = FIRST_S
        self._executor = AsyncExecutionBackend(slots, max_threads=slots)
        if getattr(func, "acall", None) is not None:
            task: Any = _Awaited(func, self._worked)
            items: Iterator[Any] = self._items()
        elif timeout is not None:
            task, items = self._one, self._items()
        else:
            task, items = self._some, self._turns()
        self._thread = threading.Thread(
            target=self._run, args=(task, items, slots, timeout), name="themis-station", daemon=True
        )
        self._thread.start()

    # On the loop

    def give(self, pairs: list[tuple[int, Any]]) -> None:
        self._given += len(pairs)
        self._incoming.extend(pairs)
        with self._arrived:
            self._arrived.notify_all()

    def give_back(self, pairs: list[tuple[int, Any]]) -> None:
        self._given += len(pairs)
        self._ready.extend(pairs)
        self._something.set()

    async def collect(self) -> Results:
        if not self._ready:
            self._something.clear()
            self._listening = True
            if not self._ready and not self._exhausted:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._something.wait(), BEAT_S)
            self._listening = False
        if self._ready and self._given - self._sent > len(self._ready):
            await asyncio.sleep(LINGER_S)
        return self._results()

    def recall(self, most: int) -> bytes:
        ids = array(IDS)
        with suppress(IndexError):
            while len(ids) < most:
                ids.append(self._incoming.pop()[0])
        self._given -= len(ids)
        return ids.tobytes()

    async def close(self) -> bool:
        self._cancel.set()
        self._incoming.clear()
        with self._arrived:
            self._arrived.notify_all()
        until = time.monotonic() + CLOSE_WITHIN_S
        at_work = self._executor.status
        while (self._busy or at_work().running) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        hangs = bool(self._busy or at_work().running) or self._exhausted
        self._executor.shutdown()
        return not hangs

    def _results(self) -> Results:
        pairs = [self._ready.popleft() for _ in range(len(self._ready))]
        values = _pickled([value for _, value in pairs])
        while len(values) > MOST_BYTES and len(pairs) > 1:
            half = len(pairs) // 2
            self._ready.extendleft(reversed(pairs[half:]))
            del pairs[half:]
            values = _pickled([value for _, value in pairs])
        self._sent += len(pairs)
        ids = array(IDS, [number for number, _ in pairs]).tobytes()
        item_s = self._item_s if self._sent else 0.0
        return Results(ids, values if pairs else b"", item_s, self._exhausted and not self._ready)

    # In threads

    def _run(self, task: Any, items: Iterator[Any], slots: int, timeout: float | None) -> None:
        options = {"return_exceptions": True, "cancel": self._cancel}
        try:
            results = self._executor.map(task, items, max_workers=slots, timeout=timeout, **options)
            for result in results:
                if type(result) is TaskFailure:
                    number, _ = result.item
                    error = None if result.error is None else Failed.raised(result.error).error
                    self._done(number, Failed(result.kind, result.message, error))
        except WorkersExhausted:
            self._exhausted = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._something.set)

    def _wait(self) -> bool:
        """Wait for items; whether there may be some."""
        with self._arrived:
            while not self._incoming and not self._cancel.is_set():
                self._arrived.wait()
        return not self._cancel.is_set()

    def _items(self) -> Iterator[tuple[int, Any]]:
        while self._wait():
            with suppress(IndexError):
                yield self._incoming.popleft()

    def _turns(self) -> Iterator[int]:
        while self._wait():
            yield self._chunk

    def _one(self, pair: tuple[int, Any]) -> None:
        number, item = pair
        began, call = time.perf_counter(), object()
        self._busy.add(call)
        try:
            self._worked(number, self._func(item), time.perf_counter() - began)
        finally:
            self._busy.discard(call)

    def _some(self, most: int) -> None:
        """Items, one after the other, until there are none or it is another's turn."""
        func, take, put = self._func, self._incoming.popleft, self._ready.append
        began, count, call = time.perf_counter(), 0, object()
        self._busy.add(call)
        for _ in range(most):
            try:
                number, item = take()
            except IndexError:
                break
            try:
                value = func(item)
            except BaseException as exc:  # even SystemExit is the item's failure
                value = Failed.raised(exc)
            put((number, value))
            count += 1
            if self._listening:
                self._tell()
        self._busy.discard(call)
        if count:
            self._item_s += ((time.perf_counter() - began) / count - self._item_s) * 0.3
            self._chunk = max(1, min(MOST_CHUNK, int(CHUNK_S / max(self._item_s, 1e-9))))

    def _worked(self, number: int, value: Any, seconds: float) -> None:
        self._item_s += (seconds - self._item_s) * 0.1
        self._done(number, value)

    def _done(self, number: int, value: Any) -> None:
        self._ready.append((number, value))
        if self._listening:
            self._tell()

    def _tell(self) -> None:
        self._listening = False
        with suppress(RuntimeError):  # the loop is over, and who listened with it
            self._loop.call_soon_threadsafe(self._something.set)


class _Awaited:
    """A task's coroutine, for items with their numbers."""

    def __init__(self, func: Any, worked: Callable[[int, Any, float], None]) -> None:
        self._acall = func.acall
        self._worked = worked

    def __call__(self, pair: Any) -> None:
        raise AssertionError("it is awaited")

    async def acall(self, pair: tuple[int, Any]) -> None:
        number, item = pair
        began = time.perf_counter()
        value = await self._acall(item)
        self._worked(number, value, time.perf_counter() - began)


def _dumps(value: Any) -> bytes:
    """As plain pickle does, or, for what is defined in a script or a function, with its code."""
    try:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:
        import cloudpickle

        return bytes(cloudpickle.dumps(value))


def _pickled(values: list[Any]) -> bytes:
    try:
        made = _dumps(values)
        if len(made) <= MOST_RESULT_BYTES:
            return made
    except Exception:  # one of them does not travel, and the others need not suffer
        pass
    return _dumps([_fit(value) for value in values])


def _fit(value: Any) -> Any:
    try:
        size = len(_dumps(value))
    except Exception as exc:
        return Failed("raised", f"the result cannot travel from its worker: {described(exc)}")
    if size > MOST_RESULT_BYTES:
        return Failed("raised", f"the result is {size:,} bytes; at most {MOST_RESULT_BYTES:,} travel")
    return value
