"""A run in names alone: its problems are said field by field, and it survives every way of writing it."""

from __future__ import annotations

import json
import random
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from themis.benchmarks import open_benchmark
from themis.cli.eval import checked_spec
from themis.cli.main import make_parser
from themis.core.errors import UsageError
from themis.runs.spec import RunSpec, spec_of

ROW = '{"id": "a", "question": "1 + 1", "answer": "2"}\n'


def demo(**more: Any) -> RunSpec:
    return RunSpec(**{"benchmark": "demo", "model": "fake-math-llm", **more})


# Problems


def test_a_good_run_has_no_problems() -> None:
    assert demo().problems() == {}
    full = demo(
        prompt="Q: {question}",
        system="Be brief.",
        metrics=["ExactMatch", "Includes"],
        sampling={"temperature": 0, "stop": ["\n"]},
        limit=3,
        epochs=2,
        storage="local",
        executor="threads?max_workers=2",
        run_id="r1",
        timeout=0.5,
        max_workers=2,
        seed=-3,
        budget={"tokens": 100, "seconds": 1.5},
    )
    assert full.problems() == {}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("benchmark", "nonsense", "There is no benchmark 'nonsense'"),
        ("benchmark", "", "There is no benchmark ''"),
        ("benchmark", "x" * 5_000, ""),
        ("benchmark", "a\x00b", ""),
        ("benchmark", "rows.csv/", "has to end in"),
        ("model", "nonsense", "There is no model 'nonsense'"),
        ("model", "fake-math-llm?latancy=1", "has no option 'latancy'"),
        ("model", "fake-math-llm?error_rate=2", "error_rate is 2.0"),
        ("model", "fake-math-llm?seed=x", "'x' is not int"),
        ("model", "python:nonsense:f", "cannot be loaded"),
        ("model", "openai:m?base_url=http://h&key=sk-1234", "never the key itself"),
        ("model", "openai:m?base_url=http://h:99999", "base_url cannot be read"),
        ("prompt", "{nonsense", ""),
        ("metrics", ["Nonsense"], "There is no metric 'Nonsense'"),
        ("sampling", {"temperature": float("inf")}, "temperature is inf"),
        ("sampling", {"stop": {1, 2}}, "stop is a builtins.set"),
        ("limit", 0, "0 is less than 1"),
        ("limit", 1.5, "1.5 is not a whole number"),
        ("limit", True, "True is not a whole number"),
        ("epochs", 0, "0 is less than 1"),
        ("epochs", "3", "'3' is not a whole number"),
        ("max_workers", -1, "-1 is less than 1"),
        ("seed", "x", "'x' is not a whole number"),
        ("timeout", 0, "0 is not a number of seconds above 0"),
        ("timeout", float("nan"), "nan is not a number of seconds"),
        ("timeout", float("inf"), "inf is not a number of seconds"),
        ("storage", "nonsense", "There is no storage backend 'nonsense'"),
        ("storage", "local?rooot=/x", "has no option 'rooot'"),
        ("executor", "nonsense", "There is no execution backend 'nonsense'"),
        ("executor", "threads?max_workers=0", "max_workers"),
        ("run_id", "../x", "cannot be a run id"),
        ("run_id", "", "cannot be a run id"),
        ("budget", {"money": 3}, "a budget is tokens, cost, seconds"),
        ("budget", {"tokens": 0}, "each more than 0"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(field: str, value: Any, says: str) -> None:
    problems = demo(**{field: value}).problems()
    assert list(problems) == [field]
    assert says in problems[field]
    assert "sk-1234" not in problems[field]


def test_all_problems_are_said_at_once() -> None:
    problems = demo(model="x", limit=0, storage="y", run_id="/", budget={"z": 1}).problems()
    assert set(problems) == {"model", "limit", "storage", "run_id", "budget"}


@pytest.mark.parametrize("code", ["raise RuntimeError('no licence')", "def broken(:", "raise SystemError"])
def test_a_module_that_fails_is_a_problem_and_no_crash(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("models_of_mine.py").write_text(code)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    problem = demo(model="python:models_of_mine:answer").problems()["model"]
    assert problem.startswith("python:models_of_mine:answer cannot be loaded: ")


def test_looking_for_problems_writes_nothing(tmp_path: Path) -> None:
    demo(storage=str(tmp_path / "store")).problems()
    assert not (tmp_path / "store").exists()


# The command


def parsed(command: str) -> RunSpec:
    """What the command line makes of a command."""
    program, *words = shlex.split(command)
    assert program == "themis"
    return checked_spec(make_parser().parse_args(words))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": "-x {question}"},
        {"prompt": "--limit"},
        {"prompt": 'it\'s "{question}"\n$HOME `ls` \\ *'},
        {"system": ""},
        {"system": "-"},
        {"metrics": ["ExactMatch"]},
        {"metrics": ["Includes", "ExactMatch"]},
        {
            "sampling": {
                "temperature": 0.1,
                "top_p": 1,
                "stop": ["\n", "-"],
                "name": "5",
                "x": None,
                "y": True,
            }
        },
        {"sampling": {"text": "é '\" 漢"}},
        {"limit": 7, "epochs": 3, "seed": -5, "max_workers": 2},
        {"timeout": 0.1234567},
        {"timeout": 1234567.0},
        {"budget": {"tokens": 1234567.0, "cost": 0.1, "seconds": 3600.0}},
        {"storage": "local?root=/tmp/a b", "executor": "sequential"},
        {"run_id": "r-1", "resume": False, "model_id": "mine: -x"},
    ],
)
def test_the_command_means_the_same_run(fields: dict[str, Any]) -> None:
    assert parsed(demo(**fields).command()) == demo(**fields)


