"""From a name to a benchmark; what a preset or a package brings is loaded when it is asked for.

A name means, in this order: a built-in preset, with options in query form, such as ``mmlu?subject=anatomy``;
a file, with the options of :class:`FileOptions`; an entry point of the group ``themis.benchmarks``: a
function that gives a :class:`Benchmark`, called with the options.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from themis.benchmarks.benchmark import Benchmark
from themis.benchmarks.columns import Columns
from themis.benchmarks.files import FileSource, JsonlSource
from themis.benchmarks.shots import TEXT, ShotOptions, Shots
from themis.benchmarks.sources import IteratorSource, RowsSource
from themis.core.errors import BenchmarkError, UnknownName, UsageError
from themis.core.options import build, join_query, split_query

GROUP = "themis.benchmarks"
"""Entry points of benchmarks that other packages bring."""

FORMATS: dict[str, str] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonl.gz": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".csv.gz": "csv",
    ".tsv.gz": "csv",
    ".parquet": "parquet",
}
"""What a file's ending says of it."""

_PLAIN = re.compile(r"[A-Za-z0-9 _,-]*")
"""An option that is no path and no address."""

MOST_MARKS = 16
"""Question marks of a name that may belong to the name of a file."""


class BuiltIn(NamedTuple):
    """Where a built-in benchmark is, and what it is in one line."""

    place: str
    description: str


BUILT_IN: dict[str, BuiltIn] = {
    "arc": BuiltIn("arc:ARC", "ARC: science questions for school grades 3 to 9 (subset=challenge or easy)"),
    "arc-challenge": BuiltIn("arc:CHALLENGE", "ARC-Challenge: those that retrieval got wrong, 1,172"),
    "arc-easy": BuiltIn("arc:EASY", "ARC-Easy: the others, 2,376"),
    "demo": BuiltIn("", "120 short questions of our own, for a first run: sums, facts, riddles"),
    "gsm8k": BuiltIn("gsm8k:GSM8K", "GSM8K: grade-school word problems with a number as the answer, 1,319"),
    "hellaswag": BuiltIn("hellaswag:HELLASWAG", "HellaSwag: how does this text go on? 10,042"),
    "ifeval": BuiltIn("ifeval:IFEVAL", "IFEval: instructions whose keeping a program can check, 541"),
    "math-500": BuiltIn("math_500:MATH_500", "MATH-500: competition mathematics, 500"),
    "mmlu": BuiltIn("mmlu:MMLU", "MMLU: questions of 57 school and university subjects, 14,042"),
    "truthfulqa-mc1": BuiltIn(
        "truthfulqa:TRUTHFULQA_MC1", "TruthfulQA MC1: questions that people often answer wrongly, 817"
    ),
}
"""Built-in benchmarks by name."""


@dataclass(frozen=True, kw_only=True)
class FileOptions(ShotOptions):
    """What can stand behind the path of a file: columns (``tags``: several, with commas), and shots."""

    answer: str | None = None
    id: str | None = None
    tags: str | None = None
    group: str | None = None

    def columns(self) -> Columns:
        """The columns that these options name."""
        tags = tuple(name.strip() for name in (self.tags or "").split(",") if name.strip())
        return Columns(self.answer or None, self.id or None, tags, self.group or None)


def open_benchmark(benchmark: str | Path | Iterable[Mapping[str, Any]] | Benchmark) -> Benchmark:
    """The benchmark that a name, a path to a file, or an iterable of dicts means.

    Its ``source.description`` is a name that opens the same benchmark from any folder, for all but
    iterables. Raises :class:`UnknownName` with the names there are, :class:`BenchmarkError` for a file that
    is not there, :class:`MissingExtra` for data that are not here, :class:`UsageError` for an option that the
    benchmark does not have.
    """
    if isinstance(benchmark, Benchmark):
        return benchmark
    if isinstance(benchmark, (str, Path)):
        return _named(str(benchmark))
    if isinstance(benchmark, Mapping) or not isinstance(benchmark, Iterable):
        raise BenchmarkError(
            f"A benchmark is a name, a path or an iterable of dicts, not {benchmark!r:.100}."
        )
    if isinstance(benchmark, Iterator):
        return Benchmark("iterator", IteratorSource(benchmark))
    return Benchmark("rows", RowsSource(benchmark, "rows"))


def benchmark_names() -> list[str]:
    """Every name, built in or by entry point; loads none of them."""
    return sorted({*BUILT_IN, *(point.name for point in _entry_points())})


def described() -> dict[str, str]:
    """Every name with a line that says what it is; loads none of them."""
    lines = {point.name: f"from {point.value}" for point in _entry_points()}
    lines |= {name: each.description for name, each in BUILT_IN.items()}
    return dict(sorted(lines.items()))


def absolute_name(name: str) -> str:
    """The same name for a process in another folder: paths in it are made absolute.

    Raises ``FileNotFoundError`` if the folder that they start from is gone.
    """
    base, options = _split(name)
    if base not in BUILT_IN and _format(base) is not None and _is_file(base):
        base = _absolute(base)
    made = {key: absolute_name(value) if key == "shots_from" else value for key, value in options.items()}
    if made.get("path"):
        made["path"] = _absolute(made["path"])
    return join_query(base, made) if made else base


