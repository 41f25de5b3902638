"""Run ids: the rule, and that every made id keeps it."""

from __future__ import annotations

import random
import re

import pytest

from themis.core.errors import InvalidRunId
from themis.core.run_ids import RULE, checked_run_id, is_run_id, make_run_id

GOOD = ["a", "A1", "_x", "0", "run-1", "a.b", "a..b", "a-", "x" * 80, "20260101-000000-demo-m-ab2c"]
BAD = [
    "",
    "x" * 81,
    ".hidden",
    "-rf",
    "end.",
    "..",
    ".",
    "a/b",
    "../x",
    "a\\b",
    "a b",
    "a\n",
    "\na",
    "a\x00",
    "é",
    "a:b",
    "a*",
    "a?b",
    "~",
    "\ud800",
    "١٢",
]


@pytest.mark.parametrize("run_id", GOOD)
def test_a_good_id_is_taken_as_it_is(run_id: str) -> None:
    assert checked_run_id(run_id) == run_id
    assert is_run_id(run_id)


@pytest.mark.parametrize("run_id", BAD, ids=ascii)
def test_a_bad_id_is_refused_with_the_rule(run_id: str) -> None:
    assert not is_run_id(run_id)
    with pytest.raises(InvalidRunId, match=re.escape(RULE)):
        checked_run_id(run_id)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidRunId):
        checked_run_id(5)  # type: ignore[arg-type]


def test_a_refusal_quotes_no_more_than_helps() -> None:
    with pytest.raises(InvalidRunId) as caught:
        checked_run_id("x" * 100_000)
    assert len(str(caught.value)) < 500


HOSTILE = ["", "/", "///", ".", "-", "..", "é漢😀", "\ud800\x00\n", "a/b/c", "x" * 500, "-._" * 50, "~/x y.z"]


@pytest.mark.parametrize("benchmark", HOSTILE, ids=ascii)
@pytest.mark.parametrize("model", HOSTILE, ids=ascii)
def test_made_ids_keep_the_rule_whatever_they_are_made_of(benchmark: str, model: str) -> None:
    assert is_run_id(make_run_id(benchmark, model))


@pytest.mark.parametrize("seed", range(50))
def test_made_ids_keep_the_rule_for_any_characters(seed: int) -> None:
    chance = random.Random(seed)
    names = ["".join(chr(chance.randrange(0x250)) for _ in range(chance.randrange(90))) for _ in range(2)]
    assert is_run_id(make_run_id(*names))


def test_a_made_id_says_when_what_and_who() -> None:
    made = make_run_id("/data/gsm8k", "openai:org/Qwen2.5-0.5B", now=0)
    assert re.fullmatch(r"19700101-000000-gsm8k-Qwen2\.5-0\.5B-[a-z2-9]{4}", made)


def test_made_ids_differ_even_without_regard_to_case() -> None:
    made = {make_run_id("demo", "m", now=0).lower() for _ in range(20)}
    # Twenty draws out of 32**4 fall together once in 5,500 times; two pairs, never.
    assert len(made) >= 19
