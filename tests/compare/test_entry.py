"""``compare_runs``, on any store."""

from __future__ import annotations

import json

import pytest

from tests.backends.strangers import ElevenMethods
from tests.compare.stored import save_run, zeros_and_ones
from themis.backends import LocalStorageBackend, MemoryStorageBackend
from themis.backends.storage.base import StorageBackend
from themis.compare import compare_runs
from themis.core.entities import EvaluationRecord
from themis.core.errors import RunNotFound, UnknownName, UsageError

HALF = zeros_and_ones(100, 200)
BETTER = [1 if number % 4 == 0 else score for number, score in enumerate(HALF)]


@pytest.fixture
def store() -> StorageBackend:
    return MemoryStorageBackend()


def both(store, one, other, *, more=None, **options):
    save_run(store, "a", one, **(more or {}).get("a", {}))
    save_run(store, "b", other, **(more or {}).get("b", {}))
    return compare_runs([(store, "a"), (store, "b")], **options)


@pytest.mark.parametrize("kind", ["eleven methods", "memory", "local"])
def test_two_runs_on_any_store(kind, tmp_path):
    store = {
        "eleven methods": ElevenMethods,
        "memory": MemoryStorageBackend,
        "local": lambda: LocalStorageBackend(tmp_path / "s"),
    }[kind]()
    comparison = both(store, HALF, BETTER)
    (pair,), (metric,) = comparison.pairs, comparison.pairs[0].metrics
    assert (pair.baseline, pair.candidate, pair.pairing.pairs) == ("a", "b", 200)
    assert (metric.n, metric.fixed, metric.broken, metric.test) == (200, 50, 0, "exact McNemar")
    assert metric.difference == pytest.approx(0.25)
    assert pair.verdict.word == "better"
    assert comparison.verdict == pair.verdict.text
    assert comparison.verdict.startswith("better: +25.0 points on ExactMatch (95%: +18.7 to +30.8)")
    assert comparison.verdict.endswith("not by chance (p < .0001)")


def test_pairs_are_found_by_id_whatever_the_order(store):
    save_run(store, "a", HALF)
    save_run(store, "b", BETTER)
    there = list(store.iter_evaluation_records("b"))
    store.save_run_metadata("c", store.load_run_metadata("b"))
    store.save_evaluation_records("c", reversed(there))
    straight, turned = (compare_runs([(store, "a"), (store, each)]) for each in "bc")
    assert straight.pairs[0].metrics == turned.pairs[0].metrics


def test_it_is_json_and_does_not_grow(store):
    few = both(store, HALF, BETTER)
    text = json.dumps(few.to_dict(), allow_nan=False)
    assert json.loads(text)["pairs"][0]["metrics"][0]["verdict"]["word"] == "better"
    many = both(MemoryStorageBackend(), HALF * 20, BETTER * 20)
    assert len(json.dumps(many.to_dict())) < len(text) + 100


def test_what_cannot_be_told_says_how_many_it_would_take(store):
    nearly = [1 - score if number in (0, 2, 4, 7, 9) else score for number, score in enumerate(HALF)]
    (metric,) = both(store, HALF, nearly).pairs[0].metrics
    assert (metric.fixed, metric.broken) == (3, 2)
    assert metric.verdict.word == "cannot tell"
    assert metric.needed > 200
    assert "not enough samples to tell, about" in metric.verdict.text
    assert metric.notes == ["few samples changed: 5"]
    assert metric.detectable > metric.difference


def test_the_same_run_twice_over_is_the_same(store):
    verdict = both(store, HALF, HALF).pairs[0].verdict
    assert verdict.word == "the same"
    assert verdict.text == "the same: ExactMatch is equal on all 200 samples that both have"


def test_unmatched_and_changed_samples_are_counted_and_listed(store):
    more = {"b": {"hashes": {3: "other", 4: "other"}}}
    pair = both(store, HALF, HALF[:150], more=more).pairs[0]
    pairing = pair.pairing
    assert (pairing.pairs, pairing.set_aside, pairing.set_aside_ids) == (148, 2, ["s003", "s004"])
    assert (pairing.only_baseline, pairing.only_candidate) == (50, 0)
    assert len(pairing.only_baseline_ids) == 20
    assert pairing.only_baseline_ids[0] == "s150"
    assert pair.metrics[0].n == 148
    assert "sample set" in [each.what for each in pair.guard.differs]


