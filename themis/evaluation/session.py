"""One session of a run: work goes out, outcomes come back, records are saved, watchers are told.

The calling thread is the only one that touches the storage and calls ``on_progress``; the executor is
driven from a thread beside it. So a slow answer never holds up a heartbeat, and a store that wants its own
thread has one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from themis.backends.execution.base import ExecutionBackend, TaskFailure
from themis.backends.storage.base import StorageBackend
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import RecordRefused, StorageError
from themis.core.progress import ProgressSnapshot
from themis.core.safe_text import storable
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.options import accepted
from themis.evaluation.progress import Meter
from themis.evaluation.report import make_summary
from themis.evaluation.stop import StopSignal
from themis.evaluation.task import Outcome, SampleTask, Work

TICK_S = 0.1
"""Progress is told at most this often."""
METADATA_EVERY_S = 1.0
HEARTBEAT_EVERY_S = 10.0
FLUSH_EVERY_S = 2.0
MOST_BATCH = 256
"""Outcomes saved in one go."""
MOST_WAITING = 2_048
"""Outcomes not yet saved, above which no more are taken from the executor."""

OnProgress = Callable[[ProgressSnapshot], None]


class _End:
    """The executor has nothing more to give; ``error`` is what it ended in."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@dataclass
class Session:
    """Runs ``work`` to its end, or until it is stopped. Raises what the store or the work raised."""

    run_id: str
    storage: StorageBackend
    executor: ExecutionBackend
    task: SampleTask
    work: Iterator[Work]
    metadata: dict[str, Any]
    aggregate: RunAggregate
    meter: Meter
    stop: StopSignal
    max_workers: int | None = None
    timeout: float | None = None
    on_start: Callable[[dict[str, Any]], None] | None = None
    on_progress: OnProgress | None = None
    over_budget: Callable[[RunAggregate], str | None] | None = None
    clock: Callable[[], float] = time.monotonic

    _outcomes: SimpleQueue[Outcome | _End] = field(default_factory=SimpleQueue)
    _taken: int = 0
    _given: int = 0
    _room: threading.Event = field(default_factory=threading.Event)
    _beats: int = 0
    _told_at: float = 0.0
    _told_done: int = -1
    _saved_at: float = 0.0
    _saved_done: int = -1
    _flushed_at: float = 0.0
    _dirty: bool = False

    def run(self) -> None:
        """Save everything that comes back; returns when all is done or the stop signal was obeyed."""
        self.beat()
        if self.on_start is not None:
            self.on_start(self.metadata)
        driver = threading.Thread(target=self._drive, name=f"themis-{self.run_id}", daemon=True)
        driver.start()
        try:
            self._collect()
        except BaseException:
            self.stop.pause("the run ended early")
            self.stop.now.set()
            raise
        finally:
            self._room.set()

    def _collect(self) -> None:
        while True:
            try:
                batch, end = self._next_batch()
                if batch:
                    self._save(batch)
                self._tell()
                if end is not None:
                    if end.error is not None:
                        raise end.error
                    return
                if self.stop.now.is_set():
                    return
            except KeyboardInterrupt:
                # The first waits for what is in flight, the second does not.
                self.stop.pause("interrupted")

    def _next_batch(self) -> tuple[list[Outcome], _End | None]:
        batch: list[Outcome] = []
        get = self._outcomes.get
        try:
            outcome = get(timeout=TICK_S)
            while not isinstance(outcome, _End):
                batch.append(outcome)
                if len(batch) >= MOST_BATCH:
                    return batch, None
                outcome = get(block=False)
            return batch, outcome
        except Empty:
            return batch, None
        finally:
            self._given += len(batch)
            self._room.set()

    # In the thread beside

    def _drive(self) -> None:
        try:
            options = {"return_exceptions": True, "cancel": self.stop.now}
            results = self.executor.map(
                self.task,
                self._handed_out(),
                max_workers=self.max_workers,
                timeout=self.timeout,
                **accepted(self.executor.map, options),
            )
            put = self._outcomes.put
            for result in results:
                put(self._failed(result) if isinstance(result, TaskFailure) else result)
                self._taken += 1
                if self._taken - self._given > MOST_WAITING:
                    self._wait_for_room()
                if self.stop.now.is_set():
                    break
            self._outcomes.put(_End())
        except BaseException as exc:  # raised again in the calling thread
            self._outcomes.put(_End(exc))

    def _handed_out(self) -> Iterator[Work]:
        # An executor that knows no cancel simply gets no more work.
        for number, work in enumerate(self.work):
            if self.stop.is_set():
                return
            self.meter.in_flight = number + 1 - self._taken
            yield work

    def _wait_for_room(self) -> None:
        while self._taken - self._given > MOST_WAITING and not self.stop.now.is_set():
            self._room.clear()
            if self._taken - self._given > MOST_WAITING:
                self._room.wait(TICK_S)

    def _failed(self, failure: TaskFailure) -> Outcome:
        kind = failure.kind if failure.kind in ("timeout", "worker_lost") else "model"
        return self.task.failed(failure.item, kind, failure.message)

    # In the calling thread

    def _save(self, batch: list[Outcome]) -> None:
        generations = [each.generation for each in batch if each.generation is not None]
        evaluations = [each.evaluation for each in batch if each.evaluation is not None]
        try:
            if generations:
                self.storage.save_generation_records(self.run_id, generations)
            self.storage.save_evaluation_records(self.run_id, evaluations)
        except RecordRefused:
            generations, evaluations = self._save_singly(batch)
        self._dirty = True
        aggregate = self.aggregate
        for generation in generations:
            aggregate.add_usage(generation)
        for evaluation in evaluations:
            aggregate.add(evaluation)
        if self.over_budget is not None and not self.stop.is_set():
            reason = self.over_budget(aggregate)
            if reason is not None:
                self.stop.pause(reason)

    def _save_singly(self, batch: list[Outcome]) -> tuple[list[GenerationRecord], list[EvaluationRecord]]:
        generations, evaluations = [], []
        for _, generation, evaluation in batch:
            if generation is not None and evaluation is not None:
                try:
                    self.storage.save_generation_record(self.run_id, generation)
                    self.storage.save_evaluation_record(self.run_id, evaluation)
                except RecordRefused as exc:
                    generation, evaluation = refused(generation, evaluation, str(exc))
                    self._save_harmless(generation, evaluation)
                generations.append(generation)
            elif evaluation is not None:
                self.storage.save_evaluation_record(self.run_id, evaluation)
            if evaluation is not None:
                evaluations.append(evaluation)
        return generations, evaluations

    def _save_harmless(self, generation: GenerationRecord, evaluation: EvaluationRecord) -> None:
        try:
            self.storage.save_generation_record(self.run_id, generation)
            self.storage.save_evaluation_record(self.run_id, evaluation)
        except RecordRefused as exc:
            # Not the record, then: the store takes nothing.
            raise StorageError(f"{self.storage!r} cannot save records: {exc}") from exc

    def _tell(self) -> None:
        now = self.clock()
        done = self.aggregate.done
        if done != self._told_done and now - self._told_at >= TICK_S:
            self._told_at, self._told_done = now, done
            if self.on_progress is not None:
                self.on_progress(self.meter.snapshot())
        since_saved = now - self._saved_at
        if since_saved >= HEARTBEAT_EVERY_S or (since_saved >= METADATA_EVERY_S and done != self._saved_done):
            self.beat()
        if self._dirty and now - self._flushed_at >= FLUSH_EVERY_S:
            self.storage.flush()
            self._flushed_at, self._dirty = self.clock(), False

    def beat(self) -> None:
        """Save the metadata with a heartbeat and the progress so far."""
        now = time.time()
        self._beats += 1
        self.metadata["heartbeat"] = {"seq": self._beats, "at": now, "every_s": HEARTBEAT_EVERY_S}
        self.metadata["updated_at"] = now
        self.metadata["summary"] = make_summary(self.aggregate, self.meter.total)
        self.metadata["progress"] = stored_progress(self.meter.snapshot())
        self.storage.save_run_metadata(self.run_id, self.metadata)
        self._saved_at, self._saved_done = self.clock(), self.aggregate.done


