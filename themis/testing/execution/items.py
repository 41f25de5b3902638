"""Items: each once, taken as there is room, and given back as they complete."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import islice

import pytest

from themis.testing.execution import work
from themis.testing.execution.place import (
    PATIENCE_S,
    Counted,
    ExecutionPlace,
    in_thread,
    read_into,
    with_and_without_deadline,
)


class Items(ExecutionPlace):
    """**Lazy**, and results as they complete."""

    @with_and_without_deadline
    def test_every_item_is_done_once(self, timeout: float | None) -> None:
        """From a list, a generator or any other iterable, with one worker and with several."""
        executor = self.open()
        expected = [2 * item for item in range(500)]
        for workers in (None, 1, 4):
            sources: list[Iterable[int]] = [list(range(500)), range(500), Counted(500), iter(range(500))]
            for items in sources:
                results = list(executor.map(work.double, items, max_workers=workers, timeout=timeout))
                assert sorted(results) == expected

    @with_and_without_deadline
    def test_no_items_give_no_results(self, timeout: float | None) -> None:
        """Whatever kind of iterable is empty."""
        executor = self.open()
        assert list(executor.map(work.double, [], timeout=timeout)) == []
        assert list(executor.map(work.double, iter(()), timeout=timeout)) == []

    def test_any_value_is_a_result(self) -> None:
        """``None``, false and equal values are results like others."""
        executor = self.open()
        items: list[object] = [None, 0, False, "", [], None, (), ()]
        assert sorted(map(repr, executor.map(work.same, items))) == sorted(map(repr, items))

    def test_map_gives_an_iterator_and_takes_nothing_before_it_is_asked(self) -> None:
        """Calling ``map`` starts nothing; an iterator that is never asked costs nothing."""
        items = Counted()
        results = self.open().map(work.double, items)
        assert iter(results) is results
        assert items.taken == 0

    @with_and_without_deadline
    def test_items_are_taken_as_there_is_room(self, timeout: float | None) -> None:
        """Of a source without end, never more than a bound ahead of what was given back."""
        items = Counted()
        results = self.open().map(work.double, items, max_workers=4, timeout=timeout)
        furthest = 0
        for given, _ in enumerate(islice(results, 5_000), 1):
            furthest = max(furthest, items.taken - given)
        results.close()  # type: ignore[attr-defined]
        assert furthest <= self.most_ahead
        assert items.taken <= 5_000 + self.most_ahead

    def test_a_million_items_can_be_begun(self) -> None:
        """The first results of a large generator come without going through it."""
        items = Counted(1_000_000)
        results = self.open().map(work.double, items, max_workers=4)
        assert len(list(islice(results, 10))) == 10
        results.close()  # type: ignore[attr-defined]
        assert items.taken <= 10 + self.most_ahead

    def test_memory_does_not_grow_with_the_number_of_items(self) -> None:
        """Items of two kilobytes go through, and are let go."""
        executor = self.open()
        list(executor.map(work.size, [b""]))
        items = (bytes(2_000) for _ in range(self.items_in_memory))
        tracemalloc.start()
        try:
            total = sum(executor.map(work.size, items, max_workers=4))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert total == 2_000 * self.items_in_memory
        assert peak < 2 * 2_000 * self.most_ahead + 8_000_000

    def test_results_come_as_they_complete(self) -> None:
        """The first item waits until the reader has seen all the others."""
        self.needs_shared_events()
        self.needs_company()
        others_seen = threading.Event()
        seen = self.shared(others_seen)

        def wait_if_first(item: int) -> int:
            if item == 0:
                assert seen.wait(PATIENCE_S)
            return item

        order = []
        for result in self.open().map(wait_if_first, range(50), max_workers=2):
            order.append(result)
            if len(order) == 49:
                others_seen.set()
        assert order[-1] == 0
        assert sorted(order) == list(range(50))

    def test_a_slow_source_holds_no_result_back(self) -> None:
        """What is done is given, though the next items are long in coming."""
        pause = threading.Event()
        taken = []

        def slow() -> Iterator[int]:
            for item in range(40):
                taken.append(item)
                yield item
                pause.wait(0.05)

        results = self.open().map(work.double, slow(), max_workers=2)
        assert next(results) == 0
        assert len(taken) <= 20
        pause.set()
        assert len(list(results)) == 39

    @with_and_without_deadline
    def test_an_error_of_the_source_is_raised_after_what_it_gave(self, timeout: float | None) -> None:
        """A file that ends in rubbish: its good lines are done, then the error is raised as it was."""

        def breaking() -> Iterator[int]:
            yield from range(30)
            raise LookupError("line 31 is broken")

        executor = self.open()
        given: list[int] = []
        with pytest.raises(LookupError, match="line 31 is broken"):
            read_into(given, executor.map(work.double, breaking(), timeout=timeout))
        assert sorted(given) == [2 * item for item in range(30)]
        assert list(executor.map(work.double, [1], timeout=timeout)) == [2]

    def test_tasks_that_offer_more_give_the_same(self) -> None:
        """``acall`` and ``batch`` are for the executor to choose; the results do not tell."""
        executor = self.open()
        results = in_thread(lambda: sorted(executor.map(work.Offering(), range(100), max_workers=4)))
        assert results == [2 * item for item in range(100)]
