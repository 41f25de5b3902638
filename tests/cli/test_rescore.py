"""``themis runs rescore``."""

import csv
import io
import signal

import pytest

SLOW = """
import time
from themis.metrics import Metric, Score

class Slow(Metric):
    name = "Slow"

    def score(self, response, reference):
        time.sleep(0.2)
        return Score(1)
"""
COMPLETES = "themis runs rescore ten '--metric=python:slow:Slow?name=Slow' completes them"


@pytest.fixture
def exact(themis):
    """Ten samples scored by ExactMatch, one of them an error."""
    model = "fake-math-llm?error_rate=0.1"
    ran = themis(
        "eval", "demo", "--model", model, "--limit", "10", "--run-id", "ten", "--metric", "ExactMatch"
    )
    assert ran.code == 0
    return "ten"


@pytest.fixture
def slowly(exact, started, tmp_path):
    """A rescoring by a slow metric, going on in a process of its own."""
    (tmp_path / "slow.py").write_text(SLOW)
    words = ("runs", "rescore", exact, "--metrics", "python:slow:Slow", "--executor", "sequential")
    process = started(*words)
    assert process.stderr.readline().startswith("ten: scoring anew 10 answers of fake-math-llm")
    return process


def table(text):
    return [line.split() for line in text.split("\n\n")[0].splitlines()]


def test_it_shows_before_and_after(themis, exact):
    ran = themis("runs", "rescore", exact, "--metrics", "Includes,ExactMatch")
    assert ran.code == 0
    header, old, new = table(ran.out)
    assert header == ["METRIC", "BEFORE", "AFTER", "CHANGE", "N"]
    assert (old[0], old[3], new[0], new[1], new[3]) == ("ExactMatch", "+0.000", "Includes", "–", "–")
    assert old[1] == old[2]
    answers, errors = int(old[4]), 10 - int(old[4])
    assert errors > 0
    assert f"scored  {answers} answers; {errors} error" in ran.out
    assert "look    themis runs show local:ten" in ran.out


def test_lists_show_and_exports_have_the_new_scores(themis, exact):
    themis("runs", "rescore", exact, "--metric", "Includes")
    (run,) = themis("runs", "list", "--json").json["runs"]
    assert (run["status"], set(run["metrics"])) == ("completed", {"ExactMatch", "Includes"})
    assert "Includes" in themis("runs", "show", exact).out
    shown = themis("runs", "show", exact, "--json").json
    assert set(shown["report"]["metrics"]) == {"ExactMatch", "Includes"}
    (row, *_) = csv.DictReader(io.StringIO(themis("runs", "export", exact, "--format", "csv").out))
    assert {row["ExactMatch"], row["Includes"]} <= {"0", "1", ""}
    assert themis("runs", "list", "metric.Includes>0.01", "--json").json["runs"]
    sample = themis("runs", "show", exact, "--sample", row["id"], "--json").json
    assert sample["evaluation"]["revision"] == 2


def test_json_has_the_figures_before_and_after_and_the_report(themis, exact):
    said = themis("runs", "rescore", f"local:{exact}", "--metrics", "Includes", "--json").json
    assert (said["address"], said["finished"], said["status"]) == ("local:ten", True, "completed")
    assert said["metrics"]["Includes"]["before"] is None
    assert said["metrics"]["ExactMatch"]["before"]["mean"] == said["metrics"]["ExactMatch"]["after"]["mean"]
    assert said["answers"] + said["errors"] == said["report"]["counts"]["asked"] == 10
    assert (said["kept"], said["unknown"], said["unscored"]) == (0, 0, {})


