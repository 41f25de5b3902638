"""Ctrl-C, SIGTERM and a terminal's bar, with real processes."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

SLOW = ("eval", "demo", "--model", "fake-math-llm?latency=200ms", "--executor", "sequential", "--run-id", "a")
NEVER = ("eval", "demo", "--model", "fake-math-llm?latency=600s", "--limit", "4", "--run-id", "a")


def wait_until_it_runs(process):
    assert process.stderr.readline().startswith("a: ")


def wait_for_an_answer(process, store):
    wait_until_it_runs(process)
    while not store.load_evaluation_records("a"):
        assert process.poll() is None


def test_a_signal_is_heard_at_any_moment(started):
    # This early it falls between two instructions of the waiting thread.
    for number in (signal.SIGINT, signal.SIGTERM) * 3:
        process = started(*NEVER, "--storage", f"./{number}{time.monotonic_ns()}")
        wait_until_it_runs(process)
        process.send_signal(number)
        assert "Interrupted" in process.stderr.readline()
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 4), (signal.SIGHUP, 4)])
def test_the_first_signal_pauses_and_keeps_what_is_in_flight(started, store, themis, number, code):
    process = started(*SLOW)
    wait_for_an_answer(process, store)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "still saved" in err
    assert "paused: interrupted" in out
    assert "resume  themis eval demo" in out
    metadata = store.load_run_metadata("a")
    assert (metadata["status"], metadata["status_reason"]) == ("paused", "interrupted")
    saved = store.load_evaluation_records("a")
    assert 0 < len(saved) < 120
    assert f"of {len(saved)} asked; 120 in all" in out
    assert metadata["summary"]["done"] == len(saved)


def test_a_paused_run_is_resumed(started, store, themis):
    process = started(*SLOW)
    wait_for_an_answer(process, store)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    again = themis("eval", "demo", "--model", "fake-math-llm", "--run-id", "a")
    assert again.code == 0
    assert "answered 120 of 120 asked, " in again.out


def test_the_second_signal_waits_for_nothing(started, store):
    process = started(*NEVER)
    wait_until_it_runs(process)
    process.send_signal(signal.SIGINT)
    assert "still saved" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "at once" in err
    assert store.load_run_metadata("a")["status_reason"] == "interrupted"


def test_json_of_an_interrupted_run_is_still_the_report(started):
    process = started(*NEVER, "--json", stderr=subprocess.DEVNULL)
    # Nothing is said with --json, so the run's own metadata tell that it is there.
    path = f"{os.environ['XDG_DATA_HOME']}/themis/store/runs/a/run.json"
    while not os.path.exists(path):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode in (130, 4)
    assert '"status": "paused"' in out


def test_an_ignored_signal_stays_ignored(started):
    process = started(*SLOW, "--limit", "5", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_until_it_runs(process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_terminal_sees_a_bar_and_keeps_a_plain_result():
    words = [
        sys.executable,
        "-m",
        "themis.cli.main",
        "eval",
        "demo",
        "--model",
        "fake-math-llm",
        "--run-id",
        "a",
    ]
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=terminal, env=environment, text=True
    ) as process:
        os.close(terminal)
        seen = b""
        try:
            while chunk := os.read(screen, 65_536):
                seen += chunk
        except OSError:  # the terminal's other end was closed
            pass
        os.close(screen)
        out = process.stdout.read()
    assert process.returncode == 0
    assert "━" in seen.decode()
    assert "120/120 done" in seen.decode()
    assert out.startswith("METRIC")
    assert "\x1b" not in out
