"""Figures: against closed forms and published values, exact in whatever order samples finish."""

from __future__ import annotations

import math
import random
import time
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import pytest

from tests.evaluation.doubles import ask
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.evaluation.aggregate import (
    MOST_TAGS,
    ExactSum,
    Latencies,
    MetricAggregate,
    RunAggregate,
    Z,
    wilson,
)


def metric(*scored: tuple[float, str | None]) -> MetricAggregate:
    aggregate = MetricAggregate("1")
    for value, cluster in scored:
        aggregate.add(value, cluster)
    return aggregate


def clustered_by_hand(scored: list[tuple[float, str | None]]) -> Fraction:
    """The square of the clustered standard error, in fractions; a score of no cluster is one of its own."""
    n = len(scored)
    mean = Fraction(sum(Fraction(value) for value, _ in scored), n)
    sums: dict[Any, Fraction] = {}
    for number, (value, cluster) in enumerate(scored):
        key = number if cluster is None else cluster
        sums[key] = sums.get(key, Fraction(0)) + Fraction(value) - mean
    c = len(sums)
    return sum((each * each for each in sums.values()), Fraction(0)) * Fraction(c, c - 1) / (n * n)


# Intervals


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # Brown, Cai, DasGupta (2001) and any table of the score interval
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_wilsons_interval_is_the_published_one(right: int, n: int, low: float, high: float) -> None:
    found = wilson(right / n, n)
    assert found == pytest.approx((low, high), abs=5e-5)
    assert 0 <= found[0] <= right / n <= found[1] <= 1
    summary = metric(*[(1, None)] * right, *[(0, None)] * (n - right)).summary()
    assert (summary["ci_low"], summary["ci_high"]) == found
    assert summary["ci_method"] == "wilson"


def test_the_normal_interval_is_mean_and_z_standard_errors() -> None:
    values = [0.1, 0.4, 0.35, 0.8, 0.2, 0.95]
    summary = metric(*((value, None) for value in values)).summary()
    mean = math.fsum(values) / 6
    stderr = math.sqrt(sum((v - mean) ** 2 for v in values) / 5 / 6)
    assert summary["mean"] == pytest.approx(mean, rel=1e-15)
    assert summary["stderr"] == pytest.approx(stderr, rel=1e-14)
    assert summary["ci_low"] == pytest.approx(mean - Z * stderr, rel=1e-14)
    assert summary["ci_high"] == pytest.approx(mean + Z * stderr, rel=1e-14)
    assert summary["ci_method"] == "normal"


@pytest.mark.parametrize(
    ("scored", "method"),
    [
        ([], None),
        ([(0.5, None)], None),
        ([(1, "a")], None),
        ([(1, "a"), (0, "a")], None),
        ([(1, "a"), (0, "b")], "normal"),
        ([(1, "a"), (0, None)], "normal"),
        ([(1, None)], "wilson"),
        ([(1.0, None), (0.0, None)], "wilson"),
        ([(0.5, None), (1, None)], "normal"),
    ],
)
def test_the_method_follows_from_scores_and_units(scored: Any, method: str | None) -> None:
    summary = metric(*scored).summary()
    assert summary["ci_method"] == method
    assert (summary["ci_low"] is None) == (method is None)


def test_the_clustered_error_of_a_small_case_worked_out_on_paper() -> None:
    # Scores 1 1 | 0 1 | 0 0 in three clusters: mean 1/2, deviations +1, 0, -1; (1 + 1)·3/2 / 36.
    aggregate = metric((1, "a"), (1, "a"), (0, "b"), (1, "b"), (0, "c"), (0, "c"))
    assert aggregate.stderr() == pytest.approx(math.sqrt(3 / 36), rel=1e-15)
    assert aggregate.summary()["clusters"] == 3


def test_clusters_of_one_give_the_plain_standard_error() -> None:
    values = [0.25, 0.5, 1.0, 0.125, 0.75]
    plain = metric(*((value, None) for value in values)).stderr()
    alone = metric(*((value, f"c{n}") for n, value in enumerate(values))).stderr()
    assert alone == pytest.approx(plain, rel=1e-14)


def test_a_score_of_no_cluster_is_a_cluster_of_its_own() -> None:
    scored: list[tuple[float, str | None]] = [(1, "a"), (1, "a"), (0, None), (1, None), (0.25, None)]
    aggregate = metric(*scored)
    assert aggregate.summary()["clusters"] == 4
    assert aggregate.stderr() == pytest.approx(math.sqrt(clustered_by_hand(scored)), rel=1e-14)


