"""``themis eval``: run one evaluation here, or launch it in a process of its own."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from themis.backends.registry import default_storage, storage_named
from themis.cli import output
from themis.cli.interrupt import Interruptible
from themis.cli.progress import Reporter, reporter
from themis.cli.tables import counts_lines, metrics_table
from themis.core.entities import ExperimentReport
from themis.core.errors import ThemisError, UsageError
from themis.core.options import redacted
from themis.core.progress import ProgressSnapshot
from themis.evaluation import Place, evaluate_as
from themis.evaluation.stop import StopSignal
from themis.metrics import split_names
from themis.runs import exit_codes
from themis.runs.spec import RunSpec

_OPTION_OF = {
    "benchmark": "BENCHMARK",
    "metrics": "--metric",
    "max_workers": "--max-workers",
    "run_id": "--run-id",
    "model_id": "--model-id",
}


def evaluate(given: argparse.Namespace) -> int:
    """Run or launch what the options say."""
    spec = checked_spec(given)
    return _detached(spec, as_json=given.json) if given.detach else _here(spec, as_json=given.json)


def look_here_too(*names: str) -> None:
    """Find modules in the folder where the command was given, if one of the names is ``python:…``."""
    if not any("python:" in name for name in names):  # also the model of a judge
        return
    # Last, so that a file here stands in for nothing else: a launched run finds its module the same way.
    with suppress(FileNotFoundError):
        sys.path.append(os.getcwd())


def checked_spec(given: argparse.Namespace) -> RunSpec:
    """What the options ask for. Raises :class:`themis.cli.output.Problems` with all that is wrong."""
    problems: dict[str, str] = {}
    metrics = named_metrics(given.metric)
    if given.model is None:
        given.model = _default_model()
    look_here_too(given.model, *(metrics or []))
    spec = RunSpec(
        benchmark=given.benchmark,
        model=given.model,
        prompt=_prompt(given.prompt, problems),
        system=given.system,
        metrics=metrics,
        sampling=_pairs("--sampling", given.sampling, _json_or_text, problems),
        limit=given.limit,
        epochs=given.epochs,
        storage=given.storage,
        executor=given.executor,
        run_id=given.run_id,
        resume=not given.no_resume,
        timeout=given.timeout,
        max_workers=given.max_workers,
        seed=given.seed,
        budget=_pairs("--budget", given.budget, _finite, problems),
        model_id=given.model_id,
    )
    for name, message in spec.problems().items():
        problems.setdefault(_OPTION_OF.get(name, f"--{name}"), message)
    if problems:
        raise output.Problems(problems)
    return spec


def _default_model() -> str:
    from themis.models import default_model

    model = default_model()
    if model is None:
        raise UsageError(
            "Name a model: --model NAME. Or make an endpoint of your profiles the default: themis profiles "
            "default."
        )
    return model


def _prompt(given: str | None, problems: dict[str, str]) -> str | None:
    """The prompt itself: ``@FILE`` is what stands in a file, ``@@`` an at sign."""
    if given is None or not given.startswith("@"):
        return given
    if given.startswith("@@"):
        return given[1:]
    try:
        return Path(given[1:]).expanduser().read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, ValueError, RuntimeError) as exc:
        problems["--prompt"] = f"the file {given[1:]!r:.200} cannot be read ({exc}). For an at sign write @@."
        return None


def named_metrics(given: list[str] | None) -> list[str] | None:
    """The metrics of an option that may be given several times, and may name several each time."""
    values = given or []
    if len(values) == 1:
        return split_names(values[0]) or None
    # Of several, one with options is one metric, whatever commas are in it.
    names = [name for each in values for name in ([each.strip()] if "?" in each else split_names(each))]
    return names or None


def _pairs(option: str, given: list[str], convert: Any, problems: dict[str, str]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            problems[option] = f"{each!r:.100} is not of the form name=value"
        elif name in pairs:
            problems[option] = f"{name!r:.100} is given twice"
        else:
            try:
                pairs[name] = convert(value)
            except ValueError:
                problems[option] = f"{each!r:.100}: {value!r:.100} is not a number"
    return pairs


def _finite(value: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value, parse_constant=_refuse_constant)
    except ValueError:
        return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _here(spec: RunSpec, *, as_json: bool) -> int:
    session = _Session(spec, reporter(as_json=as_json))
    try:
        with closing(session.reporter):
            report, signalled = session.run()
    except ThemisError as exc:
        if session.run_id is not None and not as_json:
            exc.add_note(resume_line(spec, session.run_id))
        raise
    code = exit_codes.code_of_status(report.status)
    if report.status == "paused" and signalled == "SIGINT":
        code = exit_codes.INTERRUPTED
    try:
        if as_json:
            output.say_json(report.to_dict())
        else:
            _say_result(spec, report, session.snapshot)
        sys.stdout.flush()
    except BrokenPipeError:
        from themis.cli.main import silence_stdout

        silence_stdout()
    return code


class _Session:
    """One evaluation in this process, and what is known of it from outside."""

    def __init__(self, spec: RunSpec, tell: Reporter) -> None:
        self.reporter = tell
        self.run_id: str | None = None
        self.snapshot: ProgressSnapshot | None = None
        self._spec = spec
        self._stop = StopSignal()

    def run(self) -> tuple[ExperimentReport, str | None]:
        """The report, and the name of the signal that ended the run early, if one did."""
        work = Interruptible(self._evaluate, self._stop, self.reporter.notice)
        report: ExperimentReport = work.result()
        return report, work.signalled

    def _evaluate(self) -> ExperimentReport:
        return evaluate_as(
            Place(on_start=self._started),
            **self._spec.arguments(),
            cancel=self._stop,
            on_progress=self._progressed,
        )

    def _started(self, metadata: dict[str, Any]) -> None:
        self.run_id = metadata["run_id"]
        self.reporter.start(metadata)

    def _progressed(self, snapshot: ProgressSnapshot) -> None:
        self.snapshot = snapshot
        self.reporter.update(snapshot)


def _say_result(spec: RunSpec, report: ExperimentReport, last: ProgressSnapshot | None) -> None:
    address = output.address(spec.storage or default_storage(), report.run_id)
    output.say(metrics_table(report.metrics))
    output.say()
    for line in counts_lines(report, last.total if last is not None else None):
        output.say(line)
    if report.status != "completed":
        reason = last.status_reason if last is not None else None
        output.say(f"{report.status}{': ' + output.cut(reason, 200) if reason else ''}")
    output.say(f"run     {address}")
    if _is_memory(spec.storage):
        output.say("        kept in memory only: it is gone with this process; --storage NAME keeps a run")
        return
    output.say(f"look    {output.pasted(shlex.join(['themis', 'runs', 'show', address]))}")
    if report.status != "completed":
        spent = last is not None and (last.status_reason or "").startswith("budget")
        output.say(resume_line(replace(spec, budget={}) if spent else spec, report.run_id))


def resume_line(spec: RunSpec, run_id: str) -> str:
    """The command that goes on with a run."""
    storage = None if spec.storage is None else redacted(spec.storage)
    command = replace(spec, run_id=run_id, resume=True, storage=storage).command()
    return f"resume  {output.pasted(command)}"


def _is_memory(storage: str | None) -> bool:
    return storage_named(storage).base == "memory"


def _detached(spec: RunSpec, *, as_json: bool) -> int:
    from themis.runs.launch import launch

    launched = launch(spec)
    # From any folder: the runner's own name of the store.
    store = spec.detachable().storage or default_storage()
    address = output.address(store, launched.run_id)
    if as_json:
        output.say_json(
            {
                "address": address,
                "store": redacted(store),
                "run_id": launched.run_id,
                "pid": launched.pid,
                "log": str(launched.log),
            }
        )
        return exit_codes.DONE
    output.say(f"run     {address}")
    output.say(f"process {launched.pid}")
    output.say(f"log     {launched.log}")
    output.say(f"watch   {output.pasted(shlex.join(['themis', 'runs', 'watch', address]))}")
    return exit_codes.DONE
