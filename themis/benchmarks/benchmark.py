"""A benchmark: rows, and how they are asked and scored unless the caller says otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from themis.benchmarks.prompts import PromptTemplate, Template, default_template
from themis.benchmarks.sample import Sample, samples
from themis.benchmarks.shots import Shots
from themis.benchmarks.sources import IteratorSource, Source
from themis.core.errors import BenchmarkError


@dataclass
class Benchmark:
    """What is asked. ``None`` leaves a thing to the caller's default."""

    name: str
    source: Source
    prompt: Template | None = None
    system: str | None = None
    metrics: list[str] | None = None
    shots: Shots | None = None
    """Examples before each question; part of the prompt."""

    def samples(self, limit: int | None = None) -> Iterator[Sample]:
        """The first ``limit`` samples. Raises :class:`BenchmarkError` at the first that cannot be used."""
        return samples(self.source.rows(), limit, is_json=self.source.is_json)

    def check(self) -> None:
        """Read the first row. Raises :class:`BenchmarkError` if it cannot be used, or there is none."""
        if self._first() is None:
            raise BenchmarkError(f"{self.source.description} holds no rows.")

    def template(self, prompt: Template | None, system: str | None) -> PromptTemplate:
        """The template to ask with: the caller's, else the benchmark's, else made from the first row."""
        first = self._first()
        chosen = prompt if prompt is not None else self.prompt
        if chosen is None:
            if first is None:
                raise BenchmarkError(f"{self.source.description} holds no rows.")
            chosen = default_template(first.fields)
        examples = None if self.shots is None else self.shots.examples()
        template = PromptTemplate(chosen, system if system is not None else self.system, examples)
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


def _chained(first: Mapping[str, Any], rest: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    yield first
    yield from rest
