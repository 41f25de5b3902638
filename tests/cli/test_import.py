"""``themis import``."""

from __future__ import annotations

from pathlib import Path

LOGS = Path(__file__).parents[1] / "imports" / "logs"


def test_imported_runs_are_runs_like_others(themis):
    ran = themis("import", str(LOGS / "inspect.eval"), *map(str, LOGS.glob("*demo_gen*.jsonl")))
    assert (ran.code, ran.err) == (0, "")
    assert "  match  0.625  (inspect_ai reports 0.625)" in ran.out
    inspect, lm_eval = (line.strip() for line in ran.out.splitlines() if line.startswith("local:"))
    assert "there already" in themis("import", str(LOGS / "inspect.eval")).out
    assert len(themis("runs", "list", "--json").json["runs"]) == 2
    for address in (inspect, lm_eval):
        assert themis("runs", "show", address).code == 0
        assert themis("runs", "rescore", address, "--metrics", "Includes").code == 0
    assert themis("eval", "demo", "--model", "fake-math-llm", "--limit", "8", "--run-id", "ours").code == 0
    compared = themis("compare", "ours", inspect, lm_eval, "--metric", "Includes", "--json").json
    assert [each["pairing"]["pairs"] for each in compared["pairs"]] == [8, 8]
    assert [each["metrics"][0]["n"] for each in compared["pairs"]] == [8, 8]


def test_json(themis):
    ran = themis("import", str(LOGS / "inspect.json"), "--json")
    (imported,) = ran.json
    assert imported["metrics"] == imported["reported"]


def test_what_cannot_be_imported(themis, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    assert themis("import", "x.json").code == 2
    assert "neither a log of Inspect AI" in themis("import", "x.json").err
    assert "no file 'y.json'" in themis("import", "y.json").err
