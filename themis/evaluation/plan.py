"""What a run is to ask, what it keeps from before, and whether it may go on at all."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Any

from themis.backends.storage.annotations import annotations_in
from themis.backends.storage.base import StorageBackend
from themis.benchmarks.benchmark import Benchmark
from themis.benchmarks.prompts import PromptTemplate
from themis.benchmarks.sample import Sample
from themis.core.codec import check_value
from themis.core.current import generation_key, matches
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import RecordRefused, RunConflict, RunExists, RunHeld, RunNotFound, UsageError
from themis.core.hashing import hash_json
from themis.core.safe_text import storable_value
from themis.evaluation.aggregate import RunAggregate
from themis.evaluation.host import NO_SIGNAL_S, boot_id, host_name, is_gone
from themis.evaluation.scoring import lacks_judgement
from themis.evaluation.task import Work
from themis.metrics import Metric, metric_reference
from themis.models.base import Model

_UNKNOWN = (
    "The run {!r} holds answers, but its metadata do not say what was asked, so new answers might be mixed "
    "with those of another model. Use another run id, or put its metadata back."
)


@dataclass
class Question:
    """Everything that decides which answers a run gets."""

    benchmark: Benchmark
    model: Model
    template: PromptTemplate
    metrics: list[Metric]
    sampling: dict[str, Any]
    limit: int | None
    epochs: int
    seed: int | None

    def asked(self) -> dict[str, Any]:
        """The field ``asked`` of the run's metadata. Raises :class:`UsageError` if it cannot be stored."""
        source = self.benchmark.source
        asked = {
            "benchmark": self.benchmark.name,
            "dataset": {"source": source.description, "fingerprint": source.fingerprint()},
            "model": {
                "name": self.model.name,
                "base_url": self.model.base_url,
                "identity": self.model.identity,
            },
            "prompt": {"template": self.template.template, "hash": self.template.hash},
            "system": self.template.system,
            "sampling": self.sampling,
            "metrics": {metric.name: metric.asked for metric in self.metrics},
            "limit": self.limit,
            "epochs": self.epochs,
            "seed": self.seed,
        }
        return storable_asked(asked)


def storable_asked(asked: dict[str, Any]) -> dict[str, Any]:
    """``asked``, or a part of it, as metadata may hold it. Raises :class:`UsageError` if they cannot."""
    try:
        check_value(asked)
    except RecordRefused as exc:
        raise UsageError(f"What is asked cannot be stored: {exc}") from exc
    return dict(storable_value(asked))


def deciding(asked: dict[str, Any]) -> dict[str, Any]:
    """The parts of ``asked`` that must be equal for a run to go on, by name."""
    return {
        "dataset": (asked.get("dataset") or {}).get("fingerprint"),
        "model": (asked.get("model") or {}).get("identity"),
        "prompt": (asked.get("prompt") or {}).get("hash"),
        "system": asked.get("system"),
        "sampling": asked.get("sampling"),
        "metrics": asked.get("metrics"),
        "seed": asked.get("seed"),
    }


def asked_hash(asked: dict[str, Any]) -> str:
    """The hash of what must be equal for a run to go on."""
    return hash_json(deciding(asked))


@dataclass
class Earlier:
    """What earlier sessions of the run left in the store."""

    kept: set[str] = field(default_factory=set)
    """Identities that are answered and scored."""
    redo: dict[str, int] = field(default_factory=dict)
    """Identity of an error to the attempt that failed."""
    errors: dict[str, EvaluationRecord] = field(default_factory=dict)
    """Identity of an error to its evaluation."""
    unscored: dict[str, GenerationRecord] = field(default_factory=dict)
    """Identity to an answer that lacks its scores."""
    revisions: dict[str, int] = field(default_factory=dict)
    """Identity of such an answer to the revision of scores that lack a metric."""
    hashes: dict[str, str] = field(default_factory=dict)
    """Identity to sample hash, where the source has no fingerprint to compare."""


