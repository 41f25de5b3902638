"""Cancelling, closing the iterator, shutting down."""

from __future__ import annotations

import threading
from itertools import islice

from themis.testing.execution import work
from themis.testing.execution.place import (
    PATIENCE_S,
    Counted,
    ExecutionPlace,
    in_thread,
    with_and_without_deadline,
)


class Stopping(ExecutionPlace):
    """**Stopping** promptly, and starting again."""

    @with_and_without_deadline
    def test_cancel_ends_a_stream_of_quick_items(self, timeout: float | None) -> None:
        """Nothing more is taken; what was at work may still come."""
        cancel, items = threading.Event(), Counted()
        results = self.open().map(work.double, items, max_workers=4, timeout=timeout, cancel=cancel)
        assert len(list(islice(results, 10))) == 10
        cancel.set()
        taken = items.taken
        rest = in_thread(lambda: list(islice(results, 100_000)))
        assert items.taken <= taken + 4
        assert len(rest) <= items.taken - 10

    def test_cancel_ends_at_once_though_work_hangs(self) -> None:
        """The reader is let go; nobody waits for the work."""
        cancel = threading.Event()
        # With a deadline, so that executors which work in the calling thread work beside it.
        results = self.open().map(
            self.hanging_from(1), range(1_000), max_workers=2, timeout=PATIENCE_S, cancel=cancel
        )
        assert next(results) == 0
        rest = in_thread(lambda: list(results), meanwhile=cancel.set)
        assert rest == []

    @with_and_without_deadline
    def test_a_cancel_before_the_start_starts_nothing(self, timeout: float | None) -> None:
        """An event that is set already means: not at all."""
        cancel, items = threading.Event(), Counted()
        cancel.set()
        results = self.open().map(work.double, items, max_workers=4, timeout=timeout, cancel=cancel)
        assert in_thread(lambda: len(list(islice(results, 10_000)))) <= 4
        assert items.taken <= 4

    def test_a_cancel_from_the_work_itself_is_obeyed(self) -> None:
        """At item 20 the work itself says stop."""
        self.needs_shared_events()
        cancel, items = threading.Event(), Counted()
        taken_then = []

        def cancel_now() -> None:
            cancel.set()
            taken_then.append(items.taken)

        stop = self.shared(cancel_now)

        def stop_at_20(item: int) -> int:
            if item == 20:
                stop()
            return item

        results = self.open().map(stop_at_20, items, max_workers=2, cancel=cancel)
        given = in_thread(lambda: list(islice(results, 100_000)))
        # In another process the word has a way to go, and work goes on meanwhile.
        told_at = 21 if self.in_process else taken_then[0]
        assert len(given) <= items.taken <= told_at + self.most_ahead
        assert set(given) <= set(range(items.taken))

    @with_and_without_deadline
    def test_closing_the_iterator_stops_taking(self, timeout: float | None) -> None:
        """A reader that has enough closes, and no more is taken."""
        items = Counted()
        results = self.open().map(work.double, items, max_workers=4, timeout=timeout)
        assert len(list(islice(results, 10))) == 10
        results.close()  # type: ignore[attr-defined]
        taken = items.taken
        assert taken <= 10 + self.most_ahead
        assert list(results) == []
        assert items.taken <= taken + 4

    def test_closing_the_iterator_does_not_wait_for_work_that_hangs(self) -> None:
        """It comes back at once, and the executor is as good as new."""
        executor = self.open()
        results = executor.map(self.hanging_from(1), range(1_000), max_workers=2)
        assert next(results) == 0
        in_thread(results.close)  # type: ignore[attr-defined]
        assert in_thread(lambda: sorted(executor.map(work.double, range(50)))) == [
            2 * item for item in range(50)
        ]

    def test_an_executor_that_was_shut_down_starts_again(self) -> None:
        """Shutting down twice, and before any use, is fine."""
        executor = self.open()
        executor.shutdown()
        for _ in range(2):
            assert sorted(executor.map(work.double, range(50), max_workers=2)) == [
                2 * item for item in range(50)
            ]
            executor.shutdown()
            executor.shutdown()

    def test_no_thread_is_left(self) -> None:
        """After ``shutdown`` every thread that was started ends, and none ever kept the program alive."""
        before = set(threading.enumerate())
        executor = self.open()
        for timeout in (None, PATIENCE_S):
            list(executor.map(work.double, range(200), max_workers=4, timeout=timeout))
            results = executor.map(work.double, Counted(), max_workers=4, timeout=timeout)
            next(results)
            results.close()  # type: ignore[attr-defined]
        left = set(threading.enumerate()) - before
        executor.shutdown()
        for thread in left:
            thread.join(PATIENCE_S / 4)
        assert [thread.name for thread in left if thread.is_alive()] == []
