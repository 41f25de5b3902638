"""What a model is to Themis: something that is asked one request and gives one answer."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from threading import Event
from typing import Any, NamedTuple

from themis.core.errors import ModelError

Prompt = str | list[dict[str, Any]]
"""Text, or chat messages with ``role`` and ``content``."""


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

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """Answer one request.

        Raises :class:`themis.core.errors.ModelError` with its ``kind``; anything else that is raised
        counts as kind ``model``.
        """

    async def answer_awaited(self, request: Request) -> Answer:
        """``answer`` as a coroutine that waits without holding up its loop; only where it ``awaits``."""
        raise TypeError(f"{self.name} cannot be awaited.")

    def close(self) -> None:  # noqa: B027 - a model without connections has nothing to do
        """Let go of connections; a closed model opens them again when asked."""


def pause(seconds: float, request: Request) -> None:
    """Wait, but no longer than the request may take, and not at all once the run ends early.

    Raises :class:`ModelError` of kind ``interrupted`` when the run ended, ``timeout`` when time was up.
    """
    allowed = seconds if request.timeout is None else min(seconds, request.timeout)
    if request.stop is None:
        time.sleep(allowed)
    elif request.stop.wait(allowed):
        raise ModelError("The run was stopped.", kind="interrupted")
    if allowed < seconds:
        raise ModelError(f"No answer within {request.timeout:g} s.", kind="timeout")
