"""The guide to writing backends does what it says: its blocks run, in order, as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from printed import GUIDE, blocks


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder: the guide's files are written there, and imported from there."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    for block in blocks(GUIDE, "python"):
        if block.file_name is not None:
            (folder / block.file_name).write_text(block.text, encoding="utf-8")
            monkeypatch.delitem(sys.modules, Path(block.file_name).stem, raising=False)
    return folder


@pytest.mark.usefixtures("desk")
def test_every_block_runs(capsys: pytest.CaptureFixture[str]):
    namespace: dict[str, object] = {"__name__": "reader"}
    shown = [block for block in blocks(GUIDE, "python") if block.file_name is None]
    for block in shown:
        lined_up = "\n" * (block.line - 1) + block.text
        exec(compile(lined_up, str(GUIDE), "exec"), namespace)
    assert len(shown) >= 4
    assert "demo-fake-math-llm" in capsys.readouterr().out


@pytest.fixture
def quick_folder() -> Iterator[str]:
    """A folder in memory where the system has one: the suite commits thousands of times."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield folder


@pytest.mark.timeout(300)
def test_its_store_passes_the_suite(desk: Path, quick_folder: str):
    places = ["-p", "no:cacheprovider", "--basetemp", f"{quick_folder}/suite"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *places, "test_lab_store.py"],
        cwd=desk,
        env={**os.environ, "PYTHONPATH": str(desk)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
