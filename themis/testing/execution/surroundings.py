"""Where an executor is used from, and what it leaves alone."""

from __future__ import annotations

import asyncio
import pickle
import signal
from typing import cast

import pytest

from themis.backends.execution.base import ExecutionBackend
from themis.testing.execution import work
from themis.testing.execution.place import PATIENCE_S, ExecutionPlace, in_thread, with_and_without_deadline

DOUBLES = [2 * item for item in range(50)]


class Surroundings(ExecutionPlace):
    """**Anywhere**: threads, event loops, processes; and unknown keywords."""

    @with_and_without_deadline
    def test_it_works_in_a_worker_thread(self, timeout: float | None) -> None:
        """Opened, used and shut down there."""

        def used() -> list[int]:
            executor = self.open()
            results = sorted(executor.map(work.double, range(50), max_workers=2, timeout=timeout))
            executor.shutdown()
            return results

        assert in_thread(used) == DOUBLES

    def test_it_moves_between_threads(self) -> None:
        """Opened in one, begun in another, read to the end in a third."""
        executor = in_thread(self.open)
        results = in_thread(lambda: executor.map(work.double, range(50), max_workers=2))
        first = in_thread(lambda: next(results))
        assert sorted([first, *in_thread(lambda: list(results))]) == DOUBLES

    @with_and_without_deadline
    def test_it_works_under_a_running_event_loop(self, timeout: float | None) -> None:
        """Called straight from a coroutine, and from a thread of the loop; the loop works on."""
        executor = self.open()

        def used() -> list[int]:
            return sorted(executor.map(work.double, range(50), max_workers=2, timeout=timeout))

        async def main() -> tuple[list[int], list[int], str]:
            straight = used()
            beside = await asyncio.to_thread(used)
            return straight, beside, await asyncio.sleep(0, "the loop works on")

        assert in_thread(lambda: asyncio.run(main())) == (DOUBLES, DOUBLES, "the loop works on")

    def test_it_survives_pickling(self) -> None:
        """Before and after use; the copy works as the original does."""
        executor = self.open()
        for _ in range(2):
            copy = cast(ExecutionBackend, pickle.loads(pickle.dumps(executor)))
            self._opened.append(copy)
            assert type(copy) is type(executor)
            for each in (copy, executor):
                assert sorted(each.map(work.double, range(50), max_workers=2)) == DOUBLES

    def test_unknown_keywords_are_ignored(self) -> None:
        """A caller may offer what only some executors understand."""
        executor = self.open()
        results = executor.map(work.double, range(50), colour="red", num_gpus=0)
        assert sorted(results) == DOUBLES

    def test_signal_handlers_and_the_terminal_are_left_alone(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Whoever owns the program owns its signals and its screen."""
        before = {each: signal.getsignal(each) for each in signal.valid_signals()}
        executor = self.open()
        for timeout in (None, PATIENCE_S):
            list(executor.map(work.double, range(50), max_workers=2, timeout=timeout))
            list(executor.map(work.only_even, range(9), timeout=timeout, return_exceptions=True))
        executor.shutdown()
        assert {each: signal.getsignal(each) for each in signal.valid_signals()} == before
        assert capfd.readouterr() == ("", "")
