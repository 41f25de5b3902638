"""The letter that an answer chooses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.hostile import HOSTILE, scored
from themis.metrics.choice import Choice, chosen_letter

OPTIONS = {"A": "Paris", "B": "the Moon", "C": "42", "D": "a cat"}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("B. Paris", "B"),
        ("B) Paris", "B"),
        ("(B) Paris is the capital", "B"),
        ("**B**: because", "B"),
        ("C\n\nExplanation: A is wrong, B is wrong", "C"),
        ("Answer: B", "B"),
        ("answer: b.", "B"),
        ("Answer:\nB", "B"),
        ("Answer - D", "D"),
        ("**Answer:** B", "B"),
        ("The answer is **B**", "B"),
        ("The answer is: **(B)**", "B"),
        ('The answer is "B".', "B"),
        ("The correct answer is: B) 5", "B"),
        ("Sure! The correct answer is:\n\n**C. Mitochondria**", "C"),
        ("The correct option is (D).", "D"),
        ("The correct answer is option D", "D"),
        ("I would say the answer to this question is most likely C", "C"),
        ("I choose B", "B"),
        ("I would go with C.", "C"),
        ("B is correct.", "B"),
        ("Option B is the correct answer because A is wrong.", "B"),
        ("Of the options, A is incorrect, and B is the right one", "B"),
        ("The answer is C, because A and B are wrong", "C"),
        ("A) is wrong because x. B) is right? Answer: C", "C"),
        ("The answer is A. On second thoughts, the answer is D.", "D"),
        (r"\boxed{B}", "B"),
        (r"so $\boxed{\text{(B)}}$.", "B"),
        ('{"answer": "C"}', "C"),
        ("答案是B", "B"),
        ("Therefore, (C)", "C"),
        ("Let's see.\nThe best is **C**", "C"),
        ("It's B", "B"),
        ("<think>The answer is B</think>C", "C"),
        # A and I, letters and words
        ("A", "A"),
        ("A. A cat", "A"),
        ("The answer is A because cats purr.", "A"),
        ("The answer is I.", "I"),
        ("A cat is an animal.", None),
        ("A cat sat. The answer is C.", "C"),
        ("The answer is a dog.", None),
        ("The answer is A cat.", None),
        ("I think so", None),
        ("I think it is D.", "D"),
        # no choice
        ("A and B", None),
        ("The answer is A or B", None),
        ("The answer is not A", None),
        ("Paris", None),
        ("", None),
    ],
)
def test_the_letter_is_found(answer: str, letter: str | None) -> None:
    assert chosen_letter(answer, {}) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("Paris", "A"),
        ("**paris.**", "A"),
        ("The answer is the Moon.", "B"),
        ("I count them.\n42", "C"),
        ("Answer: a cat", "D"),
        ("A cat", "D"),
        ("The answer is A", "A"),
        ("Paris or the Moon", None),
        ("The answer is E", None),
        ("E", None),
    ],
)
def test_the_text_of_an_option_stands_for_its_letter(answer: str, letter: str | None) -> None:
    assert chosen_letter(answer, OPTIONS) == letter


@pytest.mark.parametrize(
    ("reference", "score"),
    [
        ("B", 1),
        (" (b) ", 1),
        ("C", 0),
        (1, 1),
        (0, 0),
        (["A", 1], 1),
        ({"answer": "B", "choices": ["x", "y"]}, 1),
        ({"letter": "b", "choices": {"A": "x", "B": "y"}}, 1),
        ({"answer": 1, "choices": ["x", "y"]}, 1),
        ({"answer": "A", "choices": ["B", "C"]}, 0),
    ],
)
def test_a_reference_is_a_letter_an_index_or_brings_the_options(reference: Any, score: int) -> None:
    assert Choice().score("The answer is B", reference) == (score, "B")


@pytest.mark.parametrize("reference", [None, "", "Paris", 26, -1, True, [], {}, {"answer": None}])
def test_a_reference_without_a_letter_gives_no_score(reference: Any) -> None:
    value, detail = Choice().score("B", reference)
    assert value is None
    assert "reference" in detail


def test_an_answer_without_a_letter_scores_0_and_says_so() -> None:
    assert Choice().score("no idea", "B") == (0, "no letter in the answer")


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_answer_takes_long(kind: str) -> None:
    scored(Choice(), HOSTILE[kind], {"answer": "B", "choices": list(OPTIONS.values())})
