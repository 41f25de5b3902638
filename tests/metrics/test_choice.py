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
        ("Option A is incorrect. (B) is wrong. So C.", "C"),
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
        ("the answer is ‘D’", "D"),
        ("The answer is Ｂ", "B"),
        ("答案：Ｃ", "C"),
        # what is said most plainly goes first, and of that the last
        ("The answer is A. Wait, that was wrong. The answer is B.", "B"),
        ("The answer is C. Many people choose D because it is nearer.", "C"),
        ("The answer is D. If you choose A, you'd be wrong.", "D"),
        ("C is correct. A is correct only if the water is cold.", "C"),
        ("The answer is B. Vitamin C is right for colds.", "B"),
        ("The answer is C, although A is also correct in some sense.", "C"),
        ("The answer is (C).\n\nI hope this helps! Option: A", "C"),
        ("If the train is late, the answer is B.", "B"),
        ("If I had to choose, I'd choose B.", "B"),
        ("The most likely answer is C", "C"),
        ("They said the answer is C", "C"),
        ("The second option is B.", "B"),
        ("The answer is B. If I had to pick a second choice, it would be option A.", "B"),
        ("The answer is not obvious, but it is B", "B"),
        ("The answer is A or B. I'd go with B.", "B"),
        ("Hepatitis B is the most likely answer? No: answer D", "D"),
        # what is not chosen
        ("I'd pick C. I would not pick A.", "C"),
        ("I would not choose A. C", "C"),
        ("Don't select B; C", "C"),
        ("The answer is: B\nThe answer is not: C", "B"),
        ("The answer isn't A. It is C", "C"),
        ("The answer cannot be A or B, so C", "C"),
        ("The answer is neither A nor B, but C", "C"),
        ("None of the answers is A. The right one: C", "C"),
        ("The correct answer is not A but B.", "B"),
        ("The correct answer is C. A common wrong answer is D.", "C"),
        ("Answer: C. The other answer: D is wrong.", "C"),
        ("If the question asked for mass, the answer would be A. But here it is C.", "C"),
        ("So it's option C, not option D.", "C"),
        ("A common wrong answer is D", None),
        ("If you choose A, you'd be wrong.", None),
        ("Most people choose D", None),
        ("The answer is not: C", None),
        # a list of the options is none, whatever comes after it is
        ("A. the control\nB. the", None),
        ("A. how each organism died\nB", None),
        ("(A) 1\n\n(B) 2\n\n(C) 3", None),
        ("y) 1\nz) 2\n{) 3", None),
        ("A. 1\nB. 2\nC. 3\nD. 4\n\nB", "B"),
        ("A. 1\nB. 2\nThe answer is B", "B"),
        ("B. Paris\nA. is wrong, as it is a river", "B"),
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
        ("Answer: A Paris", "A"),
        ("Answer: a paris", "A"),
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
        ("1", 1),
        (" 0", 0),
        (["0", "1"], 1),
        ({"answer": "1", "choices": ["x", "y"]}, 1),
        (["A", 1], 1),
        ({"answer": "B", "choices": ["x", "y"]}, 1),
        ({"letter": "b", "choices": {"A": "x", "B": "y"}}, 1),
        ({"answer": 1, "choices": ["x", "y"]}, 1),
        ({"answer": "A", "choices": ["B", "C"]}, 0),
    ],
)
def test_a_reference_is_a_letter_an_index_or_brings_the_options(reference: Any, score: int) -> None:
    assert Choice().score("The answer is B", reference) == (score, "B")


@pytest.mark.parametrize(
    "reference", [None, "", "Paris", 26, "26", "-1", "1.5", "١", -1, True, [], {}, {"answer": None}]
)
def test_a_reference_without_a_letter_gives_no_score(reference: Any) -> None:
    value, detail = Choice().score("B", reference)
    assert value is None
    assert "reference" in detail


def test_an_answer_without_a_letter_scores_0_and_says_so() -> None:
    assert Choice().score("no idea", "B") == (0, "no letter in the answer")


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_answer_takes_long(kind: str) -> None:
    scored(Choice(), HOSTILE[kind], {"answer": "B", "choices": list(OPTIONS.values())})
