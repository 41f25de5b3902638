"""The actor: a station in a process of a Ray cluster."""

from __future__ import annotations

import os
import sys
from typing import Any

from themis.backends.execution.station import Results, Station


def themis_version() -> str:
    """Of the package that this is a part of, which is no layer to be imported from here."""
    return str(sys.modules["themis"].__version__)


class RayStation:
    """All of its methods are coroutines, so that they share one loop and wait on one another in no thread."""

    def __init__(self, home: str | None) -> None:
        """``home``: the home directory of the user, where Ray itself was given another."""
        if home is not None:
            os.environ["HOME"] = home
        self._station = Station()

    async def hello(self) -> dict[str, Any]:
        """Where this is, and what runs there."""
        import ray

        context = ray.get_runtime_context()
        return {
            "node": context.get_node_id(),
            "host": str(ray.util.get_node_ip_address()),  # type: ignore[no-untyped-call]
            "python": sys.version.partition(" ")[0],
            "ray": ray.__version__,
            "themis": themis_version(),
        }

    async def open(self, number: int, func: bytes, slots: int, timeout: float | None) -> str | None:
        """As of :class:`Station`; and so are the others."""
        return self._station.open(number, func, slots, timeout)

    async def give(self, number: int, ids: bytes, items: bytes) -> None:
        self._station.give(number, ids, items)

    async def collect(self, number: int) -> Results:
        return await self._station.collect(number)

    async def recall(self, number: int, most: int) -> bytes:
        return self._station.recall(number, most)

    async def close(self, number: int) -> bool:
        return await self._station.close(number)
