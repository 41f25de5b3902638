"""What is wrong with stored runs, and what of it can be mended without losing anything.

Nothing that was answered is ever removed or rewritten here: a repair finishes what somebody began (a
deletion), removes what no reader looks at (temporary files of killed writers), or makes anew what can be made
anew (the index of a local store). Everything else is said, with the command that mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from themis.backends.storage.annotations import annotations_in
from themis.core.current import generation_key, matches
from themis.core.entities import EvaluationRecord
from themis.core.errors import RunNotFound, StorageError, StoreCorrupt, ThemisError, described
from themis.core.options import redacted
from themis.runs.annotations import seen
from themis.runs.catalog import Store
from themis.runs.copy import COPYING
from themis.runs.purge import half_purged, purge
from themis.runs.purge_log import begun_purges
from themis.runs.recover import kept, recover, set_aside
from themis.runs.trash import expires_at, trash_of
from themis.runs.watch import RunView

PROBLEM, NOTE = "problem", "note"
_MOST_NAMED = 5


class Finding(NamedTuple):
    """One thing that was found."""

    kind: str
    """Such as ``unscored`` or ``unfinished-delete``."""
    level: str
    """``problem``, or ``note`` for what is worth knowing and harms nothing."""
    said: str
    mend: str
    """What mends it, or why nothing needs to be."""
    repair: Callable[[], None] | None = None
    """What ``--fix`` does; ``None`` where that is left to a person."""


@dataclass
class RunHealth:
    """One run, looked through from end to end."""

    run_id: str
    status: str
    counts: dict[str, int] = field(default_factory=dict)
    """``generations``, ``answers``, ``errors``, ``evaluations``, ``stale``, ``unscored``, ``orphaned``; where
    the store can tell also ``superseded``, ``files`` and ``bytes``."""
    findings: list[Finding] = field(default_factory=list)


@dataclass
class StoreHealth:
    """A store as a whole."""

    store: str
    runs: int
    findings: list[Finding] = field(default_factory=list)


OnRun = Callable[[RunHealth], None]


def examine_store(store: Store) -> StoreHealth:
    """What is wrong with a store apart from its single runs. Raises :class:`StorageError`."""
    health = StoreHealth(store.name, len(store.backend.list_runs()))
    for run_id in half_purged(store):
        health.findings.append(_half_purged(store, run_id))
    for run_id, line in begun_purges(store).items():
        if run_id not in half_purged(store):
            finding = _begun_purge(store, run_id, line)
            if finding is not None:
                health.findings.append(finding)
    health.findings += _of_journal(store)
    stale = getattr(store.backend, "stale_in_index", None)
    if stale is not None and (differing := stale()):
        said = f"the index says something else than the store of {_named(differing)}"
        health.findings.append(
            Finding("index", PROBLEM, said, "it is made anew", store.backend.rebuild_index)  # type: ignore[attr-defined]
        )
    return health


def _of_journal(store: Store) -> Iterator[Finding]:
    waiting = [each for each in kept(store) if not each.living]
    if waiting:
        said = f"{sum(each.size for each in waiting):,} bytes of records of "
        said += f"{_named([each.run_id for each in waiting])} wait on this machine; their process ended"
        yield Finding("unsent", PROBLEM, said, "they are sent", lambda: _send(store))
    aside = set_aside(store)
    if aside:
        said = f"records of {_named([each.run_id for each in aside])} were set aside: {aside[0].why}"
        yield Finding("set-aside", NOTE, said, f"look at {aside[0].path.parent}, and remove it")


def _send(store: Store) -> None:
    recover(store)


def examine_runs(store: Store, run_ids: Iterable[str]) -> Iterator[RunHealth]:
    """Look runs through, one by one. Raises :class:`RunNotFound` for one that is not there."""
    for run_id in run_ids:
        yield examine_run(store, run_id)


def examine_run(store: Store, run_id: str) -> RunHealth:
    """Look one run through, every record of it. Raises :class:`RunNotFound` if there is none."""
    view = seen(store.backend, run_id)
    health = RunHealth(run_id, view.status.word)
    if view.status.word == "unreadable":
        why = view.status.reason or ""
        health.findings.append(
            Finding("metadata", PROBLEM, why, "restore run.json from a copy, or purge the run")
        )
    health.findings += _of_metadata(store, view)
    try:
        health.findings += _of_records(store, view, health.counts)
    except StorageError as exc:
        health.counts.clear()
        health.findings.append(
            Finding("records", PROBLEM, str(exc), "what is damaged is left as it is: no repair can know it")
        )
    health.findings += _of_files(store, view, health.counts)
    if not view.status.live:
        health.findings += _of_report(store, view, health.counts)
    if COPYING in view.metadata:
        # What is missing is not there yet; a resume would be refused.
        health.findings = [
            each._replace(mend="the same copy again completes it") if "resume" in each.mend else each
            for each in health.findings
        ]
    return health


def repair(findings: Iterable[Finding]) -> list[tuple[Finding, str | None]]:
    """Mend what can be; each with why it could not be, or ``None`` if it was."""
    results: list[tuple[Finding, str | None]] = []
    for finding in findings:
        if finding.repair is None:
            continue
        try:
            finding.repair()
            results.append((finding, None))
        except (ThemisError, OSError) as exc:
            results.append((finding, described(exc)))
    return results


def _half_purged(store: Store, run_id: str) -> Finding:
    # Nothing of it can be had any more, so whoever began it did no more than this.
    said = f"{run_id} was deleted for good, and not swept to the end"
    return _unfinished(store, run_id, said, ours=True)


def _begun_purge(store: Store, run_id: str, line: dict[str, Any]) -> Finding | None:
    said = f"the deletion of {run_id}, begun by {line.get('by')}, did not come to its end"
    if not store.backend.run_exists(run_id):
        return Finding("unfinished-delete", PROBLEM, said, "it is verified", _purging(store, run_id))
    uid = seen(store.backend, run_id).metadata.get("uid")
    if uid is not None and uid != line.get("uid"):
        return None  # another run of that id, made since
    if uid is None:
        # It may be another's run, made since; a person knows.
        return Finding("unfinished-delete", PROBLEM, said, f"themis runs purge {store.address(run_id)}")
    return Finding("unfinished-delete", PROBLEM, said, "the deletion is finished", _purging(store, run_id))


def _unfinished(store: Store, run_id: str, said: str, *, ours: bool) -> Finding:
    """``ours``: begun on this machine, where a protected store had its name typed."""
    if store.protected and not ours:
        mend = f"themis runs purge {store.address(run_id)} --confirm {redacted(store.name)}"
        return Finding("unfinished-delete", PROBLEM, said, mend)
    return Finding("unfinished-delete", PROBLEM, said, "the deletion is finished", _purging(store, run_id))


def _purging(store: Store, run_id: str) -> Callable[[], None]:
    def finish() -> None:
        # What was begun had the store's name typed then.
        purge(store, run_id, confirm=store.name)

    return finish


def _of_metadata(store: Store, view: RunView) -> Iterator[Finding]:
    run_id, metadata = view.run_id, view.metadata
    if view.status.word == "unknown":
        yield Finding("orphan", PROBLEM, "it has no metadata", "resume it with what it asked, or purge it")
    if COPYING in metadata:
        origin = metadata[COPYING].get("from") if isinstance(metadata[COPYING], dict) else "?"
        yield Finding(
            "half-copy",
            PROBLEM,
            f"it is half a copy of {origin}",
            f"make the same copy again, or: themis runs purge {store.address(run_id)}",
        )
    half = metadata.get("rescoring")
    if isinstance(half, dict) and not view.status.live:
        from themis.evaluation.plan import rescoring_command  # hardly any run needs it

        metrics = half.get("metrics")
        command = rescoring_command(run_id, metrics if isinstance(metrics, dict) else {})
        yield Finding("half-rescored", PROBLEM, "its scores are partly new", command)
    if view.status.word == "crashed":
        mend = "resume it, which says so first; nothing is marked here"
        yield Finding("crashed", NOTE, view.status.reason or "its process is gone", mend)
    yield from _of_trash(store, view)


def _of_trash(store: Store, view: RunView) -> Iterator[Finding]:
    try:
        trash = trash_of(annotations_in(store.backend, view.run_id, view.metadata))
    except StoreCorrupt as exc:
        yield Finding("annotations", PROBLEM, str(exc), "mend that file by hand, or remove it")
        return
    if trash is None:
        return
    if "purging" in trash:
        said = f"{trash.get('by')} began to delete it for good"
        yield _unfinished(store, view.run_id, said, ours=view.run_id in begun_purges(store))
    elif expires_at(trash) is None:
        yield Finding(
            "trash",
            PROBLEM,
            "it lies in the trash, and nothing says until when",
            f"themis runs restore {store.address(view.run_id)}, or purge it",
        )
    else:
        yield Finding(
            "trash", NOTE, f"it lies in the trash, by {trash.get('by')}", "gc removes it in its time"
        )


def _of_records(store: Store, view: RunView, counts: dict[str, int]) -> Iterator[Finding]:
    evaluations: dict[str, EvaluationRecord] = store.backend.load_evaluation_records(view.run_id)
    counts |= dict.fromkeys(("generations", "answers", "errors", "stale", "unscored"), 0)
    counts["evaluations"] = len(evaluations)
    stale: list[str] = []
    unscored: list[str] = []
    for generation in store.backend.iter_generation_records(view.run_id):
        counts["generations"] += 1
        counts["answers" if generation.error is None else "errors"] += 1
        evaluation = evaluations.pop(generation_key(generation), None)
        if evaluation is None:
            unscored.append(generation.id)
        elif not matches(evaluation, generation):
            stale.append(generation.id)
    counts |= {"stale": len(stale), "unscored": len(unscored), "orphaned": len(evaluations)}
    # While a run goes on, an answer is there before its scores.
    level = NOTE if view.status.live else PROBLEM
    resume = "resume the run: that scores what is stored, and asks nothing twice"
    if unscored:
        yield Finding("unscored", level, f"{len(unscored)} without scores: {_named(unscored)}", resume)
    if stale:
        yield Finding("stale", level, f"{len(stale)} scored before the last attempt: {_named(stale)}", resume)
    if evaluations:
        yield Finding(
            "orphaned",
            level,
            f"{len(evaluations)} scores without an answer: {_named(evaluations)}",
            "they count nowhere; resume the run to have the answers",
        )
    yield from _of_summary(view, counts)


def _of_summary(view: RunView, counts: dict[str, int]) -> Iterator[Finding]:
    summary = view.metadata.get("summary")
    done = summary.get("done") if isinstance(summary, dict) else None
    if isinstance(done, int) and view.status.word == "completed" and done != counts["generations"]:
        stored = counts["generations"]
        kind = "orphan" if stored == 0 else "summary"
        said = f"its metadata say {done:,} outcomes; {stored:,} are stored"
        yield Finding(kind, PROBLEM, said, "resume the run: that asks what is missing")


def _of_report(store: Store, view: RunView, counts: dict[str, int]) -> Iterator[Finding]:
    try:
        report = store.backend.load_report(view.run_id)
    except RunNotFound:
        if view.status.word == "completed" and view.metadata.get("summary"):
            yield Finding(
                "report", PROBLEM, "it is completed and has no report", "resume the run: that writes one"
            )
        return
    except StorageError as exc:
        yield Finding("report", PROBLEM, str(exc), "resume the run: that writes a new one")
        return
    asked = report.counts.get("asked") if isinstance(report.counts, dict) else None
    if (
        view.status.word == "completed"
        and "generations" in counts
        and asked not in (None, counts["generations"])
    ):
        said = f"its report counts {asked}; {counts['generations']:,} are stored"
        yield Finding("report", PROBLEM, said, "resume the run: that writes a new one")


def _of_files(store: Store, view: RunView, counts: dict[str, int]) -> Iterator[Finding]:
    look_at = getattr(store.backend, "anatomy_of", None)
    if look_at is None:
        return
    anatomy = look_at(view.run_id)
    counts |= {"files": anatomy.files, "bytes": anatomy.bytes}
    if "generations" in counts:
        current = counts["generations"] + counts["evaluations"]
        counts["superseded"] = max(0, sum(anatomy.lines.values()) - current)
    if anatomy.torn and not view.status.live:
        total = sum(anatomy.torn.values())
        yield Finding(
            "torn",
            NOTE,
            f"{len(anatomy.torn)} files end in an unfinished line ({total:,} bytes): {_named(anatomy.torn)}",
            "every reader passes it over, and a file is never rewritten; resume the run to ask it again",
        )
    if anatomy.strays:
        yield Finding(
            "stray",
            PROBLEM,
            f"{len(anatomy.strays)} temporary files of killed writers: {_named(anatomy.strays)}",
            "they are removed",
            _sweeping(store, view.run_id),
        )
    if anatomy.unknown:
        said = f"files that are none of Themis's: {_named(anatomy.unknown)}"
        yield Finding("unknown", NOTE, said, "they are left alone, and go with the run")


def _sweeping(store: Store, run_id: str) -> Callable[[], None]:
    def sweep() -> None:
        store.check_writable("repairing runs")
        store.backend.sweep_strays(run_id)  # type: ignore[attr-defined]

    return sweep


def _named(names: Iterable[str]) -> str:
    """The first few, and how many more."""
    all_names = list(names)
    more = len(all_names) - _MOST_NAMED
    shown = ", ".join(str(each)[:60] for each in all_names[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
