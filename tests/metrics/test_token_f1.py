"""Words in common."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.hostile import HOSTILE, scored
from themis.metrics.token_f1 import TokenF1


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("Paris", "Paris", 1.0),
        ("the Paris!", "paris", 1.0),
        ("in Paris, France", "Paris", 0.5),
        ("Paris", "in Paris, France", 0.5),
        ("London", "Paris", 0.0),
        ("cat cat", "cat", 2 / 3),
        ("U.S.A.", "usa", 1.0),
        ("Paris", ["London", "Paris France"], 2 / 3),
        ("42", 42, 1.0),
        ("", "", 1.0),
        ("the", "a", 1.0),
        ("", "Paris", 0.0),
    ],
)
def test_f1_of_words_as_in_squad(answer: str, reference: Any, f1: float) -> None:
    assert TokenF1().score(answer, reference).value == pytest.approx(f1)


def test_the_detail_names_the_best_reference() -> None:
    assert TokenF1().score("in Paris", ["London", "Paris"]).detail == "1 of 2 words are in 'Paris'"


@pytest.mark.parametrize("reference", [None, []])
def test_without_a_reference_there_is_no_score(reference: Any) -> None:
    assert TokenF1().score("x", reference).value is None


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind != "10 MB"])
def test_no_answer_takes_long(kind: str) -> None:
    scored(TokenF1(), HOSTILE[kind], "word 7")
