"""One session of a run: work goes out, outcomes come back, records are saved, watchers are told.

Only the calling thread touches the storage and calls ``on_progress``. It never waits long for a result, so a
slow answer does not hold up a heartbeat, and a store that wants its own thread has one.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from themis.backends.execution.base import TICK, ExecutionBackend, TaskFailure
from themis.backends.execution.beside import read_beside
from themis.backends.storage.base import StorageBackend
from themis.backends.storage.journalled import JournalledStorage
from themis.backends.storage.updates import update_metadata
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import (
    ExecutionError,
    RecordRefused,
    RunNotFound,
    StorageError,
    StoreUnreachable,
    described,
)
from themis.core.progress import ProgressSnapshot
from themis.core.safe_text import storable, storable_value
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.options import accepted
from themis.evaluation.progress import Meter
from themis.evaluation.refused import refused
from themis.evaluation.report import make_summary
from themis.evaluation.stop import StopSignal
from themis.evaluation.task import Outcome, Task

TICK_S = 0.1
"""Progress is told at most this often."""
METADATA_EVERY_S = 1.0
METADATA_AGAIN_S = 5.0
"""While the store is away: each try may take its time-out."""
HEARTBEAT_EVERY_S = 10.0
FLUSH_EVERY_S = 2.0
MOST_BATCH = 256
"""Outcomes saved in one go."""
SAVE_EVERY_S = 0.05
"""An outcome waits at most this long, or a tick, for others to be saved with."""

OnProgress = Callable[[ProgressSnapshot], None]
OnStart = Callable[[dict[str, Any]], None]
"""Called with the run's metadata once they are in the store."""


