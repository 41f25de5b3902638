"""The truth about a run: what was written, corrected by what can be proven from here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from themis.evaluation.host import boot_id, host_name, process_started
from themis.runs.status import ENDED, LIVE, NO_SIGNAL_S, STALLED_S, Status, status_of

NOW = 1_000_000.0
HERE = {
    "host": host_name(),
    "boot_id": boot_id(),
    "pid": os.getpid(),
    "pid_started": process_started(os.getpid()),
}


def running(beat: float = NOW, progress: dict[str, Any] | None = None, **where: Any) -> dict[str, Any]:
    return {
        "run_id": "r1",
        "status": "running",
        "where": {**HERE, **where},
        "heartbeat": {"seq": 1, "at": beat},
        "progress": progress,
    }


def word(metadata: dict[str, Any], now: float = NOW) -> str:
    return status_of(metadata, now=now).word


@pytest.mark.parametrize("written", ["queued", "paused", "completed", "failed", "cancelled", "something new"])
def test_what_was_written_is_said(written: str) -> None:
    metadata = {**running(beat=0.0, pid=2**22 + 5), "status": written, "status_reason": "because"}
    assert status_of(metadata, now=NOW) == Status(written, "because")


@pytest.mark.parametrize("metadata", [{}, {"run_id": "r1"}, {"status": None}, {"status": 5}])
def test_records_alone_are_unknown(metadata: dict[str, Any]) -> None:
    assert status_of(metadata) == Status("unknown", "it has records but no metadata")
    assert not status_of(metadata).live


def test_a_run_that_beats_is_running() -> None:
    assert status_of(running(), now=NOW) == Status("running")
    assert status_of(running(), now=NOW).live


def test_silence_is_said_after_its_time_and_not_before() -> None:
    elsewhere = running(host="elsewhere")
    assert word(elsewhere, NOW + NO_SIGNAL_S) == "running"
    said = status_of(elsewhere, now=NOW + NO_SIGNAL_S + 1)
    assert said == Status("no signal", "no signal for 46 s")
    assert said.live


def test_another_host_is_never_proven_dead() -> None:
    for where in ({"pid": 2**22 + 5}, {"pid_started": 1}, {"boot_id": "earlier"}):
        assert word(running(host="elsewhere", **where)) == "running"
        assert word(running(host="elsewhere", **where), NOW + 1e9) == "no signal"


def test_a_process_that_is_gone_is_proven() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process:
        where = {"pid": process.pid, "pid_started": process_started(process.pid)}
        assert word(running(**where)) == "running"
    assert status_of(running(**where), now=NOW) == Status("crashed", f"process {process.pid} is gone")
    assert not status_of(running(**where), now=NOW).live


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_a_process_that_nobody_has_buried_is_gone_too(until: Any) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process:
        where = {"pid": process.pid, "pid_started": process_started(process.pid)}
        assert process.stdin is not None
        process.stdin.close()
        # Nobody waits for it here: it stays listed.
        until(lambda: word(running(**where)) == "crashed")
        assert Path(f"/proc/{process.pid}/stat").exists()


def test_a_pid_that_was_given_to_another_process_is_no_proof_of_life() -> None:
    assert word(running(pid_started=(HERE["pid_started"] or 0) + 1)) == "crashed"


def test_a_host_that_was_started_anew_is_proof_once_nothing_beats() -> None:
    earlier = running(boot_id="an earlier boot")
    # Two hosts of one name: the other one beats.
    assert word(earlier) == "running"
    said = status_of(earlier, now=NOW + NO_SIGNAL_S + 1)
    assert said == Status("crashed", "its host was started anew since")


@pytest.mark.parametrize("where", [{"pid": None}, {"pid": "5"}, {"host": None}, {"boot_id": None}])
def test_without_knowing_the_process_nothing_is_proven(where: dict[str, Any]) -> None:
    assert word(running(**where)) == "running"


def test_a_run_that_says_little_is_believed() -> None:
    assert word({"status": "running"}) == "running"
    assert word({"status": "running", "where": None, "heartbeat": None, "progress": None}) == "running"
    assert word({"status": "running", "updated_at": NOW - 100}) == "no signal"
    strange = {"status": "running", "where": "here", "heartbeat": [1], "progress": 5, "updated_at": "now"}
    assert word(strange) == "running"


def test_beating_without_finishing_is_stalled() -> None:
    def stalled(finished: float, slow: float | None = None) -> Status:
        progress = {"finished_at": NOW - finished, "latency_p95_s": slow}
        return status_of(running(progress=progress), now=NOW)

    assert stalled(STALLED_S).word == "running"
    assert stalled(STALLED_S + 1) == Status("stalled", "nothing finished for 61 s")
    assert stalled(STALLED_S + 1).live
    # Slow answers get five times their usual time.
    assert stalled(149, slow=30.0).word == "running"
    assert stalled(151, slow=30.0).word == "stalled"
    assert status_of(running(progress={"finished_at": None}), now=NOW).word == "running"


def test_every_word_is_either_live_or_ended_or_to_be_resumed() -> None:
    assert LIVE.isdisjoint(ENDED)
    assert {"paused", "crashed", "unknown"}.isdisjoint(LIVE | ENDED)


def test_a_run_that_is_rescored_says_so() -> None:
    reason = "rescoring by Includes"
    assert status_of({**running(), "status_reason": reason}, now=NOW) == Status("running", reason)
