"""Where rows come from: files as people have them, lists, iterators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from themis.benchmarks import Benchmark, open_benchmark
from themis.benchmarks.files import JsonlSource
from themis.benchmarks.sources import RowsSource
from themis.core.errors import BenchmarkError, UnknownName

ROWS = [{"question": "a", "answer": "1"}, {"question": "b", "answer": "2"}]


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def questions(benchmark: Benchmark) -> list[Any]:
    return [sample.fields["question"] for sample in benchmark.samples()]


@pytest.mark.parametrize(
    "lines",
    [
        [b'{"question": "a"}\n', b'{"question": "b"}\n'],
        [b'{"question": "a"}\n', b'{"question": "b"}'],
        [b'\n{"question": "a"}\n', b" \n\t\n", b'{"question": "b"}\n\n'],
        [b'{"question": "a"}\r\n', b'{"question": "b"}\r\n'],
        [b'\xef\xbb\xbf{"question": "a"}\n', b'{"question": "b"}\n'],
    ],
    ids=["plain", "no last newline", "empty lines", "windows", "byte order mark"],
)
def test_files_are_read_as_people_write_them(tmp_path: Path, lines: list[bytes]) -> None:
    benchmark = open_benchmark(written(tmp_path / "q.jsonl", *lines))
    assert questions(benchmark) == ["a", "b"]
    assert benchmark.total(None, 2) == 4
    assert benchmark.name == "q"


def test_any_text_survives_a_file(tmp_path: Path) -> None:
    nasty = "\x00\ud800😀‮"
    path = written(tmp_path / "q.ndjson", json.dumps({"question": nasty}).encode() + b"\n")
    assert questions(open_benchmark(str(path))) == [nasty]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nonsense", "line 2: not a JSON object"),
        (b'{"question": "a"', "line 2: not a JSON object"),
        (b'{"question": "\xff"}', "line 2: not a JSON object"),
        (b"[1, 2]", "Row 2 is a list"),
        (b'"text"', "Row 2 is a str"),
        (b"null", "Row 2 is a NoneType"),
        (b'{"question": NaN}', "Row 2 cannot be stored"),
        (b'{"question": Infinity}', "Row 2 cannot be stored"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, why: str) -> None:
    path = written(tmp_path / "q.jsonl", b'{"question": "a"}\n', line + b"\n")
    with pytest.raises(BenchmarkError, match=why):
        questions(open_benchmark(path))


def test_a_path_that_is_no_benchmark_says_why(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="There is no file"):
        open_benchmark(tmp_path / "q.jsonl")
    with pytest.raises(BenchmarkError, match="There is no file"):
        JsonlSource(tmp_path)
    with pytest.raises(BenchmarkError, match=r"has to end in \.jsonl"):
        open_benchmark(written(tmp_path / "q.txt", b"{}"))
    with pytest.raises(UnknownName, match="demo"):
        open_benchmark("demoo")


def test_the_fingerprint_covers_the_source_not_the_selection(tmp_path: Path) -> None:
    path = written(tmp_path / "q.jsonl", b'{"question": "a"}\n')
    first = open_benchmark(path).source.fingerprint()
    assert open_benchmark(path).source.fingerprint() == first
    written(path, b'{"question": "b"}\n')
    assert open_benchmark(path).source.fingerprint() != first


def test_rows_have_one_fingerprint_whatever_they_are_made_of() -> None:
    plain = RowsSource(ROWS, "rows").fingerprint()
    turned = [{"answer": row["answer"], "question": row["question"]} for row in ROWS]
    assert RowsSource(turned, "rows").fingerprint() == plain
    assert RowsSource([MappingProxyType(row) for row in ROWS], "rows").fingerprint() == plain
    assert RowsSource(ROWS[::-1], "rows").fingerprint() != plain
    assert RowsSource(ROWS[:1], "rows").fingerprint() != plain


class Again:
    """Can be iterated over again and again, and does not say how long it is."""

    def __iter__(self) -> Iterator[dict[str, str]]:
        return iter(ROWS)


def test_what_can_be_iterated_again_has_a_fingerprint_and_perhaps_no_length() -> None:
    benchmark = open_benchmark(Again())
    assert benchmark.source.fingerprint() == RowsSource(ROWS, "rows").fingerprint()
    assert benchmark.total(None, 1) is None
    assert questions(benchmark) == questions(benchmark) == ["a", "b"]


def test_an_iterator_is_not_used_up_by_a_look_at_its_first_row() -> None:
    benchmark = open_benchmark(iter(ROWS))
    assert benchmark.template(None, None).template == "{question}"
    assert benchmark.source.fingerprint() is None
    assert questions(benchmark) == ["a", "b"]


@pytest.mark.parametrize("empty", [[], iter([])])
def test_nothing_at_all_needs_a_prompt_of_its_own(empty: Any) -> None:
    with pytest.raises(BenchmarkError, match="holds no rows"):
        open_benchmark(empty).template(None, None)


@pytest.mark.parametrize("wrong", [{"question": "a"}, 5, None, object()])
def test_what_is_no_benchmark_is_refused(wrong: Any) -> None:
    with pytest.raises(BenchmarkError, match="a name, a path or an iterable of dicts"):
        open_benchmark(wrong)
