"""``themis runs export``: every sample of a run, generation and evaluation joined."""

from __future__ import annotations

import argparse
import csv
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from themis.backends.storage.base import StorageBackend
from themis.cli import output
from themis.core.current import generation_key, matches
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import UsageError
from themis.core.spreadsheet import cell
from themis.runs import exit_codes
from themis.runs.catalog import find_run

Pair = tuple[GenerationRecord, EvaluationRecord | None]


def export_run(given: argparse.Namespace) -> int:
    """Write the samples of a run to a file or to standard output."""
    store, run_id = find_run(given.run, given.storage)
    wanted = given.format or ("csv" if given.output.endswith(".csv") else "jsonl")
    write = _write_csv if wanted == "csv" else _write_jsonl
    if given.output == "-":
        write(sys.stdout, store.backend, run_id)
        return exit_codes.DONE
    with new_file(given.output, replace=given.force) as file:
        written = write(file, store.backend, run_id)
    output.note(f"{output.plural(written, 'sample')} of {run_id} in {output.cut(given.output, 200)}")
    return exit_codes.DONE


def pairs(backend: StorageBackend, run_id: str) -> Iterator[Pair]:
    """Each current generation with its evaluation, in the order of the generations.

    Both are read side by side: as a run saves them in about the same order, few wait for their other half.
    """
    waiting: dict[str, EvaluationRecord] = {}
    evaluations = backend.iter_evaluation_records(run_id)
    for generation in backend.iter_generation_records(run_id):
        key = generation_key(generation)
        while key not in waiting and (evaluation := next(evaluations, None)) is not None:
            waiting[evaluation.cache_key] = evaluation
        own = waiting.pop(key, None)
        yield generation, own if matches(own, generation) else None


def _write_jsonl(file: IO[str], backend: StorageBackend, run_id: str) -> int:
    written = 0
    for generation, evaluation in pairs(backend, run_id):
        # ASCII-escaped: lone surrogates survive, and a terminal obeys nothing.
        file.write(output.to_json(joined(generation, evaluation)) + "\n")
        written += 1
    return written


def joined(generation: GenerationRecord, evaluation: EvaluationRecord | None) -> dict[str, Any]:
    """One sample as one object: the generation's fields, then those that only the evaluation has."""
    sample = dict(generation.__dict__)
    scored = evaluation.__dict__ if evaluation is not None else {}
    for name in EvaluationRecord.__dataclass_fields__:
        if name == "metadata":
            sample["evaluation_metadata"] = scored.get(name)
        elif name not in GenerationRecord.__dataclass_fields__:
            sample[name] = scored.get(name)
    return sample


def _write_csv(file: IO[str], backend: StorageBackend, run_id: str) -> int:
    metrics = _metric_names(backend, run_id)
    writer = csv.writer(file, lineterminator="\n")
    fixed = ("id", "sample_id", "epoch", "prompt", "response", "reference")
    later = ("error_kind", "error_message", "latency_s", "input_tokens", "output_tokens", "cost", "tags")
    writer.writerow([cell(name) for name in (*fixed, *metrics, *later)])
    written = 0
    for generation, evaluation in pairs(backend, run_id):
        writer.writerow([cell(value) for value in _values(generation, evaluation, metrics)])
        written += 1
    return written


def _values(
    generation: GenerationRecord, evaluation: EvaluationRecord | None, metrics: list[str]
) -> Iterator[Any]:
    error, usage = generation.error or {}, generation.usage or {}
    scores = evaluation.scores if evaluation is not None else {}
    yield from (generation.id, generation.sample_id or generation.id, generation.epoch)
    yield from (generation.prompt, generation.response)
    yield evaluation.reference if evaluation is not None else None
    yield from (scores.get(name) for name in metrics)
    yield from (error.get("kind"), error.get("message"))
    yield evaluation.latency_s if evaluation is not None else None
    yield from (usage.get("input_tokens"), usage.get("output_tokens"), generation.cost)
    yield " ".join(evaluation.tags) if evaluation is not None else None


def _metric_names(backend: StorageBackend, run_id: str) -> list[str]:
    first = next(iter(backend.iter_evaluation_records(run_id)), None)
    names = list(first.scores) if first is not None else []
    with suppress(FileNotFoundError):
        asked = backend.load_run_metadata(run_id).get("asked") or {}
        names += [name for name in asked.get("metrics") or {} if name not in names]
    return names


@contextmanager
def new_file(name: str, *, replace: bool) -> Iterator[IO[str]]:
    """A file that is there whole or not at all. Raises :class:`UsageError` if it may not be replaced."""
    target = os.path.realpath(os.path.expanduser(name))
    if os.path.lexists(target):
        if not os.path.isfile(target):
            raise UsageError(f"{name} is not a file that can be replaced. Use --output - with '>' instead.")
        if not replace:
            raise UsageError(f"{name} is there already. --force replaces it.")
    temporary = os.path.join(
        os.path.dirname(target), f".{os.path.basename(target)[:200]}.{secrets.token_hex(4)}.tmp"
    )
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(temporary, target, name, replace=replace)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _put_in_place(temporary: str, target: str, name: str, *, replace: bool) -> None:
    if replace:
        os.replace(temporary, target)
        return
    try:
        # A link never replaces a file that came meanwhile.
        os.link(temporary, target)
    except FileExistsError:
        raise UsageError(f"{name} came to be meanwhile. --force replaces it.") from None
    except OSError:  # no links on this file system
        os.replace(temporary, target)
    else:
        os.unlink(temporary)
