"""The tour of the README, typed as printed, in one shell after the other and one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from printed import README, blocks, commands

NEEDS_A_SERVER = "openai:"


@pytest.mark.timeout(240)
def test_the_tour_works_as_printed(tmp_path: Path):
    desk = tmp_path / "clone"
    desk.mkdir()
    for block in blocks(README, "python"):
        if block.file_name is not None:
            (desk / block.file_name).write_text(block.text, encoding="utf-8")
    tour = [each for each in commands(README) if NEEDS_A_SERVER not in each]
    assert len(tour) >= 10
    said = {each: typed(each, desk) for each in tour}

    assert " first " in said["themis runs list"]
    assert said["python my_model.py"].strip() == "0.5"
    exported = said["themis runs export mine --format csv"].splitlines()
    assert len(exported) == 3


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    shown = [block for block in blocks(README, "python") if block.file_name is None]
    for block in shown:
        exec(compile(block.text, str(README), "exec"), {"__name__": "reader"})
    assert len(shown) >= 1
    assert "ExactMatch: 0." in capsys.readouterr().out


class OneAnswer(BaseHTTPRequestHandler):
    """A chat server that knows one answer."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.path == "/v1/chat/completions"
        message = {"role": "assistant", "content": "85"}
        self.answer({"model": asked["model"], "choices": [{"message": message, "finish_reason": "stop"}]})

    def answer(self, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OneAnswer) as serving:
        threading.Thread(target=serving.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_its_command_for_a_server_of_ones_own_works(server: str, tmp_path: Path):
    (asks,) = [each for each in commands(README) if "127.0.0.1:8000" in each]
    said = typed(asks.replace("127.0.0.1:8000", server) + " --json", tmp_path)
    report = json.loads(said)
    assert report["counts"] == {"asked": 20, "answered": 20, "errors": 0, "kept": 0}
    assert 0 < report["metrics"]["ExactMatch"]["mean"] < 0.5, "47 + 38 is asked among the first"


def test_its_command_for_a_hosted_model_is_understood(tmp_path: Path):
    (asks,) = [each for each in commands(README) if "llm.example.org" in each]
    # All that is wrong is said at once, before anything is asked: nothing is, but for what is added here.
    done = run(asks + " --budget seconds=nothing", tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["themis: --budget: 'seconds=nothing': 'nothing' is not a number"]


def typed(command: str, folder: Path) -> str:
    """What a command prints that works."""
    done = run(command, folder)
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command as it is typed after ``. .venv/bin/activate``."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
