"""What a text puts into a box."""

from __future__ import annotations

import pytest

from themis.core.latex import boxed


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
        (r"\boxed5", "5"),
        (r"so \boxed 5.", "5"),
        (r"\boxed\frac{1}{2}", r"\frac{1}{2}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{4}, not \boxedup", "4"),
        (r"\boxed{4", None),
        (r"\boxed", None),
        (r"\boxedup{4}", None),
        ("4", None),
    ],
)
def test_the_last_box_with_its_braces_balanced(text: str, held: str | None) -> None:
    assert boxed(text) == held
