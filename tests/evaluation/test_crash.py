"""``kill -9`` in the middle of a run or its rescoring, by the rounds of ``benchmarks/crash.py``."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from types import ModuleType

import pytest

CRASH = Path(__file__).parents[2] / "benchmarks" / "crash.py"


@pytest.fixture(scope="module")
def crash() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crash_benchmark", CRASH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_and_nothing_asked_twice(seed: int, crash: ModuleType, tmp_path: Path) -> None:
    seen = crash.kill_and_resume(tmp_path, 400, random.Random(seed), server=None)
    assert seen.startswith("killed with ")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_rescoring_never_looks_whole_and_is_gone_on_with(
    seed: int, crash: ModuleType, tmp_path: Path
) -> None:
    seen = crash.kill_and_rescore(tmp_path, 400, random.Random(seed), server=None)
    assert seen.startswith("killed with ")
