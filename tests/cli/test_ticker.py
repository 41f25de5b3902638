"""Progress for people and for programs."""

from __future__ import annotations

import io
import json
import sys

import pytest

from themis.cli.ticker import Ticker


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_renews_itself_and_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    ticker = Ticker(as_json=False)
    ticker.tell("copying \x1b[2J", 1, 1_000)
    ticker.tell("copying", 2, 1_000)  # too soon after the first
    ticker.tell("done", 1_000, 1_000)
    ticker.close()
    ticker.close()
    first, last = "copying ␛[2J 1 of 1,000", "done 1,000 of 1,000"
    assert screen.getvalue() == f"\r{first}\r\r{last.ljust(len(first))}\r\r{' ' * len(last)}\r"


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    Ticker(as_json=False).tell("copying", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_program_gets_objects(capsys: pytest.CaptureFixture[str]) -> None:
    Ticker(as_json=True).tell("copying", 2, None, run_id="r\u202e")
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {"progress": {"what": "copying", "done": 2, "total": None, "run_id": "r\u202e"}}
