"""How fast stores save, load, list and delete, beside the raw limit of the server and the guide's own way.

    python benchmarks/storage.py [--records 10000] [--runs 1000 10000] [--repeat 3] [--evaluate]

Stores: memory, local, and PostgreSQL on a server of the test wheel's that syncs as ever. *Raw* is the least
that could do it on that server: COPY in binary form into a lean table and out of it, one query for the list,
one DELETE. *Guide* is the first guide's way in our own few lines: one connection, a commit a record, an
object of JSONB a row; for the list, which it left out, the ids and then a query for each.

Saving ends when the store has all of it (``flush``). A listing is every line of ``themis runs list``; of the
guide's way and the raw limit, what they load. ``--evaluate``: also 10,000 instant samples through
``evaluate`` into local and into PostgreSQL, in processes of their own, with the most memory each took.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from catalog import metadata

from tests.backends.postgres_server import PostgresServer, binaries
from themis.backends import LocalStorageBackend, MemoryStorageBackend, PostgresStorageBackend, StorageBackend
from themis.core import codec
from themis.core.entities import GenerationRecord
from themis.runs.catalog import Store, all_rows

THREADS = 8
BATCH = 1_000
RUN = "run-1"
BYTES = 975
"""Of a record as a line."""


def made_records(count: int) -> list[GenerationRecord]:
    """Answers as an endpoint gives them."""
    usage = {"input_tokens": 90, "output_tokens": 120, "cached_tokens": 0, "reasoning_tokens": None}
    timing = {"started_at": 1_790_000_000.25, "queue_s": 0.01, "wait_s": 0.0, "model_s": 0.75}
    records = []
    for n in range(count):
        record = GenerationRecord(
            id=f"q-{n:06d}", prompt="What is it? " * 20, response="", sample_id=f"q-{n:06d}",
            sample_hash="0" * 32, cache_key=f"{n:032x}", finish_reason="stop", model="m", usage=usage,
            cost=0.0001, timing=timing,
        )  # fmt: skip
        record.response = "x" * (BYTES - len(codec.encode_line(record)))
        records.append(record)
    return records


class Guide:
    """The first guide's way, with its mistakes that keep it from running mended."""

    def __init__(self, uri: str) -> None:
        self.connection = psycopg.connect(uri)
        self.lock = threading.Lock()  # one connection bears one caller
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS guide_runs (run_id text PRIMARY KEY, metadata jsonb)"
        )
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS guide_records (id serial PRIMARY KEY, run_id text, record jsonb)"
        )
        self.connection.execute("CREATE INDEX IF NOT EXISTS guide_by_run ON guide_records (run_id)")
        self.connection.commit()

    def save_run_metadata(self, run_id: str, document: dict[str, Any]) -> None:
        """As a store."""
        query = "INSERT INTO guide_runs VALUES (%s, %s)"
        self.connection.execute(query, (run_id, Jsonb(document)))
        self.connection.commit()

    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        """As a store."""
        with self.lock:
            query = "INSERT INTO guide_records (run_id, record) VALUES (%s, %s)"
            self.connection.execute(query, (run_id, Jsonb(record.__dict__)))
            self.connection.commit()

    def save_generation_records(self, run_id: str, records: list[GenerationRecord]) -> None:
        """As a store."""
        for record in records:
            self.save_generation_record(run_id, record)

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        """As a store."""
        query = "SELECT record FROM guide_records WHERE run_id = %s ORDER BY id"
        rows = self.connection.execute(query, (run_id,)).fetchall()
        self.connection.commit()
        return [GenerationRecord(**fields) for (fields,) in rows]

    def list_summaries(self) -> list[dict[str, Any]]:
        """As a store."""
        ids = self.connection.execute("SELECT run_id FROM guide_runs").fetchall()
        query = "SELECT metadata FROM guide_runs WHERE run_id = %s"
        found = [self.connection.execute(query, run_id).fetchone()[0] for run_id in ids]
        self.connection.commit()
        return found

    def delete_run(self, run_id: str) -> None:
        """As a store."""
        self.connection.execute("DELETE FROM guide_records WHERE run_id = %s", (run_id,))
        self.connection.execute("DELETE FROM guide_runs WHERE run_id = %s", (run_id,))
        self.connection.commit()

    def flush(self) -> None:
        """As a store."""

    def close(self) -> None:
        """As a store."""
        self.connection.close()


