"""What people write about a run, kept apart from what its runner writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from themis.core.errors import StoreCorrupt

NEVER_SAVED = ""
"""The version of annotations that nobody has saved yet."""


class Annotations(ABC):
    """A store in which people may write about a run while its runner writes too.

    A backend that has this derives from :class:`StorageBackend` and from this class; the library asks with
    ``isinstance``. Without it annotations lie under the key ``annotations`` of the metadata, and those of a
    live run cannot be edited.

    The document is one JSON object a run, saved whole by compare-and-set: a save names the version it was
    made from. A version is a text that means something to the store only; :data:`NEVER_SAVED` is that of a
    run without annotations. As metadata, annotations hold neither NUL nor lone surrogates. They make no run,
    go when their run is deleted, and :meth:`StorageBackend.list_summaries` brings them.
    """

    @abstractmethod
    def load_annotations(self, run_id: str) -> tuple[dict[str, Any], str]:
        """The annotations and their version; ``({}, "")`` if there are none yet.

        Raises :class:`RunNotFound` if there is no such run.
        """

    @abstractmethod
    def save_annotations(self, run_id: str, annotations: dict[str, Any], version: str) -> str:
        """Save them in place of those of ``version``; returns the new version.

        Raises :class:`Conflict`, with nothing saved, if another was faster; :class:`RunNotFound` if there is
        no such run.
        """


def annotations_in(backend: object, run_id: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """What people wrote about a run, wherever its store keeps it; ``metadata`` are the run's.

    Annotations under the metadata's key count until some are saved apart. Raises as ``load_annotations``.
    """
    if isinstance(backend, Annotations):
        apart, version = backend.load_annotations(run_id)
        if version != NEVER_SAVED:
            return apart
    within = metadata.get("annotations")
    return within if isinstance(within, dict) else {}


def annotations_apart(backend: object, run_id: str) -> dict[str, Any] | None:
    """Annotations for a run's summary; ``None`` where the metadata say all there is.

    Damaged ones hide no run: they count as none.
    """
    if not isinstance(backend, Annotations):
        return None
    try:
        apart, version = backend.load_annotations(run_id)
    except (FileNotFoundError, StoreCorrupt):
        return None
    return None if version == NEVER_SAVED else apart
