"""What differs stands above the numbers."""

from __future__ import annotations

import pytest

from tests.compare.stored import save_run, zeros_and_ones
from themis.backends import MemoryStorageBackend
from themis.compare import compare_runs
from themis.compare.guard import config_diff

HALF = zeros_and_ones(10, 20)


def guard_of(asked, **more):
    store = MemoryStorageBackend()
    save_run(store, "a", HALF)
    save_run(store, "b", HALF, asked=asked, **more)
    return compare_runs([(store, "a"), (store, "b")]).pairs[0].guard


def test_nothing_differs():
    guard = guard_of({})
    assert (guard.differs, guard.unknown, guard.blocked) == ([], [], [])
    assert {"dataset", "prompt", "sampling", "model", "sample set", "version of ExactMatch"} <= set(
        guard.same
    )


@pytest.mark.parametrize(
    ("asked", "what", "values"),
    [
        ({"dataset": {"fingerprint": "g"}}, "dataset", ("f", "g")),
        ({"prompt": {"template": "Q: {question}", "hash": "q"}}, "prompt", ("{question}", "Q: {question}")),
        ({"system": "be brief"}, "system", (None, "be brief")),
        ({"sampling": {"temperature": 1}}, "sampling", (None, {"temperature": 1})),
        ({"limit": 5}, "limit", (None, 5)),
        ({"seed": 5}, "seed", (None, 5)),
        ({"model": {"name": "n", "identity": "n"}}, "model", ("m", "n")),
    ],
)
def test_what_was_asked_otherwise(asked, what, values):
    (unlike,) = guard_of(asked).differs
    assert (unlike.what, (unlike.baseline, unlike.candidate), unlike.metric) == (what, values, None)


def test_another_judge_or_option_blocks():
    judge = {"ExactMatch": {"version": "1", "params": {"model": "j2"}}}
    guard = guard_of({"metrics": judge})
    assert [(each.what, each.metric) for each in guard.differs] == [("judge of ExactMatch", "ExactMatch")]
    guard = guard_of({"metrics": {"ExactMatch": {"version": "1", "params": {"tolerance": 1}}}})
    assert [(each.what, each.metric) for each in guard.differs] == [("options of ExactMatch", "ExactMatch")]


def test_an_unfinished_run_is_told():
    assert [each.what for each in guard_of({}, status="running").differs] == ["status of the candidate"]


def test_what_is_not_said_is_unknown():
    assert guard_of({"dataset": {}, "prompt": None}).unknown == ["dataset", "prompt"]


def test_the_whole_configuration_side_by_side():
    one = {"asked": {"limit": 1, "sampling": {"temperature": 0}}, "where": {"host": "x"}}
    other = {"asked": {"limit": 1, "sampling": {"temperature": 1, "top_p": 1}}, "where": {"host": "y"}}
    assert [(each.what, each.baseline, each.candidate) for each in config_diff(one, other)] == [
        ("asked.sampling.temperature", 0, 1),
        ("asked.sampling.top_p", None, 1),
        ("where.host", "x", "y"),
    ]
