"""Tables and packed files, as people have them; columns named in the path."""

from __future__ import annotations

import csv
import gzip
import json
import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from themis.benchmarks import Benchmark, Sample, open_benchmark
from themis.core.errors import BenchmarkError, MissingExtra, UsageError

TABLE = b'qid,question,label,subject,level\nq1,"Sum, of\n1 and 1?",2,maths,5\nq2,"Say ""hi""",hi,talk,1\n'


def samples(benchmark: Benchmark) -> list[Sample]:
    return list(benchmark.samples())


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, bytes], str]:
    def write(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write


# CSV


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", TABLE),
        ("q.CSV", TABLE),
        ("q.csv", b"\xef\xbb\xbf" + TABLE),
        ("q.csv", TABLE.replace(b"maths,5\n", b"maths,5\r\n\r\n")),
        ("q.csv", TABLE.rstrip(b"\n")),
        ("q.tsv", TABLE.replace(b",", b"\t").replace(b"Sum\t", b"Sum,")),
        ("q.csv.gz", gzip.compress(TABLE)),
        ("q.tsv.gz", gzip.compress(TABLE.replace(b",", b"\t").replace(b"Sum\t", b"Sum,"))),
    ],
)
def test_a_table_is_read_as_people_write_it(written, name: str, content: bytes) -> None:
    benchmark = open_benchmark(written(name, content) + "?answer=label&id=qid")
    first, second = samples(benchmark)
    assert (first.id, first.fields["question"], first.reference) == ("q1", "Sum, of\n1 and 1?", "2")
    assert second.fields == {"question": 'Say "hi"', "subject": "talk", "level": "1"}
    assert benchmark.total(None, 2) == 4
    assert benchmark.name == "q"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n3\n", "line 3: 1 cells where the header has 2"),
        (b'a,b\n"x\ny",2\n1,2,3\n', "line 4: 3 cells where the header has 2"),
        (b"a,b,a\n1,2,3\n", "two columns of the name 'a'"),
        (b'a,b\n1,"2\n3,4\n', "line 2: not a row of a UTF-8 table"),
        (b"a,b\n1,\xff\n", "not a row of a UTF-8 table"),
        (b"question;answer\n1;2\n", "parted by commas"),
    ],
)
def test_a_broken_table_says_where(written, content: bytes, why: str) -> None:
    with pytest.raises(BenchmarkError, match=why):
        samples(open_benchmark(written("q.csv", content)))


@pytest.mark.parametrize("options", ["", "?id=qid", "?answer=answer"])
def test_an_empty_cell_is_no_reference(written, options: str) -> None:
    path = written("q.csv", b"qid,question,answer\n1,a,\n2,b,x\n")
    assert [sample.reference for sample in samples(open_benchmark(path + options))] == [None, "x"]


def test_a_table_without_rows_holds_none(written) -> None:
    benchmark = open_benchmark(written("q.csv", b"question,answer\n"))
    assert samples(benchmark) == []
    assert benchmark.total(None, 1) == 0


def test_columns_without_a_name_are_left_out(written) -> None:
    benchmark = open_benchmark(written("q.csv", b",question, answer\n0,a,1\n1,b,2\n"))
    assert [(each.fields, each.reference) for each in samples(benchmark)] == [
        ({"question": "a"}, "1"),
        ({"question": "b"}, "2"),
    ]


def test_a_cell_may_be_longer_than_the_usual_limit_and_the_limit_is_left_as_it_was(written) -> None:
    usual = csv.field_size_limit()
    path = written("q.csv", b"question,answer\n" + b"x" * 2_000_000 + b",1\n")
    rows = open_benchmark(path).source.rows()
    assert len(next(rows)["question"]) == 2_000_000
    assert csv.field_size_limit() == usual
    assert list(rows) == []
    assert csv.field_size_limit() == usual


def test_many_threads_read_long_cells_and_leave_the_limit_as_it_was(written) -> None:
    usual = csv.field_size_limit()
    path = written("q.csv", b"question\n" + (b"x" * 200_000 + b"\n") * 20)
    lengths: list[int] = []

    def read() -> None:
        lengths.extend(len(row["question"]) for row in open_benchmark(path).source.rows())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [200_000] * 80
    assert csv.field_size_limit() == usual


# JSONL


def test_packed_lines_are_unpacked(written) -> None:
    path = written("q.jsonl.gz", gzip.compress(b'{"question": "a"}\n\n{"question": "b"}\n'))
    benchmark = open_benchmark(path)
    assert [each.fields["question"] for each in samples(benchmark)] == ["a", "b"]
    assert benchmark.total(None, 1) == 2
    assert benchmark.name == "q"


@pytest.mark.parametrize("name", ["q.jsonl.gz", "q.csv.gz"])
@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(b'question\n"a"\n' * 9_000)[:-30]])
def test_what_cannot_be_unpacked_says_so(written, name: str, content: bytes) -> None:
    with pytest.raises(BenchmarkError, match=r"cannot be unpacked|not a"):
        samples(open_benchmark(written(name, content)))


def test_a_deeply_nested_line_is_an_error_and_no_crash(written) -> None:
    with pytest.raises(BenchmarkError, match="line 1"):
        samples(open_benchmark(written("q.jsonl", b"[" * 200_000 + b"\n")))


# Parquet


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(columns: dict[str, Any], **options: Any) -> str:
        pq.write_table(pa.table(columns), tmp_path / "q.parquet", **options)
        return str(tmp_path / "q.parquet")

    return write


