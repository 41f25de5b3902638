"""The newest runs of one or several stores that a person asked to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import length_hint
from typing import Any, NamedTuple

from themis.core.codec import paused_gc
from themis.runs.catalog import RunRow, Store, all_rows, open_store
from themis.runs.query import asks_for, row_test
from themis.runs.stores import ANSWER_WITHIN_S, Answer, ask_stores


class Selection(NamedTuple):
    """Some runs, and how many there are beside them."""

    rows: list[RunRow]
    left_out: int
    """Matching runs above the limit."""
    stored: int
    """All runs of the stores that answered, those in the trash too."""
    failures: Sequence[Answer[Any]] = ()
    """Stores that could not be asked, and why."""


def select(
    store: Store, query: str = "", limit: int | None = None, *, trash: bool | None = None
) -> Selection:
    """The newest ``limit`` runs of a store that match ``query``, see :mod:`themis.runs.query`.

    ``trash``: what lies there is left out (``False``) or all there is (``True``); by default left out unless
    the query asks for it. Without a query, runs above the limit cost next to nothing.
    """
    any_place = trash is None and asks_for(query, "trashed")
    with paused_gc():
        rows = all_rows(store)
        if not query.strip():
            return _newest(rows, limit, trashed=bool(trash))
        every = list(rows)
        test = row_test(query)
        matching = [row for row in every if (any_place or row.trashed is bool(trash)) and test(row)]
        chosen = matching[:limit]
        return Selection(chosen, len(matching) - len(chosen), len(every))


def _newest(rows: Iterator[RunRow], limit: int | None, *, trashed: bool) -> Selection:
    """Looks no further than it has to: of the rows left out, some may lie in the trash."""
    stored, looked_at = length_hint(rows, -1), 0
    coming, chosen = iter(rows), []
    for row in coming:
        looked_at += 1
        if row.trashed is trashed:
            chosen.append(row)
            if len(chosen) == limit:
                break
    left_out = stored - looked_at if stored >= 0 else sum(1 for _ in coming)
    return Selection(chosen, max(0, left_out), looked_at + max(0, left_out))


def select_from(
    names: Sequence[str],
    query: str = "",
    limit: int | None = None,
    *,
    trash: bool | None = None,
    within_s: float = ANSWER_WITHIN_S,
    opener: Callable[[str], Store] = open_store,
    on_slow: Callable[[list[str]], None] | None = None,
) -> Selection:
    """The newest ``limit`` runs of several stores that match, as :func:`select`; asked all at once.

    A store that fails, or does not answer ``within_s`` seconds, is one of the ``failures``. ``on_slow`` as
    for :func:`ask_stores`.
    """
    row_test(query)  # one error, not one for each store
    answers = ask_stores(
        names,
        lambda store: select(store, query, limit, trash=trash),
        within_s=within_s,
        opener=opener,
        on_slow=on_slow,
    )
    found = [each.value for each in answers if each.value is not None]
    merged = sorted((row for each in found for row in each.rows), key=lambda row: row.created, reverse=True)
    chosen = merged[:limit]
    left_out = sum(each.left_out for each in found) + len(merged) - len(chosen)
    failures = [each for each in answers if each.error is not None]
    return Selection(chosen, left_out, sum(each.stored for each in found), failures)


class Matching(NamedTuple):
    """Every run that a query means, with its store: what can be done something to."""

    runs: list[tuple[Store, str]]
    stores: list[str]
    """Those that answered."""
    failures: Sequence[Answer[Any]]
    """Those that could not be asked, and why: they may have matching runs too."""


def matching_runs(
    names: Sequence[str],
    query: str,
    *,
    trash: bool,
    within_s: float = ANSWER_WITHIN_S,
    opener: Callable[[str], Store] = open_store,
) -> Matching:
    """The runs that :func:`select_from` lists for the same query, in the trash or not, store by store."""
    row_test(query)
    answers = ask_stores(
        names, lambda store: select(store, query, trash=trash), within_s=within_s, opener=opener
    )
    runs = [
        (each.store, row.run_id)
        for each in answers
        if each.store is not None and each.value is not None
        for row in each.value.rows
    ]
    answered = [each.name for each in answers if each.error is None]
    return Matching(runs, answered, [each for each in answers if each.error is not None])
