"""``themis runs show``: a run, its samples, one sample whole."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from themis.backends.storage.annotations import annotations_in
from themis.cli import output
from themis.cli.progress import ahead
from themis.cli.tables import counts_lines, kept_for, metrics_table
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import RunNotFound, UsageError
from themis.core.options import redacted
from themis.core.safe_text import safe_text
from themis.runs import exit_codes
from themis.runs.annotations import annotations_of, tags_of
from themis.runs.catalog import Store, find_run
from themis.runs.recover import kept
from themis.runs.samples import ERROR, PARTLY, RIGHT, UNSCORED, WRONG, SampleRow, sample_rows
from themis.runs.trash import trash_of
from themis.runs.watch import RunView, look, sample_records

_VERDICTS = {"all": {RIGHT, PARTLY, WRONG, ERROR, UNSCORED}, "wrong": {PARTLY, WRONG}, "errors": {ERROR}}
_MOST_TAGS = 20
_MOST_ID, _MOST_TEXT = 40, 32


def show_run(given: argparse.Namespace) -> int:
    """Print a run, a list of its samples, or one of them."""
    store, run_id = find_run(given.run, given.storage)
    if given.sample is not None:
        _show_sample(store, run_id, given.sample, as_json=given.json)
    elif given.audit:
        _show_audit(store, run_id, as_json=given.json)
    elif given.samples is not None:
        _show_samples(store, run_id, given.samples, as_json=given.json)
    else:
        _show_summary(store, run_id, as_json=given.json)
    return exit_codes.DONE


def _show_summary(store: Store, run_id: str, *, as_json: bool) -> None:
    view = look(store.backend, run_id)
    report = _report(store, view)
    if as_json:
        output.say_json(
            {
                "address": output.address(store.name, run_id),
                "status": view.status.word,
                "reason": view.status.reason,
                "metadata": view.metadata,
                "annotations": annotations_in(store.backend, run_id, view.metadata),
                "unsent_bytes": _unsent(store, run_id),
                "progress": view.progress.__dict__ if view.progress is not None else None,
                "report": report.to_dict() if report is not None else None,
            }
        )
        return
    for name, value in _facts(store, view, report):
        output.say(f"{name:<10} {output.cut(value, 240)}")
    output.say()
    if report is not None:
        _say_report(report)
    else:
        _say_unfinished(view)


def _show_audit(store: Store, run_id: str, *, as_json: bool) -> None:
    audit = annotations_of(store.backend, run_id).get("audit")
    lines = [line for line in audit if isinstance(line, dict)] if isinstance(audit, list) else []
    if as_json:
        output.say_json(lines)
        return
    if lines:
        rows = [(output.moment(line.get("at")), str(line.get("by")), str(line.get("did"))) for line in lines]
        output.say(output.table(("WHEN", "WHO", "WHAT"), rows, most=160))
    else:
        output.note(f"Nobody changed anything in {output.cut(output.address(store.name, run_id), 120)}.")


def _report(store: Store, view: RunView) -> ExperimentReport | None:
    """The report of a completed run; one from before it was carried on is out of date."""
    if view.status.word != "completed":
        return None
    try:
        return store.backend.load_report(view.run_id)
    except RunNotFound:
        return None


def _unsent(store: Store, run_id: str) -> int:
    """Bytes of records of a run that wait on this machine for their store."""
    return sum(each.size for each in kept(store, run_id))


def _notes(store: Store, view: RunView) -> Iterator[tuple[str, str]]:
    """What people say of it."""
    notes = annotations_in(store.backend, view.run_id, view.metadata)
    trash = trash_of(notes)
    if trash is not None:
        since = f"{output.age(trash.get('at'))}, by {trash.get('by')}"
        address = store.address(view.run_id)
        yield "in trash", f"for {since}; {kept_for(trash)}; themis runs restore {address} brings it back"
    for field in ("name", "notes"):
        if notes.get(field):
            yield field, str(notes[field])
    if tags_of(notes):
        yield "tags", " ".join(tags_of(notes))
    if notes.get("pinned") is True:
        yield "pinned", "yes"


def _facts(store: Store, view: RunView, report: ExperimentReport | None) -> Iterator[tuple[str, str]]:
    metadata = view.metadata
    asked, where = _dict(metadata, "asked"), _dict(metadata, "where")
    yield "run", output.address(store.name, view.run_id)
    word, reason = view.status
    yield "status", f"{word}: {reason}" if reason else word
    yield from _notes(store, view)
    waiting = 0 if view.status.live else _unsent(store, view.run_id)
    if waiting:
        # The command last: whoever pastes it takes the rest of the line.
        in_store = ["--storage", redacted(store.name)]
        mend = output.pasted(shlex.join(["themis", "runs", "recover", view.run_id, *in_store]))
        yield "unsent", f"{output.size(waiting)} wait on this machine for the store; send them: {mend}"
    half = _dict(metadata, "rescoring")
    if half and not view.status.live:
        from themis.evaluation.plan import rescoring_command  # hardly any run needs it

        command = rescoring_command(view.run_id, _dict(half, "metrics"))
        yield "unfinished", f"scores are partly new; {command} completes them"
    if asked.get("benchmark"):
        limit = f", the first {output.count(asked['limit'])}" if asked.get("limit") else ""
        epochs = f", {asked['epochs']} times each" if asked.get("epochs") not in (None, 1) else ""
        yield "benchmark", f"{asked['benchmark']}{limit}{epochs}"
    model = _dict(asked, "model")
    if model.get("name"):
        at = f" at {model['base_url']}" if model.get("base_url") else ""
        yield "model", f"{where.get('model') or model['name']}{at}"
    if asked.get("sampling"):
        yield "sampling", output.to_json(asked["sampling"])
    if asked.get("system"):
        yield "system", str(asked["system"])
    template = _dict(asked, "prompt").get("template")
    if template:
        yield "prompt", template if isinstance(template, str) else output.to_json(template)
    if output.is_number(metadata.get("created_at")):
        yield "created", f"{output.moment(metadata['created_at'])}, {output.age(metadata['created_at'])} ago"
    if report is not None and output.is_number(report.timing.get("wall_s")):
        yield "took", f"{output.duration(report.timing['wall_s'])}{_latencies(report.timing)}"
    if where.get("host"):
        detached = ", detached" if where.get("detached") else ""
        yield (
            "where",
            f"process {where.get('pid')} on {where['host']}, executor {where.get('executor')}{detached}",
        )
    if report is not None and report.usage:
        cost = f", cost {report.cost:g}" if output.is_number(report.cost) else ""
        used = ", ".join(f"{output.count(number)} {name}" for name, number in report.usage.items())
        yield "used", f"{used}{cost}".replace("_", " ")


def _latencies(timing: Mapping[str, Any]) -> str:
    p50, p95 = timing.get("latency_p50_s"), timing.get("latency_p95_s")
    if not (output.is_number(p50) and output.is_number(p95)):
        return ""
    return f"; an answer {output.duration(p50)} (median), {output.duration(p95)} (95 of 100 within)"


def _say_report(report: ExperimentReport) -> None:
    output.say(metrics_table(report.metrics))
    output.say()
    for line in counts_lines(report):
        output.say(line)
    if report.by_tag:
        output.say()
        _say_tags(report)


def _say_tags(report: ExperimentReport) -> None:
    names = list(report.metrics)
    rows = [
        (tag, *(output.number(_dict(sums, name).get("mean")) for name in names))
        for tag, sums in islice(report.by_tag.items(), _MOST_TAGS)
    ]
    output.say(output.table(("TAG", *names), rows, right=range(1, len(names) + 1)))
    if len(report.by_tag) > _MOST_TAGS:
        output.say(f"… and {output.plural(len(report.by_tag) - _MOST_TAGS, 'more tag')}; --json has all.")


def _say_unfinished(view: RunView) -> None:
    progress = view.progress
    if progress is None:
        output.say("Nothing is known of its progress.")
        return
    output.say(metrics_table(progress.metrics))
    output.say()
    total = f" of {output.count(progress.total)}" if progress.total is not None else ""
    line = [f"{output.count(progress.done)}{total} done"]
    output.say(" · ".join(line + (ahead(progress) if view.status.live else [])))
    for error in progress.top_errors:
        output.say(f"errors  {output.count(error.get('count'))} {output.cut(str(error.get('kind')), 40)}: ")
        output.say(f"        {output.cut(str(error.get('message')), 200)}")


def _show_samples(store: Store, run_id: str, which: str, *, as_json: bool) -> None:
    headline = _dict(look(store.backend, run_id).metadata, "summary").get("headline")
    verdicts = _VERDICTS[which]
    rows = [row for row in sample_rows(store.backend, run_id, headline) if row.verdict in verdicts]
    if as_json:
        output.say_json([asdict(row) for row in rows])
        return
    if rows:
        header = ("SAMPLE", "RESULT", str(headline or "SCORE"), "ANSWER", "REFERENCE", "TOOK")
        output.say(output.table(header, map(_sample_cells, rows), right={2, 5}))
    sys.stdout.flush()
    address = store.address(run_id)
    kind = "" if which == "all" else f"{which.removesuffix('s')} "
    output.note(
        f"{output.plural(len(rows), f'{kind}sample')}. One whole: themis runs show {address} --sample ID"
    )


def _sample_cells(row: SampleRow) -> tuple[str, ...]:
    return (
        output.cut(row.id, _MOST_ID),
        f"{row.verdict}: {output.cut(row.error, 24)}" if row.error else row.verdict,
        _score(row.score),
        output.cut(row.answer or "", _MOST_TEXT),
        output.cut(row.reference or "", _MOST_TEXT),
        output.duration(row.latency_s),
    )


def _score(value: Any) -> str:
    return str(int(value)) if value in (0, 1) else output.number(value)


def _show_sample(store: Store, run_id: str, sample: str, *, as_json: bool) -> None:
    generation, evaluation = sample_records(store.backend, run_id, sample)
    if generation is None and evaluation is None:
        raise UsageError(
            f"The run {run_id} has no sample {sample!r:.100}. "
            f"'themis runs show {store.address(run_id)} --samples all' lists them."
        )
    if as_json:
        output.say_json(
            {
                "generation": generation.__dict__ if generation is not None else None,
                "evaluation": evaluation.__dict__ if evaluation is not None else None,
            }
        )
        return
    if generation is not None:
        _say_generation(generation)
    if evaluation is not None:
        _say_evaluation(evaluation)


def _say_generation(generation: GenerationRecord) -> None:
    output.say(f"{output.cut(generation.id, 200)} · epoch {generation.epoch} · attempt {generation.attempt}")
    _say_part("prompt", prompt_text(generation.prompt))
    if generation.error is not None:
        error = generation.error
        at = f" while it was at {error['stage']}" if error.get("stage") else ""
        _say_part("error", f"{error.get('kind')}{at}: {error.get('message')}")
    else:
        _say_part("response", generation.response)
    timing, usage = generation.timing or {}, generation.usage or {}
    facts = [f"{output.duration(timing[each])} {each[:-2]}" for each in timing if each.endswith("_s")]
    facts += [f"{output.count(value)} {name.replace('_', ' ')}" for name, value in usage.items()]
    facts += [f"ended by {generation.finish_reason}"] if generation.finish_reason else []
    if facts:
        _say_part("call", " · ".join(facts))
    if generation.metadata:
        _say_part("metadata", output.to_json(generation.metadata))


def _say_evaluation(evaluation: EvaluationRecord) -> None:
    reference = evaluation.reference
    if reference is not None:
        _say_part("reference", reference if isinstance(reference, str) else output.to_json(reference))
    scored = [
        f"{name} {_score(score)}{_detail(evaluation.details.get(name))}"
        for name, score in evaluation.scores.items()
    ]
    _say_part("scores", "\n".join(scored) or "none")
    if evaluation.tags:
        _say_part("tags", " ".join(evaluation.tags))


def prompt_text(prompt: Any) -> str:
    """A prompt as text; of chat messages the role goes before each."""
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, list):
        return output.to_json(prompt)
    return "\n".join(
        f"{each.get('role')}: {each.get('content')}" if isinstance(each, dict) else str(each)
        for each in prompt
    )


def _detail(detail: Any) -> str:
    if detail is None:
        return ""
    return f" ({detail if isinstance(detail, str) else output.to_json(detail)})"


def _say_part(name: str, text: Any) -> None:
    output.say(f"\n── {name}")
    output.say(safe_text(text, sys.maxsize))


def _dict(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part that should be an object; a stranger's store may hold something else."""
    value = holder.get(name)
    return value if isinstance(value, dict) else {}
