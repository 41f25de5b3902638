"""Texts that are equal, or stand in others."""

from __future__ import annotations

from typing import Any

import pytest

from themis.metrics import open_metrics


def score(name: str, response: str, reference: Any) -> Any:
    (metric,) = open_metrics([name])
    return metric.score(response, reference).value


@pytest.mark.parametrize(
    ("response", "reference", "exact", "includes"),
    [
        ("42", "42", 1, 1),
        (" 42. ", "42", 1, 1),
        ("42", 42, 1, 1),
        ("The answer is 42.", "42", 0, 1),
        ("PARIS", "paris", 1, 1),
        ("Straße", "STRASSE", 1, 1),
        ("a\n b\t c", "A B C", 1, 1),
        ("41", "42", 0, 0),
        ("", "42", 0, 0),
        ("two", ["2", "two"], 1, 1),
        ("it is two", ["2", "two"], 0, 1),
        ("2", [], 0, 0),
        ("0.5", 0.5, 1, 1),
        ("True", True, 1, 1),
        ("", "", 1, None),
        ("42", "", 0, None),
        ("42", " \n", 0, None),
        ("42", ["", "41"], 0, 0),
        ("42", ["", "42"], 1, 1),
        ("42", ["", " "], 0, None),
        ("No ... yes", "...", 0, 1),
        ("No", "...", 0, 0),
    ],
)
def test_texts_are_compared_normalised(
    response: str, reference: Any, exact: int, includes: int | None
) -> None:
    assert score("ExactMatch", response, reference) == exact
    assert score("Includes", response, reference) == includes


@pytest.mark.parametrize("name", ["ExactMatch", "Includes"])
def test_without_a_reference_there_is_no_score_and_the_reason(name: str) -> None:
    (metric,) = open_metrics([name])
    value, detail = metric.score("42", None)
    assert value is None
    assert "no reference" in detail


def test_an_empty_reference_gives_the_reason() -> None:
    (metric,) = open_metrics(["Includes"])
    assert metric.score("42", "") == (None, "the reference is empty")


@pytest.mark.parametrize("text", ["\x00", "\ud800", "😀" * 10_000, "‮", "." * 1_000])
def test_any_text_equals_itself(text: str) -> None:
    assert score("ExactMatch", text, text) == 1
    assert score("Includes", f"x {text} y", text) == 1
