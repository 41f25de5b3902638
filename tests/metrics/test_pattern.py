"""Patterns of one's own."""

from __future__ import annotations

import pickle
import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.metrics.hostile import HOSTILE, scored
from themis.core.errors import UsageError
from themis.metrics import open_metrics
from themis.metrics.pattern import RegexMatch


@pytest.mark.parametrize(
    ("options", "answer", "reference", "score", "detail"),
    [
        # a group is compared
        ({"pattern": r"is (\w+)"}, "It is one. It is two.", "two", 1, "two"),
        ({"pattern": r"is (\w+)"}, "It is one. It is two.", "one", 0, "two"),
        ({"pattern": r"is (\w+)", "first": True}, "It is one. It is two.", "ONE", 1, "one"),
        ({"pattern": r"is (\w+)"}, "It is one", ["zero", "one"], 1, "one"),
        ({"pattern": r"is (\w+)"}, "It was", "one", 0, "no match"),
        ({"pattern": r"(?:a (\w+)|b (\w+))"}, "b x", "x", 1, "x"),
        ({"pattern": r"(\w)(\d)", "group": "2"}, "a1", 1, 1, "1"),
        ({"pattern": r"(?P<word>\w)(\d)", "group": "word"}, "a1", "A", 1, "a"),
        ({"pattern": r"\d+", "group": "0"}, "a 12", "12", 1, "12"),
        ({"pattern": r"(a)?b", "group": "1"}, "b", "a", 0, "the group took no part in the match"),
        ({"pattern": r"IS (\w+)", "ignore_case": True}, "it is one", "one", 1, "one"),
        # without one, to be found is enough
        ({"pattern": r"\d+"}, "a 12", None, 1, "12"),
        ({"pattern": r"\d+"}, "none", "12", 0, "no match"),
        ({"pattern": r"(?:a|b)+$"}, "xab", None, 1, "ab"),
    ],
)
def test_a_pattern_extracts_or_is_found(
    options: dict[str, Any], answer: str, reference: Any, score: int, detail: str
) -> None:
    assert RegexMatch(**options).score(answer, reference) == (score, detail)


def test_what_is_compared_needs_a_reference() -> None:
    assert RegexMatch(r"(\d)").score("1", None).value is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "("}, "cannot be read"),
        ({"pattern": "(a)", "group": "2"}, "no group 2. It has: 0, 1"),
        ({"pattern": "(?P<x>a)", "group": "y"}, "no group 'y'. It has: 0, 1, x"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RegexMatch(**options)


def test_a_catastrophic_pattern_is_given_up() -> None:
    started = time.thread_time()
    value, detail = RegexMatch(r"(?:a|a)*?(?:a|aa)+c|((x+x+)+y)").score("x" * 200 + "a" * 200 + "b", "x")
    assert value is None
    assert detail == "the pattern found no end within 0.2 s"
    assert time.thread_time() - started < 0.4


def test_a_pattern_is_given_in_query_form() -> None:
    pattern = r"a{1,3}\s*([+&=?%#]+)"
    (metric,) = open_metrics([f"RegexMatch?pattern={quote(pattern)}&ignore_case=yes"])
    assert metric.params["pattern"] == pattern
    assert metric.score("AAA +&=", "+&=").value == 1
    assert pickle.loads(pickle.dumps(metric)).score("AAA +&=", "+&=").value == 1


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_answer_takes_long(kind: str) -> None:
    scored(RegexMatch(r"answer\s+is\s+(\w+)"), HOSTILE[kind], "7")
