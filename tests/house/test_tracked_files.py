"""Nothing of one machine is in what we give away."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Put together from pieces, so that this file does not find itself.
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:" + "|".join(["ro" + "ot", "wo" + "rk"]) + r")/[\w.]")
PEOPLE = re.compile(r"(?<![\w.~-])/(?:ho" + r"me|Us" + r"ers)/(?!(?:you|me|user|name|someone)\b)\w")
REGISTRIES = re.compile(
    "|".join(
        [
            "py" + r"pi\.org",
            "python" + r"hosted\.org",
            "registry" + r"\.npm",
            r"--(?:extra-)?index" + "-url",
            r"https?://[\w.:-]+/(?:simple|packages)" + "/",
        ]
    )
)
TEXT = {
    "",
    ".cfg",
    ".css",
    ".csv",
    ".json",
    ".jsonl",
    ".md",
    ".py",
    ".sh",
    ".svg",
    ".tcss",
    ".toml",
    ".txt",
    ".yml",
}


def tracked() -> list[Path]:
    """The files that a clone has; all of a folder that was not cloned cannot be told apart, so none."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so what is tracked cannot be told")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix in TEXT]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [(MACHINE_PATHS, "a path of one machine"), (PEOPLE, "a person's home"), (REGISTRIES, "a registry")],
    ids=["paths", "homes", "registries"],
)
def test_no_tracked_file_names(pattern: re.Pattern[str], what: str):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"{what} in\n" + "\n".join(found)


def test_what_is_searched_for_is_found():
    assert MACHINE_PATHS.search('"/ro' + 'ot/x"')
    assert PEOPLE.search(" /ho" + "me/anna/runs")
    assert REGISTRIES.search("pip install --index" + "-url http://x")
    assert not PEOPLE.search("/ho" + "me/you/runs")
