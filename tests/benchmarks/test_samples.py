"""Rows become samples: ids, hashes, and what is refused."""

from __future__ import annotations

import math
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest

from themis.benchmarks.sample import samples
from themis.core.errors import BenchmarkError
from themis.core.hashing import hash_json


def ids(*rows: dict[str, Any]) -> list[str]:
    return [sample.id for sample in samples(rows)]


def test_a_sample_is_the_row_taken_apart() -> None:
    row = {"id": 3, "question": "?", "choices": ["a", "b"], "answer": ["a"], "tags": ["x"], "group": 7}
    (sample,) = samples([row])
    assert sample.id == "3"
    assert sample.fields == {"question": "?", "choices": ["a", "b"]}
    assert (sample.reference, sample.tags, sample.group) == (["a"], ["x"], "7")
    assert sample.hash == hash_json([sample.fields, ["a"]])
    assert row["id"] == 3  # the caller's row is untouched


def test_the_hash_covers_fields_and_reference_alone() -> None:
    base = {"question": "?", "answer": "a"}
    (first,) = samples([base])
    same = [{**base, "id": "x"}, {**base, "tags": ["t"]}, {**base, "group": "g"}]
    other = [{**base, "answer": "b"}, {**base, "question": "!"}, {**base, "more": None}, {"question": "?"}]
    assert {sample.hash for row in same for sample in samples([row])} == {first.hash}
    assert first.hash not in {sample.hash for row in other for sample in samples([row])}


def test_the_order_of_keys_changes_neither_hash_nor_id() -> None:
    one, two = {"a": 1, "b": 2}, OrderedDict(b=2, a=1)
    assert ids(one) == ids(two)


def test_content_ids_of_repeats_are_numbered() -> None:
    row = {"question": "?"}
    (first, other, second, third) = ids(row, {"question": "!"}, row, row)
    assert (second, third) == (f"{first}-2", f"{first}-3")
    assert other != first


def test_a_content_id_gives_way_to_an_own_one_that_looks_like_it() -> None:
    row = {"question": "?"}
    (plain,) = ids(row)
    assert ids({"id": f"{plain}-2", "question": "x"}, row, row) == [f"{plain}-2", plain, f"{plain}-3"]


@pytest.mark.parametrize("own", ["a#b", "#", "a#1b", "1", "ü", "\x00", "\ud800", " ", "a" * 10_000])
def test_odd_ids_are_ids(own: str) -> None:
    assert ids({"id": own, "question": "?"}) == [own]


@pytest.mark.parametrize("own", ["", "a#2", "#7", "a#b#00", 1.0, True, [], {}])
def test_ids_that_would_be_mistaken_are_refused(own: Any) -> None:
    with pytest.raises(BenchmarkError, match="Row 2"):
        ids({"question": "?"}, {"id": own, "question": "?"})


@pytest.mark.parametrize(("first", "again"), [("a", "a"), (1, "1"), ("1", 1)])
def test_repeated_own_ids_are_refused(first: Any, again: Any) -> None:
    with pytest.raises(BenchmarkError, match="Row 2 repeats the id"):
        ids({"id": first, "question": "?"}, {"id": again, "question": "!"})


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, {1}, b"x", (1,), object(), {1: 2}, {"a": [{"b": math.nan}]}, 10**5_000],
    ids=lambda value: type(value).__name__,
)
def test_values_outside_json_are_refused_with_row_and_path(value: Any) -> None:
    for row in ({"question": value}, {"question": "?", "answer": value}):
        with pytest.raises(BenchmarkError, match="Row 1 cannot be stored"):
            ids(row)


@pytest.mark.parametrize("tags", [5, [5], {"a": 1}, ("a",)])
def test_tags_are_texts(tags: Any) -> None:
    with pytest.raises(BenchmarkError, match="not a list of texts"):
        ids({"question": "?", "tags": tags})
    assert [s.tags for s in samples([{"question": "?", "tags": "one"}])] == [["one"]]


@pytest.mark.parametrize("row", ["text", 5, None, [1], ["question"]])
def test_a_row_is_a_mapping(row: Any) -> None:
    with pytest.raises(BenchmarkError, match="Row 1 is a "):
        list(samples([row]))
    assert len(list(samples([MappingProxyType({"question": "?"})]))) == 1


@pytest.mark.parametrize("row", [{}, {"id": "a"}, {"answer": "b", "tags": []}])
def test_a_row_without_input_is_refused(row: Any) -> None:
    with pytest.raises(BenchmarkError, match="no input field"):
        ids(row)


def test_no_more_rows_are_read_than_are_asked_for() -> None:
    taken: list[int] = []

    def rows() -> Any:
        for n in range(100):
            taken.append(n)
            yield {"question": str(n)}

    assert len(list(samples(rows(), 3))) == 3
    assert len(taken) <= 4
