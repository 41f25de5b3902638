"""``themis runs export``."""

import csv
import json
import os

import pytest

from themis.cli.export import pairs
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.spreadsheet import cell


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_is_a_sample_with_its_scores(themis, finished):
    ran = themis("runs", "export", finished)
    samples = rows_of(ran.out)
    assert (ran.code, ran.err, len(samples)) == (0, "", 10)
    first = next(sample for sample in samples if sample["id"] == "demo-001")
    assert (first["response"], first["reference"], first["scores"]["ExactMatch"]) == ("85", "85", 1)


def test_jsonl_is_exact_and_harmless_at_once(themis, hostile, store, assert_harmless):
    ran = themis("runs", "export", "hostile")
    assert ran.out.isascii()
    assert_harmless(ran.out)
    saved = {each.id: each.response for each in store.load_generation_records("hostile")}
    assert {each["id"]: each["response"] for each in rows_of(ran.out)} == saved


def test_csv_runs_no_formula_and_moves_no_cursor(themis, hostile, tmp_path, assert_harmless):
    ran = themis("runs", "export", "hostile", "-o", "out.csv")
    assert ran.code == 0
    text = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert_harmless(text)
    header, first, second = csv.reader(text.splitlines(keepends=True))
    assert "'=M" in header
    assert first[0].startswith("'=0")
    assert second[header.index("error_kind")]
    assert "2 samples of hostile" in ran.err


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        (" =1", "' =1"),
        ("\t=1", "'    =1"),
        ("a=1", "a=1"),
        ("", ""),
        (-1.5, -1.5),
        (None, None),
        (["=1"], '["=1"]'),
    ],
)
def test_cells(value, expected):
    assert cell(value) == expected


def test_a_file_is_replaced_only_when_forced(themis, finished, tmp_path):
    (tmp_path / "out.jsonl").write_text("mine")
    ran = themis("runs", "export", finished, "--output", "out.jsonl")
    assert ran.code == 2
    assert "--force" in ran.err
    assert (tmp_path / "out.jsonl").read_text() == "mine"
    assert themis("runs", "export", finished, "--output", "out.jsonl", "--force").code == 0
    assert len(rows_of((tmp_path / "out.jsonl").read_text())) == 10


def test_what_fails_midway_leaves_no_file(themis, finished, tmp_path, monkeypatch):
    def broken(generation, evaluation):
        raise OSError("the disk is gone")

    monkeypatch.setattr("themis.cli.export.joined", broken)
    before = set(os.listdir())
    ran = themis("runs", "export", finished, "--output", "out.jsonl")
    assert (ran.code, ran.err) == (5, "themis: the disk is gone\n")
    assert set(os.listdir()) == before


def test_a_folder_or_device_is_not_replaced(themis, finished, tmp_path):
    for target in (str(tmp_path), "/dev/null"):
        assert themis("runs", "export", finished, "-o", target, "--force").code == 2
    ran = themis("runs", "export", finished, "-o", "nowhere/out.jsonl")
    assert ran.code == 5
    assert "nowhere" in ran.err


class Side:
    """A backend of two lists."""

    def __init__(self, generations, evaluations):
        self.generations, self.evaluations = generations, evaluations

    def iter_generation_records(self, run_id):
        return iter(self.generations)

    def iter_evaluation_records(self, run_id):
        return iter(self.evaluations)


def test_halves_find_each_other_in_any_order():
    generations = [GenerationRecord(id=n, prompt="", response="", cache_key=f"k{n}") for n in "abcd"]
    generations.append(GenerationRecord(id="stranger", prompt="", response=""))
    evaluations = [EvaluationRecord(cache_key=f"k{n}", id=n) for n in "dba"]
    evaluations += [EvaluationRecord(cache_key="orphan", id="o"), EvaluationRecord("stranger", "stranger")]
    found = [(g.id, e and e.id) for g, e in pairs(Side(generations, evaluations), "run")]
    assert found == [("a", "a"), ("b", "b"), ("c", None), ("d", "d"), ("stranger", "stranger")]


def test_scores_of_an_earlier_attempt_are_not_those_of_this_answer():
    generation = GenerationRecord(id="a", prompt="", response="", cache_key="k", attempt=2)
    assert list(pairs(Side([generation], [EvaluationRecord("k", "a", attempt=1)]), "run")) == [
        (generation, None)
    ]
