"""Benchmarks: questions, where they come from, and how they are asked."""

from themis.benchmarks.benchmark import Benchmark
from themis.benchmarks.registry import (
    BUILT_IN,
    absolute_name,
    benchmark_names,
    described,
    is_built_in,
    is_known,
    open_benchmark,
)
from themis.benchmarks.sample import Sample

__all__ = [
    "BUILT_IN",
    "Benchmark",
    "Sample",
    "absolute_name",
    "benchmark_names",
    "described",
    "is_built_in",
    "is_known",
    "open_benchmark",
]
