"""``evaluate``: names become things, a run is made of them, and what was opened is closed."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from themis.backends.execution.base import ExecutionBackend
from themis.backends.registry import check_storage_writable
from themis.backends.storage.base import StorageBackend
from themis.backends.storage.foreign import whole
from themis.benchmarks import Benchmark, open_benchmark
from themis.benchmarks.prompts import Template
from themis.core.entities import ExperimentReport
from themis.core.errors import UsageError
from themis.core.options import redacted
from themis.core.run_ids import checked_run_id, make_run_id
from themis.evaluation.plan import Question
from themis.evaluation.run import Run
from themis.evaluation.session import OnProgress
from themis.evaluation.surroundings import (
    begin_judging,
    close_judges,
    given_executor,
    given_metrics,
    given_stop,
    given_store,
    hold,
)
from themis.metrics import DEFAULT, Metric
from themis.models import Model, open_model


def evaluate(
    benchmark: str | Path | Iterable[Mapping[str, Any]] | Benchmark,
    *,
    model: str | Model | Callable[[Any], Any],
    prompt: Template | None = None,
    system: str | None = None,
    metrics: Iterable[str | Metric | Callable[[str, Any], Any]] | None = None,
    sampling: dict[str, Any] | None = None,
    limit: int | None = None,
    epochs: int = 1,
    storage_backend: StorageBackend | None = None,
    execution_backend: ExecutionBackend | None = None,
    storage: str | None = None,
    executor: str | None = None,
    run_id: str | None = None,
    resume: bool = True,
    timeout: float | None = None,
    on_progress: OnProgress | None = None,
    model_id: str | None = None,
    max_workers: int | None = None,
    seed: int | None = None,
    budget: dict[str, float] | None = None,
    cancel: threading.Event | None = None,
) -> ExperimentReport:
    """Ask ``model`` every question of ``benchmark``, score and store every answer, and report.

    Args:
        benchmark: A name with options (``mmlu?subject=anatomy&shots=5``), the path of a JSONL, CSV or Parquet
            file (``q.csv?answer=label``), or an iterable of dicts: ``id`` (optional), input fields,
            ``answer``, and perhaps ``tags`` and ``group``.
        model: A name with options (``fake-math-llm?latency=50ms``, ``openai:NAME?base_url=…``,
            ``python:module:function``), or a function, plain or async, from prompt to text.
        prompt: A template over the input fields, ``"{question}"``, or chat messages of such templates.
        system: A system prompt, put before the rest as a chat message.
        metrics: Names, metrics, or functions of response and reference; by default the benchmark's own,
            else ExactMatch and Includes.
        sampling: Options for the model's endpoint, such as ``{"temperature": 0}``.
        limit: Ask only the first so many samples.
        epochs: Ask every sample so many times.
        storage_backend: An opened store; flushed at the end, never closed.
        execution_backend: An executor; never shut down.
        storage: In place of ``storage_backend``: a name, path or URI, closed at the end. By default
            ``THEMIS_STORAGE``, else the default of the profiles, else the local store in the user's data
            directory.
        executor: In place of ``execution_backend``: a name, shut down at the end. By default that of the
            profiles, else ``async`` for endpoints, else ``threads``.
        run_id: The run's id; made if not given. If that run exists, it is resumed.
        resume: Whether an existing run may be resumed.
        timeout: Seconds that one sample may take.
        on_progress: Called from the calling thread with a snapshot, at most ten times a second, and at the
            end.
        model_id: The identity under which answers of ``model`` are stored.
        max_workers: How many samples are asked at once, at most.
        seed: Handed to the model, one more for each epoch.
        budget: Limits after which the run pauses: ``tokens``, ``cost``, ``seconds``.
        cancel: Ends the run as ``cancelled`` when set; what is in flight is still saved.

    Returns:
        The report. Its ``status`` is ``completed``; ``paused`` or ``cancelled`` if the run was ended early:
        call again with its ``run_id`` to go on.

    Raises:
        UsageError: Something asked for cannot be meant; nothing was stored.
        RunConflict: The run exists and asked something else.
        RunExists: The run exists and ``resume`` is false.
        RunHeld: Another process of this host is running it.
        StoreReadonly: The user's profile keeps the storage of that name from being changed; nothing was done.
        StorageError: The store failed; the run is left as ``paused`` where it could be said.
    """
    return evaluate_as(Place(), **locals())


@dataclass
class Place:
    """What a run's metadata say of where it runs, beyond what this process can see of itself."""

    detached: bool = False
    """Whether the process has a session of its own, and obeys signals."""
    on_start: Callable[[dict[str, Any]], None] | None = None
    """Called with the metadata once the run exists in the store."""


