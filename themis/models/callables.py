"""Functions as models: the caller's own, or ``python:module:function``."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from themis.core.errors import ModelError, UsageError
from themis.core.places import load_place
from themis.models.base import Answer, Model, Request

_local = threading.local()


class CallableModel(Model):
    """A function from prompt to text, plain or async.

    A function that has a method ``batch``, from a list of prompts to a list of texts, is asked by that where
    prompts are gathered.

    Its identity is ``module:qualname``. A lambda has no name to be known by, so a run of it can be resumed
    only if it was given a ``model_id``.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__).strip("<>")
        self.identity = _identity(function)
        self.awaits = inspect.iscoroutinefunction(_innermost(function))
        self.batches = callable(getattr(function, "batch", None))

    def answer(self, request: Request) -> Answer:
        said = self.function(request.prompt)
        if type(said) is str:
            return Answer(said)
        if self.awaits or inspect.isawaitable(said):
            said = _loop().runner.run(_awaited(said))
        return self._answer(said)

    async def answer_awaited(self, request: Request) -> Answer:
        return self._answer(await self.function(request.prompt))

    def answer_batch(self, requests: list[Request]) -> list[Answer | BaseException]:
        batch: Any = getattr(self.function, "batch", None)
        return [self._answer_or_error(said) for said in batch([request.prompt for request in requests])]

    def _answer_or_error(self, said: Any) -> Answer | BaseException:
        if isinstance(said, BaseException):
            return said
        try:
            return self._answer(said)
        except ModelError as exc:
            return exc

    def _answer(self, said: Any) -> Answer:
        if isinstance(said, str):
            return Answer(said)
        if isinstance(said, Answer):
            return said
        raise ModelError(f"{self.name} gave a {type(said).__name__}, not text.", kind="bad_response")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()


def from_place(place: str) -> CallableModel:
    """The model ``python:module:function``. Raises :class:`UsageError` if there is no such function."""
    found = load_place(place)
    if not callable(found):
        raise UsageError(f"python:{place} is a {type(found).__name__}, which cannot be called.")
    model = CallableModel(found)
    model.identity = place
    return model


def _identity(function: Callable[..., Any]) -> str:
    inner = _innermost(function)
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    module = getattr(inner, "__module__", type(inner).__module__)
    if "<lambda>" in name or inner is not function:
        return f"{module}:{name}@{os.urandom(4).hex()}"
    return f"{module}:{name}"


def _innermost(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


class _Loop:
    """The event loop of one thread; closed when the thread ends."""

    def __init__(self) -> None:
        import asyncio  # takes longer to load than a small run takes, and plain functions need none of it

        self.runner = asyncio.Runner()

    def __del__(self) -> None:
        with suppress(RuntimeError):  # at the program's end, work that was given up may still be running
            self.runner.close()


def _loop() -> _Loop:
    # One loop a thread, kept: an async client belongs to the loop it was first used in.
    loop: _Loop | None = getattr(_local, "loop", None)
    if loop is None:
        loop = _local.loop = _Loop()
    return loop
