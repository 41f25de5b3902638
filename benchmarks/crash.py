"""``kill -9`` inside ``evaluate`` at random moments, then resume: nothing lost, nothing asked twice.

    python benchmarks/crash.py [--kills 20] [--samples 400] [--seed 1] [--rescore] [--store postgres]

A child evaluates with a store that notes every record whose save returned, and a model that notes every
question it is asked. It is killed, and the run is resumed; then it must hold that

- every record whose save had returned is there exactly once, and none is missing,
- no question whose answer was stored before the kill is asked again,
- the report equals that of a run that nobody disturbed, but for times and what was kept.

With ``--store postgres`` the runs lie in PostgreSQL, on a server of its own that is killed too, in the midst
of every round before its child is, and started again.

With ``--rescore`` the child scores a stored run anew, and is killed; then it must hold that

- each record has all of its old scores or all of the new ones, and none whose save had returned is old,
- the run says that it was completed only if every record is new; else a resume is refused,
- the same rescoring again scores only what is old, and reports as one that nobody disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RUN_ID = "crash-run"
ADDRESS = "THEMIS_CRASH_ADDRESS"
"""The variable with the URI of the server; without it the runs lie in a folder."""


def rows(samples: int) -> list[dict[str, Any]]:
    """Arithmetic questions, some of which the model answers wrong."""
    return [
        {
            "id": f"s-{n:05d}",
            "question": f"What is {n} + {n % 7}?",
            "answer": str(n + n % 7),
            "tags": [f"t{n % 3}"],
        }
        for n in range(samples)
    ]


class NotedModel:
    """Answers arithmetic, notes what it is asked, and fails on some first attempts."""

    def __init__(self, folder: Path, pause: float) -> None:
        self.pause = pause
        self.file = os.open(folder / "asked", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, prompt: str) -> str:
        """The sum, or one more where it can be divided by five."""
        os.write(self.file, f"{prompt}\n".encode())
        time.sleep(self.pause)
        left, right = prompt.removeprefix("What is ").rstrip("?").split(" + ")
        total = int(left) + int(right)
        return str(total if total % 5 else total + 1)


def noted_storage(folder: Path) -> Any:
    """A store that notes every record whose save returned: generations and evaluations, each in its file."""
    store = opened(folder)

    class NotedStorage(type(store)):  # type: ignore[misc]
        def save_generation_records(self, run_id: str, records: Any) -> None:
            held = list(records)
            super().save_generation_records(run_id, held)
            note("saved", held)

        def save_evaluation_records(self, run_id: str, records: Any) -> None:
            held = list(records)
            super().save_evaluation_records(run_id, held)
            note("saved-scores", held)

    def note(name: str, records: list[Any]) -> None:
        os.write(files[name], "".join(f"{record.id}\n" for record in records).encode())

    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = {name: os.open(folder / name, flags) for name in ("saved", "saved-scores")}
    store.__class__ = NotedStorage
    return store


def opened(folder: Path) -> Any:
    """The store of a round."""
    from themis.backends import LocalStorageBackend, PostgresStorageBackend

    address = os.environ.get(ADDRESS)
    if address is None:
        return LocalStorageBackend(folder / "store")
    return PostgresStorageBackend(address, schema=f"crash_{folder.name}")


def recovered(folder: Path) -> Any:
    """The store of a round, once it has what the killed child had still to send."""
    store = opened(folder)
    if os.environ.get(ADDRESS):
        store.recover()
    return store


def child(folder: Path, samples: int, pause: float) -> None:
    """One session of the run, in a process that may be killed."""
    from themis import evaluate

    evaluate(
        rows(samples),
        model=NotedModel(folder, pause),
        model_id="noted",
        storage_backend=noted_storage(folder),
        run_id=RUN_ID,
        max_workers=8,
    )


def kill_child(
    folder: Path, options: list[str], noted: Path, samples: int, chance: random.Random, server: Any
) -> None:
    """Start a child, and kill it at some time after it has noted so many of its samples in a file.

    A ``server`` is killed before, and started again.
    """
    # A server takes a while to be back; the run shall not be over by then.
    pauses = (0.0, 0.001, 0.004) if server is None else (0.004, 0.02, 0.04)
    until, pause = chance.randrange(samples), chance.choice(pauses)
    words = [sys.executable, __file__, "--child", str(folder), "--pause", str(pause), *options]
    process = subprocess.Popen([*words, "--samples", str(samples)], stderr=subprocess.PIPE)
    if server is not None:
        sooner = chance.randrange(until + 1)
        while process.poll() is None and lines(noted) < sooner:
            time.sleep(0.000_2)
        server.stop("immediate")
        server.start()
    while process.poll() is None and lines(noted) < until:
        time.sleep(0.000_2)
    time.sleep(chance.uniform(0.0, 0.01))
    process.send_signal(signal.SIGKILL)
    process.communicate()


def kill_and_resume(folder: Path, samples: int, chance: random.Random, server: Any) -> str:
    """One round; returns what was seen, raises ``AssertionError`` for a broken promise."""
    from themis import evaluate

    asked = folder / "asked"
    kill_child(folder, [], asked, samples, chance, server)

    storage = recovered(folder)
    saved = noted_ids(folder / "saved")
    stored = [record.id for record in storage.load_generation_records(RUN_ID)]
    assert len(stored) == len(set(stored)), "a record is there twice"
    missing = set(saved) - set(stored)
    assert not missing, f"records whose save returned are missing: {sorted(missing)[:5]}"
    asked_before = lines(asked)

    report = evaluate(
        rows(samples),
        model=NotedModel(folder, 0.0),
        model_id="noted",
        storage_backend=storage,
        run_id=RUN_ID,
        max_workers=8,
    )
    asked_after = Counter(asked.read_text().split("\n")[asked_before:-1])
    again = {f"What is {int(i[2:])} + {int(i[2:]) % 7}?" for i in stored} & set(asked_after)
    assert not again, f"stored answers were asked again: {sorted(again)[:5]}"
    records = storage.load_generation_records(RUN_ID)
    assert sorted(r.id for r in records) == [row["id"] for row in rows(samples)]
    assert all(r.attempt == 1 for r in records)
    storage.close()
    undisturbed = evaluate(
        rows(samples),
        model=NotedModel(folder, 0.0),
        model_id="noted",
        storage=str(folder / "other"),
        run_id=RUN_ID,
    )
    ours, theirs = comparable(report.to_dict()), comparable(undisturbed.to_dict())
    differ = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
    assert not differ, f"the reports differ: {differ}"
    return f"killed with {len(saved)} of {samples} saved ({len(stored)} stored), {report.counts['kept']} kept"


def noted_metric(folder: Path, pause: float) -> Any:
    """Another ExactMatch: it finds everything wrong, and notes every answer that it is given."""
    from themis.metrics import Metric, Score

    class Noted(Metric):
        name, version = "ExactMatch", "noted"

        def score(self, response: str, reference: Any) -> Score:
            os.write(scored, b"x\n")
            time.sleep(pause)
            return Score(-1)

    scored = os.open(folder / "scored", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return Noted()


def rescoring_child(folder: Path, pause: float) -> None:
    """One rescoring of the run, in a process that may be killed."""
    from themis.evaluation import rescore

    metrics = [noted_metric(folder, pause), "Includes"]
    rescore(RUN_ID, metrics=metrics, storage_backend=noted_storage(folder), max_workers=8)


def kill_and_rescore(folder: Path, samples: int, chance: random.Random, server: Any) -> str:
    """One round of a rescoring; as :func:`kill_and_resume`."""
    from themis import evaluate
    from themis.core.errors import RunConflict
    from themis.evaluation import rescore

    asked: dict[str, Any] = {"model": NotedModel(folder, 0.0), "model_id": "noted", "run_id": RUN_ID}
    with opened(folder) as store:
        evaluate(rows(samples), **asked, metrics=["ExactMatch"], storage_backend=store)
    evaluate(rows(samples), **asked, metrics=["ExactMatch"], storage=str(folder / "other"))
    kill_child(folder, ["--rescore"], folder / "scored", samples, chance, server)

    storage = recovered(folder)
    saved = noted_ids(folder / "saved-scores")
    records = storage.load_evaluation_records(RUN_ID).values()
    kinds = {(each.revision, *sorted(each.scores), each.metric_versions["ExactMatch"]) for each in records}
    assert kinds <= {(1, "ExactMatch", "1"), (2, "ExactMatch", "Includes", "noted")}, f"mixed: {kinds}"
    old = {each.id for each in records if each.revision == 1}
    assert len(records) == samples, "records are missing"
    assert not old & set(saved), "records whose save returned are old"
    metadata = storage.load_run_metadata(RUN_ID)
    new = says_new(metadata)
    assert new or metadata["status"] == "running" or len(old) == samples, "half done, it looks whole"
    assert not (new and old), "it says that it is done, and is not"
    if metadata.get("rescoring"):
        try:
            evaluate(rows(samples), **asked, metrics=["ExactMatch"], storage_backend=storage)
        except RunConflict:
            pass
        else:
            raise AssertionError("half rescored, it was resumed")

    before = lines(folder / "scored")
    metrics = [noted_metric(folder, 0.0), "Includes"]
    report = rescore(RUN_ID, metrics=metrics, storage_backend=storage).report
    again = lines(folder / "scored") - before
    assert again == (samples if new else len(old)), f"{again} were scored, and {len(old)} were left"
    assert {each.scores["ExactMatch"] for each in storage.load_evaluation_records(RUN_ID).values()} == {-1}
    storage.close()
    undisturbed = rescore(RUN_ID, metrics=metrics, storage=str(folder / "other")).report
    ours, theirs = comparable(report.to_dict()), comparable(undisturbed.to_dict())
    assert ours == theirs, f"the reports differ: {ours} {theirs}"
    return f"killed with {samples - len(old)} of {samples} rescored, {again} scored after that"


def says_new(metadata: dict[str, Any]) -> bool:
    """Whether a run's metadata say that it was scored by the noted metric."""
    return bool(metadata["asked"]["metrics"]["ExactMatch"]["version"] == "noted")


