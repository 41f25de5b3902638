"""Stores as a person sees them, and the runs in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from themis.backends.registry import default_storage, open_storage, storage_named
from themis.backends.storage.base import StorageBackend, created_at
from themis.backends.storage.foreign import whole
from themis.core.errors import RunNotFound, StoreReadonly, UsageError
from themis.runs.status import Status, status_of


@dataclass
class Store:
    """An opened storage profile: its name, and the backend behind it."""

    name: str
    backend: StorageBackend
    readonly: bool = False
    """Whether the user's profile keeps it from being changed from here."""
    protected: bool = False
    """Whether deleting in it wants its name typed."""

    def check_writable(self, what: str) -> None:
        """Raise :class:`StoreReadonly` if ``what``, such as ``"deleting runs"``, must not be done here."""
        if self.readonly:
            raise StoreReadonly(
                f"The store {self.name} is readonly in your profiles, so {what} is refused. Take readonly out "
                "of its profile, or work on a copy."
            )


@dataclass(frozen=True)
class RunRow:
    """One line of a list of runs. ``None`` is unknown."""

    store: str
    run_id: str
    status: Status
    benchmark: str
    model: str
    done: int | None
    total: int | None
    headline: str | None
    """Name of the metric shown."""
    score: float | None
    stderr: float | None
    errors: int | None
    tokens: int | None
    created_at: float | None
    duration_s: float | None
    """Seconds that the last session took, or takes so far."""
    summary: dict[str, Any]
    """The whole line as the store gave it."""

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % interval of the score, by the normal approximation."""
        return None if self.stderr is None else 1.96 * self.stderr

    @property
    def address(self) -> str:
        """``STORE:RUN_ID``."""
        return f"{self.store}:{self.run_id}"


def open_store(name: str | None = None) -> Store:
    """The store that a name, path or URI means; the default one for ``None``."""
    chosen = name or default_storage()
    profile = storage_named(chosen).profile
    readonly, protected = getattr(profile, "readonly", False), getattr(profile, "protected", False)
    return Store(chosen, whole(open_storage(chosen)), readonly=readonly, protected=protected)


def remembered_rows(store: Store, limit: int) -> list[RunRow]:
    """The newest runs as the last look saw them, if the store remembers: at once, perhaps out of date."""
    remembered = getattr(store.backend, "cached_summaries", None)
    summaries: Iterable[dict[str, Any]] = () if remembered is None else remembered(limit)
    return [row_of(store.name, summary) for summary in summaries]


def list_rows(store: Store) -> Iterator[RunRow]:
    """The runs of a store, newest first."""
    summaries: Iterable[dict[str, Any]] = store.backend.list_summaries()
    if not hasattr(store.backend, "cached_summaries"):
        # Only a store that remembers keeps them in order.
        summaries = sorted(summaries, key=created_at, reverse=True)
    for summary in summaries:
        yield row_of(store.name, summary)


def row_of(store: str, summary: dict[str, Any]) -> RunRow:
    """A line made of a run's summary. What a stranger stored is ``unreadable``, and hides no other run."""
    try:
        return _row(store, summary)
    except (AttributeError, TypeError, ValueError):
        reason = "its metadata have another form"
        run_id = summary.get("run_id") if isinstance(summary, dict) else None
        return _row(store, {"run_id": run_id, "status": "unreadable", "status_reason": reason})


def _row(store: str, summary: dict[str, Any]) -> RunRow:
    asked, sums = summary.get("asked") or {}, summary.get("summary") or {}
    headline = sums.get("headline")
    metric = (sums.get("metrics") or {}).get(headline) or {}
    tokens = [each for each in (sums.get("tokens") or {}).values() if isinstance(each, int)]
    started, ended = _number(summary.get("started_at")), _number(summary.get("ended_at"))
    until = ended if ended is not None else _number(summary.get("updated_at"))
    return RunRow(
        store=store,
        run_id=str(summary.get("run_id")),
        status=status_of(summary),
        benchmark=str(asked.get("benchmark") or ""),
        model=str((asked.get("model") or {}).get("name") or ""),
        done=_number(sums.get("done")),
        total=_number(sums.get("total")),
        headline=None if headline is None else str(headline),
        score=_number(metric.get("mean")),
        stderr=_number(metric.get("stderr")),
        errors=_number(sums.get("errors")),
        tokens=sum(tokens) if tokens else None,
        created_at=_number(summary.get("created_at")),
        duration_s=until - started if until is not None and started is not None else None,
        summary=summary,
    )


def _number(value: Any) -> Any:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def split_address(address: str) -> tuple[str | None, str]:
    """``STORE:RUN_ID`` taken apart; the store is ``None`` where it was left out."""
    store, _, run_id = address.rpartition(":")
    return store or None, run_id


def find_run(address: str, storage: str | None = None) -> tuple[Store, str]:
    """The store and id that an address means. Raises :class:`RunNotFound` with what was looked through."""
    named, run_id = split_address(address)
    if named is not None and storage is not None and named != storage:
        raise UsageError(f"{address!r} names the store {named!r}, and --storage names {storage!r}.")
    store = open_store(named or storage)
    if not store.backend.run_exists(run_id):
        raise RunNotFound(
            f"There is no run {run_id!r} in {store.name}. 'themis runs list' shows the ones there are."
        )
    return store, run_id
