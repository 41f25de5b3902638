"""Answers that a metric must neither fail over nor take long for."""

from __future__ import annotations

import time
from typing import Any

from themis.metrics import JudgingMetric, Metric, Score

MOST_S = 1.0
"""Far above what an answer may take, and far below what a catastrophic pattern takes on a busy machine."""

LONG = 100_000

HOSTILE = {
    "empty": "",
    "nul": "\x00" * 1_000,
    "half characters": "\ud800\udfff" * 1_000,
    "blanks": " " * LONG,
    "lines": "\n" * LONG,
    "letters": "a" * LONG,
    "capitals": "A " * LONG,
    "digits": "1" * LONG,
    "groups": "1,111," * (LONG // 6),
    "fractions": "1/" * LONG,
    "signs": "-" * LONG,
    "brackets": "(" * LONG,
    "braces": "\\boxed{" * (LONG // 7),
    "stars": "**" * LONG,
    "dollars": "$" * LONG,
    "cues": "the answer is " * (LONG // 14),
    "cue and blanks": "answer" + " " * LONG,
    "equations": "1=" * LONG,
    "marks": "#### " * (LONG // 5),
    "scores": "SCORE: " * (LONG // 7),
    "sentences": "a. " * (LONG // 3),
    "10 MB": "word 7. " * (10_000_000 // 8),
}


def scored(metric: Metric, response: str, reference: Any) -> Score:
    """The score of a hostile answer: within bounds, with a reason, and soon."""
    started = time.perf_counter()
    score = metric.score(response, reference)
    taken = time.perf_counter() - started
    most = MOST_S if not isinstance(metric, JudgingMetric) else metric.timeout
    assert taken < most, f"{taken:.1f} s"
    assert score.value is None or 0 <= score.value <= 1
    return score