def check_may_go_on(
    storage: StorageBackend, run_id: str, asked: dict[str, Any], *, resume: bool
) -> dict[str, Any] | None:
    """The stored metadata of the run, if there is one and it asked the same.

    Raises :class:`RunExists` unless ``resume``, :class:`RunConflict` with what differs.
    """
    if not storage.run_exists(run_id):
        same = next((each for each in storage.list_runs() if each.lower() == run_id.lower()), None)
        if same is not None:
            raise RunExists(f"There is a run {same!r}; ids must differ by more than case. Choose another id.")
        return None
    if not resume:
        raise RunExists(f"The run {run_id!r} exists. Resume it (resume=True), or choose another id.")
    try:
        metadata = storage.load_run_metadata(run_id)
    except RunNotFound:
        metadata = {}
    check_not_set_aside(storage, run_id, metadata)
    check_not_run_elsewhere(run_id, metadata)
    check_not_half_rescored(run_id, metadata)
    before = metadata.get("asked")
    if not isinstance(before, dict):
        # A stranger's records have no key and are known by their id; ours were answers to something.
        stored = next(storage.iter_generation_records(run_id), None)
        if stored is not None and stored.cache_key is not None:
            raise RunConflict(_UNKNOWN.format(run_id))
    if isinstance(before, dict):
        differences = [
            f"{name}: was {_short(old)}, is {_short(new)}"
            for (name, old), new in zip(deciding(before).items(), deciding(asked).values(), strict=True)
            if old != new
        ]
        differences += _shrunk(before, asked)
        if differences:
            hint = "".join(text for name, text in _HINTS.items() if name in map(_name_of, differences))
            raise RunConflict(
                f"The run {run_id!r} asked something else. {'; '.join(differences)}. Use the same values, "
                f"or another run id.{hint}"
            )
    return metadata


_HINTS = {
    "model": " A lambda or partial can be resumed only with the same model_id=.",
    "metrics": " A metric that is a lambda or partial cannot be resumed; one made with def can. "
    "Stored answers can be scored by other metrics: themis runs rescore.",
}


def check_not_run_elsewhere(run_id: str, metadata: dict[str, Any]) -> None:
    """Raise :class:`RunHeld` while the run beats in another process, unless that is proven to be gone.

    The lock of :mod:`themis.evaluation.hold` reaches no further than this user on this host.
    """
    where, heartbeat = metadata.get("where"), metadata.get("heartbeat")
    at = heartbeat.get("at") if isinstance(heartbeat, dict) else None
    if metadata.get("status") != "running" or not isinstance(where, dict) or not isinstance(at, (int, float)):
        return
    silent_s = time.time() - at
    pid = where.get("pid")
    here = where.get("host") == host_name() and where.get("boot_id") == boot_id()
    if silent_s > NO_SIGNAL_S or not isinstance(pid, int):
        return
    if here and (pid == os.getpid() or is_gone(pid, where.get("pid_started"))):
        return
    raise RunHeld(
        f"The run {run_id!r} is being run by process {pid} on {where.get('host')}, which gave a sign of life "
        f"{max(0.0, silent_s):.0f} s ago. Wait for it, or stop it there; {NO_SIGNAL_S:.0f} s after its last "
        "sign it can be resumed here."
    )


def check_not_set_aside(storage: StorageBackend, run_id: str, metadata: dict[str, Any]) -> None:
    """Raise :class:`RunConflict` for a run in the trash, and for a copy that was cut short."""
    if annotations_in(storage, run_id, metadata).get("trash"):
        raise RunConflict(
            f"The run {run_id!r} lies in the trash. Restore it first: themis runs restore {run_id}"
        )
    if "copying" in metadata:
        raise RunConflict(
            f"The run {run_id!r} is half of a copy. Make the same copy again, which completes it, or "
            f"delete it: themis runs purge {run_id}"
        )


def check_not_half_rescored(run_id: str, metadata: dict[str, Any], named: Container[str] = ()) -> None:
    """Scores of two versions of a metric must not be mixed: a rescoring is completed before anything else.

    Raises :class:`RunConflict` if one was cut short whose metrics are not all ``named``.
    """
    half = metadata.get("rescoring")
    metrics = half.get("metrics") if isinstance(half, dict) else None
    if isinstance(metrics, dict) and not all(name in named for name in metrics):
        raise RunConflict(
            f"The run {run_id!r} is half rescored by {', '.join(metrics):.200}. Complete that first, by the "
            f"same call or by: {rescoring_command(run_id, metrics)}"
        )


def rescoring_command(run_id: str, metrics: dict[str, Any]) -> str:
    """What scores a run anew by metrics as ``asked.metrics`` has them: for a person to look at."""
    references = [metric_reference(str(name), stored) for name, stored in metrics.items()]
    return shlex.join(["themis", "runs", "rescore", run_id, *(f"--metric={each}" for each in references)])


def read_earlier(
    storage: StorageBackend, run_id: str, aggregate: RunAggregate, *, keep_hashes: bool
) -> Earlier:
    """What is stored of a run, taken into ``aggregate`` where it is kept.

    Evaluations are read whole, generations one by one; what is held afterwards is a name a sample.
    """
    earlier = Earlier()
    evaluations: dict[str, EvaluationRecord] = storage.load_evaluation_records(run_id)
    names = aggregate.metrics.keys()
    for generation in storage.iter_generation_records(run_id):
        evaluation = evaluations.pop(generation_key(generation), None)
        aggregate.add_usage(generation)
        if generation.error is not None:
            earlier.redo[generation.id] = generation.attempt
            if evaluation is not None:
                earlier.errors[generation.id] = evaluation
            continue
        own = evaluation if matches(evaluation, generation) else None
        if own is not None and names <= own.scores.keys() and not lacks_judgement(own):
            earlier.kept.add(generation.id)
            aggregate.add(own, kept=True)
        else:
            earlier.unscored[generation.id] = generation
            if own is not None:
                earlier.revisions[generation.id] = own.revision
        if keep_hashes and generation.sample_hash is not None:
            earlier.hashes[generation.id] = generation.sample_hash
    return earlier


def work_of(question: Question, earlier: Earlier) -> Iterator[Work]:
    """What is left to do, in order.

    All samples once, then again for each further epoch; a source that can be read only once is asked all
    epochs of a sample together. Raises :class:`RunConflict` where a sample is not what it was.
    """
    if question.benchmark.source.once:
        rounds = (
            (sample, epoch)
            for sample in question.benchmark.samples(question.limit)
            for epoch in range(1, question.epochs + 1)
        )
    else:
        rounds = (
            (sample, epoch)
            for epoch in range(1, question.epochs + 1)
            for sample in question.benchmark.samples(question.limit)
        )
    fresh = not (earlier.kept or earlier.redo or earlier.unscored)
    for sample, epoch in rounds:
        identity = sample.id if epoch == 1 else f"{sample.id}#{epoch}"
        if fresh:
            yield Work(identity, sample, epoch, 1, None, time.time())
            continue
        _check_same(identity, sample, earlier)
        if identity not in earlier.kept:
            attempt = earlier.redo.get(identity, 0) + 1
            answered = earlier.unscored.get(identity)
            # Scores of a lower revision than those they take the place of would not count.
            revision = earlier.revisions.get(identity, 0) + 1
            yield Work(identity, sample, epoch, attempt, answered, time.time(), revision)


def _check_same(identity: str, sample: Sample, earlier: Earlier) -> None:
    before = earlier.hashes.get(identity)
    if before is not None and before != sample.hash:
        raise RunConflict(
            f"The sample {identity!r:.100} is not what it was when this run asked it. "
            "Use the same dataset, or another run id."
        )


def _shrunk(before: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    differences = []
    limits = before.get("limit"), asked["limit"]
    if limits[1] is not None and (limits[0] is None or limits[1] < limits[0]):
        was = "all" if limits[0] is None else limits[0]
        differences.append(f"limit: was {was}, is {limits[1]}, and may only grow")
    if asked["epochs"] < (before.get("epochs") or 1):
        differences.append(f"epochs: was {before['epochs']}, is {asked['epochs']}, and may only grow")
    return differences


def _name_of(difference: str) -> str:
    return difference.partition(":")[0]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:119] + "…"