@pytest.mark.parametrize("seed", range(20))
def test_the_command_means_the_same_run_whatever_the_texts(seed: int) -> None:
    chance = random.Random(seed)
    letters = " -='\"\\$`!*?#~;&|<>()[]\n\té漢😀abc,%"

    def text() -> str:
        return "".join(chance.choices(letters, k=chance.randrange(1, 12)))

    spec = demo(
        prompt=text(),
        system=text(),
        sampling={"k" + text().replace("=", ""): text(), "n": chance.uniform(-1e6, 1e6)},
        timeout=chance.uniform(1e-3, 1e6),
        seed=chance.randrange(-(10**12), 10**12),
        model_id=text(),
    )
    assert parsed(spec.command()) == spec


def test_a_short_number_stays_short() -> None:
    assert (
        demo(timeout=30.0, budget={"tokens": 5000.0}).command().endswith("--timeout 30 --budget tokens=5000")
    )


# The text


def test_the_text_of_a_run_gives_it_back() -> None:
    spec = demo(
        prompt="\x00\ud800 é", sampling={"a": [1, None]}, budget={"cost": 0.5}, resume=False, timeout=1.5
    )
    assert RunSpec.from_json(spec.to_json()) == spec
    assert json.loads(spec.to_json())["benchmark"] == "demo"


@pytest.mark.parametrize("text", ["", "[]", "null", "5", "{}", '{"benchmark": "demo"}', '{"x": 1}', "{"])
def test_what_is_no_run_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="This is not a run's specification"):
        RunSpec.from_json(text)


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), b"x"])
def test_what_no_text_can_say_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="names and numbers"):
        demo(sampling={"x": value}).to_json()


# Detached


def test_paths_are_made_absolute() -> None:
    here = Path.cwd()
    Path("rows.jsonl").write_text(ROW)
    spec = demo(benchmark="rows.jsonl", storage="./runs").detachable()
    assert (spec.benchmark, spec.storage) == (str(here / "rows.jsonl"), str(here / "runs"))
    assert demo(storage="local?root=a b/c").detachable().storage == f"local?root={here}/a%20b/c"
    assert demo(storage="~/runs").detachable().storage == str(Path.home() / "runs")
    assert demo().detachable() == demo()


