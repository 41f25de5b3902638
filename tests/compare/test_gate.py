"""The gate passes, fails, or cannot tell."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.compare.stored import save_run, zeros_and_ones
from themis.backends import MemoryStorageBackend
from themis.compare.baselines import baselines, baselines_path, remember
from themis.compare.gate import as_junit, gate
from themis.core.errors import UsageError

FULL = zeros_and_ones(800, 1_000)
LESS = [0 if number % 10 == 1 else score for number, score in enumerate(FULL)]
A_LITTLE_LESS = [0 if number % 100 == 1 else score for number, score in enumerate(FULL)]


def gated(other, max_drop=0.02, *, more=None, **options):
    store = MemoryStorageBackend()
    save_run(store, "a", FULL if not isinstance(other, dict) else dict.fromkeys(other, FULL))
    save_run(store, "b", other, **(more or {}))
    return gate((store, "b"), baseline=(store, "a"), max_drop=max_drop, **options)


@pytest.mark.parametrize(
    ("other", "max_drop", "word"),
    [
        (FULL, 0.01, "passed"),
        (A_LITTLE_LESS, 0.05, "passed"),
        (A_LITTLE_LESS, 0.0, "failed"),
        (A_LITTLE_LESS, 0.01, "cannot tell"),
        (LESS, 0.02, "failed"),
        (LESS, 0.5, "passed"),
    ],
)
def test_the_whole_interval_decides(other, max_drop, word):
    decided = gated(other, max_drop)
    assert decided.word == word
    assert decided.text.startswith(f"{word}: ExactMatch")
    assert json.loads(json.dumps(decided.to_dict()))["word"] == word


def test_errors_count_zero_here():
    more = {"errors": range(1, 1_000, 5)}
    assert gated(FULL, more=more).word == "failed"
    assert gated(FULL, more=more, errors="left out").word == "passed"


@pytest.mark.parametrize(("count", "word"), [(3, "cannot tell"), (300, "passed")])
@pytest.mark.parametrize("score", [1, 0.5])
def test_equal_scores_pass_where_there_are_enough_of_them(count, word, score):
    store = MemoryStorageBackend()
    for run_id in "ab":
        save_run(store, run_id, [score] * count)
    assert gate((store, "b"), baseline=(store, "a"), max_drop=0.02).word == word


def test_several_metrics_each_have_to_pass_and_are_asked_more_of():
    both = {"ExactMatch": FULL, "Includes": LESS}
    assert gated(both).word == "passed"  # the headline alone
    decided = gated(both, metrics=["ExactMatch", "Includes"])
    assert [each.word for each in decided.metrics] == ["passed", "failed"]
    assert decided.word == "failed"
    assert decided.comparison.confidence == 0.975


def test_what_is_not_comparable_cannot_be_told():
    more = {"versions": {"ExactMatch": "2"}}
    decided = gated(FULL, more=more)
    assert (decided.word, decided.metrics[0].low) == ("cannot tell", None)
    assert gated(FULL, more=more, force=True).word == "passed"


def test_a_run_that_goes_on_has_not_passed():
    decided = gated(FULL, more={"status": "running"})
    assert decided.word == "cannot tell"
    assert "not completed" in decided.text
    (case,) = ElementTree.fromstring(as_junit(decided)).findall("testcase[@name='run']")
    assert case.find("error") is not None


def test_a_metric_that_one_lacks():
    store = MemoryStorageBackend()
    save_run(store, "a", {"ExactMatch": FULL, "F1": FULL})
    save_run(store, "b", {"ExactMatch": FULL})
    assert gate((store, "b"), baseline=(store, "a"), metrics=["F1"]).word == "cannot tell"


def test_a_drop_below_nothing_is_refused():
    with pytest.raises(UsageError, match="0 or more"):
        gated(FULL, -0.1)


def test_junit():
    both = {"Exact<Match>\x1b": FULL, "Includes": LESS}
    decided = gated(both, metrics=list(both))
    suite = ElementTree.fromstring(as_junit(decided))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    good, bad = suite.findall("testcase")
    assert (good.get("name"), len(good)) == ("Exact<Match>␛", 0)
    failure = bad.find("failure")
    assert failure is not None
    assert "surely beyond the limit" in str(failure.get("message"))


def test_baselines_are_remembered():
    assert baselines() == {}
    remember("demo", "local:a")
    remember("gsm8k", "local:b")
    assert baselines() == {"demo": "local:a", "gsm8k": "local:b"}
    assert baselines_path().stat().st_mode & 0o077 == 0
    remember("here", "./store:c")
    assert baselines()["here"] == f"{Path.cwd()}/store:c"
    with pytest.raises(UsageError, match="holds a password"):
        remember("there", "postgres://***@host/db:c")
    baselines_path().write_text("[")
    with pytest.raises(UsageError, match="delete it to start anew"):
        baselines()
