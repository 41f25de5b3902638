"""Clients with one connection each, taken for a request and put back.

httpx2's own pool looks at every connection it has, with a system call for each idle one, whenever a request
begins or ends: with 256 in flight that takes longer than the request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

import httpx2


class Lanes:
    """As many clients as are in use at once, all of one loop; the one put back last is taken first."""

    def __init__(self, make: Callable[[], httpx2.AsyncClient]) -> None:
        self._make = make
        self._free: list[httpx2.AsyncClient] = []

    @contextmanager
    def one(self) -> Iterator[httpx2.AsyncClient]:
        """A client that nobody else uses meanwhile."""
        client = self._free.pop() if self._free else self._make()
        try:
            yield client
        finally:
            self._free.append(client)

    async def close(self) -> None:
        """Close the clients that are not in use."""
        free, self._free = self._free, []
        for client in free:
            await client.aclose()


class LoopLanes:
    """The lanes of one event loop, which closes them when it shuts its asynchronous generators down."""

    def __init__(self, make: Callable[[], httpx2.AsyncClient]) -> None:
        self._life = self._lived(make)
        self._lanes: Lanes | None = None

    async def opened(self) -> Lanes:
        """The lanes; the loop in which they are first used takes care of them from then on."""
        if self._lanes is None:
            self._lanes = await anext(self._life)
        return self._lanes

    async def close(self) -> None:
        """Close what is not in use; to be called in its loop."""
        await self._life.aclose()

    async def _lived(self, make: Callable[[], httpx2.AsyncClient]) -> AsyncGenerator[Lanes, None]:
        # Loops take care of the asynchronous generators that were begun in them; no other hook is theirs.
        lanes = Lanes(make)
        try:
            yield lanes
        finally:
            await lanes.close()