def test_the_default_store_is_frozen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEMIS_STORAGE", "./runs")
    assert demo().detachable().storage == str(Path.cwd() / "runs")


def test_a_benchmark_is_not_taken_for_a_file_of_its_name() -> None:
    Path("demo").write_text(ROW)
    assert demo().detachable().benchmark == "demo"


def test_memory_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="gone with that process"):
        demo(storage="memory").detachable()
    monkeypatch.setenv("THEMIS_STORAGE", "memory")
    with pytest.raises(UsageError, match="gone with that process"):
        demo().detachable()


def test_in_a_folder_that_is_gone_only_paths_from_it_are_refused() -> None:
    Path.cwd().rmdir()
    assert demo(storage="/tmp/x").detachable().storage == "/tmp/x"
    assert demo().detachable() == demo()
    with pytest.raises(UsageError, match=r"'\./runs' starts from the folder .* which is gone"):
        demo(storage="./runs").detachable()


# From a stored run


def test_a_stored_run_can_be_asked_again() -> None:
    from themis import evaluate
    from themis.backends import MemoryStorageBackend

    backend = MemoryStorageBackend()
    asked = demo(
        model="fake-math-llm?seed=3",
        prompt="{question}",
        limit=2,
        epochs=2,
        seed=4,
        metrics=["Includes"],
        max_workers=3,
        timeout=20,
    )
    given = {**asked.arguments(), "storage_backend": backend, "run_id": "r1"}
    evaluate(given.pop("benchmark"), **given)
    assert spec_of(backend.load_run_metadata("r1")) == (replace(asked, executor="threads"), {})


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"asked": "x", "where": 3},
        {"asked": {"model": [], "sampling": 1}},
        {"where": {"max_workers": True, "timeout": "soon"}},
        {"where": {"max_workers": -4, "timeout": 0}},
    ],
)
def test_a_run_that_says_nothing_can_be_shown_in_a_form(metadata) -> None:
    assert spec_of(metadata) == (RunSpec(benchmark="", model=""), {})


@pytest.mark.parametrize(
    "model",
    [
        "python:os:system",
        "openai:m?base_url=http://elsewhere",
        "openai:m?base%5Furl=https://elsewhere/v1&key=env:OPENAI_API_KEY",
        "openai:m?key=env:GITHUB_TOKEN",
        "openai:m",
        "fake-math-llm?seed=1&seed=2",
        "a-backend-of-tomorrow",
    ],
)
def test_a_store_chooses_no_code_address_or_key(model) -> None:
    again = spec_of({"asked": {"benchmark": "demo"}, "where": {"model": model, "executor": "cluster://h"}})
    assert again.spec == RunSpec("demo", "")
    assert again.unconfirmed == {"model": model, "executor": "cluster://h"}
    assert model not in again.spec.command()


# Metrics of a stored run


def test_metrics_with_options_are_asked_again() -> None:
    from themis import evaluate
    from themis.backends import MemoryStorageBackend

    backend = MemoryStorageBackend()
    given = {
        **demo(limit=1).arguments(),
        "metrics": ["NumericMatch?tolerance=0.5&name=Near", "RegexMatch?pattern=(a),%2C"],
        "storage_backend": backend,
        "run_id": "r1",
    }
    evaluate(given.pop("benchmark"), **given)
    first = backend.load_run_metadata("r1")
    again = spec_of(first)
    assert again.unconfirmed == {}
    assert again.spec.problems() == {}
    # As a command too, where commas stand between metrics.
    for spec in (again.spec, checked_spec(make_parser().parse_args(shlex.split(again.spec.command())[1:]))):
        given = {**spec.arguments(), "storage_backend": backend, "run_id": "r1"}
        report = evaluate(given.pop("benchmark"), **given)
        assert report.counts["kept"] == 1
    assert list(first["asked"]["metrics"]) == ["Near", "RegexMatch"]


