from __future__ import annotations

import pytest

from themis.backends import SequentialExecutionBackend, ThreadExecutionBackend
from themis.core.errors import UsageError
from themis.testing import ExecutionBackendSuite


class TestSequential(ExecutionBackendSuite):
    parallel = False

    def make(self) -> SequentialExecutionBackend:
        return SequentialExecutionBackend()


class TestThreads(ExecutionBackendSuite):
    def make(self) -> ThreadExecutionBackend:
        return ThreadExecutionBackend(max_workers=4)


def test_sequential_keeps_the_order():
    assert list(SequentialExecutionBackend().map(str, range(20))) == [str(n) for n in range(20)]


@pytest.mark.parametrize("workers", [0, -1])
def test_threads_refuse_to_have_no_workers(workers: int):
    with pytest.raises(UsageError, match=f"max_workers is {workers}"):
        ThreadExecutionBackend(workers)
    with pytest.raises(UsageError, match=f"max_workers is {workers}"):
        list(ThreadExecutionBackend().map(str, [1], max_workers=workers))


def test_executors_say_what_they_are():
    assert repr(ThreadExecutionBackend(3)) == "ThreadExecutionBackend(max_workers=3)"
    assert repr(SequentialExecutionBackend()) == "SequentialExecutionBackend()"
    assert ThreadExecutionBackend(3).status().name == "threads"
    assert SequentialExecutionBackend().status().name == "sequential"


def test_how_many_worked_is_known_after_the_work() -> None:
    backend = ThreadExecutionBackend()
    assert list(backend.map(abs, [-1], max_workers=3)) == [1]
    assert backend.status().concurrency == 3
