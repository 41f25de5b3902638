"""A run's memory grows by a name a sample, not by what was asked and answered."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, ask
from themis.backends import LocalStorageBackend, MemoryStorageBackend
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.evaluation import rescore

MOST_BYTES = 150
"""A sample, the interpreter's own rounding up of sets and dicts included."""


class Sieve(MemoryStorageBackend):
    """Keeps the documents and lets records through."""

    saved = 0

    def save_generation_records(self, run_id: str, records: Iterable[GenerationRecord]) -> None:
        self.saved += len(list(records))

    def save_evaluation_records(self, run_id: str, records: Iterable[EvaluationRecord]) -> None:
        pass


class Questions:
    """Rows made as they are asked for; notes the memory in use at two of them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.looks: dict[int, int] = {}
        self.measured = count // 4, count - 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for n in range(self.count):
            if n in self.measured and tracemalloc.is_tracing():
                gc.collect()
                self.looks[n] = tracemalloc.get_traced_memory()[0]
            text = f"q{n} " + "x" * 500
            yield {"id": f"sample-{n:08d}", "question": text, "answer": "y" * 500}

    @property
    def growth(self) -> float:
        first, last = self.measured
        return (self.looks[last] - self.looks[first]) / (last - first)


def model(prompt: str) -> str:
    return "z" * 500


@pytest.mark.parametrize(
    ("count", "once"),
    [
        pytest.param(12_000, True, id="12000"),
        pytest.param(100_000, True, id="100000-iterator", marks=pytest.mark.long),
        pytest.param(100_000, False, id="100000-list-like", marks=pytest.mark.long),
    ],
)
def test_memory_grows_by_a_name_a_sample(count: int, once: bool) -> None:
    growth = float("inf")
    for _ in range(3):  # what other tests left behind in this process may allocate meanwhile, and only adds
        growth = min(growth, _growth(count, once))
        print(f"{growth:.0f} bytes a sample")
        if growth <= MOST_BYTES:
            break
    assert growth <= MOST_BYTES


def _growth(count: int, once: bool) -> float:
    store, questions = Sieve(), Questions(count)
    tracemalloc.start()
    try:
        report = ask(iter(questions) if once else questions, model, store, prompt="{question}")
    finally:
        tracemalloc.stop()
    assert (report.counts["asked"], store.saved) == (count, count)
    assert report.status == "completed"
    assert len(store._runs[RUN].report or b"") < 5_000
    return questions.growth


def test_the_reports_size_does_not_grow_with_the_samples() -> None:
    sizes = []
    for count in (100, 10_000):
        store = Sieve()
        ask(Questions(count), lambda prompt: prompt[-5], store, prompt="{question}")
        sizes.append(len(store._runs[RUN].report or b""))
    assert sizes[1] - sizes[0] < 50


def test_rescoring_takes_about_as_much_as_resuming_however_often_it_was_done(tmp_path: Path) -> None:
    store, questions = LocalStorageBackend(tmp_path), Questions(3_000)
    asked: dict[str, Any] = {"prompt": "{question}", "metrics": ["ExactMatch"]}
    ask(questions, model, store, **asked)
    resumed = _peak(lambda: ask(questions, model, store, **asked))
    rescored = [
        _peak(lambda: rescore(RUN, metrics=["Includes"], storage_backend=store, max_workers=1))
        for _ in range(4)
    ]
    print(f"resumed {resumed / 1e6:.1f} MB, rescored", *(f"{each / 1e6:.1f} MB" for each in rescored))
    assert max(rescored) < 1.4 * resumed


def _peak(work: Callable[[], Any]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