@dataclass
class Session:
    """Runs ``work`` to its end, or until it is stopped. Raises what the store or the work raised."""

    run_id: str
    storage: StorageBackend
    executor: ExecutionBackend
    task: Task
    work: Iterator[Any]
    """What the task is called with; each piece has the ``id`` of its sample."""
    metadata: dict[str, Any]
    aggregate: RunAggregate
    meter: Meter
    stop: StopSignal
    max_workers: int | None = None
    timeout: float | None = None
    on_start: OnStart | None = None
    on_progress: OnProgress | None = None
    over_budget: Callable[[RunAggregate], str | None] | None = None
    clock: Callable[[], float] = time.monotonic
    unredone: dict[str, EvaluationRecord] = field(default_factory=dict)
    """Errors of earlier sessions that were not asked again yet, by identity."""

    summary: dict[str, Any] | None = None
    """What the metadata say of the run meanwhile, where that is not what came of this session so far."""
    trouble: Callable[[], str | None] = lambda: None
    """Why nothing is answered at present, where the model knows."""
    left: int = 0
    """Outcomes that were left as they are, though the run went on."""
    left_why: str | None = None

    _batch: list[Outcome] = field(default_factory=list)
    _out: set[str] = field(default_factory=set)
    """Identities handed out that have not come back."""
    _all_handed: bool = False
    _beats: int = 0
    _told_at: float = 0.0
    _told_done: int = -1
    _told_trouble: str | None = None
    _beat_at: float = 0.0
    _beat_done: int = -1
    _beat_tried_at: float = 0.0
    _saved_at: float = 0.0
    _flushed_at: float = 0.0
    _dirty: bool = False

    def run(self) -> None:
        """Save everything that comes back; returns when all is done or the stop signal was obeyed."""
        self.beat(self.storage.save_run_metadata)
        if self.on_start is not None:
            self.on_start(self.metadata)
        self._check_budget()  # what was spent before may leave nothing to spend now
        try:
            self._collect()
        except RunNotFound:
            raise  # the run was deleted: what is left would bring it back
        except BaseException as exc:
            self._save_rest(exc)
            raise
        self._save()
        if not self.stop.is_set() and (self._out or not self._all_handed):
            lost = f"{len(self._out)} of its results" if self._out else "some of its work"
            raise ExecutionError(
                f"The executor did not give back {lost}. Resume the run to ask what is missing."
            )

    def _collect(self) -> None:
        batch, out, clock, stopped_now = self._batch, self._out, self.clock, self.stop.now.is_set
        with closing(self._results()) as results:
            for result in results:
                if result is not TICK:
                    outcome = self._failed(result) if type(result) is TaskFailure else result
                    try:
                        out.remove(outcome.id)
                    except KeyError:
                        continue  # an executor that tries again may give a result twice
                    batch.append(outcome)
                    if outcome.left is not None:
                        self.left += 1
                        self.left_why = outcome.left
                    if outcome.fatal is not None and not self.stop.is_set():
                        self.stop.pause(outcome.fatal)
                    if len(batch) < MOST_BATCH and clock() - self._saved_at < SAVE_EVERY_S:
                        continue
                self._save()
                self._tell()
                # What has come back is saved; what has not is no longer waited for.
                if result is TICK and stopped_now():
                    break

    def _save_rest(self, exc: BaseException) -> None:
        """Save what came back before the run ended in ``exc``."""
        try:
            self._save()
        except Exception as second:  # the first error is the one to raise
            exc.add_note(f"The last {len(self._batch)} outcomes could not be saved: {second}")

    def _results(self) -> Generator[Any, None, None]:
        options: dict[str, Any] = {"return_exceptions": True, "cancel": self.stop.now}
        executor = self.executor
        if executor.ticks:
            options["tick"] = TICK_S
        results = functools.partial(
            executor.map,
            self.task,
            self._handed_out(),
            max_workers=self.max_workers,
            timeout=self.timeout,
            **accepted(executor.map, options),
        )
        yield from (
            results() if executor.ticks else read_beside(results, TICK_S, loop=not executor.keeps_timeout)
        )

    def _handed_out(self) -> Iterator[Any]:
        # An executor that knows no cancel simply gets no more work.
        stopped, meter = self.stop.is_set, self.meter
        out = self._out
        for work in self.work:
            if stopped():
                return
            out.add(work.id)
            meter.in_flight = len(out)
            yield work
        self._all_handed = True

    def _failed(self, failure: TaskFailure) -> Outcome:
        kind = failure.kind if failure.kind in ("timeout", "worker_lost") else "model"
        return self.task.failed(failure.item, kind, failure.message)

    def _save(self) -> None:
        batch = self._batch
        if not batch:
            return
        self._wait_for_room()
        generations = [each.generation for each in batch if each.generation is not None]
        evaluations = [each.evaluation for each in batch if each.evaluation is not None]
        try:
            if generations:
                self.storage.save_generation_records(self.run_id, generations)
                self._wait_for_room()
            self.storage.save_evaluation_records(self.run_id, evaluations)
        except RecordRefused:
            generations, evaluations = self._save_singly(batch)
        batch.clear()
        self._dirty = True
        self._saved_at = self.clock()
        aggregate = self.aggregate
        for generation in generations:
            aggregate.add_usage(generation)
        for evaluation in evaluations:
            aggregate.add(evaluation)
            if self.unredone:
                self.unredone.pop(evaluation.id, None)
        self._check_budget()

    def _wait_for_room(self) -> None:
        """While a store is away and as much is kept for it as may be: go on telling, and obey the signal."""
        store = self.storage
        if not isinstance(store, JournalledStorage):
            return
        while not store.has_room(self.run_id, TICK_S):
            if self.stop.is_set():
                raise StoreUnreachable(f"No more can be kept for the store: {store.trouble()}")
            self._tell()

    def _store_trouble(self) -> str | None:
        store = self.storage
        trouble = store.trouble() if isinstance(store, JournalledStorage) else None
        return None if trouble is None else f"store unreachable: {trouble}"

    def _check_budget(self) -> None:
        if self.over_budget is not None and not self.stop.is_set():
            reason = self.over_budget(self.aggregate)
            if reason is not None:
                self.stop.pause(reason)

    def _save_singly(self, batch: list[Outcome]) -> tuple[list[GenerationRecord], list[EvaluationRecord]]:
        generations, evaluations = [], []
        for _, generation, evaluation, *_ in batch:
            if generation is not None and evaluation is not None:
                generation, evaluation = self._save_answer(generation, evaluation)
                generations.append(generation)
            if evaluation is not None:
                evaluations.append(self._save_scores(evaluation))
        return generations, evaluations

    def _save_answer(
        self, generation: GenerationRecord, evaluation: EvaluationRecord
    ) -> tuple[GenerationRecord, EvaluationRecord]:
        try:
            self.storage.save_generation_record(self.run_id, generation)
        except RecordRefused as exc:
            generation, evaluation = refused(generation, evaluation, described(exc))
            self._save_harmless(self.storage.save_generation_record, generation, exc)
        return generation, evaluation

    def _save_scores(self, evaluation: EvaluationRecord) -> EvaluationRecord:
        try:
            self.storage.save_evaluation_record(self.run_id, evaluation)
        except RecordRefused as exc:
            evaluation = self.task.refused_scores(evaluation)
            self._save_harmless(self.storage.save_evaluation_record, evaluation, exc)
        return evaluation

    def _save_harmless(self, save: Callable[[str, Any], None], record: Any, why: RecordRefused) -> None:
        try:
            save(self.run_id, record)
        except RecordRefused:
            # Not the record, then: the store takes nothing.
            raise StorageError(f"{self.storage!r} cannot save records: {why}") from why

    def _tell(self) -> None:
        now = self.clock()
        done = self.aggregate.done
        away = self._store_trouble()
        trouble = away or self.trouble()
        self.meter.waiting = None if trouble is None else {"reason": storable(trouble), "until": None}
        if (done, trouble) != (self._told_done, self._told_trouble) and now - self._told_at >= TICK_S:
            self._told_at, self._told_done, self._told_trouble = now, done, trouble
            if self.on_progress is not None:
                self.on_progress(self.meter.snapshot())
        since = now - self._beat_at
        every_s = self._metadata_every_s()
        due = since >= HEARTBEAT_EVERY_S or (since >= every_s and done != self._beat_done)
        if due and now - self._beat_tried_at >= (METADATA_AGAIN_S if away else every_s):
            self._try_beat()
        self._check_budget()
        if self._dirty and now - self._flushed_at >= FLUSH_EVERY_S:
            if not isinstance(self.storage, JournalledStorage):  # that one sends by itself
                self.storage.flush()
            self._flushed_at, self._dirty = self.clock(), False

    def _metadata_every_s(self) -> float:
        """How often progress is saved at most: some stores count each save."""
        asked = self.storage.metadata_every_s if isinstance(self.storage, JournalledStorage) else 0.0
        return max(asked, METADATA_EVERY_S)

    def _try_beat(self) -> None:
        self._beat_tried_at = self.clock()
        try:
            self.beat(functools.partial(update_metadata, self.storage))  # it never brings a deleted run back
        except RunNotFound:
            raise
        except Exception as exc:  # records do not wait for it: the next tick saves the latest version
            import logging  # it takes long to load, and hardly any run says anything

            log = logging.getLogger("themis.evaluation")
            log.warning("%s: the heartbeat could not be saved: %s", self.run_id, exc)

    def beat(self, save: Callable[[str, dict[str, Any]], None]) -> None:
        """Save the metadata with a heartbeat and the progress so far."""
        now = time.time()
        self._beats += 1
        self.metadata["heartbeat"] = {"seq": self._beats, "at": now, "every_s": HEARTBEAT_EVERY_S}
        self.metadata["updated_at"] = now
        self.metadata["summary"] = self.summary or storable_value(
            make_summary(self.aggregate, self.meter.total, recent=True)
        )
        self.metadata["progress"] = stored_progress(self.meter.snapshot())
        save(self.run_id, self.metadata)
        self._beat_at, self._beat_done = self.clock(), self.aggregate.done


def stored_progress(snapshot: ProgressSnapshot) -> dict[str, Any]:
    """A snapshot as the metadata holds it: without its history, texts as documents demand."""
    progress = {key: value for key, value in snapshot.__dict__.items() if key != "history"}
    return dict(storable_value(progress))
