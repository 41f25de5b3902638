"""What a judge decided."""

from __future__ import annotations

import time

import pytest

from tests.metrics.hostile import HOSTILE
from themis.metrics.verdicts import read_verdict


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("It is right.\nSCORE: 1", 1.0),
        ("Partly.\nSCORE: 0.5", 0.5),
        ("**Score:** 0.8", 0.8),
        ("score = .25", 0.25),
        ("Final score: **0.9**.", 0.9),
        ("SCORE: 80%", 0.8),
        ("Rating: 4/5", 0.8),
        ("Score: 8 out of 10", 0.8),
        ("SCORE: `0`", 0.0),
        ("Score: 0.2 at first.\nOn second thoughts\nSCORE: 0.7", 0.7),
        ("GRADE: C", 1.0),
        ("GRADE: P\n", 0.5),
        ("grade: **I**", 0.0),
        ("Verdict: incorrect", 0.0),
        ("Verdict: CORRECT.", 1.0),
        ("Verdict - yes\nverdict: partially correct", 0.5),
        ("SCORE: 0,5", 0.5),
        ("SCORE: 80,5 %", 0.805),
        ("SCORE: 1, as it agrees", 1.0),
        ("SCORE： 1", 1.0),
        ("SCORE：0.5", 0.5),
        ("SCORE: <1>", 1.0),
        ("SCORE: [0.5]", 0.5),
        ("SCORE: 0.5 (score = 1 would need more)", 0.5),
        ("**Score: 0.5**\nA score of 1, or score: 1, would need more.", 0.5),
        ("- SCORE: 0.5\n- SCORE: 0.7", 0.7),
        ("I say score: 0.2, no, score: 0.4", 0.4),
        # none
        ("", None),
        ("It is right.", None),
        ("SCORE:", None),
        ("SCORE: 7", None),
        ("SCORE: 6/5", None),
        ("SCORE: 1/0", None),
        ("SCORE: -1", None),
        ("score: incorrect", None),
        ("Underscore: 1", None),
        ("SCORE: 1.2.3", None),
        ("SCORE: 1,2.3", None),
        ("SCORE: 1,2,3", None),
    ],
)
def test_the_last_verdict_counts(said: str, score: float | None) -> None:
    verdict = read_verdict(said)
    assert (verdict and verdict.score) == score


def test_the_reason_is_what_stands_before() -> None:
    verdict = read_verdict("The answer agrees.\n\n**SCORE:** 1")
    assert verdict is not None
    assert verdict.reason == "The answer agrees."


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_text_takes_long(kind: str) -> None:
    started = time.perf_counter()
    read_verdict(HOSTILE[kind])
    assert time.perf_counter() - started < 1
