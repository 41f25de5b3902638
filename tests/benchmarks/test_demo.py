"""The demo benchmark: its shape, and that its answers are right where a computer can tell."""

from __future__ import annotations

import ast
import operator
import re
from collections import Counter
from typing import Any

import pytest

from themis.benchmarks.demo import PROMPT, ROWS

KINDS = {"arithmetic", "facts", "reasoning"}

OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def computed(node: ast.expr) -> float:
    """The value of a parsed expression, by another way than the fake model's."""
    if isinstance(node, ast.BinOp):
        return float(OPERATIONS[type(node.op)](computed(node.left), computed(node.right)))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -computed(node.operand)
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int)
    return float(node.value)


def as_python(question: str) -> str | None:
    """The expression that a "What is ...?" asks for, as Python writes it."""
    asked = question.removeprefix("What is ").removesuffix("?")
    named = re.fullmatch(r"the (\w+) (?:of|between) (\d+) and (\d+)", asked)
    if named:
        signs = {"sum": "+", "difference": "-", "product": "*", "quotient": "/"}
        return f"{named[2]} {signs[named[1]]} {named[3]}"
    spellings = {"×": "*", "÷": "/", "plus": "+", "minus": "-", "times": "*", "divided by": "/"}
    for spelling, sign in spellings.items():
        asked = asked.replace(spelling, sign)
    return asked if re.fullmatch(r"[-+*/()\d ]+", asked) else None


ARITHMETIC = [row for row in ROWS if row["tags"] == ["arithmetic"]]
EXPRESSIONS = [(as_python(row["question"]), row["answer"]) for row in ARITHMETIC]
LETTER_COUNTS = [
    (found[1], found[2], row["answer"])
    for row in ROWS
    if (found := re.search(r"letter (\w) occur in the word (\w+)", row["question"]))
]


def test_ids_are_unique_padded_and_in_order() -> None:
    assert [row["id"] for row in ROWS] == [f"demo-{n:03}" for n in range(1, len(ROWS) + 1)]


def test_there_are_enough_questions_of_each_kind() -> None:
    counts = Counter(row["tags"][0] for row in ROWS)
    assert counts == {"arithmetic": 50, "facts": 40, "reasoning": 30}


def test_every_ten_neighbours_hold_all_kinds() -> None:
    for start in range(len(ROWS) - 9):
        assert {row["tags"][0] for row in ROWS[start : start + 10]} == KINDS


def test_no_question_is_asked_twice() -> None:
    assert len({row["question"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_row_is_well_formed(row: dict[str, Any]) -> None:
    assert list(row) == ["id", "question", "answer", "tags"]
    assert row["question"].endswith("?")
    assert row["question"] == row["question"].strip()
    assert 0 < len(row["answer"]) <= 12
    assert row["answer"] == row["answer"].strip()
    assert len(row["tags"]) == 1


def test_rows_do_not_share_their_tags() -> None:
    assert len({id(row["tags"]) for row in ROWS}) == len(ROWS)


def test_prompt_is_one_line_that_asks_the_question() -> None:
    assert PROMPT.format(**ROWS[0]).startswith(ROWS[0]["question"])
    assert "\n" not in PROMPT


def test_most_arithmetic_is_an_expression() -> None:
    assert sum(expression is not None for expression, _ in EXPRESSIONS) == 38


@pytest.mark.parametrize(("expression", "answer"), [pair for pair in EXPRESSIONS if pair[0]])
def test_arithmetic_is_right(expression: str, answer: str) -> None:
    assert computed(ast.parse(expression, mode="eval").body) == int(answer)


@pytest.mark.parametrize(("letter", "word", "answer"), LETTER_COUNTS)
def test_letters_are_counted_right(letter: str, word: str, answer: str) -> None:
    assert str(word.count(letter)) == answer


def test_letter_counts_were_found() -> None:
    assert len(LETTER_COUNTS) == 2
