"""Stores as a person sees them, and the runs in them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from themis.backends.marks import Marks, marks_of
from themis.backends.registry import Named, default_storage, open_storage, storage_named
from themis.backends.storage.base import StorageBackend, created_at
from themis.backends.storage.foreign import whole
from themis.core.errors import InvalidRunId, RunNotFound, StoreReadonly, UnknownName, UsageError
from themis.core.options import redacted
from themis.core.safe_text import storable
from themis.runs.row import RunRow, row_of

__all__ = [
    "RunRow",
    "Store",
    "all_rows",
    "find_run",
    "list_rows",
    "open_store",
    "remembered_rows",
    "row_of",
    "split_address",
    "store_key",
]


@dataclass
class Store:
    """An opened storage profile: its name, and the backend behind it."""

    name: str
    backend: StorageBackend
    readonly: bool = False
    """Whether the user's profile keeps it from being changed from here."""
    protected: bool = False
    """Whether deleting in it wants its name typed."""
    marked_by: str | None = None
    """The profile that says so; it may be another's name for the same place."""
    named: Named | None = field(default=None, compare=False, repr=False)
    """What its name meant when it was opened; ``None`` for one that was opened otherwise."""

    def is_current(self) -> bool:
        """Whether its name still means what it meant: the user may have changed the profile since.

        Reads the profiles. As long as that file cannot be read at all, what is open counts as current.
        """

        def is_as_it_was(named: Named, opened: Named) -> bool:
            marks = marks_of(named)
            return (named.base, named.options, marks.readonly, marks.protected) == (
                opened.base,
                opened.options,
                self.readonly,
                self.protected,
            )

        return self._still(is_as_it_was)

    def is_in_place(self) -> bool:
        """Whether its name still leads to the same runs, whatever else the user may have changed."""
        return self._still(lambda named, opened: named.canonical == opened.canonical)

    def _still(self, is_the_same: Callable[[Named, Named], bool]) -> bool:
        if self.named is None:
            return True
        try:
            return is_the_same(storage_named(self.name), self.named)
        except UsageError:
            from themis.profiles import load_profiles

            return "" in load_profiles().problems

    @property
    def marks(self) -> Marks:
        """What is forbidden here, and by which profile."""
        return Marks(self.readonly, self.protected, self.marked_by)

    def address(self, run_id: str) -> str:
        """``STORE:RUN_ID``, as a hint gives it to a shell; without the password that a name may hold."""
        return shlex.quote(f"{redacted(self.name)}:{run_id}")

    def check_writable(self, what: str) -> None:
        """Raise :class:`StoreReadonly` if ``what``, such as ``"deleting runs"``, must not be done here."""
        if self.readonly:
            raise StoreReadonly(
                f"The store {redacted(self.name)} is readonly {self.marks.said_of(self.name)}, so {what} is "
                "refused. Take readonly out of its profile, or work on a copy."
            )


def store_key(store: Store) -> str:
    """What a store is called where its profile's name may change."""
    text = repr(store.backend)
    # A stranger's repr may say where the object is in memory, which names nothing elsewhere.
    return redacted(storable(store.name if " at 0x" in text else text))


def open_store(name: str | None = None) -> Store:
    """The store that a name, path or URI means; the default one for ``None``."""
    chosen = name or default_storage()
    named = storage_named(chosen)
    storage = whole(open_storage(chosen))
    marks = marks_of(named)
    return Store(chosen, storage, marks.readonly, marks.protected, marks.by, named)


def remembered_rows(store: Store, limit: int) -> list[RunRow]:
    """The newest runs as the last look saw them, if the store remembers: at once, perhaps out of date."""
    remembered = getattr(store.backend, "cached_summaries", None)
    summaries: Iterable[dict[str, Any]] = () if remembered is None else remembered(limit)
    return [row for row in (row_of(store.name, summary) for summary in summaries) if not row.trashed]


def list_rows(store: Store) -> Iterator[RunRow]:
    """The runs of a store, newest first; not those in the trash."""
    return (row for row in all_rows(store) if not row.trashed)


def all_rows(store: Store) -> Iterator[RunRow]:
    """The runs of a store, newest first, those in the trash too.

    :func:`operator.length_hint` says how many, if that is known.
    """
    make = partial(row_of, store.name)
    changed_since = getattr(store.backend, "changed_since", None)
    if changed_since is not None:
        rows: Iterator[RunRow] = changed_since({}, make)
        return rows
    summaries: Iterable[dict[str, Any]] = store.backend.list_summaries()
    if not hasattr(store.backend, "cached_summaries"):
        # Only a store that remembers keeps them in order.
        summaries = sorted(summaries, key=created_at, reverse=True)
    return map(make, summaries)


def split_address(address: str) -> tuple[str | None, str]:
    """``STORE:RUN_ID`` taken apart; the store is ``None`` where it was left out."""
    store, _, run_id = address.rpartition(":")
    return store or None, run_id


def find_run(address: str, storage: str | None = None) -> tuple[Store, str]:
    """The store and id that an address means; without a store, the only one of the user's that has it.

    What is no id may be the name that a person gave a run, or ``STORE:NAME``, if only one has it. Raises
    :class:`RunNotFound` with what was looked through, :class:`UsageError` naming the stores if several
    have it, :class:`StoreUnreachable` if none has it and not all could be asked.
    """
    named, run_id = split_address(address)
    if named is not None and storage is not None and named != storage:
        raise UsageError(f"{address!r} names the store {named!r}, and --storage names {storage!r}.")
    try:
        return _with_id(run_id, named or storage)
    except (RunNotFound, InvalidRunId, UnknownName) as exc:
        found = _with_name(address, storage)
        store, colon, name = address.partition(":")  # a name may hold more colons, an id none
        if not found and colon and storage in (None, store):
            found = _with_name(name, store)
        if not found:
            raise
        if len(found) > 1:
            addresses = ", ".join(f"{redacted(store.name)}:{each}" for store, each in found)
            raise UsageError(
                f"{address!r:.200} is the name of {len(found)} runs. Write which one: {addresses}"
            ) from exc
        return found[0]


def _with_id(run_id: str, storage: str | None) -> tuple[Store, str]:
    if storage is None:
        from themis.runs.stores import only_store_with, wanted_stores

        names = wanted_stores()
        if len(names) > 1:
            return only_store_with(run_id, names), run_id
    store = open_store(storage)
    if not store.backend.run_exists(run_id):
        raise RunNotFound(
            f"There is no run {run_id!r} in {store.name}. 'themis runs list' shows the ones there are."
        )
    return store, run_id


def _with_name(name: str, storage: str | None) -> list[tuple[Store, str]]:
    """The runs that a person gave this name, in a store or in all of the user's that can be asked."""
    from themis.runs.stores import FIND_WITHIN_S, ask_stores, wanted_stores

    def named(store: Store) -> list[str]:
        return [row.run_id for row in all_rows(store) if row.annotations and row.name == name]

    answers = ask_stores(wanted_stores([storage] if storage else []), named, within_s=FIND_WITHIN_S)
    return [(each.store, run_id) for each in answers if each.store is not None for run_id in each.value or ()]
