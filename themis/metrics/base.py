"""What a metric is: a versioned rule from an answer and a reference to a number."""

from __future__ import annotations

import copy
import functools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Self


class Score(NamedTuple):
    """A number, or ``None`` with the reason in ``detail``; else ``detail`` is what was extracted."""

    value: float | int | None
    detail: Any = None


class Metric(ABC):
    """Scores one answer. Instances pickle and may be used from many threads at once.

    A change that can change any score changes ``version``. ``params`` are the options that change scores, as
    JSON values: with them the metric can be opened again.
    """

    name: str
    """What its scores are stored under."""
    kind: str = ""
    """What it is opened by, where that is not its ``name``."""
    version: str = "1"

    @property
    def params(self) -> dict[str, Any]:
        """The parameters it was made with."""
        return {}

    @property
    def asked(self) -> dict[str, Any]:
        """What a run stores of it; ``params`` name its ``kind``, if it has one, as ``metric``."""
        kind = {"metric": self.kind} if self.kind and self.kind != self.name else {}
        return {"version": self.version, "params": {**kind, **self.params}}

    def named(self, name: str) -> Self:
        """The same metric under another name, so that one may be used twice."""
        other = copy.copy(self)
        other.name, other.kind = name, self.kind or self.name
        return other

    @abstractmethod
    def score(self, response: str, reference: Any) -> Score:
        """The score of ``response``. What is raised counts as no score, with the reason."""


class JudgingMetric(Metric):
    """A metric that takes its time, as it asks a model or another process. It sees the prompt too.

    Scored by :meth:`judge`, or :meth:`judge_awaited` on an event loop. A closed one opens again when used.
    """

    timeout: float = 120.0
    """Seconds that one score may take at the most; the deadline of a sample is prolonged by them."""

    @abstractmethod
    def judge(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        """The score of ``response`` to ``prompt``.

        Raises :class:`ModelError` where the judge could not be had: then the answer is left to be scored
        again. Anything else that is raised counts as no score, with the reason.
        """

    @abstractmethod
    async def judge_awaited(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        """As :meth:`judge`, without holding up its loop."""

    def score(self, response: str, reference: Any) -> Score:
        return self.judge("", response, reference)

    @property
    def secrets(self) -> tuple[str, ...]:
        """References to the secrets that judging needs."""
        return ()

    def begin(self) -> None:
        """A run begins: refusals that an earlier one met no longer count."""

    def close(self) -> None:
        """Let go of connections."""


class CallableMetric(Metric):
    """A metric of the caller's own: ``score(response, reference)`` gives a number.

    It is known by its place, ``module:qualname``. A lambda or partial has none, so no other is taken for it,
    and a run that used it cannot be resumed.
    """

    def __init__(self, function: Callable[[str, Any], Any], place: str | None = None) -> None:
        """``place``: what ``function`` is known by, if not by what it says of itself."""
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__).strip("<>")
        self._place = place or _place(function)

    @property
    def params(self) -> dict[str, Any]:
        return {"function": self._place}

    @property
    def asked(self) -> dict[str, Any]:
        # Its place says all.
        return {"version": self.version, "params": self.params}

    def score(self, response: str, reference: Any) -> Score:
        value = self.function(response, reference)
        if value is None or isinstance(value, (int, float)):
            return Score(value)
        return Score(float(value))


def _place(function: Any) -> str:
    cls = type(function)
    name = getattr(function, "__qualname__", cls.__qualname__)
    place = f"{getattr(function, '__module__', cls.__module__)}:{name}"
    nameless = "<lambda>" in name or isinstance(function, functools.partial)
    return f"{place}@{os.urandom(4).hex()}" if nameless else place
