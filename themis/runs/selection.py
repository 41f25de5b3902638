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
from themis.runs.trash import asks_for_trash, is_trashed


class Selection(NamedTuple):
    """Some runs of a store, and how many there are beside them."""

    rows: list[RunRow]
    left_out: int
    """Matching runs above the limit."""
    stored: int
    """All runs of the store, those in the trash too."""


def select(
    store: Store, query: str = "", limit: int | None = None, *, trash: bool | None = None
) -> Selection:
    """The newest ``limit`` runs of a store that match ``query``, see :mod:`themis.runs.query`.

    ``trash``: what lies there is left out (``False``) or all there is (``True``); by default left out unless
    the query asks for it. Without a query, runs above the limit cost next to nothing.
    """
    shown = is_trashed if trash else _is_kept
    if trash is None and asks_for_trash(query):
        shown = _is_any
    with paused_gc():
        summaries, stored = _newest_first(store.backend)
        rows = (row_of(store.name, summary) for summary in summaries if shown(summary))
        if not query.strip():
            chosen = list(islice(rows, limit))
            # Those that come after were not looked at; some of them may lie in the trash.
            after = 0 if limit is None or len(chosen) < limit else length_hint(summaries)
            return Selection(chosen, after, stored)
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


def _is_kept(summary: dict[str, Any]) -> bool:
    return not is_trashed(summary)


def _is_any(summary: dict[str, Any]) -> bool:
    return True
