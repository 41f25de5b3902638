"""How long comparisons take, and how much memory: two runs of 100,000, and five of 10,000 each with each.

    python benchmarks/comparing.py [--pairs 100000] [--runs 5] [--samples 10000]

Runs of three metrics are written to a local store in a temporary folder. Each comparison has a process of its
own that has its libraries loaded; time is told as passed and as spent by this process, which is what counts
on a machine that others use too.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from themis.backends import LocalStorageBackend
from themis.core.entities import EvaluationRecord

MEASURE = """
import resource, sys, time
import scipy.stats
from themis.backends import LocalStorageBackend
from themis.compare.entry import compare_runs
from themis.compare.flips import Flips
store = LocalStorageBackend(sys.argv[1])
runs = [(store, each) for each in sys.argv[2:]]
wall, own = time.perf_counter(), time.process_time()
made = compare_runs(runs, all_pairs=True)
wall, own = time.perf_counter() - wall, time.process_time() - own
flips = time.process_time()
shown = Flips(made, made.pairs[0]); shown.by_tag(); list(shown.listed("fixed", "broken", most=100))
flips = time.process_time() - flips
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
print(f"{wall:.2f} s passed, {own:.2f} s spent, {memory:.0f} MB; flips of one pair {flips * 1_000:.0f} ms")
"""


def records(seed: int, count: int) -> Iterator[EvaluationRecord]:
    chance = random.Random(seed)
    for number in range(count):
        right = int(chance.random() < 0.5 + 0.01 * seed)
        yield EvaluationRecord(
            cache_key=f"{seed:04x}{number:028x}",
            id=f"sample-{number:06d}",
            scores={"ExactMatch": right, "Includes": right, "F1": chance.random()},
            sample_id=f"sample-{number:06d}",
            sample_hash=f"{number * 7919:032x}",
            tags=[f"topic-{number % 5}"],
            reference="42",
            details={"ExactMatch": "42", "Includes": "42"},
            metric_versions={"ExactMatch": "1", "Includes": "2", "F1": "1"},
            latency_s=chance.random(),
            output_tokens=chance.randrange(500),
            cost=0.001,
            scored_at=1.0,
        )


def measured(root: str, runs: int, samples: int) -> str:
    store = LocalStorageBackend(root)
    names = [f"run-{number}" for number in range(runs)]
    for number, name in enumerate(names):
        store.save_run_metadata(name, {"run_id": name, "schema_version": 1, "status": "completed"})
        store.save_evaluation_records(name, records(number, samples))
    store.close()
    done = subprocess.run([sys.executable, "-c", MEASURE, root, *names], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=10_000)
    given = parser.parse_args()
    for runs, samples in ((2, given.pairs), (given.runs, given.samples)):
        with tempfile.TemporaryDirectory() as root:
            print(f"{runs} runs of {samples:,}, each with each: {measured(root, runs, samples)}", flush=True)


if __name__ == "__main__":
    main()