def evaluate_as(
    place: Place,
    benchmark: str | Path | Iterable[Mapping[str, Any]] | Benchmark,
    *,
    model: str | Model | Callable[[Any], Any],
    prompt: Template | None,
    system: str | None,
    metrics: Iterable[str | Metric | Callable[[str, Any], Any]] | None,
    sampling: dict[str, Any] | None,
    limit: int | None,
    epochs: int,
    storage_backend: StorageBackend | None,
    execution_backend: ExecutionBackend | None,
    storage: str | None,
    executor: str | None,
    run_id: str | None,
    resume: bool,
    timeout: float | None,
    on_progress: OnProgress | None,
    model_id: str | None,
    max_workers: int | None,
    seed: int | None,
    budget: dict[str, float] | None,
    cancel: threading.Event | None,
) -> ExperimentReport:
    """:func:`evaluate`, as the runner of a launched run calls it."""
    _check_counts(limit, epochs, timeout, max_workers, seed)
    if storage_backend is None:
        check_storage_writable(storage, "evaluating")
    chosen = open_benchmark(benchmark)
    asked_model = open_model(model, model_id)
    asked_model.check_sampling(sampling or {})
    opened_metrics, ours = given_metrics(metrics if metrics is not None else chosen.metrics or DEFAULT)
    question = Question(
        benchmark=chosen,
        model=asked_model,
        template=chosen.template(prompt, system),
        metrics=opened_metrics,
        sampling=dict(sampling or {}),
        limit=limit,
        epochs=epochs,
        seed=seed,
    )
    made = checked_run_id(run_id) if run_id is not None else make_run_id(chosen.name, asked_model.name)
    with ExitStack() as opened:
        store, store_name = given_store(storage_backend, storage, opened)
        spread, executor_name = given_executor(execution_backend, executor, opened, asked_model.executor)
        if asked_model is not model:
            # Before the executor lets go of the loops that its connections live in.
            opened.callback(asked_model.close)
        close_judges(ours, opened)
        asked_model.begin()
        begin_judging(question.metrics)
        hold(store, store_name, made, opened)
        where = {
            "storage": store_name,
            "executor": executor_name,
            "max_workers": None if max_workers is None else int(max_workers),
            "timeout": None if timeout is None or not math.isfinite(timeout) else float(timeout),
            "detached": place.detached,
            "model": redacted(model) if isinstance(model, str) else None,
        }
        run = Run(
            run_id=made,
            question=question,
            storage=whole(store),
            executor=spread,
            where=where,
            budget=budget,
            stop=given_stop(cancel, opened),
            on_start=place.on_start,
        )
        run.prepare(resume=resume)
        return run.execute(timeout=timeout, max_workers=max_workers, on_progress=on_progress)


def _check_counts(
    limit: int | None, epochs: int, timeout: float | None, max_workers: int | None, seed: int | None
) -> None:
    for name, value in (("limit", limit), ("epochs", epochs), ("max_workers", max_workers)):
        if value is None and name != "epochs":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} is {value!r}; it must be a whole number of at least 1.")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise UsageError(f"seed is {seed!r}; it must be a whole number.")
    if timeout is not None and not timeout > 0:
        raise UsageError(f"timeout is {timeout!r}; it must be more than 0 seconds.")
