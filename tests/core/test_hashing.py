"""Hashes are what their one-line definition says, on every Python and in every process."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from typing import Any

import pytest

from themis.core.hashing import DIGITS, canonical_json, hash_json, hash_text, quoted


def defined(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def random_value(chance: random.Random, depth: int) -> Any:
    def text() -> str:
        return "".join(
            chr(chance.choice([chance.randrange(0x110000), chance.randrange(0x80)])) for _ in range(4)
        )

    kind = chance.randrange(8 if depth else 6)
    if kind == 6:
        return [random_value(chance, depth - 1) for _ in range(chance.randrange(5))]
    if kind == 7:
        return {text(): random_value(chance, depth - 1) for _ in range(chance.randrange(5))}
    numbers = [chance.randrange(-(10**30), 10**30), chance.uniform(-1e9, 1e9), -0.0, 1e300]
    return chance.choice([None, True, False, text(), *numbers])


@pytest.mark.parametrize("seed", range(60))
def test_a_hash_is_what_it_is_defined_as(seed: int) -> None:
    value = random_value(random.Random(seed), 5)
    assert hash_json(value) == defined(value)
    assert json.loads(canonical_json(value)) == value or "\\ud" in canonical_json(value)


def test_a_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert hash_json({"a": 1, "b": {"c": 2, "d": 3}}) == hash_json({"b": {"d": 3, "c": 2}, "a": 1})
    assert hash_json([1, 2]) != hash_json([2, 1])
    assert hash_json(1) != hash_json(1.0) != hash_json("1")


def test_known_hashes_never_change() -> None:
    assert hash_json({"question": "What is 3 + 4?", "answer": "7"}) == "59c756a41ab533915e124b0c5b69a806"
    assert len(hash_json(None)) == DIGITS == 32


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")], {"a": float("nan")}])
def test_numbers_that_are_none_have_no_hash(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


@pytest.mark.parametrize("value", [b"x", {1, 2}, object(), {"a": {(): 1}}])
def test_what_json_does_not_know_has_no_hash(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_a_quoted_text_is_the_canonical_json_of_it() -> None:
    for text in ("", 'é\n\x00"\\', "\ud800", "😀"):
        assert quoted(text) == canonical_json(text)
        assert hash_text(quoted(text)) == hash_json(text)


def test_another_process_makes_the_same_hash() -> None:
    code = (
        "from themis.core.hashing import hash_json; print(hash_json({'b': [1, 2.5, None], 'a': 'é\\ud800'}))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stdout.strip() == hash_json({"a": "é\ud800", "b": [1, 2.5, None]})
