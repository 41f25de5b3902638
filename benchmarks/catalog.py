"""How fast 10,000 stored runs are listed.

    python benchmarks/catalog.py [--runs 10000] [--repeat 5]

The first rows from the index; the first rows once every run was checked against the store; every row; and
``themis runs list`` as a process, beside the imports it cannot do without.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = "import msgspec, sqlite3, argparse, dataclasses, platformdirs"
CACHED = "store.cached_summaries(50)"
VERIFIED = "list(islice(store.list_summaries(), 50))"
EVERY = "list(store.list_summaries())"


def make_runs(root: Path, count: int) -> None:
    """Finished runs, as ``evaluate`` leaves them, written without waiting for the disk."""
    (root / "runs").mkdir(parents=True)
    (root / "themis-store.json").write_text('{"layout": 1}')
    old = time.time() - 3_600
    for number in range(count):
        run_id = f"20260101-{number:06d}-demo-fake-math-llm-x{number % 1000:03d}"
        folder = root / "runs" / run_id
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(metadata(run_id, old + number / count)))
        os.utime(folder, (old, old))


def metadata(run_id: str, created_at: float) -> dict[str, object]:
    """Metadata of the usual size."""
    metric = {"mean": 0.5, "stderr": 0.01, "n": 1_000}
    return {
        "run_id": run_id,
        "schema_version": 1,
        "uid": hashlib.md5(run_id.encode()).hexdigest(),
        "status": "completed",
        "status_reason": None,
        "created_at": created_at,
        "started_at": created_at,
        "ended_at": created_at + 60,
        "updated_at": created_at + 60,
        "asked": {
            "benchmark": "demo",
            "dataset": {"source": "demo", "fingerprint": "0" * 32},
            "model": {"name": "fake-math-llm", "base_url": None, "identity": "fake-math-llm"},
            "prompt": {"template": "{question}" * 20, "hash": "0" * 32},
            "system": None,
            "sampling": {"temperature": 0},
            "metrics": {
                "ExactMatch": {"version": "1", "params": {}},
                "Includes": {"version": "1", "params": {}},
            },
            "limit": None,
            "epochs": 1,
            "seed": None,
        },
        "asked_hash": "0" * 32,
        "where": {"storage": "local", "host": "host", "boot_id": "0" * 36, "pid": 1, "user": "me"},
        "heartbeat": {"seq": 6, "at": created_at + 60, "every_s": 10.0},
        "progress": {"run_id": run_id, "done": 1_000, "total": 1_000, "metrics": {}, "executor": {}},
        "summary": {
            "headline": "ExactMatch",
            "metrics": {"ExactMatch": metric, "Includes": metric},
            "errors": 0,
            "done": 1_000,
            "total": 1_000,
            "tokens": {"input": 10_000, "output": 1_000},
            "cost": None,
        },
        "audit": [],
    }


def listed(root: Path, rows: str) -> float:
    """Seconds in a process of its own, imports apart, until the rows are there."""
    code = (
        "import sys, time; from itertools import islice; from themis.backends import LocalStorageBackend\n"
        "store = LocalStorageBackend(sys.argv[1]); started = time.perf_counter()\n"
        f"rows = {rows}\n"
        "print(time.perf_counter() - started, len(rows))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0])


def process(*command: str) -> float:
    """Seconds that a whole command takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def told(name: str, seconds: list[float], wanted: str) -> None:
    """Print one figure."""
    best, median = min(seconds) * 1e3, statistics.median(seconds) * 1e3
    print(f"{name:<44} best {best:7.1f} ms   median {median:7.1f} ms   wanted {wanted}")


def main() -> None:
    """Make the runs and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        root = Path(folder) / "store"
        make_runs(root, asked.runs)
        print(f"{asked.runs:,} runs")
        told("without an index, everything read", [listed(root, EVERY)], "-")
        for name, rows, wanted in (
            ("first rows from the index", CACHED, "10 ms"),
            ("first rows, every run verified", VERIFIED, "50 ms"),
            ("every row, verified", EVERY, "-"),
        ):
            told(name, [listed(root, rows) for _ in range(asked.repeat)], wanted)
        themis = [sys.executable, "-m", "themis.cli.main", "runs", "list", "--storage", str(root)]
        bare, ours = [], []
        for _ in range(asked.repeat):
            bare.append(process(sys.executable, "-c", BARE))
            ours.append(process(*themis))
        allowed = 1.5 * min(bare) * 1e3 + 80
        told("the imports alone", bare, "-")
        told("themis runs list", ours, f"{allowed:.0f} ms")


if __name__ == "__main__":
    main()
