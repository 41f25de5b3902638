"""The tour of the README, typed as printed, in one shell after the other and one folder."""

from __future__ import annotations

import os
import subprocess
import sys
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


def typed(command: str, folder: Path) -> str:
    """What a command prints when it is typed after ``. .venv/bin/activate``."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout
