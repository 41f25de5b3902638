"""Small real models and stores that these tests watch, hold up and break."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from themis import evaluate
from themis.backends import MemoryStorageBackend, StorageBackend
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord

RUN = "run"


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Questions ``q0``, ``q1``, … whose answers are their numbers."""
    return [{"id": f"s{n}", "question": f"q{n}", "answer": str(n)} for n in range(start, start + count)]


class Echo:
    """Answers ``q7`` with ``7``, and keeps what it was asked. ``fail`` raises for a prompt, or does not."""

    def __init__(self, fail: Callable[[str], None] | None = None) -> None:
        self.asked: list[str] = []
        self.fail = fail

    def __call__(self, prompt: str) -> str:
        self.asked.append(prompt)
        if self.fail is not None:
            self.fail(prompt)
        return prompt.removeprefix("q")

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.asked)


def raising(error: BaseException, *prompts: str) -> Callable[[str], None]:
    """Raises ``error`` for these prompts; for all, if none are named."""

    def fail(prompt: str) -> None:
        if not prompts or prompt in prompts:
            raise error

    return fail


class Held:
    """A model that answers the first ``free`` prompts and holds the others until released."""

    def __init__(self, free: int = 0) -> None:
        self.free = free
        self.asked: list[str] = []
        self.holding = threading.Semaphore(0)
        """One for each prompt being held."""
        self.release = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, prompt: str) -> str:
        with self._lock:
            self.asked.append(prompt)
            held = len(self.asked) > self.free
        if held:
            self.holding.release()
            assert self.release.wait(30)
        return prompt.removeprefix("q")


class Watched(MemoryStorageBackend):
    """Notes every call by name, and raises what ``trouble`` says for the next calls of a method."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.trouble: dict[str, Callable[[int], BaseException | None]] = {}

    def _called(self, name: str) -> None:
        number = self.calls.count(name)
        self.calls.append(name)
        error = self.trouble[name](number) if name in self.trouble else None
        if error is not None:
            raise error

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        self._called("metadata")
        super().save_run_metadata(run_id, metadata)

    def save_generation_records(self, run_id: str, records: Iterable[GenerationRecord]) -> None:
        self._called("generations")
        super().save_generation_records(run_id, records)

    def save_evaluation_records(self, run_id: str, records: Iterable[EvaluationRecord]) -> None:
        self._called("evaluations")
        super().save_evaluation_records(run_id, records)

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        self._called("report")
        super().save_report(run_id, report)

    def flush(self) -> None:
        self._called("flush")

    def close(self) -> None:
        self._called("close")


def ask(
    benchmark: Any = None, model: Any = None, store: StorageBackend | None = None, **options: Any
) -> ExperimentReport:
    """``evaluate`` with what most of these tests want: one run, in memory, of a model that has a name."""
    chosen: dict[str, Any] = {"model_id": "m", "run_id": RUN, **options}
    if "storage" not in chosen:
        chosen["storage_backend"] = store if store is not None else MemoryStorageBackend()
    return evaluate(
        rows(5) if benchmark is None else benchmark, model=Echo() if model is None else model, **chosen
    )


def comparable(report: ExperimentReport) -> dict[str, Any]:
    """What must be equal of two reports of the same answers, whatever happened on the way."""
    counts = {name: count for name, count in report.counts.items() if name != "kept"}
    return {**report.to_dict(), "created_at": None, "timing": None, "counts": counts}
