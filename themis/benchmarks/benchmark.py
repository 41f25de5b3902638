"""A benchmark: rows, and how they are asked and scored unless the caller says otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from themis.benchmarks.prompts import PromptTemplate, Template, default_template
from themis.benchmarks.sample import Sample, samples
from themis.benchmarks.sources import IteratorSource, JsonlSource, RowsSource, Source
from themis.core.errors import BenchmarkError, UnknownName

JSONL_SUFFIXES = (".jsonl", ".ndjson")


@dataclass
class Benchmark:
    """What is asked. ``None`` leaves a thing to the caller's default."""

    name: str
    source: Source
    prompt: Template | None = None
    system: str | None = None
    metrics: list[str] | None = None

    def samples(self, limit: int | None = None) -> Iterator[Sample]:
        """The first ``limit`` samples. Raises :class:`BenchmarkError` at the first that cannot be used."""
        return samples(self.source.rows(), limit, is_json=self.source.is_json)

    def template(self, prompt: Template | None, system: str | None) -> PromptTemplate:
        """The template to ask with: the caller's, else the benchmark's, else made from the first row."""
        first = self._first()
        chosen = prompt if prompt is not None else self.prompt
        if chosen is None:
            if first is None:
                raise BenchmarkError(f"{self.source.description} holds no rows.")
            chosen = default_template(first.fields)
        template = PromptTemplate(chosen, system if system is not None else self.system)
        missing = sorted(template.fields - first.fields.keys()) if first is not None else []
        if first is not None and missing:
            raise BenchmarkError(
                f"The prompt asks for {{{missing[0]}}}; the first row of {self.source.description} has: "
                f"{', '.join(first.fields)}."
            )
        return template

    def _first(self) -> Sample | None:
        rows = self.source.rows()
        first = next(rows, None)
        if first is None:
            return None
        if self.source.once:
            self.source = IteratorSource(_chained(first, rows), self.source.description)
        return next(samples([first]))

    def total(self, limit: int | None, epochs: int) -> int | None:
        """How many times a sample will be asked, where the source knows its length."""
        length = self.source.length()
        if length is None:
            return None
        return min(length, limit if limit is not None else length) * epochs


def open_benchmark(benchmark: str | Path | Iterable[Mapping[str, Any]] | Benchmark) -> Benchmark:
    """The benchmark that a name, a path to a JSONL file, or an iterable of dicts means.

    Raises :class:`UnknownName` with the names there are, :class:`BenchmarkError` for a file that is not
    there.
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


def _named(name: str) -> Benchmark:
    built_in = BUILT_IN.get(name)
    if built_in is not None:
        return built_in()
    path = Path(name).expanduser()
    if path.suffix in JSONL_SUFFIXES:
        return Benchmark(path.stem, JsonlSource(path))
    if "/" in name or os.path.isfile(path):
        raise BenchmarkError(
            f"{name} cannot be read as a benchmark: it has to end in {' or '.join(JSONL_SUFFIXES)}."
        )
    raise UnknownName(
        f"There is no benchmark {name!r}. There are: {', '.join(sorted(BUILT_IN))}; or give the path of a "
        ".jsonl file with one object a line: input fields, 'answer', and perhaps 'id'."
    )


def _demo() -> Benchmark:
    from themis.benchmarks.demo import PROMPT, ROWS

    return Benchmark("demo", RowsSource(ROWS, "demo"), prompt=PROMPT)


BUILT_IN: dict[str, Callable[[], Benchmark]] = {"demo": _demo}
"""Built-in benchmarks by name."""


def _chained(first: Mapping[str, Any], rest: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    yield first
    yield from rest
