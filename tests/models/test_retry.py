"""The one layer that asks again: when, how often, how long; and that no test of it sleeps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from themis.core.errors import ModelError
from themis.models import retry
from themis.models.base import Answer, Request
from themis.models.retry import AGAIN, MOST_CALLS, MOST_WAIT_S, ask_again, ask_again_awaited

KINDS = {
    *("timeout", "connection", "server", "rate_limit", "quota", "auth", "not_found", "bad_request"),
    *("too_large", "filtered", "empty", "bad_response", "model", "interrupted"),
}


class Endpoint:
    """Fails as it is told, then answers."""

    def __init__(self, *failures: str | ModelError) -> None:
        self.failures = list(failures)
        self.requests: list[Request] = []

    def ask(self, request: Request) -> Answer:
        self.requests.append(request)
        if self.failures:
            failure = self.failures.pop(0)
            raise ModelError(failure, kind=failure) if isinstance(failure, str) else failure
        return Answer("4", wait_s=0.25)


class Clock:
    """Time that passes only by waiting, or where a call is said to take some."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waited: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def pause(self, seconds: float, request: Request) -> None:
        if request.stop is not None and request.stop.is_set():
            raise ModelError("The run was stopped.", kind="interrupted")
        allowed = seconds if request.timeout is None else min(seconds, request.timeout)
        self.now += allowed
        self.waited.append(allowed)
        if allowed < seconds:
            raise ModelError("No answer in time.", kind="timeout")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    async def pause_awaited(seconds: float, request: Request) -> None:
        clock.pause(seconds, request)

    monkeypatch.setattr(retry, "time", clock)
    monkeypatch.setattr(retry, "pause", clock.pause)
    monkeypatch.setattr(retry, "pause_awaited", pause_awaited)
    return clock


