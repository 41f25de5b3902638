"""ROUGE-L."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from tests.metrics.hostile import HOSTILE, scored
from themis.metrics import open_metrics
from themis.metrics.rouge import MOST_WORDS, RougeL


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("the cat sat", "the cat sat", 1.0),
        # From the paper's own example: the longest common subsequence is "police the gunman".
        ("police kill the gunman", "police killed the gunman", 0.75),
        ("the gunman kill police", "police killed the gunman", 0.5),
        ("the cat", ["a dog", "the cat sat on"], 2 / 3),
        ("", "the cat", 0.0),
        ("x", "", 0.0),
    ],
)
def test_f1_of_the_longest_common_subsequence(answer: str, reference: Any, f1: float) -> None:
    assert RougeL().score(answer, reference).value == pytest.approx(f1)


def test_stems_count_as_equal_where_asked() -> None:
    (metric,) = open_metrics(["ROUGE-L?stem=yes"])
    assert metric.name == "ROUGE-L"
    assert metric.version.startswith("2 rouge-score ")
    assert metric.score("cats running", "cat run").value == 1
    assert pickle.loads(pickle.dumps(metric)).score("cats", "cat").value == 1


@pytest.mark.parametrize("reference", [None, []])
def test_without_a_reference_there_is_no_score(reference: Any) -> None:
    assert RougeL().score("x", reference).value is None


def test_of_long_texts_the_first_words_count() -> None:
    words = " ".join(map(str, range(MOST_WORDS)))
    assert RougeL().score(words + " x" * 5_000, words + " y" * 5_000).value == 1


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_answer_takes_long(kind: str) -> None:
    scored(RougeL(), HOSTILE[kind], "the cat sat on the mat " * 20)