def stored_progress(snapshot: ProgressSnapshot) -> dict[str, Any]:
    """A snapshot as the metadata holds it: without its history, texts as documents demand."""
    progress = {key: value for key, value in snapshot.__dict__.items() if key != "history"}
    for error in progress["top_errors"]:
        error["message"] = storable(error["message"])
    return progress


def refused(
    generation: GenerationRecord, evaluation: EvaluationRecord, why: str
) -> tuple[GenerationRecord, EvaluationRecord]:
    """Error records in place of two that the store would not take, with nothing that it could mind."""
    error = {
        "kind": "refused_by_store",
        "stage": "store",
        "message": _plain(why)[:2_000],
        "status": None,
        "calls": 1,
    }
    usage, timing = generation.usage, generation.timing
    return (
        GenerationRecord(
            id=generation.id,
            prompt=_plain(str(generation.prompt)),
            response=None,
            metadata={},
            sample_id=generation.sample_id,
            epoch=generation.epoch,
            sample_hash=generation.sample_hash,
            cache_key=generation.cache_key,
            attempt=generation.attempt,
            error=error,
            usage=usage,
            timing=timing,
        ),
        EvaluationRecord(
            cache_key=evaluation.cache_key,
            id=evaluation.id,
            scores=dict.fromkeys(evaluation.scores),
            sample_id=evaluation.sample_id,
            epoch=evaluation.epoch,
            sample_hash=evaluation.sample_hash,
            group=evaluation.group,
            tags=[_plain(tag) for tag in evaluation.tags],
            metric_versions=evaluation.metric_versions,
            error={"kind": "refused_by_store", "stage": "store"},
            attempt=evaluation.attempt,
            scored_at=evaluation.scored_at,
        ),
    )


def _plain(text: str) -> str:
    return storable(text)[:10_000]
