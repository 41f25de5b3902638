"""Names: what there is, what a package brings, and paths in them."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from themis.benchmarks import (
    BUILT_IN,
    Benchmark,
    absolute_name,
    benchmark_names,
    described,
    is_known,
    open_benchmark,
    registry,
)
from themis.benchmarks.sources import IteratorSource, RowsSource
from themis.core.errors import UnknownName, UsageError

ROWS = [{"question": "a", "answer": "1"}, {"question": "b", "answer": "2"}]
SHARED = Benchmark("ours", RowsSource(ROWS, "somewhere"))


def counting(*, upto: int = 2, path: str = "") -> Benchmark:
    return Benchmark("counting", RowsSource([{"question": str(n)} for n in range(upto)], "counted"))


def shared() -> Benchmark:
    return SHARED


def once() -> Benchmark:
    return Benchmark("once", IteratorSource(iter(ROWS)))


def something_else() -> str:
    return "no benchmark"


@pytest.fixture(autouse=True)
def entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        EntryPoint(name, f"{__name__}:{name}", registry.GROUP)
        for name in ("counting", "shared", "once", "something_else")
    )
    monkeypatch.setattr(registry, "_entry_points", lambda: list(points))


def test_every_name_has_a_line() -> None:
    assert benchmark_names() == sorted({*BUILT_IN, "counting", "shared", "once", "something_else"})
    assert list(described()) == benchmark_names()
    assert described()["counting"] == f"from {__name__}:counting"
    assert all(0 < len(line) <= 100 and "\n" not in line for line in described().values())


def test_a_benchmark_of_a_package_gets_its_options() -> None:
    benchmark = open_benchmark("counting?upto=5")
    assert benchmark.total(None, 1) == 5
    assert benchmark.source.description == "counting?upto=5"
    assert benchmark.name == "counting"
    with pytest.raises(UsageError, match=r"no option 'x'. It has: upto"):
        open_benchmark("counting?x=1")
    with pytest.raises(UsageError, match="not int"):
        open_benchmark("counting?upto=many")


def test_what_a_package_keeps_is_left_as_it_is() -> None:
    assert open_benchmark("shared").source.description == "shared"
    assert SHARED.source.description == "somewhere"


def test_what_can_be_read_once_comes_as_it_is() -> None:
    assert len(list(open_benchmark("once").samples())) == 2


def test_what_a_package_brings_must_be_a_benchmark() -> None:
    with pytest.raises(UsageError, match="'no benchmark', which is not a Benchmark"):
        open_benchmark("something_else")


def test_a_name_of_nothing_lists_what_there_is() -> None:
    with pytest.raises(UnknownName, match=r"There are: arc, .*counting, demo, .*\.parquet"):
        open_benchmark("nonsense?x=1")


@pytest.mark.parametrize(
    "name", ["", "?", "a\x00b", "x" * 100_000, "?" * 100_000, "~nobody-at-all/x", "\ud800"]
)
def test_hostile_names_are_refused_at_once(name: str) -> None:
    with pytest.raises(UsageError):
        open_benchmark(name)
    absolute_name(name)


@pytest.mark.parametrize("name", ["demo", "mmlu?subject=x", "q.csv?answer=a", "rows", "/a/b.jsonl"])
def test_opening_these_runs_no_code_of_a_package(name: str) -> None:
    assert is_known(name)


@pytest.mark.parametrize("name", ["counting", "counting?upto=3", "shared", "demo?x=1&x=2"])
def test_opening_these_might(name: str) -> None:
    assert not is_known(name)


def test_paths_in_names_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = os.getcwd()
    Path("q.csv").write_text("question\na\n")
    Path("t.csv").write_text("question\na\n")
    Path("demo").write_text("")
    assert absolute_name("demo") == "demo"
    assert absolute_name("nope.csv") == "nope.csv"
    assert absolute_name("q.csv") == f"{here}/q.csv"
    assert absolute_name("q.csv?id=x y&shots=1&shots_from=t.csv") == (
        f"{here}/q.csv?id=x%20y&shots=1&shots_from={here}/t.csv"
    )
    assert absolute_name("q.csv?shots_from=t.csv%3Fid=x") == f"{here}/q.csv?shots_from={here}/t.csv%3Fid%3Dx"
    assert absolute_name("gsm8k?path=q.csv") == f"gsm8k?path={here}/q.csv"
    assert absolute_name("gsm8k?path=~/q.csv") == f"gsm8k?path={Path.home()}/q.csv"
    assert absolute_name("mmlu?shots=5&subject=anatomy") == "mmlu?shots=5&subject=anatomy"
    assert absolute_name("counting?path=data") == f"counting?path={here}/data"
