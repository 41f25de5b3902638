"""Where in an answer the answer stands."""

from __future__ import annotations

from themis.metrics.answers import READ_CHARACTERS, last_part


def test_thoughts_and_what_stands_far_before_the_end_are_left_out() -> None:
    assert last_part("<think>A</think>B") == "B"
    assert last_part("<think>A</think>") == "<think>A</think>"
    assert len(last_part("x" * 100_000)) == READ_CHARACTERS
