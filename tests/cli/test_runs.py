"""``themis runs list``, ``show`` and ``delete``."""

import io
import json
import sys
import time

import pytest

from themis.core.directories import data_dir


@pytest.fixture
def many(write_run, tmp_path):
    """A store of six runs, the last the newest."""
    words = ["completed", "failed", "paused", "cancelled", "completed", "completed"]
    for number, status in enumerate(words):
        write_run(
            tmp_path / "many",
            f"run-{number}",
            status=status,
            status_reason="budget: tokens" if status == "paused" else None,
            created_at=time.time() - 3_600 * (6 - number),
            asked={"benchmark": "gsm8k" if number % 2 else "arc", "model": {"name": f"smol-{number}"}},
            summary={
                "headline": "ExactMatch",
                "metrics": {"ExactMatch": {"mean": number / 10, "stderr": 0.01, "n": 9}},
                "done": 9,
                "total": 10,
                "errors": number,
            },
        )
    return "./many"


def test_an_empty_store_says_how_to_begin(themis):
    ran = themis("runs", "list")
    assert (ran.code, ran.out) == (0, "")
    assert "themis eval demo" in ran.err
    assert themis("runs", "list", "--json").json == {"runs": [], "left_out": 0, "errors": []}


def test_the_newest_stand_first_in_aligned_columns(themis, many):
    ran = themis("runs", "list", "--storage", many)
    header, *rows = ran.out.splitlines()
    assert header.split() == ["STATUS", "RUN", "BENCHMARK", "MODEL", "N", "SCORE", "±", "ERR", "AGE"]
    assert [row[row.index("run-") :][:5] for row in rows] == [f"run-{n}" for n in (5, 4, 3, 2, 1, 0)]
    shown = ["completed", "run-5", "gsm8k", "smol-5", "9/10", "0.500", "0.020", "5", "60", "min"]
    assert rows[0].split() == shown
    assert rows[3].startswith("paused: budget: tokens  run-2")
    assert len({row.index("run-") for row in rows}) == 1
    assert ran.err == ""


def test_what_is_left_out_is_said(themis, many):
    ran = themis("runs", "list", "--storage", many, "-n", "2")
    assert len(ran.out.splitlines()) == 3
    assert ran.err == "4 older runs left out; --all shows all.\n"
    assert len(themis("runs", "list", "--storage", many, "-n", "2", "--all", "--json").json["runs"]) == 6
    ran = themis("runs", "list", "--storage", many, "-n", "2", "--json", "status:completed")
    assert [run["run_id"] for run in ran.json["runs"]] == ["run-5", "run-4"]
    assert ran.err == "1 older run left out; --all shows all.\n"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (["gsm8k"], [5, 3, 1]),
        (["GSM8K", "status:fail"], [1]),
        (["smol-4"], [4]),
        (["run-2"], [2]),
        (["status:completed", "arc"], [4, 0]),
        (["nothing"], []),
    ],
)
def test_words_pick_runs(themis, many, query, numbers):
    ran = themis("runs", "list", "--storage", many, "--json", *query)
    assert [run["run_id"] for run in ran.json["runs"]] == [f"run-{n}" for n in numbers]


def test_no_match_is_said(themis, many):
    ran = themis("runs", "list", "--storage", many, "nothing")
    assert (ran.code, ran.out, ran.err) == (0, "", "None of the 6 runs in ./many matches.\n")


def test_json_has_one_object_a_run(themis, finished):
    (run,) = themis("runs", "list", "--json").json["runs"]
    assert run["address"] == "local:ten"
    assert (run["status"], run["reason"]) == ("completed", None)
    assert (run["benchmark"], run["model"]) == ("demo", "fake-math-llm")
    assert (run["done"], run["total"], run["errors"]) == (10, 10, 0)
    assert set(run["metrics"]) == {"ExactMatch", "Includes"}
    assert run["created_at"] <= run["started_at"] <= run["ended_at"]


def test_damaged_and_odd_runs_hide_no_others(themis, write_run, tmp_path):
    write_run(tmp_path / "s", "good", created_at=1.0)
    write_run(tmp_path / "s", "odd", asked="words", summary=[1], created_at="today")
    write_run(
        tmp_path / "s", "numbers", summary={"done": "many", "total": None, "metrics": {"a": {"mean": "x"}}}
    )
    write_run(tmp_path / "s", "torn")
    (tmp_path / "s" / "runs" / "torn" / "run.json").write_text('{"status": ')
    ran = themis("runs", "list", "--storage", "./s")
    assert ran.code == 0
    for run_id in ("good", "odd", "numbers", "torn"):
        assert run_id in ran.out


def test_ten_thousand_runs(themis, write_run, tmp_path):
    for number in range(10_000):
        write_run(tmp_path / "s", f"run-{number:05d}", created_at=float(number))
    ran = themis("runs", "list", "--storage", "./s")
    assert ran.err == "9,950 older runs left out; --all shows all.\n"
    assert [line.split()[1] for line in ran.out.splitlines()[1:3]] == ["run-09999", "run-09998"]
    assert len(themis("runs", "list", "--storage", "./s", "--all").out.splitlines()) == 10_001