def is_known(name: str) -> bool:
    """Whether a name is built in or a file's, so that opening it runs no code of other packages."""
    try:
        base, _ = _split(name)
    except UsageError:
        return False
    return base in BUILT_IN or _format(base) is not None or not any(p.name == base for p in _entry_points())


def is_built_in(name: str) -> bool:
    """Whether a name means what Themis itself brings, and none of its options leads anywhere else."""
    try:
        base, options = _split(name)
    except UsageError:
        return False
    leads = any(key in ("path", "shots_from") or not _PLAIN.fullmatch(said) for key, said in options.items())
    return base in BUILT_IN and not leads


def open_file(path: str, options: FileOptions | None = None) -> FileSource:
    """A file of rows by its ending. Raises :class:`BenchmarkError` for one that is not there, or unknown."""
    columns = options.columns() if options is not None else Columns()
    kind = _format(path)
    if kind is None:
        raise BenchmarkError(f"{path} cannot be read as a benchmark: it has to end in {', '.join(FORMATS)}.")
    if kind == "jsonl":
        return JsonlSource(Path(path), columns)
    if kind == "csv":
        from themis.benchmarks.tables import CsvSource

        return CsvSource(Path(path), columns)
    from themis.benchmarks.parquet import ParquetSource

    return ParquetSource(Path(path), columns)


def _named(name: str) -> Benchmark:
    base, options = _split(name)
    built_in = BUILT_IN.get(base)
    if base == "demo":
        return _demo(options)
    if built_in is not None:
        module, _, attribute = built_in.place.partition(":")
        preset = getattr(import_module(f"themis.benchmarks.presets.{module}"), attribute)
        opened: Benchmark = preset.open(build(preset.options, options, f"benchmark {base!r}"))
        return opened
    if _format(base) is not None or "/" in base or _is_file(base):
        return _file(base, options)
    point = next((point for point in _entry_points() if point.name == base), None)
    if point is not None:
        return _brought(point.load(), base, options)
    raise UnknownName(
        f"There is no benchmark {base!r:.200}. There are: {', '.join(benchmark_names())}; or give the path "
        "of a .jsonl, .csv or .parquet file: input fields, 'answer', and perhaps 'id'."
    )


def _demo(options: dict[str, str]) -> Benchmark:
    from themis.benchmarks.demo import PROMPT, ROWS

    chosen = build(ShotOptions, options, "benchmark 'demo'")
    source = RowsSource(ROWS, join_query("demo", chosen.given()))
    return Benchmark("demo", source, prompt=PROMPT, shots=_shots(chosen, source, FileOptions()))


def _file(path: str, options: dict[str, str]) -> Benchmark:
    source = open_file(path)  # first, so that a wrong path is not taken for a wrong option
    chosen = build(FileOptions, options, f"file {path}")
    source.columns = chosen.columns()
    name = source.path.name
    stem = next(name[: -len(ending)] for ending in FORMATS if name.lower().endswith(ending))
    given = chosen.given()
    if chosen.shots_from is not None:
        given["shots_from"] = absolute_name(chosen.shots_from)
    source.description = join_query(str(source.path), given)
    return Benchmark(stem, source, shots=_shots(chosen, source, chosen))


def _shots(chosen: ShotOptions, source: FileSource | RowsSource, columns: FileOptions) -> Shots | None:
    if not chosen.shots:
        return None
    as_text = chosen.shots_as == TEXT
    if chosen.shots_from is None:
        return Shots(chosen.shots, source, own=True, as_text=as_text)
    path, own = _split(chosen.shots_from)
    there = build(FileOptions, own, f"file {path}") if own else columns
    return Shots(chosen.shots, open_file(path, there), as_text=as_text)


def _brought(make: Callable[..., Any], base: str, options: dict[str, str]) -> Benchmark:
    made = build(make, options, f"benchmark {base!r}")
    if not isinstance(made, Benchmark):
        raise UsageError(f"The benchmark {base!r} is {made!r:.100}, which is not a Benchmark.")
    if made.source.once:
        return made
    # Its maker may keep it, and need not know by what name it was opened.
    source = copy.copy(made.source)
    source.description = join_query(base, options)
    return replace(made, source=source)


def _split(name: str) -> tuple[str, dict[str, str]]:
    """Base and options. A name of a file that is there may hold a question mark itself."""
    end = len(name)
    for _ in range(MOST_MARKS):
        if "?" not in name[:end]:
            break
        if _is_file(name[:end]):
            return name[:end], split_query(name[end:])[1]
        end = name.rfind("?", 0, end)
    return split_query(name)


def _format(path: str) -> str | None:
    lower = path.lower()
    return next((kind for ending, kind in FORMATS.items() if lower.endswith(ending)), None)


def _is_file(path: str) -> bool:
    return os.path.isfile(os.path.expanduser(path))


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _entry_points() -> list[Any]:
    # Reading them takes longer than starting the rest of the program, so it waits until it must.
    from importlib.metadata import entry_points

    return list(entry_points(group=GROUP))
