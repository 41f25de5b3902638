"""What the metadata say of how far a run is, made anew from its records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from themis.backends.storage.base import StorageBackend
from themis.core.progress import ProgressSnapshot
from themis.core.safe_text import storable_value
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.plan import read_earlier
from themis.evaluation.progress import counted, fitted
from themis.evaluation.report import make_summary
from themis.evaluation.session import stored_progress


def recounted(
    storage: StorageBackend, run_id: str, metadata: dict[str, Any], progress: ProgressSnapshot
) -> dict[str, Any]:
    """The metadata with a new ``summary`` and ``progress``; all else, the status too, is as it was.

    ``progress``: the one that is stored. Reads all records and writes nothing. Metadata that do not say by
    which metrics and how often was asked, or of a run that is half rescored, are given back as they are.
    """
    asked = metadata.get("asked")
    asked = asked if isinstance(asked, dict) else {}
    metrics = asked.get("metrics")
    if not isinstance(metrics, dict) or metadata.get("rescoring"):
        return metadata
    versions = {
        name: str(each.get("version")) if isinstance(each, dict) else "" for name, each in metrics.items()
    }
    aggregate = RunAggregate(versions, clustered_by_sample=asked.get("epochs") not in (None, 1))
    earlier = read_earlier(storage, run_id, aggregate, keep_hashes=False)
    for error in earlier.errors.values():
        aggregate.add(error, kept=True)
    snapshot = fitted(replace(progress, **counted(aggregate)))
    summary = storable_value(make_summary(aggregate, progress.total))
    return {**metadata, "summary": summary, "progress": stored_progress(snapshot)}
