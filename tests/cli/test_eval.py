"""``themis eval`` in this process."""

import json
import sys

import pytest

from themis.cli.progress import Lines, describe
from themis.core.progress import ProgressSnapshot

FAKE = ("--model", "fake-math-llm")


def test_the_result_says_scores_errors_and_what_to_do_next(themis):
    ran = themis("eval", "demo", "--model", "fake-math-llm?error_rate=0.2", "--limit", "20", "--run-id", "a")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].split("  ")[0] == "METRIC"
    assert lines[1].startswith("ExactMatch")
    assert "–" in lines[1]
    assert any(line.startswith("errors  ") and "server" in line for line in lines)
    assert "run     local:a" in lines
    assert "look    themis runs show local:a" in lines
    told = ran.err.splitlines()
    assert told[0] == "a: 20 answers of fake-math-llm to demo"
    assert told[-1].startswith("20/20 done")
    assert told[-1].endswith("completed")


def test_json_is_the_report_and_nothing_else(themis):
    ran = themis("eval", "demo", *FAKE, "--limit", "10", "--run-id", "a", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["counts"]["asked"] == 10
    assert 0 < ran.json["metrics"]["ExactMatch"]["mean"] < 1


def test_every_problem_is_said_at_once(themis):
    ran = themis(
        *("eval", "nothing", "--model", "nobody", "--limit", "0", "--epochs", "0", "--storage", "nowhere"),
        *("--executor", "none", "--metric", "Guess", "--run-id", "a/b", "--budget", "time=1"),
        *("--sampling", "hot", "--max-workers", "0"),
    )
    assert (ran.code, ran.out) == (2, "")
    options = [line.split(": ")[1] for line in ran.err.splitlines()]
    assert options == [
        *("--sampling", "BENCHMARK", "--model", "--metric", "--limit", "--epochs", "--max-workers"),
        *("--storage", "--executor", "--run-id", "--budget"),
    ]


def test_problems_as_json(themis):
    ran = themis("eval", "demo", "--model", "nobody", "--budget", "tokens=few", "--json")
    error = json.loads(ran.err)["error"]
    assert ran.code == 2
    assert error["kind"] == "UsageError"
    assert set(error["problems"]) == {"--model", "--budget"}


@pytest.mark.parametrize("pair", ["tokens", "=1", "tokens=", "tokens=nan", "tokens=-1"])
def test_a_budget_that_is_none(themis, pair):
    assert themis("eval", "demo", *FAKE, "--budget", pair).code == 2


def test_options_reach_the_run(themis, store):
    ran = themis(
        *("eval", "demo", *FAKE, "--limit", "3", "--run-id", "a", "--epochs", "2", "--seed", "7"),
        *("--sampling", "temperature=0.5", "--sampling", 'stop=["x"]', "--sampling", "tier=slow=1"),
        *("--metric", "Includes,ExactMatch", "--prompt", "Q: {question}", "--system", "Be brief."),
        *("--model-id", "mine", "--executor", "sequential", "--timeout", "2m", "--max-workers", "2"),
    )
    assert ran.code == 0
    asked = store.load_run_metadata("a")["asked"]
    assert asked["sampling"] == {"temperature": 0.5, "stop": ["x"], "tier": "slow=1"}
    assert list(asked["metrics"]) == ["Includes", "ExactMatch"]
    assert asked["prompt"]["template"] == "Q: {question}"
    assert (asked["system"], asked["epochs"], asked["seed"]) == ("Be brief.", 2, 7)
    assert asked["model"]["identity"] == "mine"
    assert store.load_run_metadata("a")["where"]["executor"] == "sequential"


def test_metrics_may_be_given_one_by_one(themis, store):
    themis(
        "eval",
        "demo",
        *FAKE,
        "--limit",
        "1",
        "--run-id",
        "a",
        "--metric",
        "Includes",
        "--metric",
        "ExactMatch",
    )
    assert list(store.load_run_metadata("a")["asked"]["metrics"]) == ["Includes", "ExactMatch"]


def test_a_budget_pauses_and_the_printed_command_resumes(themis, store):
    slow = ("eval", "demo", "--model", "fake-math-llm?latency=20ms", "--executor", "sequential")
    ran = themis(*slow, "--run-id", "a", "--budget", "tokens=20")
    assert ran.code == 4
    assert "paused: budget: tokens" in ran.out
    # With the budget that is spent, it would pause at once again.
    resume = next(line for line in ran.out.splitlines() if line.startswith("resume  "))
    assert resume == (
        "resume  themis eval demo --model 'fake-math-llm?latency=20ms' --executor sequential --run-id a"
    )
    again = themis("eval", "demo", *FAKE, "--run-id", "a")
    assert again.code == 0
    assert "of them earlier" in again.out


def test_going_on_with_another_question_is_refused(themis, finished):
    ran = themis("eval", "demo", *FAKE, "--limit", "10", "--run-id", finished, "--system", "Other.")
    assert ran.code == 2
    assert "system" in ran.err
    assert themis("eval", "demo", *FAKE, "--run-id", finished, "--no-resume").code == 2


def test_a_run_in_memory_says_that_it_is_gone(themis):
    ran = themis("eval", "demo", *FAKE, "--limit", "2", "--storage", "memory")
    assert ran.code == 0
    assert "in memory only" in ran.out
    assert "runs show" not in ran.out


def test_a_broken_question_fails_the_run(themis, tmp_path):
    rows = [{"question": "1+1?", "answer": "2"}, {"other": "?", "answer": "2"}]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = themis("eval", "q.jsonl", *FAKE, "--prompt", "{question}", "--json")
    assert ran.code in (0, 1, 2)
    assert "Traceback" not in ran.err


def test_a_store_that_fails_midway_leaves_the_command_to_resume(themis, monkeypatch):
    from themis.backends.storage.local import LocalStorageBackend
    from themis.core.errors import StoreFull

    def full(self, run_id, records):
        raise StoreFull("no room")

    monkeypatch.setattr(LocalStorageBackend, "save_evaluation_records", full)
    ran = themis("eval", "demo", *FAKE, "--run-id", "a", "--limit", "5")
    assert ran.code == 5
    said = ran.err.splitlines()
    assert "themis: no room" in said
    assert said[-1] == "resume  themis eval demo --model fake-math-llm --limit 5 --run-id a"


def test_texts_of_a_model_are_harmless_in_the_result(themis, tmp_path, assert_harmless):
    rows = [{"id": "\x1b[2J", "question": "1+1?", "answer": "\x1b[2J"}]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = themis("eval", "q.jsonl", "--model", "fake-math-llm?error_rate=1", "--run-id", "a")
    assert ran.code == 0
    assert_harmless(ran.out)
    assert "␛[2J" in ran.out


def test_lines_are_rare():
    said, now = [], [0.0]
    lines = Lines(said.append, every_s=10.0, clock=lambda: now[0])
    lines.start(
        {"run_id": "a", "asked": {"benchmark": "b", "model": {"name": "m"}}, "progress": {"total": 99}}
    )
    for second in range(100):
        now[0] = float(second)
        lines.update(ProgressSnapshot("a", done=second, total=99))
    lines.update(ProgressSnapshot("a", done=99, total=99, status="paused", status_reason="budget"))
    assert said[0] == "a: 99 answers of m to b"
    assert said[1:-1] == [f"{second}/99 done" for second in range(10, 100, 10)]
    assert said[-1] == "99/99 done · paused: budget"


def test_a_snapshot_in_words():
    snapshot = ProgressSnapshot(
        "a",
        done=1_200,
        total=4_000,
        rate=31.25,
        eta_s=[80.0, 100.0],
        failed={"timeout": 1, "server": 1},
        metrics={"ExactMatch": {"mean": 0.5}},
    )
    said = "1,200/4,000 done · 31.2/s · 80 s to 100 s left · ExactMatch 0.500 · 2 errors"
    assert describe(snapshot) == said


@pytest.mark.parametrize(
    ("given", "patterns"),
    [
        (["Includes,RegexMatch?pattern=a%2Cb"], ["a,b"]),
        (["Includes", "RegexMatch?pattern=a,b"], ["a,b"]),
        (["Includes,ExactMatch", "RegexMatch?pattern=a,b", "RegexMatch?pattern=c&name=C"], ["a,b", "c"]),
    ],
)
def test_metrics_have_options_with_commas(themis, store, given, patterns):
    options = [word for each in given for word in ("--metric", each)]
    ran = themis("eval", "demo", *FAKE, "--limit", "1", "--run-id", "a", *options)
    assert ran.code == 0
    metrics = store.load_run_metadata("a")["asked"]["metrics"]
    assert [each["params"]["pattern"] for each in metrics.values() if "pattern" in each["params"]] == patterns


def test_a_metric_of_ones_own_is_found_in_this_folder(themis, store, tmp_path, monkeypatch):
    (tmp_path / "my_metric.py").write_text("def short(response, reference):\n    return len(response) < 9\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    ran = themis(
        *("eval", "demo", *FAKE, "--limit", "1", "--run-id", "a"),
        *("--metric", "python:my_metric:short"),
    )
    assert ran.code == 0
    asked = store.load_run_metadata("a")["asked"]["metrics"]
    assert asked == {"short": {"version": "1", "params": {"function": "my_metric:short"}}}


def test_a_prompt_from_a_file_or_as_chat_messages(themis, store, tmp_path):
    (tmp_path / "p.txt").write_text("Hm: {question}\n")
    model = ("--model", "fake-math-llm", "--limit", "1")
    assert themis("eval", "demo", *model, "--prompt", "@p.txt", "--run-id", "file").code == 0
    assert store.load_run_metadata("file")["asked"]["prompt"]["template"] == "Hm: {question}"
    chat = '[{"role": "user", "content": "{question}"}]'
    assert themis("eval", "demo", *model, "--prompt", chat, "--run-id", "chat").code == 0
    assert store.load_run_metadata("chat")["asked"]["prompt"]["template"] == json.loads(chat)
    assert themis("eval", "demo", *model, "--prompt", "@@{question}", "--run-id", "at").code == 0
    assert store.load_run_metadata("at")["asked"]["prompt"]["template"] == "@{question}"
    ran = themis("eval", "demo", *model, "--prompt", "@nope.txt")
    assert ran.code == 2
    assert "'nope.txt' cannot be read" in ran.err
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    assert themis("eval", "demo", *model, "--prompt", "@binary").code == 2


def test_a_table_with_named_columns(themis, store, tmp_path):
    (tmp_path / "q.csv").write_text("question,label,subject\nWhat is 1 + 1?,2,maths\n")
    ran = themis(
        "eval", "q.csv?answer=label&tags=subject", "--model", "fake-math-llm", "--run-id", "t", "--json"
    )
    assert ran.code == 0
    assert ran.json["metrics"]["ExactMatch"]["count"] == 1
    assert "maths" in ran.json["by_tag"]
