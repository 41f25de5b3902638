"""What a run would ask, before it is started."""

from __future__ import annotations

from typing import Any, NamedTuple

from themis.benchmarks import described, open_benchmark
from themis.metrics import DEFAULT
from themis.runs.spec import RunSpec


class FirstPrompt(NamedTuple):
    """One prompt as the model would get it."""

    sample_id: str
    prompt: str | list[dict[str, Any]]
    reference: Any


class Preview(NamedTuple):
    """What a run would ask first, and of how much."""

    prompts: list[FirstPrompt]
    total: int | None
    """How many times a sample will be asked; ``None`` where that is not known."""
    about: str | None
    """What the benchmark is, in one line, where it has a name."""
    metrics: list[str]
    """By which the answers will be scored."""


def first_prompts(spec: RunSpec, count: int = 3) -> Preview:
    """The first ``count`` prompts of a run that is not started.

    Asks no model. Raises :class:`UsageError` for a benchmark or prompt that cannot be used.
    """
    benchmark = open_benchmark(spec.benchmark)
    total = benchmark.total(spec.limit, spec.epochs)
    template = benchmark.template(spec.prompt, spec.system)
    prompts = [
        FirstPrompt(sample.id, template.render(sample.fields), sample.reference)
        for sample in benchmark.samples(count)
    ]
    about = described().get(spec.benchmark.partition("?")[0])
    return Preview(prompts, total, about, list(spec.metrics or benchmark.metrics or DEFAULT))
