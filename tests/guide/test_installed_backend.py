"""A store of eleven methods in one SQLite file, installed under a name, is as good as a built-in one.

It is the one that docs/extending-backends.md writes, with the entry points that it prints.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from printed import install_guide
from textual.app import App

from themis import evaluate
from themis.backends import StorageBackend, open_executor, open_storage
from themis.core.errors import LaunchFailed, RunHeld, UsageError
from themis.runs.catalog import list_rows, open_store
from themis.runs.control import pause
from themis.runs.delete import delete
from themis.runs.launch import launch
from themis.runs.purge import purge
from themis.runs.spec import RunSpec
from themis.runs.watch import RunView, look

WITHIN_S = 60.0


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The guide's package on the path of this process and of those it starts."""
    site = tmp_path / "site"
    site.mkdir()
    install_guide(site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    for module in ("lab_store", "lab_futures"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return site


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def storage(installed: Path, file: Path) -> str:
    return f"lab-sqlite?path={file}"


def until(view: Callable[[], RunView], seen: Callable[[RunView], bool]) -> RunView:
    """The first look in which something is seen; looks as often as a watcher would."""
    deadline = time.monotonic() + WITHIN_S
    tick = threading.Event()
    while not seen(latest := view()):
        assert time.monotonic() < deadline, latest
        tick.wait(0.02)
    return latest


def test_it_is_found_by_its_name_alone(storage: str, file: Path):
    backend = open_storage(storage)
    assert type(backend).__mro__[1] is StorageBackend
    assert not backend.thread_safe
    assert not file.exists(), "opening a name writes nothing"


def test_an_option_that_it_lacks_is_named(storage: str):
    with pytest.raises(UsageError, match=r"no option 'pth'.*It has: path"):
        open_storage("lab-sqlite?pth=x")


def test_evaluate_keeps_everything_in_one_file(storage: str, file: Path):
    report = evaluate(
        "demo", model="fake-math-llm", limit=10, storage=storage, executor="lab-futures?workers=3"
    )

    assert [each.name for each in file.parent.glob("runs.db*")] == ["runs.db"]
    with sqlite3.connect(file) as db:
        kinds = dict(db.execute("SELECT kind, count(*) FROM record GROUP BY kind"))
    db.close()
    assert kinds == {"generation": 10, "evaluation": 10}
    assert open_storage(storage).load_report(report.run_id) == report
    assert open_executor("lab-futures?workers=3").workers == 3  # type: ignore[attr-defined]


def test_it_is_listed_and_resumed(storage: str):
    evaluate("demo", model="fake-math-llm", limit=4, storage=storage, run_id="grows")
    report = evaluate("demo", model="fake-math-llm", limit=10, storage=storage, run_id="grows")

    assert report.counts["kept"] == 4
    (row,) = list_rows(open_store(storage))
    assert (row.run_id, row.status.word, row.done, row.total) == ("grows", "completed", 10, 10)
    assert row.score == report.metrics[row.headline]["mean"]


def test_a_launched_run_is_seen_live_until_it_is_completed(storage: str):
    store = open_store(storage)
    spec = RunSpec("demo", "fake-math-llm?latency=150ms", limit=40, max_workers=2, storage=storage)
    launched = launch(spec)

    def view() -> RunView:
        return look(store.backend, launched.run_id)

    partly = until(view, lambda seen: seen.progress is not None and seen.progress.done > 0)
    assert partly.status.word == "running"
    assert partly.progress is not None
    assert partly.progress.total == 40
    with pytest.raises(RunHeld, match="cancel it first"):
        delete(store, launched.run_id)

    whole = until(view, lambda seen: not seen.status.live)
    assert whole.status.word == "completed"
    assert len(store.backend.load_generation_records(launched.run_id)) == 40
    assert store.backend.load_report(launched.run_id).counts["answered"] == 40

    delete(store, launched.run_id)
    assert list(list_rows(store)) == []
    purge(store, launched.run_id)
    assert not store.backend.run_exists(launched.run_id)
    assert store.backend.list_runs() == []


def test_a_launched_run_is_paused_and_launched_again(storage: str):
    store = open_store(storage)
    slow = "fake-math-llm?latency=300ms"
    spec = RunSpec("demo", slow, limit=60, max_workers=2, storage=storage, run_id="twice")
    launch(spec)

    def view() -> RunView:
        return look(store.backend, "twice")

    running = until(view, lambda seen: seen.progress is not None and seen.progress.done > 0)
    pause(running)
    assert until(view, lambda seen: not seen.status.live).status == ("paused", "interrupted")
    answered = len(store.backend.load_generation_records("twice"))
    assert 0 < answered < 60

    launch(replace(spec, model="fake-math-llm"))
    assert until(view, lambda seen: not seen.status.live).status.word == "completed"
    assert store.backend.load_report("twice").counts == {
        "asked": 60,
        "answered": 60,
        "errors": 0,
        "kept": answered,
    }


def test_a_store_that_would_be_gone_with_the_runner_is_refused_with_the_reason():
    with pytest.raises(UsageError, match=r"memory store: it would be gone with that\s+process"):
        launch(RunSpec("demo", "fake-math-llm", storage="memory"))


def test_a_store_that_the_runner_cannot_open_says_why(storage: str, tmp_path: Path):
    nowhere = tmp_path / "missing" / "runs.db"
    with pytest.raises(LaunchFailed, match="unable to open database file"):
        launch(RunSpec("demo", "fake-math-llm", storage=f"lab-sqlite?path={nowhere}"))


def themis(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, as the shell would start it."""
    return subprocess.run(
        [sys.executable, "-m", "themis.cli.main", *arguments],
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )


def test_the_command_line_takes_its_name(storage: str):
    done = themis(
        "eval", "demo", "--model", "fake-math-llm", "--limit", "10", "--storage", storage, "--run-id", "cli"
    )
    assert done.returncode == 0, done.stderr
    assert open_storage(storage).load_report("cli").counts["answered"] == 10

    listed = themis("runs", "list", "--storage", storage, "--json")
    assert listed.returncode == 0, listed.stderr
    assert "cli" in listed.stdout
    assert json.loads(listed.stdout)

    for verb in ("delete", "purge"):
        deleted = themis("runs", verb, "cli", "--storage", storage, "--yes")
        assert deleted.returncode == 0, deleted.stderr
    assert open_storage(storage).list_runs() == []


def test_the_command_line_launches_into_it(storage: str):
    done = themis(
        "eval", "demo", "--model", "fake-math-llm", "--limit", "10", "--storage", storage, "--detach",
        "--run-id", "apart",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "apart" in done.stdout
    backend = open_store(storage).backend
    seen = until(lambda: look(backend, "apart"), lambda view: not view.status.live)
    assert seen.status.word == "completed"


def test_the_command_line_refuses_a_store_that_would_be_gone(installed: Path):
    done = themis("eval", "demo", "--model", "fake-math-llm", "--storage", "memory", "--detach")
    assert done.returncode == 2
    assert "gone with that" in " ".join(done.stderr.split())


async def test_the_app_shows_its_runs_and_follows_a_live_one(storage: str):
    from themis_tui.app import ThemisApp

    evaluate("demo", model="fake-math-llm", limit=4, storage=storage, run_id="before")
    # Longer than anything here takes; it ends by being paused.
    slow = "fake-math-llm?latency=1s"
    launch(RunSpec("demo", slow, limit=60, max_workers=1, storage=storage, run_id="live"))

    async with ThemisApp(storage).run_test(size=(80, 24)) as pilot:

        async def shown(*words: str) -> None:
            deadline = time.monotonic() + WITHIN_S
            while not all(word in (text := screen_text(pilot.app)) for word in words):
                assert time.monotonic() < deadline, text
                await pilot.pause(0.02)

        await shown("before", "live", "running")
        await pilot.press("enter")
        await shown("live", "demo-001", "running")
        pause(look(open_store(storage).backend, "live"))
        await shown("live", "paused")


def screen_text(app: App[None]) -> str:
    """What a person reads on the screen now."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())
