"""Results of lm-evaluation-harness: ``results_*.json`` with ``samples_TASK_*.jsonl`` (``--log_samples``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.hashing import hash_text
from themis.imports.outside_run import (
    MOST_LINE,
    MOST_SAMPLES,
    NotImportable,
    OutsideRun,
    Pair,
    loads,
    moment,
    number,
    part,
)

TOOL = "lm_eval"
_STAMP = re.compile(r"(?:results|samples_(?P<task>.+))_(?P<stamp>\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl?")


def is_results(document: Any) -> bool:
    """Whether a JSON document is such a file of results."""
    return isinstance(document, dict) and isinstance(document.get("results"), dict) and "configs" in document


def is_samples(path: Path) -> bool:
    """Whether a file is named as samples are."""
    found = _STAMP.fullmatch(path.name)
    return found is not None and found["task"] is not None


def results_beside(path: Path) -> Path:
    """The results that belong to a file of samples. Raises :class:`NotImportable` if they are not there."""
    found = _STAMP.fullmatch(path.name)
    if found is not None:
        results = path.with_name(f"results_{found['stamp']}.json")
        if results.is_file():
            return results
    raise NotImportable(f"{path.name} has no results_….json of the same time beside it.")


def read_results(document: dict[str, Any], path: Path, only: Path | None = None) -> list[OutsideRun]:
    """A run for each task that has samples beside the results; ``only`` that of one file.

    Raises :class:`NotImportable` if none has.
    """
    found = _STAMP.fullmatch(path.name)
    stamp = found["stamp"] if found is not None else None
    runs = []
    for task, config in part(document, "configs").items():
        samples = path.with_name(f"samples_{task}_{stamp}.jsonl")
        if "/" not in task and samples.is_file() and (only is None or samples.name == only.name):
            runs.append(_run(document, str(task), config, path, samples))
    if not runs:
        raise NotImportable(
            f"{path.name} has no samples_TASK_….jsonl of the same time beside it. "
            "Run lm-eval with --log_samples."
        )
    return runs


def _run(document: dict[str, Any], task: str, config: Any, path: Path, samples: Path) -> OutsideRun:
    config = config if isinstance(config, dict) else {}
    settings = part(document, "config")
    version = str(part(document, "versions").get(task, "unknown"))
    results = part(part(document, "results"), task)
    named = {key: _name(*key.split(",", 1)) for key in results if "," in key and "_stderr" not in key}
    reported = {name: number(results[key]) for key, name in named.items()}
    metrics = {name: {"version": f"{TOOL} {task} {version}", "params": {}} for name in named.values()}
    model = str(document.get("model_name") or settings.get("model") or "model")
    started, ended = moment(document.get("date")), None
    seconds = _seconds(document.get("total_evaluation_time_seconds"))
    if started is not None and seconds is not None:
        ended = started + seconds
    template = config.get("doc_to_text")
    sampling = part(config, "generation_kwargs")
    return OutsideRun(
        tool=TOOL,
        tool_version=_text_or_none(document.get("lm_eval_version")),
        identity=hash_text(
            f"{task} {document.get('date')} {model} {samples.stem}".encode("ascii", "replace").decode()
        ),
        asked={
            "benchmark": task,
            "dataset": {"source": _text_or_none(config.get("dataset_path")), "fingerprint": None},
            "model": {
                "name": model,
                "base_url": None,
                "identity": f"{model} {settings.get('model_args') or ''}".strip(),
            },
            "prompt": {
                "template": template if isinstance(template, str) else None,
                "hash": _text_or_none(part(document, "task_hashes").get(task)),
            },
            "system": document.get("system_instruction"),
            "sampling": sampling,
            "metrics": metrics,
            "limit": settings.get("limit"),
            "epochs": 1,
            "seed": settings.get("random_seed"),
        },
        created_at=started,
        started_at=started,
        ended_at=ended,
        status="success",
        pairs=_pairs(samples, metrics),
        files=[path, samples],
        reported={name: float(value) for name, value in reported.items() if value is not None},
    )


def _pairs(path: Path, metrics: dict[str, Any]) -> Iterator[Pair]:
    """Each document once, with the scores of all filters that it was seen through."""
    named = _has_ids(path)
    held: dict[str, Pair] = {}
    for line in _lines(path):
        pair = _pair(line, path, metrics, named=named)
        before = held.get(pair[0].id)
        if before is None:
            held[pair[0].id] = pair
        else:
            before[1].scores.update(pair[1].scores)
            before[1].details.update(pair[1].details)
            before[1].metric_versions.update(pair[1].metric_versions)
    yield from held.values()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for n, line in enumerate(iter(lambda: file.readline(MOST_LINE + 1), b""), 1):
            if len(line) > MOST_LINE or n > MOST_SAMPLES:
                raise NotImportable(f"{path.name}, line {n}: more than can be read.")
            if line.strip():
                sample = loads(line, f"{path.name}, line {n}")
                if not isinstance(sample, dict) or not isinstance(sample.get("doc_id"), (int, str)):
                    raise NotImportable(f"{path.name}, line {n}: no sample of lm-eval.")
                yield sample


def _has_ids(path: Path) -> bool:
    """Whether every document has an ``id`` of its own: a position pairs badly with other runs."""
    ids: dict[str, Any] = {}
    for sample in _lines(path):
        own = part(sample, "doc").get("id")
        if not isinstance(own, (str, int)) or ids.setdefault(str(own), sample["doc_id"]) != sample["doc_id"]:
            return False
    return True


def _pair(sample: dict[str, Any], path: Path, metrics: dict[str, Any], *, named: bool) -> Pair:
    identity = str(part(sample, "doc")["id"] if named else sample["doc_id"])
    through = str(sample.get("filter") or "none")
    requests = [each for each in part(sample, "arguments").values() if isinstance(each, dict)]
    prompt = requests[0].get("arg_0") if requests else ""
    response = _response(sample, requests)
    doc_hash = sample.get("doc_hash")
    generation = GenerationRecord(
        id=identity,
        prompt=prompt if isinstance(prompt, str) else str(prompt),
        response=response,
        metadata={"lm_eval": {"doc_id": sample["doc_id"]}},
        sample_id=identity,
        sample_hash=f"{TOOL}:{doc_hash[:32]}" if isinstance(doc_hash, str) else None,
    )
    names = sample.get("metrics")
    scores: dict[str, float | int | bool | None] = {}
    details: dict[str, Any] = {}
    seen = sample.get("filtered_resps")
    for name in names if isinstance(names, list) else _metric_keys(sample):
        key = _name(str(name), through)
        value = sample.get(str(name))
        scores[key] = number(value)
        details[key] = f"not a number: {value!r:.100}" if scores[key] is None else _first(seen)
    evaluation = EvaluationRecord(
        cache_key=identity,
        id=identity,
        scores=scores,
        sample_id=identity,
        sample_hash=generation.sample_hash,
        reference=_reference(sample, requests),
        details=details,
        metric_versions={key: part(metrics, key).get("version", TOOL) for key in scores},
    )
    return generation, evaluation


_KNOWN = frozenset(
    {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"}
    | {"doc_hash", "prompt_hash", "target_hash"}
)


def _metric_keys(sample: dict[str, Any]) -> list[str]:
    """Before lm-eval listed them: what is left of a sample."""
    return [key for key in sample if key not in _KNOWN]


def _response(sample: dict[str, Any], requests: list[dict[str, Any]]) -> str:
    """What was generated; of choices, the likeliest."""
    answers = sample.get("resps")
    if not isinstance(answers, list) or not answers:
        return ""
    if len(requests) > 1:
        best = _likeliest(answers)
        if best is not None and best < len(requests):
            return str(requests[best].get("arg_1")).strip()
    first = answers[0]
    while isinstance(first, list) and first:
        first = first[0]
    return first if isinstance(first, str) else str(first)


def _likeliest(answers: list[Any]) -> int | None:
    values = []
    for answer in answers:
        while isinstance(answer, list) and answer:
            answer = answer[0]
        try:
            values.append(float(answer))
        except (TypeError, ValueError):
            return None
    return max(range(len(values)), key=values.__getitem__, default=None)


def _reference(sample: dict[str, Any], requests: list[dict[str, Any]]) -> Any:
    """The target; of choices, the text of the one that is right."""
    target = sample.get("target")
    if len(requests) > 1 and isinstance(target, (int, str)) and str(target).isdecimal():
        place = int(target)
        if place < len(requests):
            return str(requests[place].get("arg_1")).strip()
    return target


def _name(metric: str, through: str) -> str:
    return metric if through in ("", "none") else f"{metric},{through}"


def _first(seen: Any) -> Any:
    return seen[0] if isinstance(seen, list) and len(seen) == 1 and isinstance(seen[0], str) else None


def _seconds(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)
