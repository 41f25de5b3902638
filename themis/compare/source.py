"""Where a run of a comparison is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from themis.backends.storage.base import StorageBackend
from themis.backends.storage.foreign import whole
from themis.core.errors import RunNotFound, UsageError
from themis.core.options import redacted


@dataclass(frozen=True)
class Source:
    """A run in an opened store, and what it is called in this comparison."""

    address: str
    run_id: str
    backend: StorageBackend

    def metadata(self) -> dict[str, Any]:
        """The run's metadata, ``{}`` where a run has none. Raises :class:`RunNotFound` without the run."""
        try:
            return self.backend.load_run_metadata(self.run_id)
        except FileNotFoundError:
            if self.backend.run_exists(self.run_id):
                return {}
            raise RunNotFound(
                f"There is no run {self.run_id!r} in the store of {self.address}. 'themis runs list' shows "
                "the ones there are."
            ) from None


Run = str | tuple[StorageBackend, str] | Source
"""``STORE:RUN_ID``, or a storage backend and a run id."""


def sources(runs: Sequence[Run], storage: str | None = None) -> list[Source]:
    """The runs meant, in order.

    Raises :class:`UsageError` if one stands there twice, and what :func:`themis.runs.catalog.find_run` does.
    """
    found: list[Source] = []
    for run in runs:
        source = _source(run, storage, {each.address for each in found})
        if any(each.backend is source.backend and each.run_id == source.run_id for each in found) or any(
            each.address == source.address for each in found
        ):
            raise UsageError(f"The run {source.address} is there twice. A comparison wants different runs.")
        found.append(source)
    return found


def _source(run: Run, storage: str | None, taken: set[str]) -> Source:
    if isinstance(run, Source):
        return run
    if isinstance(run, str):
        from themis.runs.catalog import find_run  # opening stores by name is for those who name them

        store, run_id = find_run(run, storage)
        return Source(f"{redacted(store.name)}:{run_id}", run_id, store.backend)
    backend, run_id = run
    number = 2
    address = run_id
    while address in taken:  # two stores may hold a run of one id
        address, number = f"{number}:{run_id}", number + 1
    return Source(address, run_id, whole(backend))
