"""What a worker elsewhere does with its items, without a cluster around it."""

from __future__ import annotations

import asyncio
import pickle
from array import array
from typing import Any

import pytest

from themis.backends.execution.station import IDS, Failed, Station
from themis.testing.execution import work


class OnlyAwaited:
    def __call__(self, item: int) -> int:
        raise AssertionError("it is awaited")

    async def acall(self, item: int) -> int:
        await asyncio.sleep(0 if item else 60)
        return 2 * item


async def done(station: Station, count: int) -> dict[int, Any]:
    results: dict[int, Any] = {}
    while len(results) < count:
        ids, values, *_ = await station.collect(1)
        if ids:
            results |= zip(array(IDS, ids), pickle.loads(values), strict=True)
    return results


def give(station: Station, items: list[Any]) -> None:
    station.give(1, array(IDS, range(len(items))).tobytes(), pickle.dumps(items))


@pytest.mark.parametrize("timeout", [None, 30.0])
@pytest.mark.parametrize("func", [work.double, OnlyAwaited()])
async def test_items_come_back_by_number(func: Any, timeout: float | None) -> None:
    station = Station()
    assert station.open(1, pickle.dumps(func), 2, timeout) is None
    give(station, list(range(1, 101)))
    assert await done(station, 100) == {number: 2 * (number + 1) for number in range(100)}
    assert await station.close(1)


@pytest.mark.parametrize("timeout", [None, 30.0, 0.05])
async def test_what_hangs_is_told_when_a_map_is_closed(timeout: float | None) -> None:
    """A thread cannot be stopped: its process has to be."""
    station = Station()
    station.open(1, pickle.dumps(work.HangsFrom(3)), 2, timeout)
    give(station, [0, 1, 2, 3])
    results = await done(station, 3 if timeout != 0.05 else 4)
    assert [results[number] for number in range(3)] == [0, 1, 2]
    assert not await station.close(1)


async def test_a_coroutine_that_hangs_is_cancelled_with_its_map() -> None:
    station = Station()
    station.open(1, pickle.dumps(OnlyAwaited()), 2, None)
    give(station, [1, 0, 2])
    assert (await done(station, 2)) == {0: 2, 2: 4}
    assert await station.close(1)


async def test_what_was_not_begun_can_be_had_back() -> None:
    station = Station()
    station.open(1, pickle.dumps(work.HangsFrom(1)), 1, None)
    give(station, [0, 1, 0, 0, 0])
    assert await done(station, 1) == {0: 0}
    assert sorted(array(IDS, station.recall(1, 2))) == [3, 4]
    assert sorted(array(IDS, station.recall(1, 10))) == [2]
    await station.close(1)


async def test_failures_and_what_cannot_be_loaded() -> None:
    station = Station()
    assert "cannot be loaded there" in (station.open(1, b"rubbish", 1, None) or "")
    station.open(1, pickle.dumps(work.only_even), 1, None)
    give(station, [0, 1])
    results = await done(station, 2)
    assert results[0] == 0
    assert (results[1].kind, type(results[1].error)) == ("raised", work.OddRefused)
    station.give(1, array(IDS, [7]).tobytes(), b"rubbish")
    failed = (await done(station, 1))[7]
    assert type(failed) is Failed
    assert "cannot be loaded by the worker" in failed.message
    await station.close(1)


async def test_a_map_that_is_over_is_asked_in_vain() -> None:
    station = Station()
    station.give(5, b"", b"")
    assert (await station.collect(5)).ids == b""
    assert station.recall(5, 1) == b""
    assert await station.close(5)
