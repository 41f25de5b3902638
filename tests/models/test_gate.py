"""Few requests until one has succeeded, and none once they are only refused."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from themis.core.errors import ModelError
from themis.models.base import Request
from themis.models.gate import MOST_REFUSALS, MOST_UNTRIED, Gate


def request(**more) -> Request:
    return Request("2 + 2?", {}, "s1", **more)


def refuse(gate: Gate, kind: str = "auth", status: int | None = 401) -> ModelError:
    with pytest.raises(ModelError) as caught, gate.slot(request()):
        raise ModelError("HTTP 401: no such key", kind=kind, status=status)
    return caught.value


def succeed(gate: Gate) -> float:
    with gate.slot(request()) as waited:
        return waited


class Crowd:
    """Many who want in, counted."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside = self.most = self.entered = 0
        self.kinds: list[str] = []
        self.lock = threading.Lock()

    def step(self, by: int) -> None:
        with self.lock:
            self.inside += by
            self.most = max(self.most, self.inside)
            self.entered += by > 0


def test_in_threads_few_are_let_in_until_one_succeeds() -> None:
    gate = Gate()
    crowd, leave = Crowd(gate), threading.Event()

    def work() -> None:
        with gate.slot(request()):
            crowd.step(1)
            leave.wait(10)
            crowd.step(-1)

    threads = [threading.Thread(target=work) for _ in range(30)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 10
    while crowd.inside < MOST_UNTRIED and time.monotonic() < until:
        time.sleep(0.001)
    assert crowd.entered == MOST_UNTRIED
    leave.set()
    for thread in threads:
        thread.join(10)
    assert crowd.entered == 30
    assert succeed(gate) == 0.0


async def test_on_a_loop_few_are_let_in_until_one_succeeds() -> None:
    gate, leave = Gate(), asyncio.Event()
    crowd = Crowd(gate)

    async def work() -> float:
        async with gate.slot_awaited(request()) as waited:
            crowd.step(1)
            await leave.wait()
            crowd.step(-1)
            return waited

    tasks = [asyncio.create_task(work()) for _ in range(30)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert crowd.entered == MOST_UNTRIED
    leave.set()
    waits = await asyncio.gather(*tasks)
    assert crowd.entered == 30
    assert sum(wait > 0 for wait in waits) == 30 - MOST_UNTRIED


async def test_failures_let_the_next_in_one_by_one() -> None:
    gate = Gate()
    crowd = Crowd(gate)

    async def work() -> None:
        async with gate.slot_awaited(request()):
            crowd.step(1)
            await asyncio.sleep(0)
            crowd.step(-1)
            raise ModelError("broken", kind="server")

    ends = await asyncio.gather(*(work() for _ in range(30)), return_exceptions=True)
    assert {type(each) for each in ends} == {ModelError}
    assert (crowd.entered, crowd.most) == (30, MOST_UNTRIED)


@pytest.mark.parametrize("kind", ["auth", "not_found", "quota"])
def test_refusals_in_a_row_are_fatal(kind: str) -> None:
    gate = Gate()
    for _ in range(MOST_REFUSALS - 1):
        assert refuse(gate, kind).fatal is None
    fatal = refuse(gate, kind)
    assert fatal.fatal == "fatal: 401 no such key"
    with pytest.raises(ModelError) as caught, gate.slot(request()):
        pytest.fail("let in")
    assert (caught.value.kind, caught.value.calls, caught.value.fatal) == (kind, 0, fatal.fatal)


def test_a_refusal_without_a_status_says_its_kind() -> None:
    gate = Gate()
    for _ in range(MOST_REFUSALS):
        failure = refuse(gate, status=None)
    assert failure.fatal == "fatal: auth HTTP 401: no such key"


def test_a_success_between_forgives() -> None:
    gate = Gate()
    for _ in range(3):
        for _ in range(MOST_REFUSALS - 1):
            refuse(gate)
        succeed(gate)
    assert refuse(gate).fatal is None


def test_other_failures_neither_count_nor_forgive() -> None:
    gate = Gate()
    for _ in range(MOST_REFUSALS - 1):
        refuse(gate)
        refuse(gate, "server", 500)
        refuse(gate, "bad_request", 400)
    assert refuse(gate).fatal is not None


def test_a_new_run_begins_without_refusals() -> None:
    gate = Gate()
    for _ in range(MOST_REFUSALS):
        refuse(gate)
    gate.reset()
    assert refuse(gate).fatal is None
    succeed(gate)


async def test_whoever_waits_is_told_when_it_is_fatal() -> None:
    gate = Gate()
    entered = 0

    async def work() -> str | None:
        nonlocal entered
        try:
            async with gate.slot_awaited(request()):
                entered += 1
                await asyncio.sleep(0.001)
                raise ModelError("HTTP 403: no", kind="auth", status=403)
        except ModelError as exc:
            return exc.fatal

    said = await asyncio.gather(*(work() for _ in range(200)))
    assert entered <= MOST_UNTRIED + MOST_REFUSALS - 1
    assert said.count("fatal: 403 no") >= 200 - entered


def fail(slot) -> None:
    """A request that is in flight ends as a server's failure."""
    failure = ModelError("broken", kind="server")
    slot.__exit__(ModelError, failure, None)


def full(gate: Gate) -> list[object]:
    slots = [gate.slot(request()) for _ in range(MOST_UNTRIED)]
    for slot in slots:
        slot.__enter__()
    return slots


def test_who_gives_up_in_a_thread_leaves_no_turn_behind() -> None:
    gate, stop = Gate(), threading.Event()
    slots = full(gate)
    stop.set()
    for _ in range(8):
        with pytest.raises(ModelError), gate.slot(request(stop=stop)):
            pytest.fail("let in")
    entered = []

    def work() -> None:
        refuse(gate, "server")
        entered.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for slot in slots:
        fail(slot)
    for thread in threads:
        thread.join(10)
    assert len(entered) == 8


async def test_who_gives_up_on_a_loop_leaves_no_turn_behind() -> None:
    gate = Gate()
    slots = full(gate)
    entered = 0

    async def work() -> None:
        nonlocal entered
        async with gate.slot_awaited(request()):
            entered += 1
            raise ModelError("broken", kind="server")

    given_up = [asyncio.create_task(work()) for _ in range(8)]
    await asyncio.sleep(0)
    tasks = [asyncio.create_task(work()) for _ in range(8)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    for slot in slots:
        fail(slot)
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert entered == 8


async def test_nobody_waits_for_a_run_that_is_over() -> None:
    gate, stop = Gate(), threading.Event()
    slots = full(gate)
    stop.set()
    for _ in range(2):
        with pytest.raises(ModelError) as caught:
            async with gate.slot_awaited(request(stop=stop)):
                pytest.fail("let in")
        assert caught.value.kind == "interrupted"
    with pytest.raises(ModelError), gate.slot(request(stop=stop)):
        pytest.fail("let in")
    assert slots


async def test_a_turn_of_one_who_was_cancelled_goes_to_the_next() -> None:
    gate = Gate()
    slots = full(gate)
    entered = asyncio.Event()

    async def work() -> None:
        async with gate.slot_awaited(request()):
            entered.set()

    first, second = asyncio.create_task(work()), asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    slots[0].__exit__(None, None, None)  # a success lets all in
    await asyncio.wait_for(entered.wait(), 10)
    await second
    with pytest.raises(asyncio.CancelledError):
        await first


def test_what_is_no_error_of_a_model_leaves_room_behind() -> None:
    gate = Gate()
    for _ in range(20):
        with pytest.raises(KeyError), gate.slot(request()):
            raise KeyError("x")
    assert succeed(gate) == 0.0
