"""Ray as it is used: what is refused before work, runs on it, keys, and silence."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends import ray_here
from themis import evaluate
from themis.backends import MemoryStorageBackend, open_executor
from themis.backends.execution import ray_backend, ray_connection
from themis.backends.execution.base import TICK, TaskFailure
from themis.backends.execution.ray_backend import RayExecutionBackend
from themis.core.errors import ExecutionError, MissingExtra, UsageError
from themis.testing.execution import work

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("ray")]
ROWS = [{"id": f"q{n}", "question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(60)]


@pytest.fixture(scope="module")
def shared(ray_nodes: Any) -> Iterator[RayExecutionBackend]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(ray_nodes.folder / "token"))
        executor = RayExecutionBackend(address=ray_nodes.address)
        assert list(executor.map(work.double, [1])) == [2]
    yield executor
    executor.shutdown()


def refusal(**options: Any) -> str:
    executor = RayExecutionBackend(**options)
    began = time.monotonic()
    with pytest.raises(ExecutionError) as raised:
        list(executor.map(work.double, [1]))
    assert time.monotonic() - began < 15
    executor.shutdown()
    return str(raised.value)


# Refused, each with its own words


def test_an_address_where_nobody_listens() -> None:
    port = ray_here.free_port("127.0.0.1")
    said = refusal(address=f"127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in said
    assert "ray start --head" in said


def test_an_address_that_is_none() -> None:
    assert "Write HOST:PORT" in refusal(address="cluster")


def test_something_else_that_listens() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        threading.Thread(target=hang_up_on_all, args=(listening,), daemon=True).start()
        said = refusal(address=f"127.0.0.1:{listening.getsockname()[1]}")
    assert "does not answer as a Ray head" in said


def hang_up_on_all(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            listening.accept()[0].close()


def test_a_wrong_token(ray_nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    said = refusal(address=ray_nodes.address)
    assert "refuses the token" in said
    assert "RAY_AUTH_TOKEN_PATH" in said


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"ray_version": "2.1.0", "python_version": "3.11.1"}, "runs Ray 2.1.0"),
        ({"python_version": "2.7.18"}, "runs Python 2.7.18"),
    ],
)
def test_other_versions(cluster: dict[str, str], words: str) -> None:
    with pytest.raises(ray_connection.Refused, match=words):
        ray_connection.check_versions(cluster, "127.0.0.2:6379")


def test_of_python_the_last_number_may_differ() -> None:
    major, minor = sys.version_info[:2]
    ray_connection.check_versions({"python_version": f"{major}.{minor}.99"}, "there")


def test_another_themis(ray_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("themis.backends.execution.ray_process.themis_version", lambda: "9.9.9")
    assert "this machine 9.9.9" in refusal(address=ray_cluster.address)


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_backend, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"themis-tui\[ray\]"):
        open_executor("ray")


@pytest.mark.parametrize("options", ["num_cpus=0", "max_actors=0", "num_cpus=2&address=h:1"])
def test_options_that_mean_nothing(options: str) -> None:
    with pytest.raises(UsageError):
        open_executor(f"ray?{options}")


def test_a_function_that_cannot_travel(shared: RayExecutionBackend) -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match="cannot travel"):
        list(shared.map(lambda item: lock, [1]))


# Functions, items and results


def test_a_function_of_a_script_travels_with_its_code(shared: RayExecutionBackend) -> None:
    offset = 7
    assert sorted(shared.map(lambda item: item + offset, range(10))) == list(range(7, 17))


def test_a_result_that_cannot_travel_is_a_failure_of_its_item(shared: RayExecutionBackend) -> None:
    def locked(item: int) -> Any:
        return threading.Lock() if item == 3 else item

    results = list(shared.map(locked, range(10), max_workers=2, return_exceptions=True))
    (failure,) = [each for each in results if isinstance(each, TaskFailure)]
    assert failure.item == 3
    assert "cannot travel" in failure.message
    assert len(results) == 10


def test_an_item_that_cannot_travel_is_a_failure_of_itself(shared: RayExecutionBackend) -> None:
    items = [1, 2, threading.Lock(), 4]
    results = list(shared.map(work.same, items, max_workers=2, return_exceptions=True))
    (failure,) = [each for each in results if isinstance(each, TaskFailure)]
    assert failure.item is items[2]
    assert sorted(each for each in results if each is not failure) == [1, 2, 4]


class OnlyByKeyword(Exception):
    def __init__(self, *, status: int) -> None:
        super().__init__(f"status {status}")


def raise_by_keyword(item: int) -> None:
    raise OnlyByKeyword(status=item)


def test_an_error_that_does_not_survive_the_way_is_told_in_words(shared: RayExecutionBackend) -> None:
    (failure,) = shared.map(raise_by_keyword, [429], return_exceptions=True)
    assert (failure.kind, failure.message, failure.error) == ("raised", "OnlyByKeyword: status 429", None)


def large(item: int) -> bytes:
    return bytes([item]) * 6_000_000


def test_large_results_come_whole(shared: RayExecutionBackend) -> None:
    results = sorted(shared.map(large, range(12), max_workers=4))
    assert [(len(each), each[0]) for each in results] == [(6_000_000, item) for item in range(12)]


def test_whoever_reads_is_told_that_nothing_came(shared: RayExecutionBackend) -> None:
    results = list(shared.map(work.rest, [0.6], tick=0.1))
    assert results[-1] == 0.6
    assert results.count(TICK) >= 2


def test_a_cancel_comes_back_at_once_and_what_hangs_is_replaced(shared: RayExecutionBackend) -> None:
    cancel = threading.Event()
    results = shared.map(work.HangsFrom(1), range(100), max_workers=2, cancel=cancel)
    assert next(results) == 0
    began = time.monotonic()
    cancel.set()
    assert list(results) == []
    assert time.monotonic() - began < 1
    assert sorted(shared.map(work.double, range(50))) == [2 * item for item in range(50)]


# Runs


def test_a_run_on_two_nodes_by_name(ray_cluster: Any) -> None:
    store, seen = MemoryStorageBackend(), []
    report = evaluate(
        ROWS,
        model="fake-math-llm?latency=100ms",
        storage_backend=store,
        executor=f"ray?address={ray_cluster.address}",
        max_workers=8,
        on_progress=seen.append,
    )
    assert report.counts["answered"] == 60
    ids = [record.id for record in store.load_generation_records(report.run_id)]
    assert sorted(ids) == sorted({row["id"] for row in ROWS})
    told = [snapshot.executor for snapshot in seen if snapshot.executor["nodes"]]
    assert told[-1]["name"] == "ray"
    assert told[-1]["nodes"] >= 2  # another test may have a node more just now
    assert told[-1]["concurrency"] == 8
    assert " nodes, " in told[-1]["reason"]
    assert " CPUs, " in told[-1]["reason"]
    assert any("batches of" in each["reason"] for each in told)


def test_a_key_is_read_by_the_workers_or_refused(
    shared: RayExecutionBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONLY_HERE", "sk-secret-of-the-launcher")
    store = MemoryStorageBackend()
    asked: dict[str, Any] = {"storage_backend": store, "execution_backend": shared}
    with pytest.raises(ExecutionError, match="ONLY_HERE") as raised:
        evaluate(ROWS, model="openai:m?base_url=http://127.0.0.1:9/v1&key=env:ONLY_HERE", **asked)
    assert "Keys do not travel" in str(raised.value)
    assert "sk-secret" not in str(raised.value)
    with pytest.raises(UsageError, match="may ask a person"):
        evaluate(ROWS, model="openai:m?base_url=http://127.0.0.1:9/v1&key=command:echo%20key", **asked)


def test_the_command_runs_on_a_cluster(ray_cluster: Any, tmp_path: Path) -> None:
    """And says nothing of Ray."""
    store = tmp_path / "store"
    options = ["--limit", "12", "--storage", f"{store}/", "--executor", f"ray?address={ray_cluster.address}"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "themis.cli.main",
            "eval",
            "demo",
            "--model=fake-math-llm",
            "--json",
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert "ray" not in done.stderr.lower().replace(f"ray?address={ray_cluster.address}", "")


LOCAL = """
import signal, sys
from themis.backends import RayExecutionBackend