def test_epochs_are_clusters_of_their_sample() -> None:
    def model(prompt: str) -> str:
        seen[prompt] = seen.get(prompt, 0) + 1
        return "1" if seen[prompt] <= int(prompt[1:]) else "0"

    seen: dict[str, int] = {}
    questions = [{"id": f"s{n}", "question": f"q{n}", "answer": "1"} for n in range(4)]
    summary = ask(questions, model, epochs=3).metrics["ExactMatch"]
    # 0, 1, 2 and 3 of 3 are right: mean 1/2, sums of deviations -3/2, -1/2, 1/2, 3/2: 5 · 4/3 / 144.
    assert summary["mean"] == 0.5
    assert summary["stderr"] == pytest.approx(math.sqrt(5 * 4 / 3) / 12, rel=1e-15)
    assert (summary["clusters"], summary["ci_method"], summary["count"]) == (4, "normal", 12)
    assert summary["ci_high"] == pytest.approx(0.5 + Z * math.sqrt(5 * 4 / 3) / 12, rel=1e-14)


def test_groups_are_clusters_and_go_before_samples() -> None:
    questions = [
        {"id": f"s{n}", "question": f"q{n}", "answer": str(n if n < 3 else 0), "group": n // 2}
        for n in range(6)
    ]
    single = ask(questions).metrics["ExactMatch"]
    assert (single["clusters"], single["count"]) == (3, 6)
    # 1 1 | 1 0 | 0 0: the case on paper above
    assert single["stderr"] == pytest.approx(math.sqrt(3 / 36), rel=1e-15)
    twice = ask(questions, epochs=2).metrics["ExactMatch"]
    assert (twice["clusters"], twice["count"]) == (3, 12)


def test_a_snapshot_of_many_clusters_is_content_with_a_recent_error_and_a_report_is_not() -> None:
    aggregate = MetricAggregate("1")
    worked_out = []
    for n in range(20_000):
        aggregate.add(n % 3 % 2, f"c{n}")
        worked_out.append(aggregate.recent_stderr() if n % 50 == 0 else None)
    told = [each for each in worked_out if each is not None]
    assert 20_000 / 50 / 4 > len(set(told[20:])) > 20
    assert told[-1] == pytest.approx(aggregate.stderr(), rel=0.1)
    assert aggregate.summary()["stderr"] == aggregate.stderr() != told[-1]
    assert aggregate.interval(recent=True)[0] != aggregate.interval()[0]


# Exactness


def hard_values(chance: random.Random, count: int) -> list[float]:
    kinds = (
        lambda: chance.random(),
        lambda: chance.uniform(-1e9, 1e9),
        lambda: chance.choice((0, 1)),
        lambda: chance.randrange(-(10**12), 10**12),
        lambda: 1e16 + chance.randrange(1_000),
        lambda: chance.random() * 10.0 ** chance.randrange(-30, 30),
        lambda: 0.1,
    )
    return [chance.choice(kinds)() for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_sums_and_squares_are_exact_in_every_order(seed: int) -> None:
    chance = random.Random(seed)
    values = hard_values(chance, 200)
    exact = sum(map(Fraction, values), Fraction(0))
    squares = sum((Fraction(value) ** 2 for value in values), Fraction(0))
    for _ in range(4):
        chance.shuffle(values)
        plain, squared = ExactSum(), ExactSum()
        for value in values:
            plain.add(value)
            squared.add_square(value)
        assert plain.exact == exact
        assert plain.value == float(exact)
        assert squared.exact == squares


@pytest.mark.parametrize("seed", range(12))
def test_figures_are_the_same_in_every_order_and_those_of_fractions(seed: int) -> None:
    chance = random.Random(1_000 + seed)
    groups = [None, *"abcdefg"] if seed % 3 == 0 else list("abcdefg") if seed % 3 == 1 else [None]
    scored = [(value, chance.choice(groups)) for value in hard_values(chance, 150)]
    first = metric(*scored).summary()
    for _ in range(3):
        chance.shuffle(scored)
        assert metric(*scored).summary() == first
    mean = sum((Fraction(value) for value, _ in scored), Fraction(0)) / len(scored)
    assert first["mean"] == pytest.approx(float(mean), rel=1e-15)
    assert first["stderr"] == pytest.approx(math.sqrt(clustered_by_hand(scored)), rel=1e-9)


@pytest.mark.parametrize("value", [0.1, 1e15 + 0.3, 1 / 3, 12_345_678.9, 7])
def test_equal_scores_have_no_spread(value: float) -> None:
    assert metric(*[(value, None)] * 1_000).stderr() == 0.0


def test_a_small_spread_on_a_large_mean_is_not_lost() -> None:
    aggregate = metric(*((1e9 + n % 2, None) for n in range(1_000)))
    assert aggregate.stderr() == pytest.approx(math.sqrt(0.25 / 999), rel=1e-12)


# A whole run


def evaluations(chance: random.Random, count: int) -> list[tuple[GenerationRecord, EvaluationRecord]]:
    made = []
    for n in range(count):
        error = {"kind": chance.choice(("server", "timeout")), "message": f"m{n % 9}"} if n % 7 == 0 else None
        score = None if error or n % 11 == 0 else chance.random()
        made.append(
            (
                GenerationRecord(
                    f"s{n}",
                    "",
                    None if error else "x",
                    error=error,
                    usage={"input_tokens": n},
                    cost=chance.random(),
                ),
                EvaluationRecord(
                    f"k{n}",
                    f"s{n}",
                    {"M": score, "N": score},
                    sample_id=f"s{n % 50}",
                    group=chance.choice((None, "g")),
                    tags=[f"t{chance.randrange(500)}", "all"],
                    error=error,
                    latency_s=chance.random(),
                ),
            )
        )
    return made


def told(records: list[tuple[GenerationRecord, EvaluationRecord]]) -> dict[str, Any]:
    aggregate = RunAggregate({"M": "1", "N": "1"}, clustered_by_sample=True)
    for generation, evaluation in records:
        aggregate.add_usage(generation)
        aggregate.add(evaluation)
    return {
        "metrics": {name: each.summary() for name, each in aggregate.metrics.items()},
        "failures": dict(sorted(aggregate.failures.items())),
        "ids": dict(sorted(aggregate.failed_ids.items())),
        "tags": aggregate.by_tag(),
        "usage": aggregate.usage,
        "cost": aggregate.cost,
        "latencies": [aggregate.latencies.quantile(q / 10) for q in range(11)],
    }


@pytest.mark.parametrize("seed", range(5))
def test_all_that_a_report_says_is_the_same_in_every_order(seed: int) -> None:
    chance = random.Random(seed)
    records = evaluations(chance, 700)
    first = told(records)
    for _ in range(3):
        chance.shuffle(records)
        assert told(records) == first
    names = sorted({tag for _, evaluation in records for tag in evaluation.tags})
    assert list(first["tags"]) == names[:MOST_TAGS]
    for ids in first["ids"].values():
        assert ids == sorted(ids)
        assert len(ids) == 20


def test_by_tag_counts_scored_answers() -> None:
    questions = [
        {
            "id": f"s{n}",
            "question": f"q{n}",
            "answer": str(n % 2 * n),
            "tags": ["odd" if n % 2 else "even", "all"],
        }
        for n in range(1, 7)
    ]
    report = ask(questions, metrics=["ExactMatch"])
    assert report.by_tag == {
        "all": {"ExactMatch": {"count": 6, "mean": 0.5}},
        "even": {"ExactMatch": {"count": 3, "mean": 0.0}},
        "odd": {"ExactMatch": {"count": 3, "mean": 1.0}},
    }


def test_many_unlike_tags_cost_little() -> None:
    aggregate = RunAggregate({"M": "1"}, clustered_by_sample=False)
    started = time.process_time()
    for n in range(50_000):
        aggregate.add(EvaluationRecord(f"k{n}", f"s{n}", {"M": 1}, tags=[f"t{50_000 - n:06}"]))
    assert len(aggregate.by_tag()) == MOST_TAGS
    # Descending names are the worst case: each puts out another. Generous, for a slow machine.
    assert time.process_time() - started < 4


# Latencies


def test_quantiles_are_within_five_percent() -> None:
    chance, latencies = random.Random(3), Latencies()
    seconds = [chance.lognormvariate(0, 1.5) for _ in range(5_000)]
    for each in seconds:
        latencies.add(each)
    seconds.sort()
    for share in (0.01, 0.25, 0.5, 0.95, 0.99, 1.0):
        exact = seconds[math.ceil(share * len(seconds)) - 1]
        assert latencies.quantile(share) == pytest.approx(exact, rel=0.05)


def test_no_latency_no_quantile_and_odd_ones_do_no_harm() -> None:
    latencies = Latencies()
    assert latencies.quantile(0.5) is None
    for odd in (0.0, -1.0, 1e-12, 1e9):
        latencies.add(odd)
    assert latencies.quantile(0.5) == pytest.approx(1e-6, rel=0.05)
    assert latencies.quantile(1.0) == pytest.approx(1e9, rel=0.05)


def test_z_is_that_of_the_95_percent_interval() -> None:
    assert NormalDist().inv_cdf(0.975) == Z
