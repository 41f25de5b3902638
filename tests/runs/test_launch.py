"""Launching: a run comes up in a process of its own, or the reason is told and nothing is left."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from themis.core.directories import profiles_path, state_dir
from themis.core.errors import (
    InvalidRunId,
    LaunchFailed,
    RunConflict,
    RunExists,
    RunHeld,
    StorageError,
    UsageError,
)
from themis.evaluation.host import process_started
from themis.runs import launch as launching
from themis.runs.catalog import list_rows
from themis.runs.launch import _made_run_id, launch
from themis.runs.logs import logs_of, names_store
from themis.runs.places import log_path
from themis.runs.runner import main as runner_main
from themis.runs.spec import RunSpec
from themis.runs.watch import glance


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def completed(view: Any) -> Callable[[], bool]:
    return lambda: bool(view().status.word == "completed")


def test_a_launched_run_comes_up_moves_and_completes(start, store, view, until, left_behind) -> None:
    run = start(limit=60)
    assert run.run_id == "r1"
    assert [row.run_id for row in list_rows(store)] == ["r1"]
    first = view()
    assert first.status.word == "running"
    assert first.metadata["where"]["pid"] == run.pid != os.getpid()
    assert first.metadata["where"]["detached"] is True
    seen: set[int] = set()

    def moved() -> bool:
        progress = glance(first)
        if progress is not None:
            seen.add(progress.done)
        return len(seen) >= 3

    until(moved)
    until(completed(view))
    last = view()
    assert last.progress is not None
    assert (last.progress.done, last.progress.total) == (60, 60)
    assert store.backend.load_report("r1").counts["answered"] == 60
    assert left_behind() == []


def test_what_a_launch_writes_is_for_its_owner_alone(start, monkeypatch) -> None:
    modes: dict[str, int] = {}
    start_runner = launching._start

    def looked_at(order: Path, log: Path, handed_over: bytes) -> Any:
        modes.update(order=mode(order), folder=mode(order.parent), log=mode(log), logs=mode(log.parent))
        return start_runner(order, log, handed_over)

    monkeypatch.setattr(launching, "_start", looked_at)
    before = os.umask(0o000)
    try:
        run = start(limit=1)
    finally:
        os.umask(before)
    assert modes == {"order": 0o600, "folder": 0o700, "log": 0o600, "logs": 0o700}
    assert mode(run.log) == 0o600


def test_a_run_without_an_id_gets_one_and_its_log_has_that_name(start, until, view) -> None:
    run = start(run_id=None, limit=1)
    assert "-demo-fake-math-llm-" in run.run_id
    assert run.log.name.startswith(run.run_id)
    assert logs_of(run.run_id) == [run.log]
    until(lambda: view(run.run_id).status.word == "completed")
    until(lambda: "completed" in run.log.read_text())


def test_logs_of_a_run_are_not_those_of_its_namesakes() -> None:
    folder = state_dir() / "logs"
    folder.mkdir(parents=True)
    names = ["a-20260101-000000-abcdef.log", "a-20260102-000000-abcdef.log", "a-b-20260103-000000-abcdef.log"]
    for name in [*names, "a-20260101-000000-abcdef.log.bak", "ax20260101-000000-abcdef.log"]:
        (folder / name).touch()
    assert [each.name for each in logs_of("a")] == [names[1], names[0]]
    assert [each.name for each in logs_of("a-b")] == [names[2]]
    assert logs_of("a-*") == logs_of("nobody") == []


def test_logs_of_runs_of_one_id_in_two_stores_are_told_apart() -> None:
    (state_dir() / "logs").mkdir(parents=True)
    here = log_path("a", "20260101-000000-abcdef", "here")
    there = log_path("a", "20260102-000000-abcdef", "there")
    old = log_path("a", "20260103-000000-abcdef")
    for each in (here, there, old):
        each.touch()
    assert logs_of("a") == [old, there, here]
    assert logs_of("a", "here") == [old, here]
    assert logs_of("a", "there") == [old, there]
    assert [names_store(each) for each in (here, there, old)] == [True, True, False]


def test_a_log_knows_the_store_of_its_run(start, view) -> None:
    run = start(limit=1)
    assert names_store(run.log)
    assert logs_of(run.run_id, view(run.run_id).stored_in) == [run.log]
    assert logs_of(run.run_id, "elsewhere") == []


# Reasons


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"benchmark": "nonsense"}, UsageError, "There is no benchmark 'nonsense'"),
        ({"benchmark": "gone.jsonl"}, UsageError, "gone.jsonl"),
        ({"model": "fake-math-llm?latancy=1"}, UsageError, "has no option 'latancy'"),
        ({"model": "python:nonsense:f"}, UsageError, "cannot be loaded"),
        ({"executor": "nonsense"}, UsageError, "There is no execution backend"),
        ({"limit": 0}, UsageError, "limit is 0"),
        ({"run_id": "x/../y"}, UsageError, "cannot be a run id"),
        ({"storage": "nonsense"}, UsageError, "There is no storage backend"),
        ({"storage": "memory"}, UsageError, "gone with that process"),
        ({"sampling": {"x": {1}}}, UsageError, "names and numbers"),
    ],
)
def test_what_cannot_be_run_is_told(fields, error, says, spec, left_behind) -> None:
    with pytest.raises(error, match=says):
        launch(spec(**fields))
    assert left_behind() == []


def test_an_id_that_leads_elsewhere_writes_nothing(spec) -> None:
    before = sorted(state_dir().parent.rglob("*"))
    with pytest.raises(InvalidRunId, match="cannot be a run id"):
        launch(spec(run_id="../../x"))
    assert sorted(state_dir().parent.rglob("*")) == before


def test_a_store_that_cannot_be_written_is_told(spec, left_behind) -> None:
    in_the_way = Path("file")
    in_the_way.write_text("")
    with pytest.raises(StorageError, match="file"):
        launch(spec(storage="./file"))
    assert left_behind() == []


def test_a_run_that_exists_is_told(start, spec, view, until) -> None:
    run = start(limit=1)
    until(lambda: process_started(run.pid) is None)
    with pytest.raises(RunExists, match=r"r1.* exists"):
        launch(spec(limit=1, resume=False))
    with pytest.raises(RunConflict, match=r"(?s)r1.*seed: was None, is 3"):
        launch(spec(limit=1, seed=3))
    assert view().status.word == "completed"


def test_a_run_may_be_launched_once_at_a_time(spec, start, left_behind, view) -> None:
    start(limit=200)
    with pytest.raises(RunHeld, match="is being run by process"):
        launch(spec(limit=200))
    assert view().status.word == "running"
    assert left_behind() == []


def test_of_two_launches_at_once_one_holds_the_run(start, view) -> None:
    ready = threading.Barrier(2)
    said: list[Any] = []

    def race() -> None:
        ready.wait()
        try:
            said.append(start(limit=200))
        except RunHeld as exc:
            said.append(str(exc))

    threads = [threading.Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [each for each in said if isinstance(each, str)]
    assert len(refused) == 1
    assert "is being run by process" in refused[0]
    (run,) = [each for each in said if not isinstance(each, str)]
    assert view().metadata["where"]["pid"] == run.pid


def test_a_state_directory_that_cannot_be_written_is_told(spec, monkeypatch, tmp_path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    monkeypatch.setenv("THEMIS_STATE_DIR", str(in_the_way / "state"))
    with pytest.raises(
        LaunchFailed, match=r"(?s)The state directory cannot be written to: .*THEMIS_STATE_DIR"
    ):
        launch(spec())


@pytest.fixture
def in_place_of_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """A shell script that is started as if it were the runner; gives the file it may write its pid to."""

    def put(script: str) -> Path:
        program, pid = tmp_path / "python", tmp_path / "pid"
        program.write_text(f"#!/bin/sh\necho $$ > {pid}\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(program))
        return pid

    return put


def gone(pid_file: Path) -> bool:
    return process_started(int(pid_file.read_text())) is None


def test_a_runner_that_dies_at_once_is_told_with_its_last_words(
    spec, in_place_of_python, left_behind
) -> None:
    in_place_of_python("echo out of luck >&2; kill -9 $$")
    with pytest.raises(LaunchFailed, match=r"(?s)ended before it answered. Its log, /.*ends:\nout of luck"):
        launch(spec())
    assert left_behind() == []


def test_a_runner_that_says_nothing_is_told_too(spec, in_place_of_python) -> None:
    in_place_of_python("exit 0")
    with pytest.raises(LaunchFailed, match=r"\(it is empty\)"):
        launch(spec())


def test_a_runner_that_does_not_answer_is_ended(spec, in_place_of_python, left_behind) -> None:
    pid = in_place_of_python("exec sleep 600")
    with pytest.raises(LaunchFailed, match=r"did not answer within 0\.5 s and was ended"):
        launch(spec(), within_s=0.5)
    assert gone(pid)
    assert left_behind() == []


def test_a_runner_that_will_not_end_is_killed(spec, in_place_of_python, monkeypatch) -> None:
    monkeypatch.setattr(launching, "END_WITHIN_S", 0.2)
    pid = in_place_of_python("trap '' TERM; while :; do sleep 1; done")
    with pytest.raises(LaunchFailed, match="was ended"):
        launch(spec(), within_s=0.5)
    assert gone(pid)


def test_a_launcher_that_is_interrupted_leaves_nothing_running(
    spec, in_place_of_python, monkeypatch, left_behind
) -> None:
    pid = in_place_of_python("exec sleep 600")

    def interrupted(answer: Path) -> None:
        if pid.exists() and pid.read_text().strip():
            raise KeyboardInterrupt

    monkeypatch.setattr(launching, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        launch(spec())
    assert gone(pid)
    assert left_behind() == []


# Surroundings

SHADOWS = ["json", "typing", "re", "themis", "msgspec", "tenacity", "platformdirs", "sitecustomize", "random"]


def test_files_beside_the_launcher_do_not_stand_in_for_modules(start, view, until) -> None:
    for name in SHADOWS:
        Path(f"{name}.py").write_text("raise SystemExit('shadowed')")
    start(limit=2, model="fake-math-llm?rate_limit_rate=0.01")
    until(completed(view))


def test_a_model_beside_the_launcher_is_found(start, view, until, store) -> None:
    Path("models_of_mine.py").write_text("def answer(prompt):\n    return 'mine'\n")
    Path("json.py").write_text("raise SystemExit('shadowed')")
    start(limit=2, model="python:models_of_mine:answer")
    until(completed(view))
    assert [each.response for each in store.backend.load_generation_records("r1")] == ["mine", "mine"]


def test_a_run_is_launched_from_a_folder_that_is_gone(start, view, until) -> None:
    Path.cwd().rmdir()
    start(limit=2)
    until(completed(view))


def test_a_run_is_launched_from_a_relative_state_directory(start, view, until, monkeypatch) -> None:
    monkeypatch.setenv("THEMIS_STATE_DIR", "state of mine")
    run = start(limit=1)
    assert run.log.is_relative_to(Path.cwd() / "state of mine")
    until(completed(view))


def test_a_hostile_spec_survives_the_way_to_the_runner(start, store, until, view) -> None:
    start(limit=1, prompt="\x00 é \ud800 {question}", system="$(id) `id` '\"")
    until(completed(view))
    (record,) = store.backend.load_generation_records("r1")
    assert record.prompt[0]["content"] == "$(id) `id` '\""
    assert record.prompt[1]["content"].startswith("\x00 é \ud800 ")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")
def test_a_key_is_in_no_file_and_no_argument(start, monkeypatch, store) -> None:
    monkeypatch.setenv("KEY_OF_MINE", "sk-very-secret")
    # Nobody listens there: the run waits between its calls.
    run = start(model="openai:m?base_url=http://127.0.0.1:9/v1&key=env:KEY_OF_MINE", limit=1)
    arguments = Path(f"/proc/{run.pid}/cmdline").read_bytes()
    assert b"themis.runs.runner" in arguments
    assert b"sk-very-secret" not in arguments
    for folder in (state_dir(), Path.home()):
        for path in folder.rglob("*"):
            assert not path.is_file() or b"sk-very-secret" not in path.read_bytes(), path


def test_the_runner_says_how_it_is_called(capsys) -> None:
    assert runner_main([]) == 2
    assert "usage: python -m themis.runs.runner ORDER" in capsys.readouterr().err


# What outlives what

LAUNCHER = """
import json, sys, time
from themis.runs.launch import launch
from themis.runs.spec import RunSpec
run = launch(RunSpec("demo", "fake-math-llm?latency=20ms", limit=60, max_workers=1, run_id="r1"))
print(json.dumps([run.pid, str(run.log)]), flush=True)
time.sleep(600)
"""


def test_a_run_outlives_the_session_that_launched_it(view, until) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, start_new_session=True
    )
    with launcher:
        assert launcher.stdout is not None
        pid, _ = json.loads(launcher.stdout.readline())
        os.killpg(launcher.pid, 9)
    try:
        assert view().status.word == "running"
        assert os.getsid(pid) == pid
        until(completed(view))
        assert view().progress.done == 60
    finally:
        if process_started(pid) is not None and view().status.live:
            os.kill(pid, 9)


def test_a_made_id_names_the_model_of_an_endpoint_not_its_profile():
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(
        '[endpoint.lab]\nbase_url = "https://h.example.org/v1"\nmodel = "org/smol-2"\n'
        '[endpoint.bare]\nbase_url = "https://h.example.org/v1"\n'
    )
    models = ("lab", "lab:other", "bare", "fake-math-llm")
    made = {model: _made_run_id(RunSpec("demo", model)) for model in models}
    assert "-demo-smol-2-" in made["lab"]
    assert "-demo-other-" in made["lab:other"]
    assert "-demo-bare-" in made["bare"]
    assert "-demo-fake-math-llm-" in made["fake-math-llm"]
