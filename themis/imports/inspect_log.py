"""Logs of Inspect AI: ``.eval``, an archive of one JSON document a sample, and ``.json``, all in one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.hashing import hash_json
from themis.imports.archive import Archive
from themis.imports.outside_run import (
    MOST_JSON,
    MOST_SAMPLES,
    NotImportable,
    OutsideRun,
    Pair,
    loads,
    moment,
    number,
    part,
    whole,
)

TOOL = "inspect_ai"
_SAMPLE = re.compile(r"samples/[^/]+\.json")
_ATTACHMENT = "attachment://"
_VALUES = {"C": 1, "I": 0, "P": 0.5, "N": 0, "yes": 1, "true": 1, "no": 0, "false": 0}
"""What Inspect counts its letters and words as."""
_STOPPED = {"max_tokens": "length", "model_length": "length"}


def read_archive(path: Path) -> OutsideRun:
    """A ``.eval`` file. Raises :class:`NotImportable`."""
    with Archive(path) as archive:
        names = archive.names()
        if "header.json" not in names:
            what = "was not finished" if "_journal/start.json" in names else "is no log of Inspect AI"
            raise NotImportable(f"{path.name} {what}: it has no header.json.")
        header = loads(archive.read("header.json"), f"{path.name}: header.json")
    return _run(header, _packed_samples(path, [name for name in names if _SAMPLE.fullmatch(name)]), path)


def read_document(document: Any, path: Path) -> OutsideRun:
    """A ``.json`` log that has been read. Raises :class:`NotImportable`."""
    samples = document.get("samples")
    return _run(document, iter(samples if isinstance(samples, list) else ()), path)


def is_log(document: Any) -> bool:
    """Whether a JSON document is a log of Inspect AI."""
    return isinstance(document, dict) and isinstance(document.get("eval"), dict) and "plan" in document


def _packed_samples(path: Path, names: list[str]) -> Iterator[Any]:
    if len(names) > MOST_SAMPLES:
        raise NotImportable(f"{path.name} has more than {MOST_SAMPLES:,} samples.")
    with Archive(path) as archive:
        for name in names:
            yield loads(archive.read(name), f"{path.name}: {name[:100]}")


def _run(header: Any, samples: Iterator[Any], path: Path) -> OutsideRun:
    if not is_log(header):
        raise NotImportable(f"{path.name} is no log of Inspect AI.")
    facts, config = part(header, "eval"), part(part(header, "plan"), "config")
    settings, dataset = part(facts, "config"), part(facts, "dataset")
    stats = part(header, "stats")
    version = part(facts, "packages").get("inspect_ai")
    metrics = _metrics(facts)
    return OutsideRun(
        tool=TOOL,
        tool_version=None if version is None else str(version),
        identity=str(facts.get("eval_id") or facts.get("run_id") or hash_json(facts)),
        asked={
            "benchmark": str(facts.get("task") or "task"),
            "dataset": {"source": dataset.get("name") or dataset.get("location"), "fingerprint": None},
            "model": {
                "name": str(facts.get("model") or "model"),
                "base_url": None,
                "identity": str(facts.get("model") or "model"),
            },
            "prompt": {"template": None, "hash": None},
            "system": config.get("system_message"),
            "sampling": {name: value for name, value in config.items() if value is not None},
            "metrics": metrics,
            "limit": settings.get("limit"),
            "epochs": whole(settings.get("epochs")) or 1,
            "seed": config.get("seed"),
        },
        created_at=moment(facts.get("created")),
        started_at=moment(stats.get("started_at")),
        ended_at=moment(stats.get("completed_at")),
        status=str(header.get("status") or "unknown"),
        pairs=(_pair(sample, path) for sample in samples),
        files=[path],
        reported=_reported(header),
    )


def _metrics(facts: dict[str, Any]) -> dict[str, Any]:
    scorers = facts.get("scorers")
    return {
        str(each["name"]): {"version": TOOL, "params": each.get("options") or {}}
        for each in (scorers if isinstance(scorers, list) else ())
        if isinstance(each, dict) and each.get("name")
    }


def _reported(header: dict[str, Any]) -> dict[str, float]:
    scores = part(header, "results").get("scores")
    made = {}
    for each in scores if isinstance(scores, list) else ():
        metrics = part(each, "metrics")
        value = number(part(metrics, "accuracy").get("value", part(metrics, "mean").get("value")))
        if value is not None and each.get("name"):
            made[str(each["name"])] = float(value)
    return made


def _pair(sample: Any, path: Path) -> Pair:
    if not isinstance(sample, dict) or not isinstance(sample.get("id"), (str, int)):
        raise NotImportable(f"{path.name} has a sample without an id.")
    sample_id, epoch = str(sample["id"]), whole(sample.get("epoch")) or 1
    identity = sample_id if epoch == 1 else f"{sample_id}#{epoch}"
    output, target = part(sample, "output"), sample.get("target")
    error = _error(sample)
    usage = _usage(part(output, "usage"))
    latency = number(output.get("time", sample.get("total_time")))
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    stop = first.get("stop_reason") if isinstance(first, dict) else None
    generation = GenerationRecord(
        id=identity,
        prompt=_prompt(sample),
        response=None if error else _text(output.get("completion"), sample),
        metadata={"inspect_ai": {"uuid": sample.get("uuid"), "metadata": part(sample, "metadata")}},
        sample_id=sample_id,
        epoch=epoch,
        sample_hash=f"{TOOL}:{hash_json([sample.get('input'), target])}",
        error=error,
        finish_reason=_STOPPED.get(str(stop), str(stop)) if stop is not None else None,
        model=str(output["model"]) if output.get("model") else None,
        usage=usage,
        timing={"started_at": moment(sample.get("started_at")), "model_s": latency},
    )
    scores, details = _scores(part(sample, "scores"))
    evaluation = EvaluationRecord(
        cache_key=identity,
        id=identity,
        scores={} if error else scores,
        sample_id=sample_id,
        epoch=epoch,
        sample_hash=generation.sample_hash,
        reference=target,
        details={} if error else details,
        metric_versions=dict.fromkeys(scores, TOOL),
        error=None if error is None else {"kind": error["kind"], "stage": error["stage"]},
        latency_s=None if latency is None else float(latency),
        output_tokens=(usage or {}).get("output_tokens"),
    )
    return generation, evaluation


def _error(sample: dict[str, Any]) -> dict[str, Any] | None:
    error = sample.get("error")
    if isinstance(error, dict):
        return {"kind": "model", "stage": "call", "message": str(error.get("message"))[:2_000]}
    limit = sample.get("limit")
    if isinstance(limit, dict) and not part(sample, "scores"):
        return {"kind": "interrupted", "stage": "call", "message": f"limit: {limit.get('type')}"}
    return None


def _usage(usage: dict[str, Any]) -> dict[str, Any] | None:
    names = {
        "input_tokens": "input_tokens",
        "output_tokens": "output_tokens",
        "cached_tokens": "input_tokens_cache_read",
        "reasoning_tokens": "reasoning_tokens",
    }
    made = {ours: whole(usage.get(theirs)) for ours, theirs in names.items()}
    found = {name: count for name, count in made.items() if count is not None}
    return found or None


def _prompt(sample: dict[str, Any]) -> str | list[Any]:
    """What was sent before the last answer: one text, or chat messages."""
    messages = sample.get("messages")
    chat = [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
    last = max((n for n, each in enumerate(chat) if each.get("role") == "assistant"), default=len(chat))
    made = [
        {"role": str(each.get("role")), "content": _text(each.get("content"), sample)} for each in chat[:last]
    ]
    if len(made) == 1 and made[0]["role"] == "user":
        return made[0]["content"]
    if made:
        return made
    given = sample.get("input")
    return _text(given, sample) if isinstance(given, str) or not isinstance(given, list) else given


def _text(content: Any, sample: dict[str, Any]) -> str:
    """The text of a message's content; what is no text is named by its kind."""
    if isinstance(content, str):
        if content.startswith(_ATTACHMENT):
            return str(part(sample, "attachments").get(content.removeprefix(_ATTACHMENT), content))
        return content
    if isinstance(content, list):
        return "\n".join(
            _text(each["text"], sample)
            if isinstance(each, dict) and isinstance(each.get("text"), str)
            else f"[{each.get('type') if isinstance(each, dict) else 'content'}]"
            for each in content
        )
    return "" if content is None else str(content)


def _scores(given: dict[str, Any]) -> tuple[dict[str, float | int | bool | None], dict[str, Any]]:
    scores: dict[str, float | int | bool | None] = {}
    details: dict[str, Any] = {}
    for name, score in given.items():
        value = score.get("value") if isinstance(score, dict) else None
        answer = score.get("answer") if isinstance(score, dict) else None
        values = {name: value}
        if isinstance(value, dict) and value:
            values = {f"{name}.{key}": each for key, each in value.items()}
        for key, each in values.items():
            scores[key] = _value(each)
            details[key] = answer if scores[key] is not None else f"not a number: {each!r:.100}"
    return scores, details


def _value(value: Any) -> float | int | None:
    if isinstance(value, str):
        if value in _VALUES or value.lower() in _VALUES:
            return _VALUES.get(value, _VALUES.get(value.lower()))
        try:
            return number(float(value))
        except ValueError:
            return None
    return number(value)


def read_json(path: Path) -> Any:
    """A document, whole. Raises :class:`NotImportable` if it is larger than :data:`MOST_JSON`."""
    if path.stat().st_size > MOST_JSON:
        raise NotImportable(f"{path.name} is larger than {MOST_JSON:,} bytes.")
    return loads(path.read_bytes(), path.name)
