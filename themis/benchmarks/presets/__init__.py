"""Well-known benchmarks: how each is asked and scored; the data themselves are not ours to bring."""