def test_epochs_are_averaged_before_anything_else(store):
    more = {each: {"epochs": 2} for each in "ab"}
    comparison = both(store, [0, 1, 1, 0] * 20, [1, 1, 1, 0] * 20, more=more)
    (metric,) = comparison.pairs[0].metrics
    assert metric.n == 40
    assert metric.fixed is not None  # every epoch says the same here, so it is 0/1 still
    more = {"a": {"epochs": 2}, "b": {}}
    (metric,) = both(MemoryStorageBackend(), [0] * 40 + [1] * 40, [1] * 40, more=more).pairs[0].metrics
    assert (metric.n, metric.baseline_mean, metric.difference) == (40, 0.5, 0.5)
    assert (metric.test, metric.fixed) == ("sign", None)


def test_errors_left_out_and_errors_as_zero_are_both_there(store):
    more = {"b": {"errors": range(10)}}
    (metric,) = both(store, [1] * 50, [1] * 50, more=more).pairs[0].metrics
    assert (metric.errors, metric.n, metric.left_out, metric.candidate_mean) == ("left out", 40, 10, 1.0)
    assert (metric.other.errors, metric.other.n, metric.other.candidate_mean) == ("zero", 50, 0.8)
    assert metric.other.low < -0.2 < metric.other.high
    comparison = compare_runs([(store, "a"), (store, "b")], errors="zero")
    (metric,) = comparison.pairs[0].metrics
    assert (metric.errors, metric.n, metric.left_out, metric.broken) == ("zero", 50, 0, 10)
    assert metric.verdict.word == "worse"
    assert metric.other.errors == "left out"
    side = comparison.run("b")
    assert (side.errors, side.errors_by_kind) == (10, {"server": 10})
    assert (side.metrics["ExactMatch"]["left out"].mean, side.metrics["ExactMatch"]["zero"].mean) == (1, 0.8)


def test_a_verdict_that_errors_turn_around_says_so(store):
    more = {"b": {"errors": [number for number in range(300) if number % 3]}}
    comparison = both(store, [0, 1, 1] * 100, [1, 1, 1] * 100, more=more)
    assert comparison.verdict.startswith("better: +")
    assert comparison.verdict.endswith(" points with errors counted as zero")
    assert "; but -" in comparison.verdict


def test_an_answer_without_a_score_is_no_error(store):
    (metric,) = both(store, [1, None, 1, 0], [1, 1, None, 0]).pairs[0].metrics
    assert (metric.n, metric.unscored, metric.left_out, metric.other.n) == (2, 2, 0, 2)
    assert "2 pairs without a score" in metric.notes


def test_few_groups_are_too_few(store):
    groups = [f"g{number % 5}" for number in range(200)]
    more = {"a": {"groups": groups}}
    (metric,) = both(store, HALF, BETTER, more=more).pairs[0].metrics
    assert (metric.groups, metric.p, metric.verdict.word) == (5, None, "cannot tell")
    assert "too few groups (5" in metric.verdict.text
    groups = [f"g{number % 20}" for number in range(200)]
    (metric,) = both(store, HALF, BETTER, more={"b": {"groups": groups}}).pairs[0].metrics
    assert (metric.groups, metric.test) == (20, "clustered t")


def test_holm_counts_all_that_is_shown(store):
    save_run(store, "a", {"ExactMatch": HALF, "Includes": HALF})
    save_run(store, "b", {"ExactMatch": BETTER, "Includes": HALF})
    save_run(store, "c", {"ExactMatch": HALF, "Includes": BETTER})
    runs = [(store, each) for each in "abc"]
    against = compare_runs(runs)
    assert (len(against.pairs), against.tests, against.baseline) == (2, 4, "a")
    everyone = compare_runs(runs, all_pairs=True)
    assert (len(everyone.pairs), everyone.tests, everyone.baseline) == (3, 6, None)
    assert [(each.baseline, each.candidate) for each in everyone.pairs] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    for pair in everyone.pairs:
        for metric in pair.metrics:
            assert metric.p_holm >= metric.p
    assert "3 pairs:" in everyone.verdict
    other = compare_runs(runs, baseline=(store, "c"), metrics=["Includes"])
    assert [each.candidate for each in other.pairs] == ["a", "b"]
    assert (other.tests, other.metrics) == (2, ["Includes"])


def test_a_baseline_may_be_named_apart(store):
    both(store, HALF, BETTER)
    comparison = compare_runs([(store, "b")], baseline=(store, "a"))
    assert (comparison.baseline, comparison.pairs[0].candidate) == ("a", "b")


def test_another_version_of_a_metric_blocks_unless_forced(store):
    more = {"b": {"versions": {"ExactMatch": "2"}}}
    comparison = both(store, HALF, BETTER, more=more)
    (pair,) = comparison.pairs
    (metric,) = pair.metrics
    assert (pair.guard.blocked, pair.verdict.word) == (["ExactMatch"], "not comparable")
    assert (metric.difference, metric.p, metric.low, metric.other.difference) == (None, None, None, None)
    assert (metric.baseline_mean, metric.candidate_mean) == (0.5, 0.75)
    assert comparison.tests == 0
    forced = compare_runs([(store, "a"), (store, "b")], force=True)
    (metric,) = forced.pairs[0].metrics
    assert forced.forced
    assert metric.difference == pytest.approx(0.25)
    assert "FORCED although version of ExactMatch differ" in metric.verdict.text