class Raw:
    """The least that the server can be asked: rows of a key and bytes, made beforehand."""

    def __init__(self, uri: str) -> None:
        self.connection = psycopg.connect(uri, autocommit=True)
        self.connection.execute("CREATE TABLE IF NOT EXISTS raw_records (id bytea, body bytea)")
        self.connection.execute("CREATE TABLE IF NOT EXISTS raw_runs (run_id text PRIMARY KEY, summary text)")
        self.decoder = msgspec.json.Decoder(GenerationRecord)
        self.prepared = b""

    def prepare(self, records: list[GenerationRecord]) -> None:
        """Make the rows, which is not measured."""
        rows = [b"PGCOPY\n\xff\r\n\x00" + bytes(8)]
        for record in records:
            body = codec.encode_line(record)[:-1]
            rows += [b"\x00\x02\x00\x00\x00\x10", bytes(16), len(body).to_bytes(4, "big"), body]
        self.prepared = b"".join([*rows, b"\xff\xff"])

    def save_generation_records(self, run_id: str, records: list[GenerationRecord]) -> None:
        """As a store."""
        with self.connection.cursor().copy("COPY raw_records FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(self.prepared)

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        """As a store."""
        with self.connection.cursor().copy("COPY raw_records (body) TO STDOUT (FORMAT BINARY)") as copy:
            rows = [bytes(row) for row in copy]
        rows[0] = rows[0][19:]
        rows.pop()
        return self.decoder.decode_lines(b"\n".join([row[6:] for row in rows]))

    def save_run_metadata(self, run_id: str, document: dict[str, Any]) -> None:
        """As a store."""
        text = json.dumps({key: value for key, value in document.items() if key not in ("progress", "audit")})
        self.connection.execute("INSERT INTO raw_runs VALUES (%s, %s)", (run_id, text))

    def list_summaries(self) -> list[Any]:
        """As a store."""
        return self.connection.execute("SELECT run_id, summary FROM raw_runs").fetchall()

    def delete_run(self, run_id: str) -> None:
        """As a store."""
        self.connection.execute("DELETE FROM raw_records")

    def flush(self) -> None:
        """As a store."""

    def close(self) -> None:
        """As a store."""
        self.connection.close()


@contextmanager
def server() -> Iterator[PostgresServer]:
    """One that writes as a real one does."""
    running = PostgresServer(next(iter(binaries().values())), "shared_buffers=128MB")
    try:
        running.start()
        yield running
    finally:
        running.remove()


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes, the garbage of others gone first."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def one_by_one(store: Any, records: list[GenerationRecord]) -> None:
    """Save each record by itself, from eight threads."""

    def save(part: list[GenerationRecord]) -> None:
        for record in part:
            store.save_generation_record(RUN, record)

    threads = [threading.Thread(target=save, args=(records[n::THREADS],)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()


def in_bulk(store: Any, records: list[GenerationRecord]) -> None:
    """Save a thousand at a time; the raw limit all at once."""
    step = len(records) if isinstance(store, Raw) else BATCH
    for start in range(0, len(records), step):
        store.save_generation_records(RUN, records[start : start + step])
    store.flush()


def measured(store: Any, filler: Any, records: list[GenerationRecord], runs: list[int]) -> dict[str, float]:
    """Seconds of each thing, one after the other; ``filler``: the same store, in haste."""
    seconds: dict[str, float] = {}
    store.save_run_metadata(RUN, metadata(RUN, 1.0))
    if isinstance(store, Raw):
        store.prepare(records)
    else:
        seconds["one at a time"] = timed(lambda: one_by_one(store, records))
        store.delete_run(RUN)
        store.save_run_metadata(RUN, metadata(RUN, 1.0))
    seconds["bulk"] = timed(lambda: in_bulk(store, records))

    def load() -> None:
        assert len(store.load_generation_records(RUN)) == len(records)

    with codec.paused_gc():
        seconds["load"] = timed(load)
    seconds["delete"] = timed(lambda: store.delete_run(RUN))
    listed = int(isinstance(store, Raw))
    for count in runs:
        for number in range(listed, count):
            filler.save_run_metadata(f"run-{number:05d}", metadata(f"run-{number:05d}", float(number + 2)))
        listed = count

        def listing(count: int = count) -> None:
            ours = isinstance(store, StorageBackend)
            assert len(list(all_rows(Store("", store)) if ours else store.list_summaries())) == count

        listing()  # what a store remembers, it remembers from here
        seconds[f"list {count:,}"] = timed(listing)
    return seconds


def evaluated(name: str, samples: int) -> dict[str, float]:
    """Seconds and the most memory of ``evaluate`` into a store, in a process of its own."""
    command = [sys.executable, __file__, "--child", name, "--records", str(samples)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said


def most_mb() -> float:
    """The most memory of this process since it began; ``ru_maxrss`` would count its parent's too."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def evaluate_in_child(name: str, samples: int) -> None:
    """What ``--child`` does."""
    from throughput import answer, write_rows

    from themis import evaluate
    from themis.backends import open_storage

    with tempfile.TemporaryDirectory() as folder, open_storage(name) as storage:
        rows = Path(folder) / "rows.jsonl"
        write_rows(rows, samples)
        storage.list_runs()  # opened beforehand
        started = time.perf_counter()
        report = evaluate(rows, model=answer, storage_backend=storage)
        took = time.perf_counter() - started
        assert report.counts["answered"] == samples
        assert len(storage.load_evaluation_records(report.run_id)) == samples
    peak = most_mb()
    print(json.dumps({"seconds": took, "mb": peak}))


def main() -> None:
    """Measure, and print a table with ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        evaluate_in_child(options.child, options.records)
        return
    records = made_records(options.records)
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["THEMIS_STATE_DIR"] = f"{folder}/state"
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        with server() as running:
            for repeat in range(options.repeat):
                hasty = f"{running.uri()}?options=-csynchronous_commit%3Doff"
                memory, local = MemoryStorageBackend(), LocalStorageBackend(f"{folder}/store-{repeat}")
                ours = [
                    PostgresStorageBackend(uri, schema=f"themis_{repeat}") for uri in (running.uri(), hasty)
                ]
                stores: dict[str, tuple[Any, Any]] = {
                    "memory": (memory, memory),
                    "local": (local, local),
                    "postgres": (ours[0], ours[1]),
                    "guide": (Guide(running.uri()), Guide(hasty)),
                    "raw": (Raw(running.uri()), Raw(hasty)),
                }
                for name, (store, filler) in stores.items():
                    found.setdefault(name, []).append(measured(store, filler, records, options.runs))
                    store.close()
                    filler.close()
                running.execute("DROP TABLE guide_runs, guide_records, raw_runs, raw_records")
            show(found, options.records)
            if options.evaluate:
                show_evaluated(folder, running, options.records, options.repeat)


def show(found: dict[str, list[dict[str, float]]], records: int) -> None:
    """Medians, and PostgreSQL beside the guide's way and the raw limit."""
    medians = {
        name: {key: statistics.median(each[key] for each in seen) for key in seen[0]}
        for name, seen in found.items()
    }
    keys = list(medians["memory"])
    print(f"{records:,} records of {BYTES} B; ms, median of {len(found['memory'])}")
    print("".join(f"{each:>16}" for each in ("", *keys)))
    for name, seconds in medians.items():
        cells = (f"{seconds[key] * 1000:,.1f}" if key in seconds else "-" for key in keys)
        print("".join(f"{each:>16}" for each in (name, *cells)))
    ours = medians["postgres"]
    for other, said in (("guide", "guide / ours"), ("raw", "ours / raw")):
        theirs = {**medians[other]}
        if other == "raw":
            theirs["one at a time"] = theirs["bulk"]
        ratios = ((theirs[key] / ours[key] if other == "guide" else ours[key] / theirs[key]) for key in keys)
        print("".join(f"{each:>16}" for each in (said, *(f"{ratio:.1f}" for ratio in ratios))))


def show_evaluated(folder: str, running: PostgresServer, samples: int, repeat: int) -> None:
    """Both stores in turn; the median of the ratios."""
    ratios = []
    for number in range(repeat):
        local = evaluated(f"{folder}/evaluated-{number}", samples)
        postgres = evaluated(f"{running.uri()}?schema=evaluated_{number}", samples)
        ratios.append(postgres["seconds"] / local["seconds"])
        for name, said in (("local", local), ("postgres", postgres)):
            print(f"evaluate {samples:,} into {name}: {said['seconds']:.2f} s, at most {said['mb']:.0f} MB")
    print(f"postgres / local: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