@pytest.fixture(autouse=True, params=["called", "awaited"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether it is asked from a thread, or on an event loop."""
    if request.param == "awaited":
        monkeypatch.setattr(f"{__name__}.ask_again", asked_awaited)
    return request.param


def asked_awaited(ask: Callable[[Request], Answer], request: Request, **more: Any) -> Answer:
    async def awaited(asked: Request) -> Answer:
        return ask(asked)

    return asyncio.run(ask_again_awaited(awaited, request, **more))


def request(**more: Any) -> Request:
    return Request("2 + 2?", {}, "s1", **more)


def test_an_answer_is_asked_for_once(clock: Clock) -> None:
    endpoint = Endpoint()
    answer = ask_again(endpoint.ask, request())
    assert (answer.text, answer.wait_s) == ("4", 0.25)
    assert [each.call for each in endpoint.requests] == [1]
    assert clock.waited == []


@pytest.mark.parametrize("kind", sorted(AGAIN))
def test_what_may_pass_is_asked_again(kind: str, clock: Clock) -> None:
    endpoint = Endpoint(kind, kind)
    answer = ask_again(endpoint.ask, request(attempt=3))
    assert answer.wait_s == pytest.approx(0.25 + sum(clock.waited))
    assert [each.call for each in endpoint.requests] == [1, 2, 3]
    assert {each.attempt for each in endpoint.requests} == {3}


@pytest.mark.parametrize("kind", sorted(KINDS - AGAIN))
def test_what_will_not_pass_is_not_asked_again(kind: str, clock: Clock) -> None:
    endpoint = Endpoint(kind, kind)
    with pytest.raises(ModelError) as caught:
        ask_again(endpoint.ask, request())
    assert (caught.value.kind, caught.value.calls) == (kind, 1)
    assert clock.waited == []


def test_an_error_that_is_none_of_ours_is_not_asked_again() -> None:
    calls = []

    def broken(request: Request) -> Answer:
        calls.append(request)
        raise KeyError("x")

    with pytest.raises(KeyError):
        ask_again(broken, request())
    assert len(calls) == 1


def test_asking_ends_after_so_many_calls(clock: Clock) -> None:
    endpoint = Endpoint(*["server"] * 100)
    with pytest.raises(ModelError) as caught:
        ask_again(endpoint.ask, request(timeout=1e6))
    assert caught.value.calls == len(endpoint.requests) == MOST_CALLS
    assert len(clock.waited) == MOST_CALLS - 1
    with pytest.raises(ModelError) as caught:
        ask_again(endpoint.ask, request(), most_calls=2)
    assert caught.value.calls == 2


def test_waits_grow_to_a_bound(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    with pytest.raises(ModelError):
        ask_again(Endpoint(*["server"] * 50).ask, request(), most_calls=12)
    assert clock.waited[:3] == [0.5, 1.0, 2.0]
    assert clock.waited == sorted(clock.waited)
    assert max(clock.waited) == MOST_WAIT_S


@pytest.mark.parametrize("asked", [0.0, 0.05, 1.0, 30.0])
def test_a_wait_that_was_asked_for_is_kept_with_jitter_added(asked: float, clock: Clock) -> None:
    for _ in range(50):
        ask_again(Endpoint(ModelError("busy", kind="rate_limit", retry_after=asked)).ask, request())
    assert all(asked <= waited <= asked + min(1.0, asked + 0.1) for waited in clock.waited)
    # Many that were told the same do not come back at once.
    assert len({round(waited, 6) for waited in clock.waited}) > 25


def test_waiting_ends_with_the_time_and_the_reason_stays(clock: Clock) -> None:
    endpoint = Endpoint(ModelError("come back tomorrow", kind="rate_limit", status=429, retry_after=3_600.0))
    with pytest.raises(ModelError) as caught:
        ask_again(endpoint.ask, request(timeout=10.0))
    assert (caught.value.kind, caught.value.status, caught.value.calls) == ("rate_limit", 429, 1)
    assert str(caught.value) == "come back tomorrow"
    assert clock.waited == []  # it would have been in vain


def test_calls_and_waits_share_the_time(clock: Clock) -> None:
    left: list[float | None] = []

    def slow(asked: Request) -> Answer:
        left.append(asked.timeout)
        clock.now += 4.0
        raise ModelError("busy", kind="server", retry_after=0.0)

    with pytest.raises(ModelError) as caught:
        ask_again(slow, request(timeout=10.0))
    assert caught.value.calls == 3
    assert left[0] == 10.0
    assert all(each is not None and each < 10.0 - 4.0 * n + 0.01 for n, each in enumerate(left))
    assert clock.now < 100.0 + 10.0 + 4.0


def test_without_a_time_out_there_still_is_one(clock: Clock) -> None:
    with pytest.raises(ModelError):
        ask_again(Endpoint(*[ModelError("x", kind="server", retry_after=300.0)] * 100).ask, request())
    assert clock.now <= 100.0 + retry.UNLIMITED_S


def test_a_run_that_ends_is_not_waited_for(clock: Clock) -> None:
    stop = threading.Event()

    def stopping(asked: Request) -> Answer:
        stop.set()
        raise ModelError("busy", kind="rate_limit", retry_after=60.0)

    with pytest.raises(ModelError) as caught:
        ask_again(stopping, request(stop=stop))
    assert (caught.value.kind, caught.value.calls) == ("rate_limit", 1)
    assert clock.waited == []


def test_a_run_that_ends_interrupts_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def pause(seconds: float, request: Request) -> None:
        stop.set()
        raise ModelError("The run was stopped.", kind="interrupted")

    async def pause_awaited(seconds: float, request: Request) -> None:
        pause(seconds, request)

    monkeypatch.setattr(retry, "pause", pause)
    monkeypatch.setattr(retry, "pause_awaited", pause_awaited)
    with pytest.raises(ModelError) as caught:
        ask_again(Endpoint("server", "server").ask, request(stop=stop))
    assert (caught.value.kind, caught.value.calls) == ("interrupted", 1)


def test_the_kinds_can_be_chosen(clock: Clock) -> None:
    with pytest.raises(ModelError) as caught:
        ask_again(Endpoint("rate_limit", "server").ask, request(), again=frozenset({"rate_limit"}))
    assert (caught.value.kind, caught.value.calls) == ("server", 2)


def test_a_real_wait_ends_as_soon_as_the_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from themis.models.base import pause, pause_awaited

    monkeypatch.setattr(retry, "time", time)
    monkeypatch.setattr(retry, "pause", pause)
    monkeypatch.setattr(retry, "pause_awaited", pause_awaited)
    stop, waiting = threading.Event(), threading.Event()
    kinds: list[str] = []

    def busy(asked: Request) -> Answer:
        waiting.set()
        raise ModelError("busy", kind="rate_limit", retry_after=500.0)

    def run() -> None:
        try:
            ask_again(busy, request(stop=stop))
        except ModelError as exc:
            kinds.append(exc.kind)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert waiting.wait(10)
    stop.set()
    thread.join(10)
    # Set before the wait began, the last failure is the reason; set during it, the stop is.
    assert kinds in (["interrupted"], ["rate_limit"])


def test_time_is_told_apart(clock: Clock) -> None:
    failures = [ModelError("busy", kind="server", retry_after=3.0, usage={"input_tokens": 5}), None]

    def slow(asked: Request) -> Answer:
        clock.now += 2.0
        failure = failures.pop(0)
        if failure is not None:
            raise failure
        return Answer("4", usage={"input_tokens": 7, "output_tokens": 1})

    answer = ask_again(slow, request())
    assert answer.retry_s == 2.0
    assert answer.wait_s == pytest.approx(sum(clock.waited))
    # The failed call told nothing of its output, so the sum of it is unknown.
    assert answer.usage == {"input_tokens": 12, "output_tokens": None}


def test_a_failure_tells_the_time_too(clock: Clock) -> None:
    def slow(asked: Request) -> Answer:
        clock.now += 2.0
        raise ModelError("busy", kind="server", retry_after=3.0)

    with pytest.raises(ModelError) as caught:
        ask_again(slow, request(), most_calls=3)
    assert caught.value.retry_s == 6.0
    assert caught.value.wait_s == pytest.approx(sum(clock.waited))
    assert caught.value.usage is None
