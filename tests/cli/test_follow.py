"""Launching, watching, telling: runs in processes of their own."""

import json
import time

import pytest

FAKE = "fake-math-llm?latency=100ms"


@pytest.fixture
def launched(shell, themis):
    """Launch a run from a process of its own, as a shell does; what still runs at the end is ended."""
    addresses = []

    def launch(*words):
        ran = shell("eval", "demo", *words, "--run-id", "a", "--detach", "--json")
        assert ran.code == 0, ran
        addresses.append(ran.json["address"])
        return ran.json

    yield launch
    for address in addresses:
        for _ in range(2):
            themis("runs", "cancel", address)
        themis("runs", "watch", address)


def test_a_launched_run_is_watched_to_its_end(themis, launched, store):
    run = launched("--model", "fake-math-llm", "--limit", "20")
    assert run["run_id"] == "a"
    assert run["address"].endswith(":a")
    ran = themis("runs", "watch", run["address"])
    assert ran.code == 0
    assert ran.out.splitlines()[0].startswith("a: ")
    assert ran.out.splitlines()[-1].startswith("20/20 done")
    assert ran.out.splitlines()[-1].endswith("completed")
    last = json.loads(themis("runs", "watch", "a", "--json").out.splitlines()[-1])
    assert (last["status"], last["progress"]["done"]) == ("completed", 20)
    log = themis("runs", "log", "a")
    assert "a: completed" in log.out
    assert run["log"] in log.err


def test_a_launch_says_what_to_do_next(shell, themis):
    ran = shell("eval", "demo", "--model", "fake-math-llm", "--limit", "2", "--run-id", "a", "--detach")
    assert ran.code == 0
    said = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert set(said) == {"run", "process", "log", "watch"}
    assert themis(*said["watch"].split()[1:]).code == 0


@pytest.mark.parametrize(("verb", "word", "code"), [("cancel", "cancelled", 130), ("pause", "paused", 4)])
def test_a_launched_run_obeys(themis, launched, verb, word, code):
    launched("--model", FAKE, "--executor", "sequential")
    told = themis("runs", verb, "a", "--json")
    assert told.code == 0
    assert told.json["address"] == "local:a"
    ran = themis("runs", "watch", "a")
    assert ran.code == code
    assert word in ran.out.splitlines()[-1]
    again = themis("runs", verb, "a")
    assert again.code == 1
    assert word in again.err


def test_what_cannot_be_launched_says_why(themis):
    ran = themis("eval", "demo", "--model", "fake-math-llm", "--storage", "memory", "--detach")
    assert ran.code == 2
    assert "memory" in ran.err


def test_a_live_run_of_a_terminal_is_not_told_from_outside(themis, started):
    process = started("eval", "demo", "--model", FAKE, "--executor", "sequential", "--run-id", "a")
    process.stderr.readline()
    ran = themis("runs", "cancel", "a")
    assert ran.code == 1
    assert "Ctrl-C" in ran.err
    assert themis("runs", "delete", "a", "--yes").code == 1


def test_no_longer_watching_ends_nothing(themis, write_run, tmp_path, monkeypatch):
    write_run(tmp_path / "s", "a", status="running", where={"host": "elsewhere"}, updated_at=time.time())

    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("themis.cli.follow.time.sleep", interrupted)
    ran = themis("runs", "watch", "a", "--storage", "./s")
    assert ran.code == 130
    assert "goes on" in ran.err


def test_a_run_without_a_log_says_so(themis, finished):
    ran = themis("runs", "log", finished)
    assert ran.code == 2
    assert "--detach" in ran.err
