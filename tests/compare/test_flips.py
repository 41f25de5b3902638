"""What became of each sample."""

from __future__ import annotations

import pytest

from tests.compare.stored import save_run
from themis.backends import MemoryStorageBackend
from themis.compare import compare_runs
from themis.compare.error_clusters import error_clusters, normalised
from themis.compare.flips import Flip, Flips, texts
from themis.core.errors import UnknownName, UsageError

TAGS = [["easy"], ["easy", "maths"], ["maths"], []]


@pytest.fixture
def comparison():
    store = MemoryStorageBackend()
    save_run(store, "a", {"ExactMatch": [0, 1, 1, 0], "F1": [0.2, 0.9, 0.5, 0.4]}, tags=TAGS)
    save_run(store, "b", {"ExactMatch": [1, 0, 1, 0], "F1": [0.3, 0.8, 0.6, 0.6]}, tags=TAGS)
    return compare_runs([(store, "a"), (store, "b")])


def test_each_sample_is_of_one_kind(comparison):
    flips = Flips(comparison, comparison.pairs[0])
    assert flips.counts == {"fixed": 1, "broken": 1, "both right": 1, "both wrong": 1}
    assert list(flips.listed("fixed")) == [Flip("s000", "fixed", 0.0, 1.0, ("easy",))]
    assert [each.sample_id for each in flips.listed("fixed", "broken")] == ["s000", "s001"]
    assert [each.sample_id for each in flips.listed(tag="maths")] == ["s001", "s002"]
    assert [each.sample_id for each in flips.listed(most=2)] == ["s000", "s001"]
    assert list(flips.where("both wrong", tag="maths")) == []


def test_a_graded_sample_is_right_from_one_half(comparison):
    flips = Flips(comparison, comparison.pairs[0], "F1")
    assert flips.counts == {"fixed": 1, "broken": 0, "both right": 2, "both wrong": 1}


def test_by_tag(comparison):
    flips = Flips(comparison, comparison.pairs[0])
    assert flips.tags == ["easy", "maths"]
    easy, maths = flips.by_tag()
    assert (easy.n, easy.fixed, easy.broken, easy.difference) == (2, 1, 1, 0)
    assert (maths.n, maths.baseline_mean, maths.candidate_mean) == (2, 1.0, 0.5)
    assert flips.summary().by_tag == [easy, maths]


def test_texts_are_read_when_they_are_asked_for(comparison):
    found = texts(comparison, comparison.pairs[0], "s001")
    ((generation, evaluation),) = found.baseline
    assert (generation.prompt, generation.response) == ("question 1", "answer 1")
    assert evaluation is not None
    assert [each.sample_id for each, _ in found.candidate] == ["s001"]


def test_texts_of_every_epoch():
    store = MemoryStorageBackend()
    save_run(store, "a", [0, 1, 1, 0], epochs=2)
    save_run(store, "b", [0, 1])
    comparison = compare_runs([(store, "a"), (store, "b")])
    found = texts(comparison, comparison.pairs[0], "s001")
    assert [[each.id for each, _ in side] for side in (found.baseline, found.candidate)] == [
        ["s001", "s001#2"],
        ["s001"],
    ]


def test_errors_are_wrong_or_in_no_kind():
    store = MemoryStorageBackend()
    save_run(store, "a", [1, 1, 0])
    save_run(store, "b", [1, 1, 1], errors=[0])
    runs = [(store, "a"), (store, "b")]
    comparison = compare_runs(runs)
    assert len(Flips(comparison, comparison.pairs[0])) == 2
    comparison = compare_runs(runs, errors="zero")
    assert Flips(comparison, comparison.pairs[0]).counts["broken"] == 1


def test_unknown_names(comparison):
    with pytest.raises(UnknownName, match="There are: ExactMatch, F1"):
        Flips(comparison, comparison.pairs[0], "F2")
    with pytest.raises(UsageError, match="fixed, broken"):
        Flips(comparison, comparison.pairs[0]).where("mended")


def test_errors_of_one_fault_are_one_cluster():
    store = MemoryStorageBackend()
    save_run(store, "a", [1] * 4, errors=[0, 1], message="request 1234 to http://x:80/v1 failed after 3 s")
    save_run(store, "b", [1] * 4, errors=[2], message="request 99 to http://y/v1 failed after 12.5 s")
    save_run(store, "c", [1] * 4)
    (cluster,) = error_clusters(compare_runs([(store, each) for each in "abc"]))
    assert (cluster.kind, cluster.message) == ("server", "request # to <url> failed after # s")
    assert cluster.counts == {"a": 2, "b": 1}
    assert cluster.sample_ids == {"a": ["s000", "s001"], "b": ["s002"]}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("no model 'gpt-9' here", "no model '…' here"),
        ("id 7f3a-99b1 gone\n  twice", "id # gone twice"),
        ("", ""),
    ],
)
def test_what_a_message_is_known_by(said, expected):
    assert normalised(said) == expected
