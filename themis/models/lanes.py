"""Clients with one connection each, taken for a request and put back.

httpx2's own pool looks at every connection it has, with a system call for each idle one, whenever a request
begins or ends: with 256 in flight that takes longer than the request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import httpx2

C = TypeVar("C", httpx2.Client, httpx2.AsyncClient)


class Lanes(Generic[C]):
    """As many clients as are in use at once; the one put back last is taken first. Safe for threads."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._make: Callable[[], C] = make
        self._free: list[C] = []

    @contextmanager
    def one(self) -> Iterator[C]:
        """A client that nobody else uses meanwhile."""
        try:
            client = self._free.pop()
        except IndexError:
            client = self._make()
        try:
            yield client
        finally:
            self._free.append(client)

    def emptied(self) -> list[C]:
        """The clients that are not in use, to be closed."""
        free, self._free = self._free, []
        return free


class LoopLanes:
    """The lanes of one event loop, which closes them at its end."""

    def __init__(self, make: Callable[[], httpx2.AsyncClient]) -> None:
        self._life = self._lived(make)
        self._lanes: Lanes[httpx2.AsyncClient] | None = None

    async def opened(self) -> Lanes[httpx2.AsyncClient]:
        """The lanes; the loop in which they are first used takes care of them from then on."""
        if self._lanes is None:
            self._lanes = await anext(self._life)
        return self._lanes

    async def close(self) -> None:
        """Close what is not in use; to be called in its loop."""
        await self._life.aclose()

    async def _lived(
        self, make: Callable[[], httpx2.AsyncClient]
    ) -> AsyncGenerator[Lanes[httpx2.AsyncClient], None]:
        # Event loops close the asynchronous generators that were begun in them; no other hook is theirs.
        lanes = Lanes(make)
        try:
            yield lanes
        finally:
            for client in lanes.emptied():
                await client.aclose()
