"""Functions to be mapped. At module level, so that executors which pickle them can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any


def double(item: int) -> int:
    """Twice the item."""
    return 2 * item


def same(item: Any) -> Any:
    """The item itself."""
    return item


def size(item: bytes) -> int:
    """The item's length."""
    return len(item)


class OddRefused(ValueError):
    """Raised by :func:`only_even`."""


def only_even(item: int) -> int:
    """The item, if it is even."""
    if item % 2:
        raise OddRefused(f"{item} is odd")
    return item


def leaves(item: int) -> int:
    """End the interpreter at item 3, or try to; a generator's end at item 5."""
    if item == 3:
        raise SystemExit(9)
    if item == 5:
        raise StopIteration
    return item


def rest(item: float) -> float:
    """Work for so many seconds."""
    time.sleep(item)
    return item


class HangsFrom:
    """Gives items below ``first`` back; never ends for others. For processes that can be killed."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __call__(self, item: int) -> int:
        """The item, sooner or never."""
        while item >= self.first:
            time.sleep(0.1)
        return item


class AwaitedHangsFrom:
    """As ``function``, which hangs from ``first`` on; and the same as a coroutine."""

    def __init__(self, first: int, function: Callable[[int], int]) -> None:
        self.first = first
        self.function = function

    def __call__(self, item: int) -> int:
        """The item, sooner or never."""
        return self.function(item)

    async def acall(self, item: int) -> int:
        """As called."""
        if item >= self.first:
            await asyncio.Event().wait()
        return item


class Offering:
    """A task that can be called in three ways, all of which give the same."""

    def __call__(self, item: int) -> int:
        """Twice the item."""
        return 2 * item

    async def acall(self, item: int) -> int:
        """As called, in a coroutine."""
        return 2 * item

    def batch(self, items: list[int]) -> list[int]:
        """As called with each."""
        return [2 * item for item in items]
