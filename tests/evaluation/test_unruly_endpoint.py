"""An endpoint that fails in every way, by the rounds of ``benchmarks/unruly.py``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import tenacity

from themis import evaluate
from themis.backends import open_storage
from themis.models import retry

UNRULY = Path(__file__).parents[2] / "benchmarks" / "unruly.py"
EXECUTORS = ("async?max_concurrent=64", "threads?max_workers=32")


@pytest.fixture
def unruly(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("unruly_benchmark", UNRULY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # The same rounds, in less time.
    monkeypatch.setattr(module, "HANGS_S", 1.0)
    monkeypatch.setattr(retry, "_grow", tenacity.wait_random_exponential(multiplier=0.02, max=0.2))
    return module


@pytest.mark.parametrize("executor", EXECUTORS)
def test_nothing_is_lost_and_nothing_asked_after_its_answer(executor: str, unruly, tmp_path: Path) -> None:
    seen = unruly.through_all_of_it(150, executor, tmp_path)
    assert {"error", "limit", "hang", "answer"} <= seen["done"].keys()


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_refused_key_pauses_the_run_at_once(executor: str, unruly, tmp_path: Path) -> None:
    assert unruly.refused(200, executor, tmp_path) <= 10
    with open_storage(f"local?root={tmp_path}") as store:
        metadata = store.load_run_metadata("unruly")
        records = store.load_generation_records("unruly")
    assert metadata["status"] == "paused"
    assert metadata["status_reason"].startswith("fatal: 401 ")
    # Only what was asked has an error; all the rest is still to be asked.
    assert len(records) <= 10
    assert {record.error["kind"] for record in records} == {"auth"}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_mended_it_goes_on(executor: str, unruly, tmp_path: Path) -> None:
    unruly.refused(60, executor, tmp_path)
    with unruly.served("--latency", "0.001") as base_url:
        report = unruly.asked(base_url, 60, tmp_path, executor)
        assert unruly.stats(base_url)["requests"] == 60
    assert (report.status, report.counts["answered"], report.failures) == ("completed", 60, {})


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_waits_for_a_first_answer_is_not_late(executor: str, unruly, tmp_path: Path) -> None:
    rows = [{"id": f"q{n}", "question": f"{n}?", "answer": "12"} for n in range(40)]
    with unruly.served("--latency", "0.5") as base_url:
        model = f"openai:mock?base_url={base_url}"
        report = evaluate(rows, model=model, storage="memory", executor=executor, timeout=0.9)
    assert report.counts["answered"] == 40
