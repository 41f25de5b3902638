"""Workers, nodes and heads that are lost at work: nothing is lost with them, and nothing done twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends import ray_here, ray_nodes
from themis import evaluate
from themis.backends import MemoryStorageBackend
from themis.backends.execution.ray_backend import RayExecutionBackend
from themis.core.errors import WorkerLost
from themis.testing.execution.place import parted

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("ray")]


class DiesOnce:
    """Ends its process at one item, the first time that it is tried."""

    def __init__(self, folder: Path, item: int, times: int = 1) -> None:
        self.folder, self.item, self.times = folder, item, times

    def __call__(self, item: int) -> int:
        if item == self.item:
            tried = len(list(self.folder.iterdir()))
            if tried < self.times:
                (self.folder / str(tried)).touch()
                os._exit(1)
        time.sleep(0.002)
        return 2 * item


def rest(item: int) -> int:
    time.sleep(0.05)
    return item


@pytest.fixture
def executor(ray_cluster: Any) -> Iterator[RayExecutionBackend]:
    executor = RayExecutionBackend(address=ray_cluster.address)
    yield executor
    executor.shutdown()


def test_a_worker_that_dies_is_replaced_and_its_items_are_done(executor: Any, tmp_path: Path) -> None:
    folder = tmp_path / "tried"
    folder.mkdir()
    results = list(executor.map(DiesOnce(folder, 100), range(1_000), max_workers=8))
    assert sorted(results) == [2 * item for item in range(1_000)]
    assert wait_until(lambda: executor.status().details["restarts"] >= 1)
    assert "replaced" in (executor.status().reason or "")


def test_an_item_that_kills_every_worker_fails_and_the_others_do_not(executor: Any, tmp_path: Path) -> None:
    folder = tmp_path / "tried"
    folder.mkdir()
    results = executor.map(DiesOnce(folder, 40, times=100), range(200), max_workers=8, return_exceptions=True)
    done, failures = parted(results)
    assert done == [2 * item for item in range(200) if item != 40]
    assert [(each.item, each.kind) for each in failures] == [(40, "worker_lost")]
    assert len(list(folder.iterdir())) == 3
    with pytest.raises(WorkerLost):
        list(executor.map(DiesOnce(folder, 1, times=100), range(2), max_workers=1))


def test_a_node_that_is_killed_loses_nothing(executor: Any, ray_cluster: Any) -> None:
    """Its workers come up elsewhere, and do what it had begun."""
    folder, address = ray_cluster
    node = ray_nodes.start(folder, "127.0.0.4", f"--address={address}")
    try:
        ray_nodes.wait_for_nodes(folder, address, 3)
        results = executor.map(rest, range(600), max_workers=12)
        done = [next(results) for _ in range(60)]
        assert executor.status().nodes == 3
        kill_group(node.pid)
        node.wait(10)
        done += list(results)
    finally:
        if node.poll() is None:
            ray_nodes.end(node)
    assert sorted(done) == list(range(600))
    assert wait_until(lambda: executor.status().nodes == 2)
    assert "the node 127.0.0.4 is lost" in (executor.status().reason or "")


def test_a_run_whose_head_is_killed_pauses_with_the_reason_and_goes_on_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeper, folder = ray_here.start(("127.0.0.5",))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(folder / "token"))
    store, asked = (
        MemoryStorageBackend(),
        dict[str, Any](model="fake-math-llm?latency=200ms", run_id="headless", sampling={"temperature": 0}),
    )
    done = threading.Event()

    def when_some_are_done(snapshot: Any) -> None:
        if snapshot.done >= 20 and not done.is_set():
            done.set()
            kill_group(int((folder / "127.0.0.5.pid").read_text()))

    executor = f"ray?address={ray_here.address_of(folder)}"
    rows = [{"id": f"q{n}", "question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(400)]
    try:
        began = time.monotonic()
        with pytest.raises(WorkerLost, match=r"(?s)(head|Ray).*resume"):
            evaluate(
                rows,
                storage_backend=store,
                executor=executor,
                on_progress=when_some_are_done,
                max_workers=4,
                **asked,
            )
        assert time.monotonic() - began < 90
    finally:
        ray_nodes.end(keeper)
    metadata = store.load_run_metadata("headless")
    assert metadata["status"] == "paused"
    assert "Ray" in metadata["status_reason"]
    saved = len(store.load_generation_records("headless"))
    assert 20 <= saved < 400
    report = evaluate(rows, storage_backend=store, executor="async", max_workers=64, **asked)
    assert report.counts["answered"] == 400
    ids = [record.id for record in store.load_generation_records("headless")]
    assert len(ids) == len(set(ids)) == 400


def kill_group(pid: int) -> None:
    """A node's processes, which have groups of their own."""
    for each in descendants(pid):
        os.kill(each, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def wait_until(check: Any, within_s: float = 30.0) -> bool:
    until = time.monotonic() + within_s
    while not check():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
