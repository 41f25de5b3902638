"""The two commands of the README are the ones that CI runs, and what the README links to is there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from printed import README, ROOT, blocks

PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md"))


def test_the_readme_gives_two_commands_that_set_everything_up():
    first, second = (block.text.strip() for block in blocks(README, "sh")[:2])
    assert first.startswith("python3 -m venv .venv && ")
    assert second.startswith("python3 -m venv .venv && ")
    assert "themis-tui" in first.rpartition("&&")[2]
    assert "pytest" in second.rpartition("&&")[2]


def test_ci_runs_the_readmes_own_test_command():
    shown = subprocess.run(
        [ROOT / ".ci" / "run", "--show-test-command"], capture_output=True, text=True, check=True, cwd="/"
    )
    assert shown.stdout.strip() == blocks(README, "sh")[1].text.strip()


def test_ci_can_be_started():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("#"):
            continue
        assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} links to {target}"
