"""The built-in metrics, and functions as metrics."""

from __future__ import annotations

import functools
import pickle
from typing import Any

import pytest

from themis.core.errors import UnknownName, UsageError
from themis.metrics import CallableMetric, Metric, open_metrics


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
        ("", "", 1, 1),
    ],
)
def test_texts_are_compared_normalised(response: str, reference: Any, exact: int, includes: int) -> None:
    assert score("ExactMatch", response, reference) == exact
    assert score("Includes", response, reference) == includes


@pytest.mark.parametrize("name", ["ExactMatch", "Includes"])
def test_without_a_reference_there_is_no_score_and_the_reason(name: str) -> None:
    (metric,) = open_metrics([name])
    value, detail = metric.score("42", None)
    assert value is None
    assert "no reference" in detail


@pytest.mark.parametrize("text", ["\x00", "\ud800", "😀" * 10_000, "‮", "." * 1_000])
def test_any_text_equals_itself(text: str) -> None:
    assert score("ExactMatch", text, text) == 1
    assert score("Includes", f"x {text} y", text) == 1


def test_names_come_as_a_list_or_in_one_text() -> None:
    assert [m.name for m in open_metrics("ExactMatch, Includes")] == ["ExactMatch", "Includes"]
    with pytest.raises(UnknownName, match="ExactMatch, Includes"):
        open_metrics(["exactmatch"])
    with pytest.raises(UsageError, match="named twice"):
        open_metrics("ExactMatch,ExactMatch")
    with pytest.raises(UsageError, match="function of response and reference"):
        open_metrics([5])  # type: ignore[list-item]


def first(response: str, reference: Any) -> bool:
    return response[:1] == str(reference)[:1]


class Close:
    def __call__(self, response: str, reference: Any) -> float:
        return 0.5


def test_a_function_is_known_by_its_place() -> None:
    assert CallableMetric(first).name == "first"
    assert CallableMetric(first).params == CallableMetric(first).params
    assert CallableMetric(first).params["function"].endswith("test_metrics:first")
    assert CallableMetric(Close()).name == "Close"
    assert CallableMetric(Close()).params["function"].endswith("test_metrics:Close")


@pytest.mark.parametrize("function", [lambda response, reference: 1, functools.partial(first)])
def test_what_has_no_place_is_like_no_other(function: Any) -> None:
    one, two = CallableMetric(function), CallableMetric(function)
    assert one.params == one.params
    assert one.params != two.params
    assert one.name in ("lambda", "partial")


def test_metrics_pickle() -> None:
    metrics: list[Metric] = open_metrics(["ExactMatch", "Includes", first])
    copies = pickle.loads(pickle.dumps(metrics))
    assert [c.name for c in copies] == ["ExactMatch", "Includes", "first"]
    assert [c.params for c in copies] == [m.params for m in metrics]
    assert [c.score("42", "42").value for c in copies] == [1, 1, 1]
