"""References that are as long and as odd as any answer."""

from __future__ import annotations

import time

import pytest

from tests.metrics.hostile import HOSTILE, LONG
from themis.metrics import open_metrics

MOST_CPU_S = 0.6
"""Three times what is promised, for a slow machine; other programs on it do not count."""

PLAIN = [
    "ExactMatch",
    "Includes",
    "NumericMatch",
    "Choice",
    "TokenF1",
    "RegexMatch?pattern=(%5Cw%2B)%5CW*$",
    "BLEU",
    "ROUGE-L",
]
REFERENCES = {**HOSTILE, "numbers": " ".join(map(str, range(20_000))), "short words": "a b " * (LONG // 4)}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("kind", REFERENCES)
def test_no_reference_takes_long(name: str, kind: str) -> None:
    (metric,) = open_metrics([name])
    reference = REFERENCES[kind]
    for answer in (reference, REFERENCES["short words"]):
        started = time.thread_time()
        score = metric.score(answer, reference)
        assert time.thread_time() - started < MOST_CPU_S
        assert score.value is None or 0 <= score.value <= 1
