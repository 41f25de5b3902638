"""How many items are at work at once, and maps beside one another."""

from __future__ import annotations

import threading

import pytest

from themis.testing.execution import work
from themis.testing.execution.place import PATIENCE_S, ExecutionPlace, in_thread

LINGER_S = 0.2


class Gate:
    """Counts who is inside, and lets nobody out before ``wanted`` are, so that a lack would hang.

    The first who are complete stay a little longer, so that one too many has time to come.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.inside = self.most = 0
        self.waited_for_more = False
        self.changed = threading.Condition()

    def __call__(self, item: int) -> int:
        """Wait inside until enough others are, and give the item back."""
        with self.changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.most >= self.wanted, PATIENCE_S / 4)
            if not self.waited_for_more:
                self.changed.wait_for(lambda: self.most > self.wanted, LINGER_S)
                self.waited_for_more = True
        with self.changed:
            self.inside -= 1
        return item


class Company(ExecutionPlace):
    """``max_workers``, two maps at once, and ``status``."""

    @pytest.mark.parametrize("workers", [1, 2, 3])
    @pytest.mark.parametrize("timeout", [None, PATIENCE_S])
    def test_as_many_work_at_once_as_asked_and_never_more(self, workers: int, timeout: float | None) -> None:
        """``max_workers`` is a limit, and it is used."""
        self.needs_shared_events()
        gate = Gate(workers if self.parallel else 1)
        executor = self.open()
        enter = self.shared(gate)
        results = in_thread(
            lambda: sorted(executor.map(enter, range(20 * workers), max_workers=workers, timeout=timeout))
        )
        assert results == list(range(20 * workers))
        assert gate.most == (workers if self.parallel else 1)

    def test_two_maps_run_at_once(self) -> None:
        """Read in turns, each gives its own results."""
        executor = self.open()
        one = executor.map(work.double, range(100), max_workers=2)
        other = executor.map(work.same, range(1_000, 1_100), max_workers=2)
        pairs = list(zip(one, other, strict=True))
        assert sorted(result for result, _ in pairs) == [2 * item for item in range(100)]
        assert sorted(result for _, result in pairs) == list(range(1_000, 1_100))

    def test_maps_of_two_threads_run_at_once(self) -> None:
        """One map that hangs does not hold up another."""
        self.needs_company()
        executor = self.open()
        hanging = executor.map(self.hanging_from(1), range(3), max_workers=2)
        assert next(hanging) == 0
        results = in_thread(lambda: sorted(executor.map(work.double, range(50), max_workers=2)))
        assert results == [2 * item for item in range(50)]

    def test_a_failed_map_does_not_end_another(self) -> None:
        """Failures stay with the call that met them."""
        executor = self.open()
        other = executor.map(work.double, range(50), max_workers=2)
        first = next(other)
        with pytest.raises(work.OddRefused):
            list(executor.map(work.only_even, [1], max_workers=2))
        assert sorted([first, *other]) == [2 * item for item in range(50)]

    def test_a_map_within_a_map(self) -> None:
        """Work may use the same executor for work of its own."""
        self.needs_shared_events()
        executor = self.open()

        def total(item: int) -> int:
            return sum(executor.map(work.double, range(item), max_workers=2))

        totals = self.shared(total)
        results = in_thread(lambda: sorted(executor.map(totals, range(10), max_workers=2)))
        assert results == sorted(item * (item - 1) for item in range(10))

    @pytest.mark.parametrize("timeout", [None, PATIENCE_S])
    def test_status_tells_what_is_at_work(self, timeout: float | None) -> None:
        """What it says while two items hang, and that it is quiet again after them."""
        self.needs_shared_events()
        executor = self.open()
        seen = []
        gate = Gate(2 if self.parallel else 1)

        def look(item: int) -> int:
            gate(item)
            seen.append(executor.status())
            return item

        looks = self.shared(look)
        in_thread(lambda: list(executor.map(looks, range(2), max_workers=2, timeout=timeout)))
        status = seen[0]
        assert status.name
        for field in (status.workers, status.running, status.nodes, status.concurrency):
            assert field is None or field >= 1
        assert status.queued is None or status.queued >= 0
        assert status.concurrency is None or status.reason
        executor.shutdown()
        assert not executor.status().running
        assert not executor.status().queued
