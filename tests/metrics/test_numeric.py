"""The final number of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.hostile import HOSTILE, scored
from themis.core.errors import UsageError
from themis.metrics import open_metrics
from themis.metrics.numeric import NumericMatch, final_number

SOLUTION = "Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 eggs.\nShe makes 9 * 2 = $<<9*2=18>>18.\n#### 18"


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("42", "42"),
        ("42.", "42"),
        ("-5", "-5"),
        ("It is −5.5%.", "−5.5%"),
        (".5", ".5"),
        ("1,234,567.89 in total", "1,234,567.89"),
        ("-$5", "-$5"),
        ("$-5", "$-5"),
        ("\\$18", "\\$18"),
        ("3/4", "3/4"),
        ("1 1/2 cups", "1 1/2"),
        ("1.5e3", "1.5e3"),
        ("2 × 10^3", "2 × 10^3"),
        (r"\frac{3}{4}", r"\frac{3}{4}"),
        ("1{,}234", "1,234"),
        ("42 km", "42"),
        ("42km", "42"),
        ("٤٢", "٤٢"),
        ("答案是18", "18"),
        ("共18个", "18"),
        ("答案是 1,234。", "1,234"),
        (r"\frac{-3}{4}", r"\frac{-3}{4}"),
        ("answer: - 5", "-5"),
        ("x = − $5", "−$5"),
        ("The answer is 10^6", "10^6"),
        ("10^{-3} m", "10^{-3}"),
        ("__18__", "18"),
        # where it stands
        (SOLUTION, "18"),
        ("####7", "7"),
        ("first 3\n#### 1,234", "1,234"),
        (r"2 steps: $\boxed{42}$. Done in 3.", "42"),
        (r"\boxed{x=12\text{ cm}^2}", "12"),
        ("The answer is 42. That took 3 steps.", "42"),
        ("The final answer is 2.50 dollars, not 3.", "2.50"),
        ("Final Answer: 42 (and 7 left)", "42"),
        ("Final Answer\n42", "42"),
        ("**Answer:** 42 (not 41)", "42"),
        ("The answer: **$1,000**.", "$1,000"),
        ("The answer is 3 + 4 = 7 apples", "7"),
        ("The answer is 18, since 9*2=18", "18"),
        ("Answer: $x = 5$", "5"),
        ("Express the answer as a percentage: 90 cm / 450 cm * 100% = 20%", "20%"),
        ("She makes **$18** every day (9 eggs at $2).", "$18"),
        ("**Step 3:** compute 4*5 = 20", "20"),
        ("16 - 3 = 13, then 13 * 2 = $26.", "$26"),
        ("1. First\n2. The total is 5\n3. Done", "5"),
        ("18. That is all.", "18"),
        ("18 is the answer.", "18"),
        ("The sum of 10-3 is 7", "7"),
        ("pages 3–5", "5"),
        ("1,2,3", "3"),
        ("The answer is 9 eggs x $2 = $18", "$18"),
        ("The answer is 9 eggs at $2 = $18", "9"),
        ("8 apples, not 10", "8"),
        ("5 + 3 = 8 apples, rather than 10.", "8"),
        ("not 10", "10"),
        ("Answer:\n- 5 apples", "5"),
        ("It grew from 16 - 3", "3"),
        ("<think>It is 9.</think>It is 8.", "8"),
        # not numbers
        ("H2O", None),
        ("$x_1$ and $x_{2}$", "2"),
        ("$x_1$", None),
        ("the 3rd", None),
        ("forty-two", None),
        ("", None),
        ("9/0", None),
        ("1e999999999", None),
        ("1" * 5_000, None),
    ],
)
def test_the_final_number_is_found(answer: str, number: str | None) -> None:
    found = final_number(answer)
    assert (found and found.text) == number


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("18", SOLUTION, 1),
        ("#### 18", 18, 1),
        ("18.0", 18, 1),
        ("18", 18.0, 1),
        ("0.75", "3/4", 1),
        (r"\boxed{\frac{6}{8}}", "0.75", 1),
        ("1 1/2", "1.5", 1),
        ("$1,000", "1000", 1),
        ("1.2e3", 1200, 1),
        ("1.2 × 10^{-3}", 0.0012, 1),
        ("-5", "−5", 1),
        ("10^6", 1_000_000, 1),
        ("2^{10}", 1024, 1),
        ("10^{-2}", 0.01, 1),
        ("0^{-2}", 0, 0),
        ("99^9999", 0, 0),
        (r"\frac{-3}{4}", -0.75, 1),
        (r"-\frac{3}{-4}", 0.75, 1),
        ("answer: - 5", -5, 1),
        ("5", "-5", 0),
        ("50%", "50", 1),
        ("50%", 0.5, 1),
        ("0.5", "50%", 1),
        ("0.3", "1/3", 0),
        ("7", ["6", 7], 1),
        ("8", ["6", 7], 0),
        ("nothing", 7, 0),
    ],
)
def test_numbers_are_compared_exactly(answer: str, reference: Any, score: int) -> None:
    assert NumericMatch().score(answer, reference).value == score


@pytest.mark.parametrize(
    ("options", "answer", "score"),
    [
        ("tolerance=0.01", "3.15", 1),
        ("tolerance=0.01", "3.1501", 0),
        ("tolerance=0.3", "3.44", 1),
        ("tolerance=0.01&relative=true", "3.17", 1),
        ("tolerance=0.01&relative=true", "3.18", 0),
    ],
)
def test_a_tolerance_is_absolute_or_a_share(options: str, answer: str, score: int) -> None:
    (metric,) = open_metrics([f"NumericMatch?{options}"])
    assert metric.score(answer, 3.14).value == score


@pytest.mark.parametrize("reference", [None, "no number", True, float("nan"), float("inf"), [], {"a": 1}])
def test_a_reference_without_a_number_gives_no_score(reference: Any) -> None:
    value, detail = NumericMatch().score("3", reference)
    assert value is None
    assert "reference" in detail


def test_the_detail_is_what_was_extracted() -> None:
    assert NumericMatch().score("It is $1,000 now.", 7) == (0, "$1,000")
    assert NumericMatch().score("Nothing.", 7) == (0, "no number in the answer")


@pytest.mark.parametrize("tolerance", [-1, float("inf"), float("nan")])
def test_a_tolerance_is_a_number_of_at_least_0(tolerance: float) -> None:
    with pytest.raises(UsageError, match="at least 0"):
        NumericMatch(tolerance)


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_answer_takes_long(kind: str) -> None:
    scored(NumericMatch(), HOSTILE[kind], 7)