def test_show_says_what_was_asked_and_what_came_of_it(themis, finished):
    ran = themis("runs", "show", finished)
    assert ran.code == 0
    facts = dict(line.split(maxsplit=1) for line in ran.out.split("\n\n")[0].splitlines())
    assert facts["run"] == "local:ten"
    assert facts["status"] == "completed"
    assert facts["benchmark"] == "demo, the first 10"
    assert "answered 10 of 10 asked" in ran.out
    assert "arithmetic" in ran.out
    assert themis("runs", "show", "local:ten").out.split("\n\n")[1] == ran.out.split("\n\n")[1]


def test_show_as_json(themis, finished):
    shown = themis("runs", "show", finished, "--json").json
    assert shown["address"] == "local:ten"
    assert shown["report"]["counts"]["asked"] == 10
    assert shown["metadata"]["asked"]["benchmark"] == "demo"


def test_samples_by_how_they_ended(themis):
    themis("eval", "demo", "--model", "fake-math-llm?error_rate=0.2", "--limit", "30", "--run-id", "a")
    of = {
        kind: {row["id"] for row in themis("runs", "show", "a", "--samples", kind, "--json").json}
        for kind in ("all", "wrong", "errors")
    }
    assert len(of["all"]) == 30
    assert of["wrong"]
    assert of["errors"]
    assert not of["wrong"] & of["errors"]
    assert of["wrong"] | of["errors"] < of["all"]
    ran = themis("runs", "show", "a", "--samples", "errors")
    assert len(ran.out.splitlines()) == len(of["errors"]) + 1
    assert "error: server" in ran.out
    assert "--sample ID" in ran.err


def test_one_sample_whole(themis, finished):
    ran = themis("runs", "show", finished, "--sample", "demo-001")
    assert "What is 47 + 38?" in ran.out
    assert "── response\n85" in ran.out
    assert "ExactMatch 1" in ran.out
    both = themis("runs", "show", finished, "--sample", "demo-001", "--json").json
    assert both["generation"]["response"] == "85"
    assert both["evaluation"]["scores"]["ExactMatch"] == 1
    missing = themis("runs", "show", finished, "--sample", "demo-999")
    assert missing.code == 2
    assert "demo-999" in missing.err


def test_hostile_texts_are_shown_and_not_obeyed(themis, hostile, assert_harmless):
    for words in (
        ["runs", "list"],
        ["runs", "show", "hostile"],
        ["runs", "show", "hostile", "--samples", "all"],
        ["runs", "show", "hostile", "--sample", hostile],
        ["runs", "show", "hostile", "--sample", hostile, "--json"],
        ["runs", "show", "hostile", "--json"],
        ["runs", "list", "--json"],
        ["runs", "delete", "hostile", "--dry-run"],
    ):
        ran = themis(*words)
        assert ran.code == 0, ran
        assert_harmless(ran.out)
        assert_harmless(ran.err)
        if "--json" in words:
            json.loads(ran.out)
    assert "␛[2Jbench" in themis("runs", "list").out
    assert "[bold]" in themis("runs", "show", "hostile", "--sample", hostile).out


def test_deleting_without_a_terminal_needs_yes(themis, finished, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    ran = themis("runs", "delete", finished)
    assert ran.code == 2
    assert "--yes" in ran.err
    assert themis("runs", "show", finished).code == 0


def test_a_dry_run_deletes_nothing(themis, finished):
    assert "local:ten  completed       10" in themis("runs", "delete", finished, "--dry-run").out
    assert themis("runs", "delete", finished, "--dry-run", "--json").json == {
        "would_delete": [
            {
                "address": "local:ten",
                "status": "completed",
                "records": 10,
                "bytes": sum(each.stat().st_size for each in (data_dir() / "store/runs/ten").iterdir()),
                "live": False,
                "trashed": None,
            }
        ]
    }
    assert themis("runs", "show", finished).code == 0


class Person(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("\n", 1), ("n\n", 1), ("", 1)])
def test_a_person_is_asked(themis, finished, monkeypatch, typed, code):
    monkeypatch.setattr(sys, "stdin", Person(typed))
    ran = themis("runs", "delete", finished)
    assert ran.code == code
    assert "Delete 1 run? They go to the trash. Type y" in ran.err
    assert (themis("runs", "list", "--json").json["runs"] == []) == (code == 0)
    assert themis("runs", "show", finished).code == 0


def test_several_are_deleted_or_none(themis, many):
    ran = themis("runs", "delete", "run-0", "run-9", "--yes", "--storage", many)
    assert ran.code == 2
    assert len(themis("runs", "list", "--json", "--storage", many).json["runs"]) == 6
    ran = themis("runs", "delete", "run-0", "run-1", "run-0", "--yes", "--json", "--storage", many)
    assert ran.json["deleted"] == ["./many:run-0", "./many:run-1"]
    assert [each["address"] for each in ran.json["undo"]] == ran.json["deleted"]
    assert len(themis("runs", "list", "--json", "--storage", many).json["runs"]) == 4


def test_a_live_run_is_not_deleted(themis, write_run, tmp_path, many):
    write_run(
        tmp_path / "many", "live", status="running", where={"host": "elsewhere"}, updated_at=time.time()
    )
    ran = themis("runs", "delete", "run-0", "live", "--yes", "--storage", many)
    assert ran.code == 1
    assert "live is running" in ran.err
    assert themis("runs", "show", "run-0", "--storage", many).code == 0
