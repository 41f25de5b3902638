"""``themis runs rescore``: stored answers scored anew, by other metrics or new versions of them."""

from __future__ import annotations

import argparse
import shlex
from contextlib import closing
from typing import Any

from themis.cli import output
from themis.cli.eval import look_here_too, named_metrics
from themis.cli.interrupt import Interruptible
from themis.cli.progress import Reporter, reporter
from themis.cli.tables import change_table
from themis.core.errors import StoreReadonly, ThemisError, UsageError
from themis.core.options import redacted
from themis.evaluation import Rescored, RescoringPlan, plan_rescoring, rescore
from themis.evaluation.stop import StopSignal
from themis.runs import exit_codes
from themis.runs.catalog import Store, find_run


def rescore_run(given: argparse.Namespace) -> int:
    """Score the answers of a run anew, or say what would be scored."""
    names = named_metrics(given.metric)
    if names is None:
        raise UsageError("--metrics names no metric.")
    look_here_too(*names)
    store, run_id = find_run(given.run, given.storage)
    command = _command(given, names)
    if given.dry_run:
        _say_plan(plan_rescoring(run_id, metrics=names, storage=store.name), store, as_json=given.json)
        return exit_codes.DONE
    try:
        rescored, signalled = _rescored(given, names, store, run_id)
    except ThemisError as exc:
        if isinstance(exc, (UsageError, StoreReadonly)) or given.json:
            raise
        exc.add_note(f"again   {command}")
        raise
    if given.json:
        output.say_json(as_object(rescored, store))
    else:
        _say_rescored(rescored, store, command)
    if rescored.finished:
        return exit_codes.DONE
    return exit_codes.INTERRUPTED if signalled == "SIGINT" else exit_codes.PAUSED


def _rescored(
    given: argparse.Namespace, names: list[str], store: Store, run_id: str
) -> tuple[Rescored, str | None]:
    """What came of it, and the name of the signal that ended it early, if one did."""
    stop = StopSignal()
    tell: Reporter = reporter(as_json=given.json)

    def work() -> Rescored:
        return rescore(
            run_id,
            metrics=names,
            storage=store.name,
            executor=given.executor,
            max_workers=given.max_workers,
            on_progress=tell.update,
            on_start=tell.start,
            cancel=stop,
        )

    with closing(tell):
        doing = Interruptible(work, stop, tell.notice)
        return doing.result(), doing.signalled


def as_object(rescored: Rescored, store: Store) -> dict[str, Any]:
    """A rescoring as ``--json`` shows it."""
    plan, report = rescored.plan, rescored.report
    return {
        "address": output.address(store.name, plan.run_id),
        "run_id": plan.run_id,
        "finished": rescored.finished,
        "status": report.status,
        **_counts(plan),
        "metrics": {
            name: {"before": rescored.before.get(name), "after": after}
            for name, after in report.metrics.items()
        },
        "unscored": {
            name: {"count": count, "reason": reason} for name, (count, reason) in rescored.unscored.items()
        },
        "report": report.to_dict(),
    }


def _counts(plan: RescoringPlan) -> dict[str, int]:
    return {name: getattr(plan, name) for name in ("answers", "errors", "kept", "unknown")}


def _say_rescored(rescored: Rescored, store: Store, command: str) -> None:
    plan, report = rescored.plan, rescored.report
    output.say(change_table(rescored.before, report.metrics))
    output.say()
    counts = report.counts
    errors = f"; {output.plural(counts['errors'], 'error')} without a score" if counts["errors"] else ""
    done = output.plural(counts["answered"], "answer")
    output.say(f"scored  {done}{errors}" if rescored.finished else f"scored  {done} so far{errors}")
    for name, (count, reason) in rescored.unscored.items():
        why = "" if reason is None else f": {output.cut(str(reason), 200)}"
        output.say(f"        {output.cut(name, 40)} gave {output.plural(count, 'answer')} no score{why}")
    _say_unknown(plan)
    if not rescored.finished:
        output.say(f"{report.status}: the run is half rescored, and cannot be resumed until this is complete")
    address = output.address(store.name, plan.run_id)
    output.say(f"run     {address}")
    if rescored.finished:
        output.say(f"look    {output.pasted(shlex.join(['themis', 'runs', 'show', address]))}")
    else:
        output.say(f"again   {output.pasted(command)}")


def _say_plan(plan: RescoringPlan, store: Store, *, as_json: bool) -> None:
    if as_json:
        versions = {name: {"before": old, "after": new} for name, (old, new) in plan.metrics.items()}
        address = output.address(store.name, plan.run_id)
        output.say_json({"would_rescore": address, "metrics": versions, **_counts(plan)})
        return
    rows = [
        (name, "new" if old is None else "replaced", old or output.UNKNOWN, new)
        for name, (old, new) in plan.metrics.items()
    ]
    output.say(output.table(("METRIC", "WOULD BE", "VERSION", "TO COME"), rows))
    output.say()
    kept = f"; {output.count(plan.kept)} more are scored already" if plan.kept else ""
    errors = f"; {output.plural(plan.errors, 'error')} would get no score" if plan.errors else ""
    output.say(f"{output.plural(plan.answers, 'answer')} would be scored{errors}{kept}")
    _say_unknown(plan)


def _say_unknown(plan: RescoringPlan) -> None:
    if plan.unknown:
        left = output.plural(plan.unknown, "answer")
        output.say(f"        {left} left out, never scored, so that no reference is known: resume the run")


def _command(given: argparse.Namespace, names: list[str]) -> str:
    words = [
        "themis",
        "runs",
        "rescore",
        redacted(given.run),
        *(f"--metric={redacted(each)}" for each in names),
    ]
    for option in ("storage", "executor", "max_workers"):
        value = getattr(given, option)
        if value is not None:
            words += [f"--{option.replace('_', '-')}", redacted(str(value))]
    return shlex.join(words)
