"""The newest runs of a store that a person asked to see."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from operator import length_hint
from typing import Any, NamedTuple

from themis.backends.storage.base import StorageBackend, created_at
from themis.core.codec import paused_gc
from themis.runs.catalog import RunRow, Store, row_of
from themis.runs.query import row_test


class Selection(NamedTuple):
    """Some runs of a store, and how many there are beside them."""

    rows: list[RunRow]
    left_out: int
    """Matching runs above the limit."""
    stored: int
    """All runs of the store."""


def select(store: Store, query: str = "", limit: int | None = None) -> Selection:
    """The newest ``limit`` runs of a store that match ``query``, see :mod:`themis.runs.query`.

    Without a query, runs above the limit cost next to nothing.
    """
    with paused_gc():
        summaries, stored = _newest_first(store.backend)
        rows = (row_of(store.name, summary) for summary in summaries)
        if not query.strip():
            chosen = list(islice(rows, limit))
            return Selection(chosen, max(0, stored - len(chosen)), stored)
        matching = list(filter(row_test(query), rows))
        chosen = matching[:limit]
        return Selection(chosen, len(matching) - len(chosen), stored)


def _newest_first(backend: StorageBackend) -> tuple[Iterator[dict[str, Any]], int]:
    """The summaries of all runs, and how many there are."""
    if hasattr(backend, "cached_summaries"):
        # Such a store keeps them in order, and reads those that are asked for.
        summaries = backend.list_summaries()
        known = length_hint(summaries, -1)
        return summaries, known if known >= 0 else len(backend.list_runs())
    ordered = sorted(backend.list_summaries(), key=created_at, reverse=True)
    return iter(ordered), len(ordered)
