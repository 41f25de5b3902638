"""How fast 10,000 stored runs are listed, and those of three such stores together.

    python benchmarks/catalog.py [--runs 10000] [--stores 3] [--repeat 5]

The first rows from the index; the first rows once every run was checked against the store; every row; and
``themis runs list`` as a process, beside the imports it cannot do without. Then the catalog over several
stores, each time in a process of its own: the first 50 merged rows, all of them verified, a query over them,
a completion, what is news, and looking again when nothing changed.
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
QUERIES = ("smol", "model:fake acc>0.4", "demo -status:failed", "age<2d has:errors | x999", "is:finished")


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


def merged(roots: list[Path]) -> dict[str, float]:
    """Seconds from the start, in a process of its own, imports apart, until each step is done."""
    done = subprocess.run(
        [sys.executable, __file__, "--merged", *map(str, roots)], capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def merged_here(roots: list[str]) -> dict[str, float]:
    """What :func:`merged` measures."""
    from themis.runs.completion import complete
    from themis.runs.news import Seen
    from themis.runs.query import row_test
    from themis.runs.union import Catalog, State

    figures: dict[str, float] = {}

    def took(name: str, started: float) -> None:
        figures[name] = max(figures.get(name, 0.0), time.perf_counter() - started)

    with Catalog(roots) as catalog:
        started, worked = time.perf_counter(), time.process_time()
        catalog.look()
        while any(each.state is not State.READY for each in catalog.states()):
            catalog.changes(within_s=10.0)
            if "first" not in figures and len(catalog.rows()) >= 50:
                took("first", started)
        catalog.changes()
        rows = catalog.rows()
        took("all", started)
        figures["cpu"] = time.process_time() - worked
        for query in QUERIES:
            started = time.perf_counter()
            test = row_test(query)
            assert isinstance([row for row in rows if test(row)], list)
            took("query", started)
        started = time.perf_counter()
        complete("model:", 6, rows)
        took("complete", started)
        Seen().mark(rows)
        started = time.perf_counter()
        assert not Seen().news(rows)
        took("news", started)
        started = time.perf_counter()
        catalog.look()
        catalog.wait(10.0)
        assert catalog.changes() == []
        took("again", started)
        figures["rows"] = len(rows)
    return figures


def process(*command: str) -> float:
    """Seconds that a whole command takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def told(name: str, seconds: list[float], wanted: str) -> None:
    """Print one figure."""
    best, median = min(seconds) * 1e3, statistics.median(seconds) * 1e3
    print(f"{name:<44} best {best:7.1f} ms   median {median:7.1f} ms   wanted {wanted}")


def told_merged(folder: Path, runs: int, stores: int, repeat: int) -> None:
    """Print the figures of the catalog over several stores."""
    roots = [folder / f"store-{number}" for number in range(stores)]
    for root in roots:
        make_runs(root, runs)
    print(f"{stores} stores of {runs:,} runs")
    told("all, for the first time, without an index", [merged(roots)["all"]], "-")
    figures = [merged(roots) for _ in range(repeat)]
    for key, name, wanted in (
        ("first", "first 50 merged rows", "50 ms"),
        ("all", "all merged rows, verified", "500 ms"),
        ("cpu", "the same in processor time", "-"),
        ("query", "a query, the slowest of five", "50 ms"),
        ("complete", "a completion", "-"),
        ("news", "what is news", "-"),
        ("again", "looking again, nothing changed", "-"),
    ):
        told(name, [each[key] for each in figures], wanted)
    options = [word for root in roots for word in ("--storage", str(root))]
    themis = [sys.executable, "-m", "themis.cli.main", "runs", "list", *options]
    told("themis runs list over all of them", [process(*themis) for _ in range(repeat)], "-")


def main() -> None:
    """Make the runs and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--stores", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--merged", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.merged:
        print(json.dumps(merged_here(asked.merged)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        os.environ["THEMIS_STATE_DIR"] = f"{folder}/state"
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
        told_merged(Path(folder), asked.runs, asked.stores, asked.repeat)


if __name__ == "__main__":
    main()
