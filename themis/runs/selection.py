"""The newest runs of one or several stores that a person asked to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from operator import length_hint
from typing import Any, NamedTuple

from themis.core.codec import paused_gc
from themis.runs.catalog import RunRow, Store, list_rows, open_store
from themis.runs.query import row_test
from themis.runs.stores import ANSWER_WITHIN_S, Answer, ask_stores


class Selection(NamedTuple):
    """Some runs, and how many there are beside them."""

    rows: list[RunRow]
    left_out: int
    """Matching runs above the limit."""
    stored: int
    """All runs of the stores that answered."""
    failures: Sequence[Answer[Any]] = ()
    """Stores that could not be asked, and why."""


def select(store: Store, query: str = "", limit: int | None = None) -> Selection:
    """The newest ``limit`` runs of a store that match ``query``, see :mod:`themis.runs.query`.

    Without a query, runs above the limit cost next to nothing.
    """
    with paused_gc():
        rows = list_rows(store)
        stored = length_hint(rows, -1)
        if not query.strip():
            chosen = list(islice(rows, limit))
            if stored < 0:
                stored = len(chosen) + sum(1 for _ in rows)
            return Selection(chosen, max(0, stored - len(chosen)), stored)
        every = list(rows)
        matching = list(filter(row_test(query), every))
        chosen = matching[:limit]
        return Selection(chosen, len(matching) - len(chosen), len(every))


def select_from(
    names: Sequence[str],
    query: str = "",
    limit: int | None = None,
    *,
    within_s: float = ANSWER_WITHIN_S,
    opener: Callable[[str], Store] = open_store,
) -> Selection:
    """The newest ``limit`` runs of several stores that match, as :func:`select`; asked all at once.

    A store that fails, or does not answer ``within_s`` seconds, is one of the ``failures``.
    """
    row_test(query)  # one error, not one for each store
    answers = ask_stores(names, lambda store: select(store, query, limit), within_s=within_s, opener=opener)
    found = [each.value for each in answers if each.value is not None]
    merged = sorted((row for each in found for row in each.rows), key=lambda row: row.created, reverse=True)
    chosen = merged[:limit]
    left_out = sum(each.left_out for each in found) + len(merged) - len(chosen)
    failures = [each for each in answers if each.error is not None]
    return Selection(chosen, left_out, sum(each.stored for each in found), failures)
