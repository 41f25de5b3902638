"""A line made of JSON says the same as one made of the object."""

from __future__ import annotations

import json
import random
import time

import pytest

from themis.core import codec
from themis.core.errors import StoreCorrupt
from themis.runs.row import row_of, seen_now

FULL = {
    "run_id": "r1",
    "uid": "abc",
    "status": "completed",
    "status_reason": None,
    "created_at": 100.0,
    "started_at": 110,
    "ended_at": 130.0,
    "updated_at": 140.0,
    "asked": {"benchmark": "demo", "model": {"name": "m", "identity": "m"}, "sampling": {}},
    "where": {"host": "h", "executor": "threads", "user": "me", "pid": 3},
    "summary": {
        "headline": "M",
        "metrics": {"M": {"mean": 0.5, "stderr": 0.1, "n": 4}, "N": {"mean": None}},
        "errors": 1,
        "done": 5,
        "total": 6,
        "tokens": {"input_tokens": 30, "output_tokens": 12, "cached_tokens": None},
        "cost": 0.25,
    },
    "annotations": {"name": "Nightly", "tags": ["a", 3, "b"], "notes": "good", "pinned": True, "trash": None},
}
ODD = [None, 0, -1, True, 3.5, 1e308, 10**30, "text", "", [], [1], {}, {"a": 1}, "\x00", "é\u202e"]


def said(row):
    return [getattr(row, name) for name in type(row).__struct_fields__ if name != "source"]


def encoded(summary):
    return json.dumps(summary).encode()


def test_json_and_object_make_the_same_line():
    one, other = row_of("s", FULL), row_of("s", encoded(FULL))
    assert said(one) == said(other)
    assert one == other
    assert hash(one) == hash(other)
    assert other.summary == FULL
    assert (other.name, other.tags, other.notes, other.pinned, other.trashed) == (
        "Nightly",
        ["a", "b"],
        "good",
        True,
        False,
    )
    assert (other.score, other.stderr, other.tokens, other.cost, other.duration_s) == (
        0.5,
        0.1,
        42,
        0.25,
        20.0,
    )
    assert other.means == {"M": 0.5, "N": None}
    assert (other.uid, other.host, other.executor, other.user) == ("abc", "h", "threads", "me")


def _changed(chance, value, depth=0):
    """A copy in which some values are of another kind, gone, or beside others."""
    if isinstance(value, dict) and chance.random() < 0.9:
        kept = {
            key: _changed(chance, each, depth + 1) for key, each in value.items() if chance.random() < 0.95
        }
        if chance.random() < 0.1:
            kept[chance.choice(["extra", "headline", "mean", "status"])] = chance.choice(ODD)
        return kept
    return chance.choice(ODD) if chance.random() < 0.12 else value


def test_whatever_is_stored_makes_the_same_line_both_ways():
    chance = random.Random(7)
    for _ in range(3_000):
        summary = _changed(chance, FULL)
        if not isinstance(summary, dict):
            continue
        one, other = row_of("s", summary), row_of("s", encoded(summary))
        assert said(one) == said(other), summary
        for row in (one, other):
            assert isinstance(row.tags, list)
            assert isinstance(row.name + row.notes, str)
            assert row.created >= -1e300
            assert row.half_width is None or row.half_width == row.half_width


@pytest.mark.parametrize("source", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 5_000])
def test_what_is_no_object_is_corrupt(source):
    with pytest.raises(StoreCorrupt):
        row_of("s", source)


@pytest.mark.parametrize("created", [float("nan"), float("inf"), 10**400, True, "now"])
def test_a_time_that_is_none_is_unknown(created):
    row = row_of("s", {"run_id": "r", "status": "completed", "created_at": created})
    assert (row.created_at, row.created) == (None, 0.0)


def test_rows_that_say_something_else_differ():
    row = row_of("s", encoded(FULL))
    assert row != row_of("t", encoded(FULL))
    assert row != row_of("s", encoded({**FULL, "status": "failed"}))
    assert row != row_of("s", {**FULL, "annotations": {}})
    assert row != 3


def test_a_run_that_lost_its_runner_is_seen_so_without_being_read_again():
    beat = time.time()
    running = {"run_id": "r", "status": "running", "heartbeat": {"at": beat}, "where": {"host": "elsewhere"}}
    row = row_of("s", running)
    assert row.status.word == "running"
    assert seen_now(row) is row
    running["heartbeat"]["at"] = beat - 100
    assert seen_now(row).status.word == "no signal"
    completed = row_of("s", encoded(FULL))
    assert seen_now(completed) is completed


def test_a_line_of_ten_megabytes_is_a_line():
    summary = {**FULL, "annotations": {"notes": "x" * 10_000_000}}
    assert row_of("s", codec.encode_document(summary)).notes == "x" * 10_000_000