def noted_ids(path: Path) -> list[str]:
    """What a child noted whole before it was killed."""
    return path.read_text().split("\n")[:-1] if lines(path) else []


def lines(path: Path) -> int:
    """How many lines a file has; none if there is no file."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """A report without times, and without what tells that it was resumed."""
    counts = {name: count for name, count in report["counts"].items() if name != "kept"}
    return {**report, "created_at": None, "timing": None, "counts": counts}


def main() -> None:
    """Run the rounds and say how each went."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rescore", action="store_true", help="kill a rescoring instead")
    parser.add_argument("--store", choices=("local", "postgres"), default="local")
    parser.add_argument("--pause", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child and asked.rescore:
        rescoring_child(asked.child, asked.pause)
        return
    if asked.child:
        child(asked.child, asked.samples, asked.pause)
        return
    with server_of(asked.store) as server:
        chance = random.Random(asked.seed)
        for number in range(1, asked.kills + 1):
            with tempfile.TemporaryDirectory(prefix="") as folder:
                os.environ["THEMIS_STATE_DIR"] = f"{folder}/state"
                kill = kill_and_rescore if asked.rescore else kill_and_resume
                print(f"{number:>3}: {kill(Path(folder), asked.samples, chance, server)}", flush=True)
    print(f"{asked.kills} kills: nothing lost, nothing twice, every report as if undisturbed")


@contextmanager
def server_of(store: str) -> Iterator[Any]:
    """A server of the tests' own, for as long as it is needed; ``None`` where there is none."""
    if store == "local":
        yield None
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.backends.postgres_server import PostgresServer, binaries

    server = PostgresServer(next(iter(binaries().values())))
    try:
        server.start()
        os.environ[ADDRESS] = server.uri()
        yield server
    finally:
        server.remove()


if __name__ == "__main__":
    main()