@pytest.mark.parametrize(
    ("name", "params", "unconfirmed"),
    [
        ("system", {"function": "os:system"}, "python:os:system"),
        ("ExactMatch", {"function": "os:system"}, "python:os:system?name=ExactMatch"),
        ("ExactMatch", {"metric": "python:os:system"}, "python:os:system?name=ExactMatch"),
        ("ModelJudge", {"model": "openai:m?base_url=http://x,y"}, None),
        (
            "Mine",
            {"metric": "ModelJudge", "model": "fake-math-llm"},
            "ModelJudge?model=fake-math-llm&name=Mine",
        ),
        ("python:os:system", {}, "python:os:system"),
        ("metric-of-tomorrow", {}, "metric-of-tomorrow"),
    ],
)
def test_a_store_chooses_no_code_or_judge(name: str, params: dict[str, Any], unconfirmed: str | None) -> None:
    metrics = {name: {"version": "1", "params": params}, "Includes": {"version": "1", "params": {}}}
    again = spec_of({"asked": {"benchmark": "demo", "metrics": metrics}})
    assert again.spec.metrics == ["Includes"]
    assert list(again.unconfirmed) == ["metrics"]
    left_out = again.unconfirmed["metrics"]
    assert "," not in left_out
    if unconfirmed is not None:
        assert left_out == unconfirmed


def test_a_store_chooses_no_benchmark_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from themis.benchmarks import registry

    point = EntryPoint("brought", "os:getcwd", registry.GROUP)
    monkeypatch.setattr(registry, "_entry_points", lambda: [point])
    again = spec_of({"asked": {"benchmark": "brought", "dataset": {"source": "brought?x=1"}}})
    assert again.spec.benchmark == ""
    assert again.unconfirmed == {"benchmark": "brought?x=1"}


def test_options_of_a_benchmark_and_chat_messages_are_asked_again() -> None:
    messages = [{"role": "user", "content": "{question}"}]
    asked = {
        "benchmark": "arc-easy",
        "dataset": {"source": "arc?subset=easy"},
        "prompt": {"template": messages},
    }
    spec = spec_of({"asked": asked}).spec
    assert spec.benchmark == "arc?subset=easy"
    assert open_benchmark("demo").template(spec.prompt, None).template == messages


def test_paths_in_options_are_made_absolute() -> None:
    here = Path.cwd()
    assert demo(benchmark="gsm8k?path=q.csv").detachable().benchmark == f"gsm8k?path={here}/q.csv"
    Path("q.csv").write_text("question,label\na,1\n")
    spec = demo(benchmark="q.csv?answer=label").detachable()
    assert spec.benchmark == f"{here}/q.csv?answer=label"
    assert spec.problems() == {}


def test_a_prompt_that_begins_with_an_at_sign_is_printed_for_a_shell() -> None:
    assert "--prompt '@@{question}'" in demo(prompt="@{question}").command()


def test_an_endpoint_of_the_user_is_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THEMIS_CONFIG_DIR", str(tmp_path))
    (tmp_path / "profiles.toml").write_text('[endpoint.lab]\nbase_url = "https://h/v1"\nmodel = "m"\n')
    again = spec_of({"where": {"model": "lab:other?timeout=5"}})
    assert (again.spec.model, again.unconfirmed) == ("lab:other?timeout=5", {})
    assert spec_of({"where": {"model": "lba"}}).unconfirmed == {"model": "lba"}
    (tmp_path / "profiles.toml").write_text("[")
    assert spec_of({"where": {"model": "lab"}}).unconfirmed == {"model": "lab"}


def test_options_of_sampling_that_may_be_orders_are_not_taken_over() -> None:
    again = spec_of({"asked": {"sampling": {"temperature": 0, "api_base": "http://elsewhere"}}})
    assert again.spec.sampling == {"temperature": 0}
    assert again.unconfirmed["sampling"] == '{"api_base": "http://elsewhere"}'