before = {each: signal.getsignal(each) for each in signal.valid_signals()}
executor = RayExecutionBackend(num_cpus=1)
print(sum(executor.map(lambda item: item + 1, range(1000))), flush=True)
assert "ray" not in sys.modules
assert {each: signal.getsignal(each) for each in signal.valid_signals()} == before
if len(sys.argv) > 1:
    print(executor._process._process.pid, executor._process._folder, flush=True)
    sys.stdin.read()
executor.shutdown()
print("shut down", flush=True)
"""


def test_a_cluster_of_this_machine_alone_is_silent_and_ends_with_its_executor(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOCAL], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("500500\nshut down\n", "")


def test_a_cluster_of_this_machine_ends_with_a_process_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOCAL, "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "500500\n"
        _, folder = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 30
    while (left := using(folder)) or Path(folder).exists():
        assert time.monotonic() < until, left
        time.sleep(0.1)


def using(folder: str) -> list[str]:
    """The commands of processes that name a folder."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            said = command.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if folder in said and int(command.parent.name) != os.getpid():
                found.append(said[:200])
    return found


def hangs_while(item: str) -> str:
    while Path(item).exists():
        time.sleep(0.05)
    return item


def test_work_that_hangs_is_not_held_against_what_waits_behind_it(
    shared: RayExecutionBackend, tmp_path: Path
) -> None:
    """Workers are replaced again and again; items that were only near are done all the same."""
    hanging = [tmp_path / f"h{number}" for number in range(12)]
    for each in hanging:
        each.touch()
    items = [str(each) for each in hanging] + [str(tmp_path / f"quick{number}") for number in range(40)]
    results = list(shared.map(hangs_while, items, max_workers=2, timeout=0.3, return_exceptions=True))
    failures = [each for each in results if isinstance(each, TaskFailure)]
    assert {each.item for each in failures} == {str(each) for each in hanging}
    assert {each.kind for each in failures} == {"timeout"}
    assert len(results) == 52


def test_items_that_take_long_are_not_taken_long_before(shared: RayExecutionBackend) -> None:
    """A run that is paused waits for what was taken, and for no more."""
    taken = 0

    def source() -> Iterator[float]:
        nonlocal taken
        while True:
            taken += 1
            yield 0.2

    results = shared.map(work.rest, source(), max_workers=4)
    furthest = 0
    for given, _ in enumerate(itertools.islice(results, 30), 1):
        furthest = max(furthest, taken - given)
    results.close()  # type: ignore[attr-defined]
    assert furthest <= 4 + 16
