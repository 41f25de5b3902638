"""Executors: the promise, and what keeps it."""
