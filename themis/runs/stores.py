"""The stores that a person means, and a question put to all of them at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from themis.backends.marks import each_place_once
from themis.backends.registry import default_storage
from themis.core.directories import data_dir
from themis.core.errors import InvalidRunId, RunNotFound, StoreUnreachable, UsageError, described
from themis.core.options import redacted
from themis.runs.catalog import Store, open_store

T = TypeVar("T")

ANSWER_WITHIN_S = 30.0
"""Seconds after which a store that says nothing is left alone."""
FIND_WITHIN_S = 10.0
"""The same, where a person waits for a list, or for one run to be found."""
MOST_AT_ONCE = 8
"""Stores that are asked at the same time; one that is slow gives its place to the next."""
SLOW_AFTER_S = 3.0
"""Seconds of silence after which a store is slow."""


def wanted_stores(named: Sequence[str] = (), *, everything: bool = False) -> list[str]:
    """The names of the stores meant: those named; else, or as well, all the user has.

    That is the default, every storage profile, and ``local`` if there are runs in it, so that none vanish
    when another becomes the default. Each once, in this order; of several that are one place (as their
    profiles spell it) the first. Reads the profiles only if it has to, and raises what they raise.
    """
    names = list(named)
    if everything or not names:
        names = each_place_once([*names, default_storage(), *profiled_stores(), *_local_in_use()])
    return list(dict.fromkeys(names))


def _local_in_use() -> list[str]:
    """The built-in ``local``, if something lies in it."""
    try:
        with os.scandir(data_dir() / "store" / "runs") as runs:
            return ["local"] if any(runs) else []
    except OSError:
        return []


def profiled_stores() -> list[str]:
    """The names of the user's storage profiles, also of those that cannot be used: opening says why.

    Raises :class:`UsageError` for a file that cannot be read at all.
    """
    from themis.profiles import load_profiles

    profiles = load_profiles()
    problems: dict[str, str] = getattr(profiles, "problems", {})
    if "" in problems:
        raise UsageError(problems[""])
    broken = [place.partition(".")[2] for place in problems if place.startswith("storage.")]
    return [*getattr(profiles, "storages", {}), *broken]


def only_store_with(
    run_id: str,
    names: Sequence[str],
    *,
    within_s: float = FIND_WITHIN_S,
    opener: Callable[[str], Store] = open_store,
) -> Store:
    """The one store that has a run. Raises as :func:`themis.runs.catalog.find_run`."""
    answers = ask_stores(
        names, lambda store: store.backend.run_exists(run_id), within_s=within_s, opener=opener
    )
    having = _each_place_once(each.store for each in answers if each.value and each.store is not None)
    if len(having) == 1:
        return having[0]
    if having:
        addresses = ", ".join(f"{redacted(store.name)}:{run_id}" for store in having)
        raise UsageError(f"The run {run_id!r} is in {len(having)} stores. Write which one: {addresses}")
    failed = [each for each in answers if each.error is not None]
    invalid = next((each.error for each in failed if isinstance(each.error, InvalidRunId)), None)
    if invalid is not None:
        raise invalid
    looked = ", ".join(redacted(each.name) for each in answers if each.error is None)
    if failed:
        reasons = "; ".join(f"{redacted(each.name)}: {each.reason}" for each in failed)
        there = f"There is no run {run_id!r} in {looked}" if looked else f"The run {run_id!r} was not found"
        raise StoreUnreachable(f"{there}, and not every store could be asked. {reasons}")
    raise RunNotFound(f"There is no run {run_id!r} in {looked}. 'themis runs list' shows the ones there are.")


def _each_place_once(stores: Iterable[Store]) -> list[Store]:
    """The stores without those that are one place under another name."""
    places: dict[object, Store] = {}
    for store in stores:
        root = getattr(store.backend, "root", None)
        places.setdefault((type(store.backend), root) if root else id(store.backend), store)
    return list(places.values())


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a store said, or why it did not."""

    name: str
    store: Store | None = None
    """Where it could be opened."""
    value: T | None = None
    error: BaseException | None = None

    @property
    def reason(self) -> str:
        """The error in words, without passwords."""
        return "" if self.error is None else redacted(described(self.error))


def ask_stores(
    names: Iterable[str],
    question: Callable[[Store], T],
    *,
    within_s: float = ANSWER_WITHIN_S,
    opener: Callable[[str], Store] = open_store,
    on_slow: Callable[[list[str]], None] | None = None,
) -> list[Answer[T]]:
    """Open each store and put a question to it, each in a thread of its own; the answers in order.

    Whatever a store raises is its answer, and one that says nothing ``within_s`` is :class:`StoreUnreachable`
    and left to its thread, which keeps no program from ending. Of many, :data:`MOST_AT_ONCE` are asked at
    once, and more when those are slow. ``on_slow`` is called once, with the names of those that have said
    nothing yet, when the first of them are slow.
    """
    asked = list(names)
    answers: dict[int, Answer[T]] = {}
    waiting = iter(range(len(asked)))
    changed = threading.Condition()
    deadline = time.monotonic() + within_s

    def ask(number: int) -> None:
        answer = _answer(asked[number], question, opener)
        with changed:
            answers[number] = answer
            changed.notify()

    started, slow = 0, 0
    with changed:
        while len(answers) < len(asked) and (left := deadline - time.monotonic()) > 0:
            busy = max(0, started - len(answers) - slow)
            started += _begin(waiting, MOST_AT_ONCE - busy, ask)
            if not changed.wait(min(left, SLOW_AFTER_S)):
                slow = started - len(answers)  # they keep no place from those who have not been asked
                if on_slow is not None:
                    on_slow([name for number, name in enumerate(asked) if number not in answers])
                    on_slow = None
        return [answers.get(n) or _silent(name, within_s) for n, name in enumerate(asked)]


def _begin(waiting: Iterator[int], most: int, ask: Callable[[int], None]) -> int:
    """Ask at most so many of those waiting; how many it were."""
    numbers = list(islice(waiting, most))
    for number in numbers:
        threading.Thread(target=ask, args=(number,), name=f"themis-ask-{number}", daemon=True).start()
    return len(numbers)


def _answer(name: str, question: Callable[[Store], T], opener: Callable[[str], Store]) -> Answer[T]:
    store = None
    try:
        store = opener(name)
        return Answer(name, store, question(store))
    except BaseException as exc:  # whatever a store raises is told beside what the others say
        return Answer(name, store, None, exc)


def _silent(name: str, within_s: float) -> Answer[T]:
    said = f"The store {redacted(name)} did not answer within {within_s:g} s. Is it reachable?"
    return Answer(name, None, None, StoreUnreachable(said))