def test_parquet_is_read_group_by_group(parquet) -> None:
    number = 1_000
    path = parquet(
        {"question": [f"q{each}" for each in range(number)], "label": list(range(number))},
        row_group_size=100,
    )
    benchmark = open_benchmark(path + "?answer=label")
    assert benchmark.total(None, 1) == number
    assert [each.reference for each in samples(benchmark)] == list(range(number))


def test_values_of_parquet_become_those_of_json(parquet) -> None:
    path = parquet(
        {
            "question": ["a", "b"],
            "answer": [1.5, float("nan")],
            "on": [date(2026, 11, 25), None],
            "price": [Decimal("1.20"), Decimal("3.00")],
            "options": [["x", "y"], []],
            "more": [{"a": 1, "b": None}, {"a": None, "b": "z"}],
        }
    )
    first, second = samples(open_benchmark(path))
    assert (first.reference, second.reference) == (1.5, None)
    assert first.fields == {
        "question": "a",
        "on": "2026-11-25",
        "price": "1.20",
        "options": ["x", "y"],
        "more": {"a": 1, "b": None},
    }


def test_bytes_of_parquet_are_left_out(parquet) -> None:
    with pytest.raises(BenchmarkError, match="Row 1 has no input field"):
        samples(open_benchmark(parquet({"question": [b"\xff"]})))
    pictures = {"question": ["a"], "picture": [{"bytes": b"\xff", "path": "x.png"}]}
    (sample,) = samples(open_benchmark(parquet(pictures)))
    assert sample.fields == {"question": "a"}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet" * 100])
def test_what_is_no_parquet_says_so(written, content: bytes) -> None:
    with pytest.raises(BenchmarkError, match="is not a Parquet file"):
        samples(open_benchmark(written("q.parquet", content)))


def test_without_pyarrow_the_command_is_said(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    benchmark = open_benchmark(written("q.parquet", b""))
    with pytest.raises(MissingExtra, match=r"pip install 'themis-tui\[parquet\]'"):
        samples(benchmark)


# Columns


def test_columns_of_reference_and_id_are_taken_away_and_others_stay(written) -> None:
    path = written("q.csv", TABLE)
    first, _ = samples(open_benchmark(path + "?answer=label&id=qid&tags=subject,level&group=subject"))
    assert (first.tags, first.group) == (["maths", "level 5"], "maths")
    assert set(first.fields) == {"question", "subject", "level"}


def test_tags_of_lists_numbers_and_nothing(written) -> None:
    rows = [{"q": "a", "t": ["x", 2], "n": None}, {"q": "b", "t": [], "n": True}]
    path = written("q.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    first, second = samples(open_benchmark(path + "?tags=t,n"))
    assert (first.tags, second.tags) == (["x", "t 2"], ["n True"])


def test_a_long_group_is_named_by_its_hash_and_an_empty_cell_is_none(written) -> None:
    path = written("q.csv", b"q,p,label\na," + b"x" * 100_000 + b",\nb,,1\n")
    first, second = samples(open_benchmark(path + "?group=p&answer=label"))
    assert first.group is not None
    assert len(first.group) == 32
    assert (first.reference, second.group) == (None, None)


@pytest.mark.parametrize("name", ["q.csv", "q.jsonl", "q.parquet"])
@pytest.mark.parametrize("option", ["answer", "id", "tags", "group"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(
    written, parquet, name: str, option: str
) -> None:
    if name == "q.parquet":
        path = parquet({"question": ["a"]})
    else:
        path = written(name, b"question\na\n" if name == "q.csv" else b'{"question": "a"}\n')
    with pytest.raises(BenchmarkError, match=r"no column 'nope'; it has: question"):
        samples(open_benchmark(f"{path}?{option}=nope"))


def test_an_option_that_is_not_there_is_named_with_those_that_are(written) -> None:
    path = written("q.csv", TABLE)
    with pytest.raises(UsageError, match=r"no option 'labels'. It has: .*answer, id, tags, group"):
        open_benchmark(path + "?labels=x")
    with pytest.raises(UsageError, match="gives an option twice"):
        open_benchmark(path + "?id=x&id=y")


def test_the_fingerprint_covers_bytes_and_columns_and_not_examples(written) -> None:
    path = written("q.csv", TABLE)
    names = ["", "?answer=label", "?answer=label&tags=subject", "?answer=subject"]
    prints = [open_benchmark(path + name).source.fingerprint() for name in names]
    assert len(set(prints)) == 4
    assert open_benchmark(path + "?tags=subject&answer=label").source.fingerprint() == prints[2]
    assert open_benchmark(path + "?answer=label&shots=1").source.fingerprint() == prints[1]


@pytest.mark.parametrize("options", ["", "?answer=label&tags=subject,level&shots=1", "?id=qid&group=subject"])
def test_the_description_opens_the_same_again(
    written, options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("q.csv", TABLE)
    monkeypatch.chdir(tmp_path)
    first = open_benchmark("q.csv" + options)
    monkeypatch.chdir("/")
    again = open_benchmark(first.source.description)
    assert samples(again) == samples(first)
    assert again.source.description == first.source.description
    assert again.source.fingerprint() == first.source.fingerprint()


def test_a_question_mark_in_the_name_of_a_file_that_is_there(written, tmp_path: Path) -> None:
    path = written("what?id=qid&x.csv", TABLE)
    assert samples(open_benchmark(path))[0].fields["qid"] == "q1"
    benchmark = open_benchmark(path + "?id=qid")
    assert samples(benchmark)[0].id == "q1"
    assert samples(open_benchmark(benchmark.source.description))[0].id == "q1"
    assert samples(open_benchmark(f"{tmp_path}/what?id=qid&x.csv?answer=label&id=qid"))[0].reference == "2"
