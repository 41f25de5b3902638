"""``themis compare`` and ``themis gate``."""

from __future__ import annotations

import csv
from xml.etree import ElementTree

import pytest

from tests.compare.stored import save_run, zeros_and_ones

HALF = zeros_and_ones(200, 400)
BETTER = [1 if number % 4 == 0 else score for number, score in enumerate(HALF)]


@pytest.fixture
def two(store):
    save_run(store, "plain", HALF, tags=[["t"]] * 400)
    save_run(store, "cot", BETTER, asked={"prompt": {"template": "Think. {question}", "hash": "q"}})
    return "plain", "cot"


def test_the_verdict_comes_first_and_80_columns_are_enough(themis, two):
    ran = themis("compare", *two, "--flips")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("VERDICT  better: +25.0 points on ExactMatch (95%: +20.6 to +29.1)")
    assert max(map(len, lines)) <= 80
    assert "differs  prompt: {question} → Think. {question}" in lines
    assert "paired   400 pairs; 0 unmatched" in lines
    assert "flips    fixed 100 · broken 0 · both right 200 · both wrong 100  (ExactMatch)" in lines
    assert "  fixed   0 → 1       s000  t" in lines
    assert "  fixed   … and 80 more; --format csv --flips has all" in lines


def test_many_runs(themis, two, store):
    save_run(store, "third", HALF)
    against = themis("compare", "plain", "cot", "third")
    assert against.out.startswith("VERDICT  2 pairs: 1 better, 1 the same: local:cot better than local:plain")
    everyone = themis("compare", "plain", "cot", "third", "--all-pairs", "--json")
    assert len(everyone.json["pairs"]) == 3
    other = themis("compare", "plain", "cot", "third", "--baseline", "third", "--json")
    assert [each["candidate"] for each in other.json["pairs"]] == ["local:plain", "local:cot"]


def test_json_is_the_whole_comparison(themis, two):
    found = themis("compare", *two, "--json").json
    assert found["pairs"][0]["metrics"][0]["fixed"] == 100
    assert found["pairs"][0]["flips"][0]["fixed"] == 100


@pytest.mark.parametrize(("name", "begins"), [("x.md", "# Comparison"), ("x.html", "<!doctype html>")])
def test_a_document_by_the_ending_of_its_file(themis, two, tmp_path, name, begins):
    ran = themis("compare", *two, "-o", name)
    assert (ran.code, ran.out) == (0, "")
    assert f"written to {name}" in ran.err
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
    assert themis("compare", *two, "-o", name).code == 2
    assert themis("compare", *two, "-o", name, "--replace").code == 0


def test_every_flip_as_csv(themis, two):
    rows = list(csv.DictReader(themis("compare", *two, "--format", "csv", "--flips").out.splitlines()))
    assert len(rows) == 400
    assert rows[0]["kind"] == "fixed"


def test_one_sample_side_by_side(themis, two):
    ran = themis("compare", *two, "--sample", "s000")
    assert ran.code == 0
    assert "── prompt\nquestion 0\n" in ran.out
    assert "── baseline, epoch 1: ExactMatch 0.000\nanswer 0\n" in ran.out
    assert "── [-baseline-] {+candidate+}\nanswer 0\n" in ran.out
    assert themis("compare", *two, "--sample", "s999").code == 2


def test_hostile_runs_are_shown_and_not_obeyed(themis, hostile, two, assert_harmless):
    for words in (
        [],
        ["--flips"],
        ["--format", "md"],
        ["--format", "html"],
        ["--format", "csv"],
        ["--sample", hostile],
    ):
        ran = themis("compare", "hostile", "plain", *words)
        assert ran.code == (0 if "--sample" in words else 3)  # nothing in common
        assert_harmless(ran.out + ran.err)
    assert_harmless(themis("gate", "hostile", "--baseline", "plain").out)


def test_other_versions_of_a_metric(themis, two, store):
    save_run(store, "new", BETTER, versions={"ExactMatch": "2"})
    ran = themis("compare", "plain", "new")
    assert ran.code == 3
    assert ran.out.startswith("VERDICT  not comparable: the version of ExactMatch differs")
    assert "FORCED" in themis("compare", "plain", "new", "--force").out


def test_what_cannot_be_meant(themis, two):
    assert themis("compare", "plain").code == 2
    assert "no baseline for the benchmark 'demo'" in themis("compare", "plain").err
    assert themis("compare", "plain", "plain").code == 2
    assert themis("compare", "plain", "nothing").code == 2
    assert themis("compare", *two, "--confidence", "95").code == 2
    assert themis("compare", *two, "--metric", "F2").code == 2
    assert themis("gate", "plain", "--baseline", "cot", "--max-drop", "-1").code == 2


def test_the_gate_tells_by_its_exit_code(themis, two, tmp_path):
    passed = themis("gate", "cot", "--baseline", "plain")
    assert passed.code == 0
    assert passed.out.startswith("PASSED  ExactMatch +25.0 points")
    failed = themis("gate", "plain", "--baseline", "cot", "--junit", "gate.xml")
    assert failed.code == 1
    assert failed.out.startswith("FAILED  ExactMatch -25.0 points (-29.1 to -20.6)")
    assert ElementTree.parse(tmp_path / "gate.xml").getroot().get("failures") == "1"
    unsure = themis("gate", "plain", "--baseline", "cot", "--max-drop", "0.25", "--json")
    assert (unsure.code, unsure.json["word"]) == (3, "cannot tell")


def test_a_baseline_is_remembered_for_its_benchmark(themis, two):
    assert themis("gate", "plain").code == 2
    first = themis("gate", "plain", "--make-baseline")
    assert (first.code, first.out) == (0, "local:plain is the baseline of demo.\n")
    assert "against local:plain (baseline)" in themis("gate", "cot").out
    assert "against local:plain (baseline)" in themis("compare", "cot").out
    assert themis("gate", "cot", "--make-baseline").out.endswith("local:cot is the baseline of demo.\n")
    assert themis("gate", "plain", "--make-baseline").code == 1  # and stays what it was
    assert "against local:cot (baseline)" in themis("gate", "plain").out
    assert themis("gate", "cot", "--make-baseline").code == 0
