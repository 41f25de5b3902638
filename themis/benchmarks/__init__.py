"""Benchmarks: questions, where they come from, and how they are asked."""

from themis.benchmarks.benchmark import BUILT_IN, Benchmark, open_benchmark
from themis.benchmarks.sample import Sample

__all__ = ["BUILT_IN", "Benchmark", "Sample", "open_benchmark"]