def test_a_dry_run_says_what_would_be_scored_and_writes_nothing(themis, exact, store):
    before = store.load_run_metadata(exact)
    ran = themis("runs", "rescore", exact, "--metrics", "Includes", "--metric", "ExactMatch", "--dry-run")
    assert ran.code == 0
    assert table(ran.out)[1:] == [["Includes", "new", "–", "2"], ["ExactMatch", "replaced", "1", "1"]]
    assert "answers would be scored; " in ran.out
    said = themis("runs", "rescore", exact, "--metrics", "Includes", "--dry-run", "--json").json
    assert said["would_rescore"] == "local:ten"
    assert said["metrics"] == {"Includes": {"before": None, "after": "2"}}
    assert store.load_run_metadata(exact) == before
    assert {each.revision for each in store.load_evaluation_records(exact).values()} == {1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ten"], "--metrics"),
        (["ten", "--metrics", ","], "names no metric"),
        (["ten", "--metrics", "Nothing"], "There are: "),
        (["nobody", "--metrics", "Includes"], "There is no run 'nobody'"),
        (["ten", "--metrics", "Includes,Includes"], "named twice"),
        (["ten", "--metrics", "Includes", "--executor", "nothing"], "no execution backend"),
        (["ten", "--metrics", "Includes", "--max-workers", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_meant_is_usage(themis, exact, words, said):
    ran = themis("runs", "rescore", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_a_resume_by_the_old_metrics_says_what_differs(themis, exact):
    themis("runs", "rescore", exact, "--metrics", "Includes")
    words = ("eval", "demo", "--model", "fake-math-llm", "--limit", "10", "--run-id", exact, "--metric")
    ran = themis(*words, "ExactMatch")
    assert ran.code == 2
    assert "metrics: was" in ran.err
    assert "themis runs rescore" in ran.err
    assert themis(*words, "ExactMatch,Includes").code == 0


def test_ctrl_c_pauses_and_the_same_command_completes_it(slowly, themis, shell, store):
    slowly.send_signal(signal.SIGINT)
    out, err = slowly.communicate(timeout=30)
    assert slowly.returncode == 130
    assert "still saved" in err
    assert "paused: the run is half rescored" in out
    assert "again   themis runs rescore ten --metric=python:slow:Slow --executor sequential" in out
    metadata = store.load_run_metadata("ten")
    assert (metadata["status"], metadata["status_reason"]) == ("paused", "rescoring by Slow: interrupted")
    shown = themis("runs", "show", "ten").out
    assert "paused: rescoring by Slow: interrupted" in shown
    assert COMPLETES in shown
    resumed = themis("eval", "demo", "--model", "fake-math-llm", "--limit", "10", "--run-id", "ten")
    assert resumed.code == 2
    assert "half rescored by Slow" in resumed.err
    ended = shell("runs", "rescore", "ten", "--metrics", "python:slow:Slow?name=Slow", "--json")
    assert (ended.code, ended.json["finished"]) == (0, True)
    assert ended.json["kept"] > 0
    assert store.load_run_metadata("ten")["status"] == "completed"


def test_sigterm_pauses_too(slowly):
    slowly.send_signal(signal.SIGTERM)
    slowly.communicate(timeout=30)
    assert slowly.returncode == 4


def test_a_second_rescoring_is_refused_while_one_goes_on_and_so_is_deleting(slowly, themis):
    ran = themis("runs", "rescore", "ten", "--metrics", "Includes")
    assert ran.code == 1
    assert "is being run by process" in ran.err
    assert themis("runs", "delete", "ten", "--yes").code == 1
    assert "rescoring by Slow" in themis("runs", "show", "ten").out


def test_killed_it_says_so_and_is_completed(slowly, themis, store):
    while all(each.revision == 1 for each in store.load_evaluation_records("ten").values()):
        assert slowly.poll() is None
    slowly.kill()
    slowly.communicate()
    (run,) = themis("runs", "list", "--json").json["runs"]
    assert run["status"] == "crashed"
    assert COMPLETES in themis("runs", "show", "ten").out
    assert themis("runs", "rescore", "ten", "--metrics", "Includes").code == 2


def test_nothing_in_a_hostile_run_reaches_the_terminal(themis, hostile, store, assert_harmless):
    for words in (["--dry-run"], ["--json"], []):
        ran = themis("runs", "rescore", "hostile", "--metrics", "Includes", *words)
        assert ran.code == 0
        assert_harmless(ran.out + ran.err)
    assert store.load_run_metadata("hostile")["status_reason"] == "\x1b[2Jgone"
    assert {e.scores["Includes"] for e in store.load_evaluation_records("hostile").values()} == {1, None}


def test_answers_that_cannot_be_scored_are_counted(themis, exact, store):
    from themis.core.entities import GenerationRecord

    store.save_generation_record(exact, GenerationRecord(id="more", prompt="?", response="!"))
    store.close()
    ran = themis("runs", "rescore", exact, "--metrics", "Includes")
    assert ran.code == 0
    assert "1 answer left out, never scored, so that no reference is known: resume the run" in ran.out


def test_a_readonly_store_is_no_reason_to_say_again(themis, finished, write_profiles):
    write_profiles('[storage.local]\ntype = "local"\nreadonly = true\n')
    ran = themis("runs", "rescore", finished, "--metrics", "Includes")
    assert (ran.code, "readonly" in ran.err, "again" in ran.err) == (2, True, False)
