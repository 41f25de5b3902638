"""The current-record rule, in every order in which records can come."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from themis.core.current import (
    current_evaluations,
    current_generations,
    generation_key,
    identity,
    matches,
    rank,
)
from themis.core.entities import EvaluationRecord, GenerationRecord

ERROR = {"kind": "server", "stage": "call"}


def generation(name: str, sample: str = "s1", **more: Any) -> GenerationRecord:
    return GenerationRecord(id=sample, prompt="p", response=name, **more)


def evaluation(name: str, key: str = "k1", **more: Any) -> EvaluationRecord:
    return EvaluationRecord(cache_key=key, id="s1", details={"name": name}, **more)


def test_the_highest_attempt_counts_in_every_order() -> None:
    records = [
        generation("first", attempt=1),
        generation("second", attempt=2, error=ERROR),
        generation("third", attempt=3, error=ERROR),
        generation("again third", attempt=3),
    ]
    for order in itertools.permutations(records):
        assert [each.response for each in current_generations(order)] == ["again third"]


def test_an_answer_goes_before_an_error_of_the_same_attempt() -> None:
    records = [generation("answer"), generation("error", error=ERROR)]
    for order in itertools.permutations(records):
        assert [each.response for each in current_generations(order)] == ["answer"]


def test_a_later_attempt_goes_before_an_earlier_answer_even_if_it_failed() -> None:
    records = [generation("answer", attempt=1), generation("error", attempt=2, error=ERROR)]
    for order in itertools.permutations(records):
        assert [each.response for each in current_generations(order)] == ["error"]


def test_the_highest_revision_counts_after_attempt_and_error() -> None:
    records = [
        evaluation("scored", attempt=2, revision=1),
        evaluation("rescored", attempt=2, revision=2),
        evaluation("old but often rescored", attempt=1, revision=9),
        evaluation("error", attempt=2, revision=5, error=ERROR),
    ]
    for order in itertools.permutations(records):
        (kept,) = current_evaluations(order).values()
        assert kept.details["name"] == "rescored"


def test_of_equals_the_later_counts() -> None:
    records = [generation("first"), generation("second")]
    assert current_generations(records)[0].response == "second"
    assert current_generations(reversed(records))[0].response == "first"


def test_identities_keep_the_order_in_which_they_first_came() -> None:
    records = [generation("a", "s2"), generation("b", "s1"), generation("c", "s2", attempt=2)]
    assert [each.response for each in current_generations(records)] == ["c", "b"]
    assert list(current_evaluations([evaluation("x", "k2"), evaluation("y", "k1")])) == ["k2", "k1"]


def test_nothing_repeated_is_nothing_changed() -> None:
    records = [generation(str(n), f"s{n}") for n in range(100)]
    assert current_generations(iter(records)) == records
    assert current_generations([]) == []


@pytest.mark.parametrize("seed", range(30))
def test_the_rule_agrees_with_sorting_by_rank(seed: int) -> None:
    chance = random.Random(seed)
    records = [
        evaluation(
            str(n),
            f"k{chance.randrange(5)}",
            attempt=chance.randrange(1, 4),
            revision=chance.randrange(1, 4),
            error=chance.choice([None, ERROR]),
        )
        for n in range(60)
    ]
    expected = {}
    for record in sorted(records, key=rank):
        expected[record.cache_key] = record
    assert current_evaluations(records) == expected


def test_an_identity_is_the_id_or_the_cache_key() -> None:
    assert identity(generation("a", "s1", cache_key="k")) == "s1"
    assert identity(evaluation("a", "k")) == "k"
    assert generation_key(generation("a", "s1", cache_key="k")) == "k"
    assert generation_key(generation("a", "s1")) == "s1"


def test_scores_belong_to_the_attempt_they_were_made_for() -> None:
    assert matches(evaluation("a", attempt=2), generation("a", attempt=2))
    assert not matches(evaluation("a", attempt=1), generation("a", attempt=2))
    assert not matches(None, generation("a"))
