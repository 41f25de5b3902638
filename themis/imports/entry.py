"""``import_file``: whichever tool's log it is, its runs in a store."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from themis import __version__
from themis.backends.storage.base import StorageBackend
from themis.core.entities import SCHEMA_VERSION
from themis.core.errors import RunConflict
from themis.core.run_ids import slug
from themis.core.safe_text import storable_value
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.report import make_report, make_summary
from themis.imports import inspect_log, lm_eval
from themis.imports.outside_run import NotImportable, OutsideRun, Pair

AT_ONCE = 500
"""Records saved in one batch."""


@dataclass(frozen=True)
class Imported:
    """One run that is in the store now."""

    run_id: str
    tool: str
    tool_version: str | None
    samples: int
    """Outcomes, with every epoch."""
    errors: int
    already: bool
    """Whether it was there before, from the same files: nothing was written."""
    metrics: dict[str, float | None]
    """Metric to mean over the answers that were scored."""
    reported: dict[str, float]
    """The same as the tool itself reports it."""


def import_file(backend: StorageBackend, path: Path) -> list[Imported]:
    """Bring the runs of a log into a store.

    Importing the same file again changes nothing; a log that has grown brings what is new under the same run
    id. Only what the log says is read: nothing it names is opened, loaded or asked.

    Raises :class:`NotImportable` for a file that is no such log or beyond a bound, :class:`RunConflict` if a
    run that was not imported has the id.
    """
    try:
        return [_imported(backend, run) for run in outside_runs(path)]
    except RecursionError as exc:
        raise NotImportable(f"{path.name} holds values nested too deep.") from exc


def outside_runs(path: Path) -> list[OutsideRun]:
    """The runs in a file. Raises :class:`NotImportable`, ``OSError``."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        return [inspect_log.read_archive(path)]
    if lm_eval.is_samples(path):
        results = lm_eval.results_beside(path)
        return lm_eval.read_results(inspect_log.read_json(results), results, only=path)
    document = inspect_log.read_json(path)
    if inspect_log.is_log(document):
        return [inspect_log.read_document(document, path)]
    if lm_eval.is_results(document):
        return lm_eval.read_results(document, path)
    raise NotImportable(
        f"{path.name} is neither a log of Inspect AI (.eval, .json) nor results of lm-eval (results_….json)."
    )


def run_id_of(run: OutsideRun) -> str:
    """The id under which a run of another tool is kept: the same for the same run."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(run.created_at or 0))
    uid = _uid(run)
    model = str(run.asked["model"]["name"])
    return f"{stamp}-{slug(str(run.asked['benchmark']), 24)}-{slug(model, 28)}-{uid[:6]}"


def _uid(run: OutsideRun) -> str:
    return hashlib.sha256(f"{run.tool}\n{run.identity}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _imported(backend: StorageBackend, run: OutsideRun) -> Imported:
    run_id = run_id_of(run)
    digest = _digest(run.files)
    before = _metadata(backend, run_id)
    told = before.get("imported") if isinstance(before.get("imported"), dict) else None
    if before and (told is None or before.get("uid") != _uid(run)):
        raise RunConflict(f"There is a run {run_id} already that was not imported from {run.files[0].name}.")
    if told is not None and told.get("sha256") == digest and before.get("status") == "completed":
        return _outcome(run, run_id, before, already=True)
    metadata = _new_metadata(run, run_id, digest)
    backend.save_run_metadata(run_id, metadata)
    aggregate, metrics = _saved(backend, run_id, run)
    backend.flush()
    metadata["asked"]["metrics"] = metrics
    ended = "completed" if run.status == "success" else "failed"
    reason = None if ended == "completed" else f"{run.tool} says: {run.status}"
    metadata.update(status=ended, status_reason=reason, updated_at=time.time())
    metadata["summary"] = make_summary(aggregate, aggregate.done)
    metadata["progress"] = None
    metadata = storable_value(metadata)
    backend.save_report(run_id, make_report(run_id, ended, metadata, aggregate))
    backend.save_run_metadata(run_id, metadata)
    backend.flush()
    return _outcome(run, run_id, metadata, already=False)


def _saved(backend: StorageBackend, run_id: str, run: OutsideRun) -> tuple[RunAggregate, dict[str, Any]]:
    """Save all pairs; what they come to, and the metrics they have."""
    metrics = dict(run.asked["metrics"])
    aggregate = RunAggregate({}, clustered_by_sample=run.asked["epochs"] > 1)
    for batch in _batches(run.pairs):
        backend.save_generation_records(run_id, [generation for generation, _ in batch])
        backend.save_evaluation_records(run_id, [evaluation for _, evaluation in batch])
        for generation, evaluation in batch:
            for name, version in evaluation.metric_versions.items():
                if name not in aggregate.metrics:
                    _add_metric(aggregate, name, version)
                    metrics.setdefault(name, {"version": version, "params": {}})
            aggregate.add(evaluation)
            aggregate.add_usage(generation)
    return aggregate, {name: metrics[name] for name in metrics if name in aggregate.metrics}


def _add_metric(aggregate: RunAggregate, name: str, version: str) -> None:
    from themis.evaluation.aggregate import MetricAggregate

    aggregate.metrics[name] = MetricAggregate(version)
    # Outcomes before the first that names it had no score of it.
    aggregate.metrics[name].errors = aggregate.done - aggregate.answered


def _batches(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
    while batch := list(islice(pairs, AT_ONCE)):
        yield batch


def _new_metadata(run: OutsideRun, run_id: str, digest: str) -> dict[str, Any]:
    now = time.time()
    made: dict[str, Any] = storable_value(
        {
            "run_id": run_id,
            "schema_version": SCHEMA_VERSION,
            "uid": _uid(run),
            "status": "failed",
            "status_reason": "its import was not finished; import the file again",
            "created_at": run.created_at or now,
            "started_at": run.started_at,
            "ended_at": run.ended_at,
            "updated_at": now,
            "asked": dict(run.asked),
            "asked_hash": None,
            "where": {"executor": run.tool, "themis": __version__},
            "imported": {
                "tool": run.tool,
                "version": run.tool_version,
                "identity": run.identity,
                "status": run.status,
                "files": [each.name for each in run.files],
                "sha256": digest,
                "reported": run.reported,
                "at": now,
            },
            "audit": [],
        }
    )
    return made


def _outcome(run: OutsideRun, run_id: str, metadata: dict[str, Any], *, already: bool) -> Imported:
    summary = metadata.get("summary") or {}
    metrics = summary.get("metrics") or {}
    return Imported(
        run_id,
        run.tool,
        run.tool_version,
        int(summary.get("done") or 0),
        int(summary.get("errors") or 0),
        already,
        {name: each.get("mean") for name, each in metrics.items()},
        run.reported,
    )


def _metadata(backend: StorageBackend, run_id: str) -> dict[str, Any]:
    try:
        return backend.load_run_metadata(run_id)
    except FileNotFoundError:
        return {}


def _digest(files: list[Path]) -> str:
    made = hashlib.sha256()
    for each in files:
        with each.open("rb") as file:
            while piece := file.read(1 << 20):
                made.update(piece)
    return made.hexdigest()
