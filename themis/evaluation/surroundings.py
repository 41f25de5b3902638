"""What a run is given by its caller: a store, an executor, metrics, an event that ends it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from themis.backends.execution.base import ExecutionBackend
from themis.backends.registry import default_executor, open_executor, open_storage, storage_named
from themis.backends.storage.base import StorageBackend
from themis.backends.storage.journalled import JournalledStorage
from themis.core.errors import UsageError
from themis.core.masking import masked
from themis.core.options import redacted
from themis.core.safe_text import storable
from themis.evaluation.hold import held
from themis.evaluation.host import boot_id, host_name, process_started, user_name
from themis.evaluation.stop import StopSignal
from themis.metrics import JudgingMetric, Metric, open_metrics, split_names

Metrics = str | Iterable[str | Metric | Callable[[str, Any], Any]]


def given_store(
    backend: StorageBackend | None, name: str | None, opened: ExitStack
) -> tuple[StorageBackend, str]:
    """The store that was handed in, or the one of that name, which ``opened`` closes; and what it is called.

    Raises :class:`UsageError` for both, and for what is no store.
    """
    if backend is not None:
        if name is not None:
            raise UsageError("Give storage_backend= or storage=, not both.")
        if not isinstance(backend, StorageBackend):
            raise UsageError(
                f"storage_backend is {backend!r:.100}, not a StorageBackend; for a name use storage=."
            )
        return backend, redacted(storable(repr(backend)))
    store = open_storage(name)
    opened.callback(store.close)
    # A repr may say where the object is in memory, which names nothing elsewhere, or be all secret.
    # Then the store is called by what its name stands for: by profile or not, it has one lock.
    text = repr(store)
    unfit = " at 0x" in text or masked(text) != text
    return store, redacted(storable(storage_named(name).canonical if unfit else text))


def lock_name(store: StorageBackend, name: str) -> str:
    """What :func:`themis.evaluation.hold.held` knows the store by."""
    # What lies in memory is in this object only, whatever other stores in memory are called.
    in_memory = type(store).__module__ == "themis.backends.storage.memory"
    return f"memory of process {os.getpid()} at {id(store):x}" if in_memory else name


def hold(store: StorageBackend, name: str, run_id: str, opened: ExitStack) -> None:
    """Hold a run until ``opened`` closes; what ended writers left of it on this machine is in the store then.

    Raises :class:`RunHeld`; what the store raises.
    """
    opened.enter_context(held(lock_name(store, name), run_id))
    if isinstance(store, JournalledStorage):
        store.recover(run_id)


def given_executor(
    backend: ExecutionBackend | None, name: str | None, opened: ExitStack, otherwise: str | None = None
) -> tuple[ExecutionBackend, str]:
    """As :func:`given_store`, for an executor, which ``opened`` shuts down; ``otherwise``: the default
    where the profiles name none.
    """
    if backend is not None:
        if name is not None:
            raise UsageError("Give execution_backend= or executor=, not both.")
        if not isinstance(backend, ExecutionBackend):
            raise UsageError(
                f"execution_backend is {backend!r:.100}, not an ExecutionBackend; for a name use executor=."
            )
        return backend, type(backend).__name__
    chosen = name or default_executor(otherwise)
    executor = open_executor(chosen)
    opened.callback(executor.shutdown)
    return executor, redacted(storable(chosen))


def given_metrics(metrics: Metrics) -> tuple[list[Metric], list[Metric]]:
    """The metrics that are meant, and those of them that were opened here by name."""
    given = split_names(metrics) if isinstance(metrics, str) else list(metrics)
    named = open_metrics(given)
    return named, [metric for metric, each in zip(named, given, strict=True) if metric is not each]


def begin_judging(metrics: list[Metric]) -> None:
    """Have judges forget what refused them in an earlier run."""
    for metric in metrics:
        if isinstance(metric, JudgingMetric):
            metric.begin()


def close_judges(metrics: list[Metric], opened: ExitStack) -> None:
    """Have ``opened`` let go of the connections of judges, before an executor in whose loops they live."""
    for metric in metrics:
        if isinstance(metric, JudgingMetric):
            opened.callback(metric.close)


def given_stop(cancel: threading.Event | None, opened: ExitStack) -> StopSignal:
    """The stop signal of a run; a plain event that is set cancels it."""
    if isinstance(cancel, StopSignal):
        return cancel
    stop = StopSignal()
    if cancel is not None and cancel.is_set():
        stop.cancel()
    elif cancel is not None:
        over = threading.Event()
        opened.callback(over.set)
        threading.Thread(target=_relay, args=(cancel, stop, over), daemon=True).start()
    return stop


def _relay(cancel: threading.Event, stop: StopSignal, over: threading.Event) -> None:
    while not over.is_set():
        if cancel.wait(0.05):
            stop.cancel()
            return


def this_process() -> dict[str, Any]:
    """What the field ``where`` of a run's metadata says of the process that is its runner."""
    from themis import __version__

    return {
        "host": host_name(),
        "boot_id": boot_id(),
        "pid": os.getpid(),
        "pid_started": process_started(os.getpid()),
        "user": storable(user_name()),
        "python": sys.version.partition(" ")[0],
        "themis": __version__,
        "git_commit": None,
    }
