"""Where in an answer the answer stands."""

from __future__ import annotations

import pytest

from themis.metrics.answers import READ_CHARACTERS, boxed, last_part


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (r"\boxed{4}", "4"),
        (r"\boxed{1} and \boxed{2}", "2"),
        (r"$\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"\fbox{x}", "x"),
        (r"\boxed {4}", "4"),
        (r"$\boxed 5$", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{ 3 }", "3"),
        (r"\boxed{}", ""),
        (r"\boxed{4", None),
        (r"\boxed", None),
        (r"\boxedup{4}", None),
        ("4", None),
    ],
)
def test_the_last_box_with_its_braces_balanced(text: str, held: str | None) -> None:
    assert boxed(text) == held


def test_thoughts_and_what_stands_far_before_the_end_are_left_out() -> None:
    assert last_part("<think>A</think>B") == "B"
    assert last_part("<think>A</think>") == "<think>A</think>"
    assert len(last_part("x" * 100_000)) == READ_CHARACTERS
