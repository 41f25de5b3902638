"""Worked examples before each question: how many, and from where."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from themis.benchmarks.prompts import Example, Examples, PromptTemplate
from themis.benchmarks.sample import Sample, samples
from themis.benchmarks.sources import Source
from themis.core.errors import BenchmarkError, UsageError

TURNS, TEXT = "turns", "text"


@dataclass(frozen=True, kw_only=True)
class ShotOptions:
    """The options in a benchmark's name that ask for examples. Raises :class:`UsageError` for wrong ones."""

    shots: int = 0
    """How many examples."""
    shots_from: str | None = None
    """A file of examples; by default the benchmark's own, or the first rows that are not the sample."""
    shots_as: str = TURNS
    """``turns``: earlier turns of a chat; ``text``: before the question, in one text."""

    def __post_init__(self) -> None:
        if self.shots < 0:
            raise UsageError(f"shots={self.shots} is less than 0.")
        if self.shots_as not in (TURNS, TEXT):
            raise UsageError(f"shots_as is {TURNS} or {TEXT}, not {self.shots_as!r:.100}.")
        if self.shots_from is not None and not self.shots:
            raise UsageError("Say with shots= how many examples to take of shots_from.")

    def given(self) -> dict[str, Any]:
        """The options that differ from what they are by default."""
        values = asdict(self)
        return {each.name: values[each.name] for each in fields(self) if values[each.name] != each.default}


@dataclass
class Shots:
    """``count`` examples for each sample, out of the rows of ``source``."""

    count: int
    source: Source
    own: bool = False
    """Whether the samples that are asked come from ``source`` too."""
    answer: str = "{answer}"
    """Template over the fields and ``answer``, the reference: what a good answer looks like."""
    by: str | None = None
    """A field that examples and sample must have the same value of."""
    as_text: bool = False

    def examples(self) -> Examples:
        """The examples to choose from. Raises :class:`BenchmarkError` if there are too few of them.

        One more than ``count`` of each kind, so that a sample which is itself one of them gets as many.
        """
        wanted = self.count + 1
        pools: dict[str, list[Example]] = {}
        template = PromptTemplate(self.answer)
        for sample in samples(self.source.rows(), None if self.by else wanted, is_json=self.source.is_json):
            pool = pools.setdefault("" if self.by is None else str(sample.fields.get(self.by)), [])
            if len(pool) < wanted:
                pool.append(self._example(sample, template))
        needed = wanted if self.own else self.count
        fewest = min((len(pool) for pool in pools.values()), default=0)
        if fewest < needed:
            spare = " besides the sample itself" if self.own else ""
            raise BenchmarkError(
                f"{self.source.description} has too few rows for {self.count} examples{spare}: {fewest}."
            )
        return Examples(self.count, pools, self.by, self.as_text)

    def _example(self, sample: Sample, template: PromptTemplate) -> Example:
        reference = sample.reference[0] if _is_choice(sample.reference) else sample.reference
        if reference is None:
            raise BenchmarkError(
                f"The row {sample.id!r:.100} of {self.source.description} has no answer to be an example of."
            )
        text = reference if isinstance(reference, str) else json.dumps(reference, ensure_ascii=False)
        answer = template.render({**sample.fields, "answer": text})
        return Example(sample.fields, str(answer))


def _is_choice(reference: Any) -> bool:
    return isinstance(reference, list) and bool(reference)
