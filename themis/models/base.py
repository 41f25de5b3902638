"""What a model is to Themis: something that is asked one request and gives one answer."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Event
from typing import Any, NamedTuple

from themis.core.check_step import CheckStep
from themis.core.errors import ModelError, described

REFUSALS = frozenset({"auth", "not_found", "quota"})
"""Error kinds that the next request will meet too."""
PLAIN_SAMPLING = frozenset(
    {
        *("temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "stop", "seed"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty", "repeat_penalty", "logit_bias"),
        *("reasoning_effort", "verbosity", "response_format", "logprobs", "top_logprobs", "n"),
    }
)
"""Options of sampling that name no address, no key and nothing of a client's."""

Prompt = str | list[dict[str, Any]]
"""Text, or chat messages with ``role`` and ``content``."""
CHECK_PROMPT = "Reply with the word ready."
CHECK_S = 60.0
"""Seconds that the answer of a check may take."""
MOST_SHOWN = 60
"""Characters of it that are shown."""
LOOK_EVERY_S = 0.2
"""How often whoever is awaited looks whether the run has ended."""


STOP: ContextVar[Event | None] = ContextVar("themis_stop", default=None)
"""The stop signal of the run that this thread or task works for, for whoever is handed no request."""


class Request(NamedTuple):
    """One question as a model is asked it."""

    prompt: Prompt
    sampling: dict[str, Any]
    """Options of the endpoint, such as ``temperature`` and ``max_tokens``."""
    sample_id: str
    epoch: int = 1
    attempt: int = 1
    call: int = 1
    """Which request for this one answer: more than 1 after a failure that was worth asking again."""
    seed: int | None = None
    timeout: float | None = None
    """Seconds that this answer may take, waiting and asking again included."""
    stop: Event | None = None
    """Set when the run ends early; whoever waits, waits on it. None in another process."""


@dataclass(slots=True)
class Answer:
    """What a model said. ``None`` is unknown."""

    text: str
    finish_reason: str | None = None
    model: str | None = None
    """As the server calls itself."""
    usage: dict[str, Any] | None = None
    cost: float | None = None
    wait_s: float = 0.0
    """Seconds spent waiting for limits and backing off, apart from the answer itself."""
    retry_s: float = 0.0
    """Seconds spent in calls that failed before it."""
    metadata: dict[str, Any] | None = None


class Model(ABC):
    """A model that can be asked. Instances pickle, and may be asked from many threads at once.

    ``name`` is what people read. ``identity`` says which answers to expect: name and every option that
    changes answers, but no host, latency or key. ``base_url`` is where requests go, if anywhere.
    """

    name: str
    identity: str
    base_url: str | None = None
    awaits: bool = False
    """Whether it can be asked by ``answer_awaited``: many at once on one event loop."""
    batches: bool = False
    """Whether it can be asked by ``answer_batch``: many prompts in one go."""
    secrets: tuple[str, ...] = ()
    """References to the secrets that asking it needs: see :mod:`themis.profiles.secrets`."""
    keeps_time: bool = False
    """Whether it is sure to answer or fail within a request's time-out, so that nobody else has to see to it.
    What it waits for a first answer of its endpoint does not count."""
    executor: str | None = None
    """The executor that suits it, where the caller names none."""

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """Answer one request.

        Raises :class:`themis.core.errors.ModelError` with its ``kind``; anything else that is raised
        counts as kind ``model``.
        """

    async def answer_awaited(self, request: Request) -> Answer:
        """``answer`` as a coroutine that waits without holding up its loop; only where it ``awaits``."""
        raise TypeError(f"{self.name} cannot be awaited.")

    def answer_batch(self, requests: list[Request]) -> list[Answer | BaseException]:
        """An answer for each request, in their order, or why there is none; only where it ``batches``."""
        raise TypeError(f"{self.name} cannot be asked in batches.")

    def check_sampling(self, sampling: dict[str, Any]) -> None:  # noqa: B027 - most take any
        """Raise :class:`UsageError` for options that no answer may be asked with; the base takes all."""

    def check(self) -> Iterator[CheckStep]:
        """Try it, step by step; a step that fails is the last. The base asks it one short question."""
        yield check_answer(self)

    def trouble(self) -> str | None:
        """Why nothing is answered at present, in words; ``None`` if all is well, as far as is known."""
        return None

    def begin(self) -> None:  # noqa: B027 - most have nothing to forget
        """A run begins: refusals that an earlier one met no longer count."""

    def close(self) -> None:  # noqa: B027 - a model without connections has nothing to do
        """Let go of connections; a closed model opens them again when asked."""


def check_answer(model: Model, sampling: dict[str, Any] | None = None) -> CheckStep:
    """The step of asking a model one short question."""
    began = time.perf_counter()
    try:
        answer = model.answer(Request(CHECK_PROMPT, sampling or {}, "check", timeout=CHECK_S))
    except Exception as exc:  # a check reports whatever is raised
        return CheckStep("answer", False, time.perf_counter() - began, described(exc))
    took, usage = time.perf_counter() - began, answer.usage or {}
    tokens = usage.get("output_tokens")
    said = repr(answer.text[:MOST_SHOWN]) if answer.text else "an empty text"
    return CheckStep("answer", True, took, said if tokens is None else f"{said}, {tokens} tokens")


def pause(seconds: float, request: Request) -> None:
    """Wait, but no longer than the request may take, and not at all once the run ends early.

    Raises :class:`ModelError` of kind ``interrupted`` when the run ended, ``timeout`` when time was up.
    """
    allowed = seconds if request.timeout is None else min(seconds, request.timeout)
    if request.stop is None:
        time.sleep(allowed)
    elif request.stop.wait(allowed):
        raise _stopped()
    if allowed < seconds:
        raise _late(request)


async def pause_awaited(seconds: float, request: Request) -> None:
    """As :func:`pause`, without holding up its loop."""
    import asyncio  # takes longer to load than a small run takes

    allowed = seconds if request.timeout is None else min(seconds, request.timeout)
    until = time.monotonic() + allowed
    # The end of a run is told by a thread's event, which a loop can only look at.
    while (left := until - time.monotonic()) > LOOK_EVERY_S and request.stop is not None:
        if request.stop.is_set():
            raise _stopped()
        await asyncio.sleep(LOOK_EVERY_S)
    await asyncio.sleep(max(0.0, left))
    if request.stop is not None and request.stop.is_set():
        raise _stopped()
    if allowed < seconds:
        raise _late(request)


def _stopped() -> ModelError:
    return ModelError("The run was stopped.", kind="interrupted")


def _late(request: Request) -> ModelError:
    return ModelError(f"No answer within {request.timeout:g} s.", kind="timeout")
