"""The query language: the same in the app and on the command line."""

from __future__ import annotations

import random

import pytest

from themis.core.errors import UsageError
from themis.runs.catalog import row_of
from themis.runs.query import QueryError, row_test

NOW = 1_000_000.0
DAY = 86_400.0


def row(run_id="r1", **given):
    summary = {
        "run_id": run_id,
        "status": given.get("status", "completed"),
        "created_at": NOW - given.get("age", 0.0),
        "started_at": 0.0,
        "ended_at": given.get("took", 60.0),
        "asked": {
            "benchmark": given.get("benchmark", "gsm8k"),
            "model": {"name": given.get("model", "smollm2")},
        },
        "summary": {
            "headline": "ExactMatch",
            "metrics": {
                "ExactMatch": {"mean": given.get("acc"), "stderr": 0.01},
                "Includes": {"mean": given.get("includes")},
            },
            "errors": given.get("errors", 0),
            "done": given.get("done", 100),
            "total": 100,
            "tokens": {"input": 10, "output": 5},
        },
        "annotations": given.get("notes"),
    }
    return row_of("local", summary)


def meant(query, one):
    return row_test(query, clock=lambda: NOW)(one)


@pytest.mark.parametrize(
    ("query", "yes", "no"),
    [
        ("", row(), None),
        ("smol", row(), row(model="qwen")),
        ("SMOL GSM", row(), row(benchmark="mmlu")),
        ("night", row(notes={"name": "Nightly"}), row()),
        ("base", row(notes={"tags": ["baseline"]}), row(notes={"tags": "base"})),
        ("status:failed", row(status="failed"), row()),
        ("failed", row(status="failed"), row()),
        ("-status:failed", row(), row(status="failed")),
        ("!failed", row(), row(status="failed")),
        ("model:smol -status:failed", row(), row(status="failed")),
        ("acc>0.5", row(acc=0.51), row(acc=0.5)),
        ("acc>=.5", row(acc=0.5), row(acc=0.49)),
        ("acc>0.5", row(acc=1), row(acc=None)),
        ("acc!=0.5", row(acc=0.4), row(acc=0.5)),
        ("acc=1", row(acc=1), row(acc=0.9)),
        ("metric.includes<0.3", row(includes=0.2), row(includes=0.3)),
        ("metric.Nothing<0.3", None, row(includes=0.2)),
        ("n>=1_000", row(done=1000), row(done=999)),
        ("age<2d", row(age=DAY), row(age=2 * DAY)),
        ("age>1d12h", row(age=2 * DAY), row(age=DAY)),
        ("took>1m30s", row(took=91), row(took=90)),
        ("has:errors", row(errors=1), row()),
        ("-has:errors", row(), row(errors=1)),
        ("has:score", row(acc=0), row()),
        ("has:name", row(notes={"name": "x"}), row(notes={"name": ""})),
        ("status:failed | acc<0.1", row(acc=0.05), row(acc=0.2)),
        ("status:failed|acc<0.1", row(status="failed"), row(acc=0.2)),
        ("model:smol acc>0.5 | model:qwen", row(model="qwen"), row(acc=0.1)),
        ('name:"two words"', row(notes={"name": "my two words"}), row(notes={"name": "two wordy"})),
        ('"acc>0.5"', row(run_id="r1", notes={"name": "acc>0.5"}), row(acc=0.9)),
        ('"-x"', row(notes={"name": "a-x"}), row()),
        ("openai:gpt", row(model="openai:gpt-5"), row()),
        ("-", row(run_id="a-b"), row(run_id="ab")),
    ],
)
def test_what_a_query_means(query, yes, no):
    if yes is not None:
        assert meant(query, yes)
    if no is not None:
        assert not meant(query, no)


@pytest.mark.parametrize(
    ("query", "position", "said"),
    [
        ("acc>high", 4, "A number is wanted"),
        ("smol  -acc>", 11, "A number is wanted"),
        ("age<2", 4, "A duration is wanted"),
        ("age<2 d", 4, "A duration is wanted"),
        ("speed>3", 0, "cannot be compared; these can: acc"),
        ("x has:nothing", 2, "has: takes errors"),
        ("stauts:failed", 0, "perhaps status: was meant"),
        ("a |", 2, "Nothing stands after"),
        ("| a", 0, "Nothing stands before"),
        ("a || b", 3, "Nothing stands before"),
        ('x "never closed', 2, "never closed"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place(query, position, said):
    with pytest.raises(QueryError, match=said) as caught:
        row_test(query)
    assert caught.value.position == position
    assert isinstance(caught.value, UsageError)


TERMS = {
    "smol": lambda one: "smol" in one.model,
    "status:failed": lambda one: one.status.word == "failed",
    "acc>0.5": lambda one: one.score is not None and one.score > 0.5,
    "has:errors": lambda one: bool(one.errors),
    "n<50": lambda one: one.done < 50,
    '"gsm8k"': lambda one: one.benchmark == "gsm8k",
}


def test_spaces_bars_and_dashes_mean_and_or_not():
    chance = random.Random(3)
    rows = [
        row(
            status=chance.choice(("failed", "completed")),
            acc=chance.choice((None, 0.2, 0.5, 0.8)),
            errors=chance.choice((0, 3)),
            done=chance.choice((10, 100)),
            model=chance.choice(("smollm2", "qwen")),
            benchmark=chance.choice(("gsm8k", "mmlu")),
        )
        for _ in range(60)
    ]
    for _ in range(400):
        query = [
            [(chance.random() < 0.3, chance.choice(list(TERMS))) for _ in range(chance.randint(1, 3))]
            for _ in range(chance.randint(1, 3))
        ]
        text = chance.choice(("|", " | ")).join(
            " ".join(("-" if negated else "") + term for negated, term in each) for each in query
        )
        test = row_test(text)
        for one in rows:
            wanted = any(all(TERMS[term](one) != negated for negated, term in each) for each in query)
            assert test(one) == wanted, text


def test_whatever_is_typed_is_a_test_or_an_error_with_a_place():
    chance = random.Random(5)
    pieces = [
        "acc",
        ">",
        "<=",
        "0.5",
        "age",
        "2d",
        ":",
        "has",
        "status",
        '"',
        "|",
        "-",
        "!",
        " ",
        "é",
        "\t",
        "[",
    ]
    one = row(acc=0.5)
    for _ in range(5_000):
        query = "".join(chance.choice(pieces) for _ in range(chance.randint(0, 8)))
        try:
            test = row_test(query)
        except QueryError as exc:
            said, place = str(exc), exc.position
        else:
            said, place = "a test", int(test(one))
        assert said
        assert 0 <= place <= max(1, len(query)), query
