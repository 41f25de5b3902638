"""Stores: the promise, and what keeps it."""
