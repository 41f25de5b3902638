"""What helper processes do to a store. Found by name in a spawned process, so nothing here is nested."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from itertools import count
from multiprocessing.connection import Connection
from typing import Concatenate, ParamSpec

from themis.backends.storage.annotations import Annotations
from themis.backends.storage.base import StorageBackend
from themis.core.errors import Conflict
from themis.testing.storage.examples import evaluation, generation

P = ParamSpec("P")


def reporting(
    work: Callable[Concatenate[Connection, P], None],
) -> Callable[Concatenate[Connection, P], None]:
    """Send what ``work`` raises through the pipe, since nobody sees this process's terminal."""

    @wraps(work)
    def reported(pipe: Connection, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            work(pipe, *args, **kwargs)
        except Exception as exc:  # told to the test, whatever it is
            pipe.send(AssertionError(f"{type(exc).__name__}: {exc}"))

    return reported


def save_from_threads(
    backend: StorageBackend, run_id: str, writer: str, threads: int, records_each: int
) -> list[str]:
    """Save from several threads that start together; the ids saved. Raises what a thread raised."""
    barrier = threading.Barrier(threads)
    errors: list[BaseException] = []

    def save(number: int) -> None:
        try:
            barrier.wait()
            for n in range(records_each):
                backend.save_generation_record(run_id, generation(f"{writer}-{number}-{n}"))
                backend.save_evaluation_record(run_id, evaluation(f"{writer}-{number}-{n}"))
        except BaseException as exc:  # raised again in the thread that waits
            errors.append(exc)

    crowd = [threading.Thread(target=save, args=(number,)) for number in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    if errors:
        raise errors[0]
    return [f"{writer}-{number}-{n}" for number in range(threads) for n in range(records_each)]


@reporting
def save_at_once(
    pipe: Connection, backend: StorageBackend, run_id: str, writer: str, threads: int, records_each: int
) -> None:
    """Say ``ready``, wait for a word, save from several threads, flush, and report the ids."""
    pipe.send("ready")
    pipe.recv()
    ids = save_from_threads(backend, run_id, writer, threads, records_each)
    backend.flush()
    pipe.send(ids)


@reporting
def save_until_killed(
    pipe: Connection, backend: StorageBackend, run_id: str, writer: str, sizes: list[int]
) -> None:
    """Save one record after the other, with responses of the given sizes in turn, reporting each."""
    for n in count():
        key, size = f"{writer}-{n}", sizes[n % len(sizes)]
        pipe.send(("saving", key))
        backend.save_generation_record(run_id, generation(key, response="x" * size))
        backend.save_evaluation_record(run_id, evaluation(key))
        pipe.send(("saved", key))


@reporting
def save_and_read(pipe: Connection, backend: StorageBackend, run_id: str) -> None:
    """Report the ids that are there, then save one more and flush."""
    pipe.send([each.id for each in backend.load_generation_records(run_id)])
    backend.save_generation_record(run_id, generation("from-elsewhere"))
    backend.flush()
    pipe.send("saved")


def add_keys(notes: Annotations, run_id: str, writer: str, keys: int) -> None:
    """Add keys to a run's annotations one by one, each tried until nobody else is faster."""
    for number in range(keys):
        while True:
            document, version = notes.load_annotations(run_id)
            try:
                notes.save_annotations(run_id, {**document, f"{writer}{number}": number}, version)
                break
            except Conflict:
                continue


@reporting
def annotate(pipe: Connection, backend: Annotations, run_id: str, writer: str, keys: int) -> None:
    """As :func:`add_keys`, in a process."""
    add_keys(backend, run_id, writer, keys)
    pipe.send("done")
