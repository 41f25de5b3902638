"""A run against an endpoint that fails in every way: nothing is lost, and nothing is asked after its answer.

    python benchmarks/unruly.py [--samples 2000] [--concurrency 64]

Of the requests 30 % are answered with 500, 10 % with 429, 5 % not at all, and 1 % are cut in the middle.
A second run meets an endpoint that refuses its key: it pauses before many requests were made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from endpoint import served, stats

UNRULY = ("--latency", "0.005", "--error", "0.3", "--limit", "0.1", "--hang", "0.05", "--cut", "0.01")
HANGS_S = 2.0
"""What one request may take: a server that hangs is left after that."""


def asked(base_url: str, samples: int, folder: Path, executor: str) -> Any:
    """The report of a run of so many different questions."""
    from themis import evaluate

    rows = [
        {"id": f"q{n}", "question": f"What is six plus six, {n}?", "answer": "12"} for n in range(samples)
    ]
    return evaluate(
        rows,
        model=f"openai:mock?base_url={base_url}&timeout={HANGS_S}",
        storage=f"local?root={folder}",
        executor=executor,
        run_id="unruly",
        model_id="mock",  # wherever it is
    )


def through_all_of_it(samples: int, executor: str, folder: Path) -> dict[str, Any]:
    """Ask an unruly endpoint; raises AssertionError for an answer that is lost or was asked for again."""
    from themis.backends import open_storage

    with served(*UNRULY) as base_url:
        report = asked(base_url, samples, folder, executor)
        seen = stats(base_url)
    with open_storage(f"local?root={folder}") as store:
        records = store.load_generation_records("unruly")
    assert report.status == "completed", report.status
    assert report.counts["answered"] == samples, report.counts
    assert len({record.id for record in records}) == len(records) == samples
    assert seen["answered"] == samples
    assert seen["after_answer"] == 0, "asked again after it was answered"
    return seen


def refused(samples: int, executor: str, folder: Path) -> int:
    """Ask an endpoint that answers 401; how many requests it got before the run paused."""
    with served("--status", "401", "--latency", "0.005") as base_url:
        report = asked(base_url, samples, folder, executor)
        requests = int(stats(base_url)["requests"])
    assert report.status == "paused", report.status
    assert requests <= 10, requests
    return requests


def main() -> None:
    """Both, with coroutines and with threads."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=2_000)
    parser.add_argument("--concurrency", type=int, default=64)
    given = parser.parse_args()
    for executor in (
        f"async?max_concurrent={given.concurrency}",
        f"threads?max_workers={given.concurrency}",
    ):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            seen = through_all_of_it(given.samples, executor, Path(folder))
            took = time.perf_counter() - began
        print(f"{executor}: {given.samples} answered in {took:.1f} s; {seen}")
        with tempfile.TemporaryDirectory() as folder:
            print(f"{executor}: 401, paused after {refused(given.samples, executor, Path(folder))} requests")


if __name__ == "__main__":
    main()
