"""Stores and the runs in them, as rows and by their addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from themis import evaluate
from themis.backends import LocalStorageBackend, MemoryStorageBackend
from themis.core.errors import InvalidRunId, RunNotFound, UnknownName, UsageError
from themis.runs.catalog import (
    Store,
    find_run,
    list_rows,
    open_store,
    remembered_rows,
    row_of,
    split_address,
)
from themis.runs.selection import select
from themis.runs.status import Status


def summary(run_id: str = "r1", **more: Any) -> dict[str, Any]:
    return {"run_id": run_id, "status": "completed", "schema_version": 1, **more}


FULL = summary(
    created_at=100.0,
    started_at=110.0,
    ended_at=130.0,
    updated_at=140.0,
    asked={"benchmark": "demo", "model": {"name": "m"}},
    summary={
        "headline": "M",
        "metrics": {"M": {"mean": 0.5, "stderr": 0.1, "n": 4}},
        "errors": 1,
        "done": 5,
        "total": 6,
        "tokens": {"input_tokens": 30, "output_tokens": 12, "cached_tokens": None},
    },
)


def test_a_row_says_what_the_summary_knows() -> None:
    row = row_of("local", FULL)
    assert row.address == "local:r1"
    assert (row.benchmark, row.model, row.status) == ("demo", "m", Status("completed"))
    assert (row.headline, row.score, row.stderr) == ("M", 0.5, 0.1)
    assert (row.done, row.total, row.errors, row.tokens) == (5, 6, 1, 42)
    assert (row.created_at, row.duration_s) == (100.0, 20.0)
    assert row.summary is FULL


def test_what_is_unknown_is_none_and_never_zero() -> None:
    row = row_of("local", {"run_id": "r1"})
    assert row.status.word == "unknown"
    assert (row.benchmark, row.model) == ("", "")
    unknown = (row.done, row.total, row.headline, row.score, row.stderr, row.errors, row.tokens)
    assert unknown == (None,) * 7
    assert (row.created_at, row.duration_s) == (None, None)
    assert row_of("s", summary(summary={"tokens": {}, "headline": "M", "metrics": {}})).score is None


def test_a_run_that_goes_on_lasts_until_its_last_word() -> None:
    row = row_of("s", summary(status="running", started_at=10.0, ended_at=None, updated_at=25.0))
    assert row.duration_s == 15.0


def test_rows_of_any_store_come_newest_first() -> None:
    backend = MemoryStorageBackend()
    for run_id, created in (("a", 1.0), ("b", 3.0), ("c", None), ("d", 2.0)):
        backend.save_run_metadata(run_id, summary(run_id, created_at=created))
    store = Store("mine", backend)
    assert [row.run_id for row in list_rows(store)] == ["b", "d", "a", "c"]
    assert {row.store for row in list_rows(store)} == {"mine"}
    assert remembered_rows(store, 10) == []


def test_remembered_rows_are_those_of_the_last_look(tmp_path: Path) -> None:
    backend = LocalStorageBackend(tmp_path / "store")
    store = Store("local", backend)
    backend.save_run_metadata("a", summary("a", created_at=1.0))
    assert [row.run_id for row in list_rows(store)] == ["a"]
    assert [row.run_id for row in remembered_rows(store, 10)] == ["a"]


def test_a_real_run_makes_a_full_row() -> None:
    backend = MemoryStorageBackend()
    evaluate("demo", model="fake-math-llm", limit=10, run_id="r1", storage_backend=backend)
    (row,) = list_rows(Store("memory", backend))
    assert (row.benchmark, row.model, row.status.word) == ("demo", "fake-math-llm", "completed")
    assert (row.done, row.total, row.errors) == (10, 10, 0)
    assert row.headline == "ExactMatch"
    assert row.score is not None
    assert 0 < row.score < 1
    assert row.duration_s is not None
    assert row.duration_s >= 0


def test_a_selection_counts_what_it_leaves_out() -> None:
    backend = MemoryStorageBackend()
    for number in range(10):
        asked = {"benchmark": "even" if number % 2 == 0 else "odd"}
        backend.save_run_metadata(f"r{number}", summary(f"r{number}", created_at=float(number), asked=asked))
    store = Store("m", backend)
    assert [row.run_id for row in select(store, limit=2).rows] == ["r9", "r8"]
    assert select(store, limit=2)[1:3] == (8, 10)
    even = select(store, "benchmark:even", 3)
    assert [row.run_id for row in even.rows] == ["r8", "r6", "r4"]
    assert even[1:3] == (2, 10)


ODD: list[Any] = [
    {"run_id": "odd", "status": "completed", "asked": "demo"},
    {"run_id": "odd", "status": "completed", "summary": {"headline": [], "metrics": {"M": 1}}},
    {"run_id": "odd", "status": "completed", "summary": {"tokens": 3}},
    {"run_id": "odd", "status": "completed", "summary": {"headline": "M", "metrics": {"M": "good"}}},
]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_run_hides_no_other(odd) -> None:
    backend = MemoryStorageBackend()
    backend.save_run_metadata("good", FULL)
    backend.save_run_metadata("odd", odd)
    store = Store("m", backend)
    for rows in (list(list_rows(store)), select(store).rows, select(store, "status:").rows):
        assert {row.run_id: row.status.word for row in rows} == {"good": "completed", "odd": "unreadable"}
    backend.cached_summaries = lambda limit: [odd, FULL]  # type: ignore[attr-defined]
    assert [row.run_id for row in remembered_rows(store, 2)] == ["odd", "r1"]


def test_values_of_another_kind_are_unknown() -> None:
    sums = {"done": "5", "total": [], "errors": {}, "metrics": {"M": {"mean": "x", "stderr": "y"}}}
    row = row_of("s", summary(created_at="now", started_at="1", summary={**sums, "headline": "M"}))
    unknown = (row.done, row.total, row.errors, row.score, row.stderr, row.half_width, row.created_at)
    assert unknown == (None,) * 7
    assert row_of("s", summary(status="paused", status_reason=3)).status == Status("paused")
    assert row_of("s", 3).status.word == "unreadable"  # type: ignore[arg-type]


# Addresses


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("r1", (None, "r1")),
        ("local:r1", ("local", "r1")),
        (":r1", (None, "r1")),
        ("local?root=/x:r1", ("local?root=/x", "r1")),
        ("postgresql://h:5432/db:r1", ("postgresql://h:5432/db", "r1")),
        ("s3://bucket/prefix:r1", ("s3://bucket/prefix", "r1")),
        ("./a:b:r1", ("./a:b", "r1")),
    ],
)
def test_an_address_is_taken_apart(address: str, parts: tuple[str | None, str]) -> None:
    assert split_address(address) == parts


def test_a_run_is_found_by_its_address(tmp_path: Path) -> None:
    evaluate("demo", model="fake-math-llm", limit=1, run_id="r1", storage=str(tmp_path / "s"))
    evaluate("demo", model="fake-math-llm", limit=1, run_id="r2")
    for address, storage in ((f"{tmp_path}/s:r1", None), ("r1", f"{tmp_path}/s")):
        store, run_id = find_run(address, storage)
        assert (store.name, run_id) == (f"{tmp_path}/s", "r1")
    store, run_id = find_run("r2")
    assert (store.name, run_id) == ("local", "r2")
    store, run_id = find_run("local:r2", "local")
    assert (store.name, run_id) == ("local", "r2")


def test_a_run_that_is_not_there_is_told_with_where_it_was_looked_for() -> None:
    with pytest.raises(RunNotFound, match=r"There is no run 'r9' in local\. 'themis runs list'"):
        find_run("r9")
    with pytest.raises(UnknownName, match="There is no storage backend 'nonsense'"):
        find_run("nonsense:r1")
    with pytest.raises(UsageError, match=r"names the store 'local', and --storage names 'memory'"):
        find_run("local:r1", "memory")
    with pytest.raises(InvalidRunId):
        find_run("../../etc/passwd")
    with pytest.raises(InvalidRunId):
        find_run("local:")


def test_the_default_store_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert open_store().name == "local"
    monkeypatch.setenv("THEMIS_STORAGE", str(tmp_path / "s"))
    assert open_store().name == str(tmp_path / "s")
    assert open_store("memory").name == "memory"
