"""What terminals do to an app, and what it leaves behind in them."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.pty.hostile import World, harmless_texts
from tests.pty.terminals import APP, PtyTerminal, pasted
from themis import evaluate
from themis.core.directories import state_dir
from themis.runs.catalog import open_store
from themis.runs.launch import launch
from themis.runs.spec import RunSpec
from themis.runs.watch import look

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
GIVEN_BACK = (
    "csi ?1049l",
    "csi ?25h",
    "csi ?1000l",
    "csi ?1003l",
    "csi ?1006l",
    "csi ?2004l",
    "csi <u",
    "csi ?7h",
)
"""Screen, cursor, mouse, paste, keyboard and wrapping, as they were."""


@pytest.fixture
def world() -> None:
    for run_id in ("first-run", "second-run"):
        evaluate("demo", model="fake-math-llm", limit=20, run_id=run_id)


@pytest.fixture
def live(world: None) -> Iterator[str]:
    """A run in a process of its own that goes on for as long as a test."""
    spec = RunSpec("demo", "fake-math-llm?latency=100ms", epochs=50, max_workers=2, run_id="live-run")
    launched = launch(spec)
    yield launched.run_id
    with suppress(ProcessLookupError):
        os.kill(launched.pid, signal.SIGKILL)


def opened(**given: object) -> PtyTerminal:
    terminal = PtyTerminal(**given)  # type: ignore[arg-type]
    terminal.until(lambda text: "first-run" in text)
    return terminal


def is_as_it_was(terminal: PtyTerminal) -> None:
    for shape in GIVEN_BACK:
        assert terminal.shapes[shape], f"{shape} was not written"
    assert terminal.modes == terminal.modes_before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_ends_it_and_everything_is_given_back(world, number, code):
    with opened() as terminal:
        terminal.signal(number)
        assert terminal.ended() == code
        is_as_it_was(terminal)


def test_q_gives_everything_back(world):
    with opened() as terminal:
        terminal.press("q")
        assert terminal.ended() == 0
        is_as_it_was(terminal)


@pytest.mark.parametrize("ignoring", [(), (signal.SIGHUP,)], ids=["plain", "nohup"])
def test_a_lost_terminal_ends_it_within_seconds(world, ignoring):
    with opened(ignoring=ignoring) as terminal:
        terminal.hang_up()
        began = time.monotonic()
        assert terminal.process.wait(10) == 129
        assert time.monotonic() - began < 8


@linux
@pytest.mark.parametrize("ignoring", [(), (signal.SIGHUP,)], ids=["plain", "nohup"])
def test_a_terminal_that_hangs_and_is_then_lost_ends_it_too(live, ignoring):
    with opened(ignoring=ignoring) as terminal:
        _let_it_hang(terminal)
        before = terminal.cpu_s()
        terminal.hang_up()
        began = time.monotonic()
        assert terminal.process.wait(15) == 129
        assert time.monotonic() - began < 12
        assert before < 60


@linux
def test_sigterm_ends_it_while_the_terminal_hangs(live):
    with opened() as terminal:
        _let_it_hang(terminal)
        terminal.signal(signal.SIGTERM)
        assert terminal.process.wait(15) == 143
        assert terminal.modes == terminal.modes_before


@linux
def test_a_terminal_nobody_reads_disturbs_no_run_and_is_drawn_when_it_is_read_again(live):
    store = open_store()
    with opened() as terminal:
        _let_it_hang(terminal)
        before = look(store.backend, live).progress
        deadline = time.monotonic() + 20
        while (
            (now := look(store.backend, live).progress) is None
            or before is None
            or now.done < before.done + 20
        ):
            assert time.monotonic() < deadline, "the run does not go on"
            time.sleep(0.05)
        terminal.read_again()
        terminal.press("esc")
        terminal.until(lambda text: text.startswith(" themis"))
        terminal.press("?")
        terminal.until(lambda text: "‹ help" in text)


def _let_it_hang(terminal: PtyTerminal) -> None:
    """Stop reading, and have it draw until its loop stands still."""
    terminal.stop_reading()
    deadline = time.monotonic() + 30
    stat = Path(f"/proc/{terminal.process.pid}/task")
    while not _writer_waits(stat):
        assert time.monotonic() < deadline, "it never filled the terminal"
        with suppress(BlockingIOError):
            terminal.press("?", "esc")
        time.sleep(0.02)


def _writer_waits(tasks: Path) -> bool:
    """Whether one of its threads waits for the terminal to take something."""
    for task in tasks.iterdir():
        with suppress(OSError):
            if (task / "wchan").read_text() in ("n_tty_write", "wait_woken") and _in_write(task):
                return True
    return False


def _in_write(task: Path) -> bool:
    with suppress(OSError):
        return (task / "syscall").read_text().startswith(("1 ", "64 "))
    return True


def test_stderr_in_a_file_is_refused_in_one_line(tmp_path):
    with open(tmp_path / "err", "wb") as file, PtyTerminal(stderr=file.fileno()) as terminal:
        assert terminal.ended() == 2
        assert not terminal.written
    said = (tmp_path / "err").read_text()
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_stdout_in_a_file_is_no_trouble_and_stays_empty(world, tmp_path):
    with open(tmp_path / "out", "wb") as file, opened(stdout=file.fileno()) as terminal:
        terminal.press("q")
        assert terminal.ended() == 0
    assert (tmp_path / "out").read_bytes() == b""


@pytest.mark.parametrize("term", ["dumb", None], ids=["dumb", "unset"])
def test_a_terminal_that_cannot_draw_gets_one_plain_line(term):
    with PtyTerminal(TERM=term) as terminal:
        assert terminal.ended() == 2
        assert b"\x1b" not in terminal.written
        assert terminal.written.count(b"\n") == 1


def test_no_color_has_no_colour_and_says_every_status(world):
    with opened(NO_COLOR="1") as terminal:
        terminal.until(lambda text: "✓ completed" in text)
        terminal.press("q")
        terminal.ended()
        said = b" ".join(re.findall(rb"\x1b\[([0-9;:]*)m", bytes(terminal.written))).decode()
        assert not re.search(r"(?<![\d;])(3[1-6]|4[1-6]|9[1-6]|10[1-6])(?![\d;])", said)
        shades = re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", said)
        assert shades
        assert all(red == green == blue for red, green, blue in shades)


def test_with_16_colours_every_status_is_a_word(world):
    with opened(TEXTUAL_COLOR_SYSTEM="standard", COLORTERM=None, TERM="xterm") as terminal:
        terminal.until(lambda text: "✓ completed" in text)
        terminal.press("q")
        terminal.ended()
        assert not [each for each in _sgr(terminal) if re.search(r"[34]8[;:]", each)]


def _sgr(terminal: PtyTerminal) -> set[str]:
    return {each.decode() for each in re.findall(rb"\x1b\[([0-9;:]*)m", bytes(terminal.written))}


def test_a_locale_without_utf_8_gets_ascii_on_every_screen(world):
    with opened(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0") as terminal:
        for key, shown in (("enter", "all 20"), ("enter", "prompt"), ("?", "< help")):
            terminal.press(key)
            text = terminal.until(lambda text, shown=shown: shown in text)
            assert text.isascii(), sorted(set(text) - set(map(chr, range(128))))
        terminal.signal(signal.SIGTERM)
        assert terminal.ended() == 143


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (200, 50), (20, 5), (1, 1)])
def test_every_screen_at_every_size(world, size):
    with PtyTerminal(size=size) as terminal:
        if size[0] < 60:
            terminal.until(lambda _: terminal.shapes["text"])
            terminal.press(
                "j",
                "enter",
                "enter",
                "r",
                "?",
                "esc",
                "esc",
                "esc",
                "+",
                "esc",
                "p",
                "t",
                "a",
                "esc",
                "esc",
                ":",
                "esc",
            )
        else:
            terminal.until(lambda text: "first-run" in text)
            terminal.press("enter")
            terminal.until(lambda text: "all 20" in text)
            terminal.press("enter")
            terminal.until(lambda text: "── prompt" in text)
            terminal.press("esc")
            terminal.until(lambda text: "all 20" in text)
            terminal.press("esc")
            terminal.until(lambda text: " AGE" in text)
            terminal.press("p")
            terminal.until(lambda text: "No profiles yet" in text)
            terminal.press("a", "enter")
            terminal.until(lambda text: "add a storage" in text and "protected" in text)
            terminal.press("esc")
            terminal.until(lambda text: "‹ profiles" in text)
            terminal.press("esc")
            terminal.until(lambda text: " AGE" in text)
        terminal.resize(80, 24)
        terminal.until(lambda text: " AGE" in text and "? help" in text)
        terminal.signal(signal.SIGTERM)
        assert terminal.ended() == 143


@pytest.mark.parametrize("kept", [{}, {"COLUMNS": "80", "LINES": "24"}], ids=["plain", "size in environment"])
def test_a_storm_of_sizes_ends_in_the_last(world, kept):
    dice = random.Random(4)
    with opened(**kept) as terminal:
        for _ in range(200):
            terminal.resize(dice.randint(1, 220), dice.randint(1, 60))
        terminal.resize(90, 28)
        text = terminal.until(lambda text: text.rstrip().endswith("? help") and "first-run" in text)
        assert len(text.split("\n")) == 28
        terminal.press("q")
        assert terminal.ended() == 0


@linux
def test_ctrl_z_stops_it_and_fg_brings_it_back(world):
    with opened() as terminal:
        stat = Path(f"/proc/{terminal.process.pid}/stat")
        terminal.press("ctrl+z")
        deadline = time.monotonic() + 20
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline, "it did not stop"
            time.sleep(0.01)
        assert terminal.modes == terminal.modes_before
        assert terminal.shapes["csi ?1049l"]
        terminal.screen.resize(80, 24)
        terminal.signal(signal.SIGCONT)
        terminal.until(lambda text: "first-run" in text)
        terminal.press("?")
        terminal.until(lambda text: "‹ help" in text)
        terminal.signal(signal.SIGTERM)
        assert terminal.ended() == 143


def test_a_crash_says_one_thing_and_keeps_its_secrets(world, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import sys\n"
        "from themis_tui import main\n"
        "from themis_tui.app import ThemisApp\n"
        "class Broken(ThemisApp):\n"
        "    def do_theme(self):\n"
        "        key = 'sk-' + 'secret' * 3\n"
        "        raise RuntimeError('it broke')\n"
        "import themis_tui.app\n"
        "themis_tui.app.ThemisApp = Broken\n"
        "sys.exit(main.main([]))\n"
    )
    with PtyTerminal([sys.executable, str(broken)]) as terminal:
        terminal.until(lambda text: "first-run" in text)
        terminal.press("f2")
        assert terminal.ended() == 1
        said = bytes(terminal.written).rpartition(b"\x1b[?1049l")[2]
        assert b"a fault of its own (RuntimeError)" in said
        assert b"secretsecret" not in terminal.written
        assert b"Traceback" not in said
        is_as_it_was(terminal)
    (log,) = (state_dir() / "logs").glob("crash-*.log")
    assert log.stat().st_mode & 0o777 == 0o600
    assert "it broke" in log.read_text()
    assert "secretsecret" not in log.read_text()


def test_version_needs_no_terminal():
    said = subprocess.run(
        [*APP, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )
    assert said.returncode == 0
    assert said.stdout.startswith("themis-tui ")
    assert said.stderr == ""


def test_letters_typed_ahead_go_where_they_are_meant(world):
    with opened() as terminal:
        terminal.send("/quick run")
        terminal.until(lambda text: "/ quick run" in text)
        terminal.press("esc")
        terminal.until(lambda text: "/ quick" not in text and "first-run" in text)
        terminal.press("enter")
        terminal.until(lambda text: "all 20" in text)
        terminal.send("/quick run")
        terminal.until(lambda text: "/ quick run" in text)


def test_keys_within_a_paste_are_text_and_bytes_that_are_no_utf_8_are_signs(world):
    with opened() as terminal:
        terminal.press("+")
        terminal.until(lambda text: "‹ new run" in text and "to ask" in text)
        terminal.send(pasted("some\x1b[15~\x9b\u202ething"))
        terminal.until(lambda text: "some␛[15~\ufffd\ufffdthing" in text)
        os.write(terminal._leader, b"caf\xe9 \xff")
        terminal.until(lambda text: "caf\ufffd" in text)
        assert not terminal.faults
        terminal.press("esc")
        terminal.until(lambda text: " AGE" in text)


def test_an_id_that_no_clipboard_takes_is_copied_as_signs():
    World(["\ud800\x1b]52;c;?\x07\nrm -rf", *harmless_texts(1)]).save()
    with PtyTerminal() as terminal:
        terminal.until(lambda text: "r00000" in text)
        terminal.press("enter")
        terminal.until(lambda text: "S00000" in text)
        terminal.press("enter")
        terminal.until(lambda text: "P00000" in text)
        terminal.press("y")
        terminal.until(lambda text: "clipboard" in text)
        assert terminal.clipboard == ["S00000 \ufffd␛]52;c;?␇⏎rm -rf"]
        assert not terminal.faults


@pytest.mark.skipif(
    shutil.which("setsid") is None, reason="setsid is not installed; it starts without a terminal"
)
def test_a_session_without_a_terminal_is_told():
    said = subprocess.run(
        ["setsid", *APP], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )
    assert said.returncode == 2
    assert said.stderr.count("\n") == 1


def test_the_cursor_is_seen_however_fast_rows_come_and_keys_go():
    World(harmless_texts(60), per_run=60).save()
    with PtyTerminal(size=(100, 32)) as terminal:
        for _ in range(8):
            terminal.until(
                re.compile(r"\A themis(?!.*all 60).*^▌[^\n]*r00000", re.DOTALL | re.MULTILINE).search
            )
            terminal.press("enter")
            terminal.until(lambda text: "all 60" in text and "S00000" in text)
            terminal.press("f", "f", "f", "G")
            terminal.until(re.compile("^▌ .*S00059", re.MULTILINE).search)
            terminal.press("g")
            terminal.until(re.compile("^▌ .*S00000", re.MULTILINE).search)
            terminal.press("esc")


def test_a_form_filled_in_faster_than_it_is_drawn(world):
    with opened(size=(110, 30)) as terminal:
        terminal.press("+")
        terminal.until(lambda text: "‹ new run" in text and "to ask" in text)
        terminal.send("\t\x1b[F?latency=9ms\t{question} Now.\t\t\t7\x7f8\t2\t")
        text = terminal.until(lambda text: "16 samples to ask" in text)
        for typed in (
            r"model +fake-math-llm\?latency=9ms",
            r"prompt +\{question\} Now\.",
            "limit +8",
            "epochs +2",
        ):
            assert re.search(rf"^ +{typed}( |$)", text, re.MULTILINE), text
        terminal.send("\x1b[27u/second\x1b[27u")
        terminal.until(lambda text: text.startswith(" themis") and "first-run" in text and "second" in text)
