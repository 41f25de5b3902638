"""The app in a real terminal: what only a terminal can show."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from themis import evaluate

TMUX = shutil.which("tmux")
WITHIN_S = 30.0
APP = [sys.executable, "-m", "themis_tui"]


class Terminal:
    """A tmux of 80 by 24 of its own."""

    def __init__(self, socket: str, environment: dict[str, str]) -> None:
        self._tmux = [str(TMUX), "-L", socket, "-f", "/dev/null"]
        self._environment = environment

    def start(self, command: list[str]) -> None:
        shell = f"{shlex.join(command)} 2>$(tty); echo left with $?; exec sleep 60"
        self._run("new-session", "-d", "-x", "80", "-y", "24", shell)

    def press(self, *keys: str) -> None:
        for key in keys:
            self._run("send-keys", key)

    def text(self) -> str:
        return self._run("capture-pane", "-p")

    def until(self, condition: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + WITHIN_S
        while not condition(text := self.text()):
            assert time.monotonic() < deadline, f"it did not come; the screen:\n{text}"
            time.sleep(0.05)
        return text

    def child(self) -> int:
        shell = self._run("display-message", "-p", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])

    def end(self) -> None:
        self._run("kill-server")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], env=self._environment, capture_output=True, text=True, timeout=20
        )
        return done.stdout


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    if TMUX is None:
        pytest.skip("tmux is not installed; it is the terminal of this test")
    opened = Terminal(
        f"themis-{uuid.uuid4().hex[:8]}", {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    )
    yield opened
    opened.end()


@pytest.fixture
def world() -> None:
    for run_id in ("first-run", "second-run"):
        evaluate("demo", model="fake-math-llm", limit=20, run_id=run_id)


def test_runs_are_seen_one_is_opened_and_the_terminal_is_given_back(world, terminal):
    terminal.start(APP)
    text = terminal.until(lambda text: "first-run" in text)
    assert "themis   local · 2 runs" in text
    assert "✓ completed" in text
    terminal.press("j", "Enter")
    terminal.until(lambda text: "‹ first-run" in text and "all 20" in text)
    terminal.press("n", "Enter")
    terminal.until(lambda text: "── prompt ──" in text and "wrong" in text)
    terminal.press("Escape")
    terminal.until(lambda text: "all 20" in text)
    terminal.press("q")
    text = terminal.until(lambda text: "left with 0" in text)
    assert "first-run" not in text, "the screen is as it was before"


@pytest.mark.skipif(sys.platform != "linux", reason="finds the app's process by /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_cleanly(world, terminal, number):
    terminal.start(APP)
    terminal.until(lambda text: "first-run" in text)
    os.kill(terminal.child(), number)
    text = terminal.until(lambda text: f"left with {128 + number}" in text)
    assert "first-run" not in text


def test_without_colour_status_is_still_a_word_and_ascii_has_twins(world, terminal):
    terminal.start(["env", "NO_COLOR=1", "THEMIS_ASCII=1", *APP])
    text = terminal.until(lambda text: "first-run" in text)
    assert text.isascii()
    assert "+ completed" in text
    assert text.count(">") == 1, "the cursor is a sign too"


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_draw_is_refused_in_one_line(term):
    leader, follower = pty.openpty()
    try:
        done = subprocess.run(
            APP,
            stdin=follower,
            stderr=follower,
            stdout=subprocess.PIPE,
            env={**os.environ, "TERM": term},
            timeout=30,
        )
        said = os.read(leader, 10_000).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 2
    assert "TERM=" in said
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_without_a_terminal_it_says_so():
    done = subprocess.run(APP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "needs a terminal" in done.stderr


def test_stderr_elsewhere_is_refused_before_anything_is_drawn(tmp_path):
    leader, follower = pty.openpty()
    try:
        done = subprocess.run(
            APP, stdin=follower, stdout=follower, stderr=subprocess.PIPE, text=True, timeout=30
        )
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 2
    assert "drawn on stderr" in done.stderr


def test_nothing_heavy_is_imported_to_start():
    heavy = {"boto3", "psycopg", "ray", "httpx2", "numpy", "pandas", "scipy", "dask", "openai"}
    start = "import sys; from themis_tui.app import ThemisApp; ThemisApp();"
    code = f"{start} print(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