def test_a_half_done_rescoring_blocks(store):
    both(store, HALF, BETTER)
    record = next(iter(store.iter_evaluation_records("b")))
    fields = {**record.__dict__, "metric_versions": {"ExactMatch": "7"}, "revision": 2}
    store.save_evaluation_record("b", EvaluationRecord(**fields))
    comparison = compare_runs([(store, "a"), (store, "b")])
    assert comparison.pairs[0].guard.blocking[0].candidate == "1 and 7"


def test_metrics_that_only_one_has_are_not_compared(store):
    comparison = both(store, {"ExactMatch": HALF, "F1": HALF}, {"ExactMatch": BETTER})
    assert comparison.metrics == ["ExactMatch"]
    none = both(store, {"F1": HALF}, {"ExactMatch": BETTER})
    assert none.verdict == "not comparable: the runs have no metric in common"


def test_runs_that_share_no_sample(store):
    save_run(store, "a", HALF)
    store.save_evaluation_record("b", EvaluationRecord(cache_key="x", id="x", scores={"ExactMatch": 1}))
    comparison = compare_runs([(store, "a"), (store, "b")])
    (metric,) = comparison.pairs[0].metrics
    assert (metric.n, metric.verdict.word) == (0, "cannot tell")
    assert "dataset" in comparison.pairs[0].guard.unknown


def test_progress_is_told_and_may_end_it(store):
    told = []
    both(store, HALF * 6, BETTER * 6, progress=lambda address, count: told.append((address, count)))
    assert told == [("a", 0), ("a", 1_000), ("a", 1_200), ("b", 0), ("b", 1_000), ("b", 1_200)]

    def stop(address: str, count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_runs([(store, "a"), (store, "b")], progress=stop)


def test_what_was_read_is_not_read_again(store):
    first = both(store, HALF, BETTER)
    sources = list(first.sources.values())
    told = []
    again = compare_runs(
        sources, errors="zero", known=first, progress=lambda address, count: told.append(address)
    )
    assert told == []
    assert again.pairs[0].metrics[0].difference == first.pairs[0].metrics[0].difference
    save_run(store, "c", HALF)
    compare_runs([*sources, (store, "c")], known=first, progress=lambda address, count: told.append(address))
    assert set(told) == {"c"}


def test_what_cannot_be_meant_is_refused(store):
    both(store, HALF, BETTER)
    with pytest.raises(UsageError, match="there twice"):
        compare_runs([(store, "a"), (store, "a")])
    with pytest.raises(UsageError, match="2 to 20"):
        compare_runs([(store, "a")])
    with pytest.raises(UnknownName, match="There are: ExactMatch"):
        compare_runs([(store, "a"), (store, "b")], metrics=["F2"])
    with pytest.raises(UsageError, match="'left out', 'zero'"):
        compare_runs([(store, "a"), (store, "b")], errors="ignored")
    with pytest.raises(UsageError, match=r"0\.95"):
        compare_runs([(store, "a"), (store, "b")], confidence=95)
    with pytest.raises(RunNotFound, match="no run 'zz'"):
        compare_runs([(store, "a"), (store, "zz")])


def test_one_id_in_two_stores_is_two_runs(store):
    other = MemoryStorageBackend()
    save_run(store, "a", HALF)
    save_run(other, "a", BETTER)
    comparison = compare_runs([(store, "a"), (other, "a")])
    assert [each.address for each in comparison.runs] == ["a", "2:a"]


def test_scores_of_strangers(store):
    save_run(store, "a", HALF)
    for number in range(40):
        store.save_evaluation_record(
            "b",
            EvaluationRecord(
                cache_key=f"s{number:03d}",
                id=f"s{number:03d}",
                scores={"ExactMatch": True if number % 2 else 10**400, "Odd": "x"},  # type: ignore[dict-item]
                latency_s=None,
            ),
        )
    (metric,) = compare_runs([(store, "a"), (store, "b")]).pairs[0].metrics
    assert (metric.n, metric.unscored) == (20, 20)


def test_what_samples_cost_is_paired_too(store):
    resources = {each.name: each for each in both(store, HALF, BETTER).pairs[0].resources}
    assert set(resources) == {"latency_s", "output_tokens"}  # of cost nothing is known
    assert (resources["output_tokens"].difference, resources["output_tokens"].low) == (0, 0)
