"""What a run would ask, before it is started."""

from __future__ import annotations

from typing import Any, NamedTuple

from themis.benchmarks import open_benchmark
from themis.runs.spec import RunSpec


class FirstPrompt(NamedTuple):
    """One prompt as the model would get it."""

    sample_id: str
    prompt: str | list[dict[str, Any]]
    reference: Any


def first_prompts(spec: RunSpec, count: int = 3) -> tuple[list[FirstPrompt], int | None]:
    """The first prompts, and how many will be asked in all where that is known.

    Asks no model. Raises :class:`UsageError` for a benchmark or prompt that cannot be used.
    """
    benchmark = open_benchmark(spec.benchmark)
    total = benchmark.total(spec.limit, spec.epochs)
    template = benchmark.template(spec.prompt, spec.system)
    prompts = [
        FirstPrompt(sample.id, template.render(sample.fields), sample.reference)
        for sample in benchmark.samples(count)
    ]
    return prompts, total
