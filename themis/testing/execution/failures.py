"""An item that fails: named, and alone."""

from __future__ import annotations

import pickle

import pytest

from themis.testing.execution import work
from themis.testing.execution.place import ExecutionPlace, parted, read_into, with_and_without_deadline


class Failures(ExecutionPlace):
    """**Failures are of the item, not of the run.**"""

    @with_and_without_deadline
    def test_failures_are_results_when_asked_for(self, timeout: float | None) -> None:
        """With ``return_exceptions=True`` each names its item, and all others are done."""
        done, failures = parted(
            self.open().map(
                work.only_even, range(100), max_workers=4, timeout=timeout, return_exceptions=True
            )
        )
        assert done == list(range(0, 100, 2))
        assert [failure.item for failure in failures] == list(range(1, 100, 2))
        for failure in failures:
            assert failure.kind == "raised"
            assert f"{failure.item} is odd" in failure.message
            assert "OddRefused" in failure.message
            assert isinstance(failure.error, work.OddRefused)

    @with_and_without_deadline
    def test_an_error_is_raised_with_a_note_that_names_the_item(self, timeout: float | None) -> None:
        """Without ``return_exceptions`` it is the item's own error, raised where results are read."""
        results = self.open().map(work.only_even, [0, 2, 7, 4], max_workers=1, timeout=timeout)
        with pytest.raises(work.OddRefused, match="7 is odd") as raised:
            list(results)
        assert any("7" in note for note in raised.value.__notes__)
        assert list(results) == []

    def test_what_came_before_a_failure_was_given(self) -> None:
        """One worker, in order: results up to the failure are not held back by it."""
        given: list[int] = []
        with pytest.raises(work.OddRefused):
            read_into(given, self.open().map(work.only_even, [0, 2, 4, 5, 6], max_workers=1))
        assert given == [0, 2, 4]

    @with_and_without_deadline
    def test_errors_that_end_programs_are_failures_too(self, timeout: float | None) -> None:
        """``SystemExit`` and ``StopIteration`` from an item end neither the program nor the results."""
        done, failures = parted(
            self.open().map(work.leaves, range(10), max_workers=2, timeout=timeout, return_exceptions=True)
        )
        assert [failure.item for failure in failures] == [3, 5]
        assert "SystemExit" in failures[0].message
        assert done == [0, 1, 2, 4, 6, 7, 8, 9]

    def test_an_executor_works_on_after_a_failure(self) -> None:
        """A failed map leaves nothing behind."""
        executor = self.open()
        for _ in range(3):
            with pytest.raises(work.OddRefused):
                list(executor.map(work.only_even, range(50), max_workers=2))
        assert sorted(executor.map(work.only_even, range(0, 50, 2), max_workers=2)) == list(range(0, 50, 2))

    def test_a_failure_survives_pickling(self) -> None:
        """It may have to travel."""
        _, (failure,) = parted(self.open().map(work.only_even, [7], return_exceptions=True))
        copy = pickle.loads(pickle.dumps(failure))
        assert (copy.item, copy.kind, copy.message) == (7, failure.kind, failure.message)
