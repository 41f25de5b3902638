"""What is imported is declared, so that a fresh machine has it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from printed import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GUIDE_MODULES = {path.stem for path in (ROOT / "tests" / "guide").glob("*.py")}
OURS = {"themis", "themis_tui", "tests", "tests_cli"} | GUIDE_MODULES
WRITTEN_BY_TESTS = {"lab_store", "lab_futures", "my_model"}
NEVER_IN_CI = {"real_model"}
"""Folders of tests that somebody starts by hand, with what they need."""


def declared(*extras: str) -> set[str]:
    """The distributions that installing with these extras brings, by normalised name."""
    wanted = list(PROJECT["dependencies"])
    for extra in extras:
        wanted += PROJECT["optional-dependencies"][extra]
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower().replace("_", "-") for each in wanted}


def imported(folder: Path) -> Iterator[tuple[str, Path]]:
    """The top-level packages that the modules of a folder import, here or there in them."""
    for path in sorted(folder.rglob("*.py")):
        if NEVER_IN_CI.intersection(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((each.name.partition(".")[0], path) for each in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0], path


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("themis", tuple(sorted(set(PROJECT["optional-dependencies"]) - {"test"}))),
        ("themis_tui", ()),
        ("tests", ("test",)),
    ],
)
def test_every_import_is_declared(folder: str, extras: tuple[str, ...]):
    has = declared(*extras)
    # What a suite for authors of backends needs, they have.
    has |= {"pytest"} if folder == "themis" else set()
    distributions = packages_distributions()
    for package, path in imported(ROOT / folder):
        if package in sys.stdlib_module_names or package in OURS | WRITTEN_BY_TESTS:
            continue
        if package in {each.stem for each in path.parent.glob("*.py")}:
            continue
        names = {name.lower().replace("_", "-") for name in distributions.get(package, [package])}
        assert names & has, f"{path.relative_to(ROOT)} imports {package}, which pyproject.toml does not name"
