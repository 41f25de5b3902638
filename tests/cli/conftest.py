"""Commands as a shell calls them, in this process or in one of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from themis.backends import LocalStorageBackend
from themis.cli.main import main
from themis.core.directories import profiles_path
from themis.core.entities import EvaluationRecord, GenerationRecord


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Themis = Callable[..., Ran]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THEMIS_DEBUG", raising=False)


@pytest.fixture
def themis(capsys: pytest.CaptureFixture[str]) -> Themis:
    def run(*arguments: str) -> Ran:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture
def finished(themis: Themis) -> str:
    """A completed run of ten samples, some right and some wrong."""
    assert themis("eval", "demo", "--model", "fake-math-llm", "--limit", "10", "--run-id", "ten").code == 0
    return "ten"


@pytest.fixture
def store() -> LocalStorageBackend:
    """The default store."""
    return LocalStorageBackend()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "themis.cli.main", *arguments]


@pytest.fixture
def shell() -> Callable[..., Ran]:
    """A command in a process of its own, to its end."""

    def run(*arguments: str, **options: Any) -> Ran:
        ended = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, **options)
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Commands in processes of their own that are still going on; killed if they are left so."""
    with ExitStack() as running:

        def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
            streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
            process = subprocess.Popen(command(*arguments), **streams)
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield start


@pytest.fixture
def write_run() -> Callable[..., None]:
    """Put a run's metadata straight into a local store."""

    def write(root: Path, run_id: str, **metadata: Any) -> None:
        folder = root / "runs" / run_id
        os.makedirs(folder)
        document = {"run_id": run_id, "schema_version": 1, "status": "completed", **metadata}
        (folder / "run.json").write_text(json.dumps(document))

    return write


@pytest.fixture
def write_profiles() -> Callable[[str], None]:
    """Put profiles straight into their file."""

    def write(text: str) -> None:
        profiles_path().parent.mkdir(parents=True, exist_ok=True)
        profiles_path().write_text(text)

    return write


HOSTILE = "\x1b]52;c;cm0gLXJm\x07\x9b31m\u202eevil\ud800[bold]\r\n\tend"
"""A text that would write to the clipboard, turn colours, turn around, and break a line."""


@pytest.fixture
def hostile(store: LocalStorageBackend) -> str:
    """A run whose sample ids, texts and errors are all hostile; gives the id of its first sample."""
    asked = {
        "benchmark": "\x1b[2Jbench",
        "model": {"name": "\x1b]0;title\x07"},
        "metrics": {"=M": {}},
        "sampling": {"\x1b[2J": "\x1b[2J"},
        "system": "\x1b[2J",
    }
    store.save_run_metadata(
        "hostile",
        {
            "run_id": "hostile",
            "schema_version": 1,
            "status": "paused",
            "status_reason": "\x1b[2Jgone",
            "asked": asked,
            "summary": {"headline": "=M", "metrics": {"=M": {"mean": 0.5, "n": 2}}, "done": 2, "total": 2},
        },
    )
    for number, error in enumerate((None, {"kind": HOSTILE, "message": HOSTILE, "stage": "call"})):
        sample, key = f"={number}{HOSTILE}", str(number)
        response = None if error else HOSTILE
        store.save_generation_record(
            "hostile",
            GenerationRecord(id=sample, prompt=HOSTILE, response=response, error=error, cache_key=key),
        )
        store.save_evaluation_record(
            "hostile",
            EvaluationRecord(
                cache_key=key,
                id=sample,
                scores={"=M": None if error else 0},
                reference=HOSTILE,
                details={"=M": HOSTILE},
                error=error,
                tags=[HOSTILE],
            ),
        )
    store.flush()
    store.close()
    return f"=0{HOSTILE}"


@pytest.fixture
def assert_harmless() -> Callable[[str], None]:
    """Nothing in a text that a terminal would obey."""

    def check(text: str) -> None:
        bad = {c for c in text if (ord(c) < 0x20 and c != "\n") or 0x7F <= ord(c) < 0xA0 or c == "\u202e"}
        assert not bad, f"{bad} in {text!r}"

    return check
