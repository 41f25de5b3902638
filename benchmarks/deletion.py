"""How fast many runs go to the trash, come back, and go for good, beside a bare removal of their folders.

    python benchmarks/deletion.py [--runs 1000] [--samples 20] [--repeat 3]

Each run has metadata, a report and two files of records, as ``evaluate`` leaves them. The bare removal is
``shutil.rmtree`` of each folder: it asks nothing, tells nobody, survives no crash and cannot be undone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from catalog import metadata

from themis.backends import LocalStorageBackend
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.runs.catalog import Store
from themis.runs.copy import copy_run
from themis.runs.delete import Trashed, delete_runs, undo
from themis.runs.purge import purge_runs


def make_runs(store: Store, count: int, samples: int) -> list[str]:
    """Finished runs with records."""
    run_ids = [f"run-{number:05d}" for number in range(count)]
    for number, run_id in enumerate(run_ids):
        backend = store.backend
        backend.save_run_metadata(run_id, metadata(run_id, float(number)))
        ids = [f"s{each}" for each in range(samples)]
        generations = [GenerationRecord(id=each, prompt="?" * 200, response="!" * 200) for each in ids]
        backend.save_generation_records(run_id, generations)
        evaluations = [EvaluationRecord(cache_key=each, id=each, scores={"M": 1.0}) for each in ids]
        backend.save_evaluation_records(run_id, evaluations)
        backend.save_report(run_id, ExperimentReport(run_id=run_id))
    store.backend.close()
    return run_ids


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def bare(store: Store, run_ids: list[str]) -> None:
    """Remove the folders, and nothing else."""
    assert isinstance(store.backend, LocalStorageBackend)
    for run_id in run_ids:
        shutil.rmtree(store.backend.root / "runs" / run_id)


def measured(root: Path, runs: int, samples: int) -> dict[str, float]:
    """Seconds that each thing takes, done to that many runs."""
    store = Store("one", LocalStorageBackend(root / "one"))
    other = Store("other", LocalStorageBackend(root / "other"))
    run_ids = make_runs(store, runs, samples)
    deleted: list[Trashed] = []
    seconds = {
        "copy": timed(lambda: [copy_run(store, each, other) for each in run_ids]),
        "bare removal": timed(lambda: bare(other, run_ids)),
        "delete (to the trash)": timed(lambda: deleted.extend(delete_runs(store, run_ids).trashed)),
        "undo": timed(lambda: undo(store, deleted)),
        "purge": timed(lambda: purge_runs(store, run_ids)),
    }
    assert len(deleted) == runs
    assert store.backend.list_runs() == []
    return seconds


def main() -> None:
    """Measure as often as wanted, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("CACHE", "STATE"):
            os.environ[f"XDG_{name}_HOME"] = f"{folder}/{name.lower()}"
        rounds = [measured(Path(folder) / str(n), asked.runs, asked.samples) for n in range(asked.repeat)]
    medians = {what: statistics.median(each[what] for each in rounds) for what in rounds[0]}
    print(f"{asked.runs:,} runs of {asked.samples} samples, median of {asked.repeat}")
    for what, seconds in medians.items():
        each, ratio = seconds / asked.runs * 1e3, seconds / medians["bare removal"]
        print(f"{what:<24} {seconds:7.2f} s   {each:6.2f} ms a run   {ratio:5.1f} ×")


if __name__ == "__main__":
    main()
