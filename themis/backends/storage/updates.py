"""Metadata that are saved over those of a run that is there, and never make one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from themis.backends.storage.base import StorageBackend
from themis.core.errors import RunNotFound


class Updates(ABC):
    """A store that finds a run and saves its metadata in one step, so that no deletion comes in between.

    A backend that has this derives from :class:`StorageBackend` and from this class; the library asks with
    ``isinstance``, and of any other store looks for the run first.
    """

    @abstractmethod
    def update_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        """Save the metadata of a run that is there; if there is none, :class:`RunNotFound`, and none is made.

        A store that tells a run from a later one of its id raises for that one too.
        """


def update_metadata(storage: StorageBackend, run_id: str, metadata: dict[str, Any]) -> None:
    """Save a run's metadata, and bring no deleted run back, as well as the store can.

    Raises :class:`RunNotFound` if the run is not there.
    """
    if isinstance(storage, Updates):
        storage.update_run_metadata(run_id, metadata)
        return
    if not storage.run_exists(run_id):
        raise RunNotFound(f"There is no run {run_id!r}, or no more: it was deleted.")
    storage.save_run_metadata(run_id, metadata)
