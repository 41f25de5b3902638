"""What is offered while a query is typed."""

from __future__ import annotations

import random
import time

import pytest

from themis.runs.completion import MOST, complete
from themis.runs.query import row_test
from themis.runs.row import row_of


def row(run_id="r", **given):
    return row_of(
        given.get("store", "local"),
        {
            "run_id": run_id,
            "status": given.get("status", "completed"),
            "asked": {
                "benchmark": given.get("benchmark", "gsm8k"),
                "model": {"name": given.get("model", "m")},
            },
            "summary": {"metrics": {name: {"mean": 0.5} for name in given.get("metrics", ())}},
            "annotations": {"tags": given.get("tags", []), "name": given.get("name", "")},
        },
    )


ROWS = [
    row("r1", model="smollm2", tags=["nightly"], metrics=["ExactMatch", "Includes"]),
    row("r2", model="qwen", status="failed", metrics=["ExactMatch"], store="s3://bucket"),
    row("r3", model="qwen", benchmark="mmlu", name="two words"),
    row("r4", model="my smol", tags=["has|bar", 'a"b'], metrics=["a metric"]),
]


def texts(query, cursor=None, rows=ROWS):
    return [each.text for each in complete(query, len(query) if cursor is None else cursor, rows)]


def test_nothing_typed_offers_the_fields_most_used_first():
    found = complete("", 0, ROWS)
    assert [each.text for each in found[:7]] == [
        "status:",
        "model:",
        "benchmark:",
        "tag:",
        "acc>",
        "age<",
        "took<",
    ]
    assert all(each.about for each in found)
    assert {(each.start, each.end) for each in found} == {(0, 0)}
    texts_ = [each.text for each in found]
    assert len(texts_) == len(set(texts_))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("sta", ["status:", "started>"]),
        ("model:", ["model:qwen", 'model:"my smol"', "model:smollm2"]),
        ("model:sm", ["model:smollm2", 'model:"my smol"']),
        ("MODEL=QW", ["model=qwen"]),
        ("status:f", ["status:failed"]),
        ("-status:", ["-status:completed", "-status:failed"]),
        ("tags:n", ["tag:nightly"]),
        ("tag:has", ['tag:"has|bar"']),
        ("tag:a", [r'tag:"a\"b"', 'tag:"has|bar"']),
        ("store:", ["store:local", "store:s3://bucket"]),
        ("benchmark:m", ["benchmark:mmlu", "benchmark:gsm8k"]),
        ("name:two", ['name:"two words"']),
        ('name:"two w', ['name:"two words"']),
        ("is:f", ["is:finished", "is:failed"]),
        ("has:t", ["has:tags", "has:tokens"]),
        ("metric.", ["metric.ExactMatch>", "metric.Includes>", 'metric."a metric">']),
        ("metric.inc", ["metric.Includes>"]),
        ("created>t", ["created>today"]),
        ("smol", ["model:smollm2", 'model:"my smol"']),
        ("qwen", ["model:qwen"]),
        ("acc>", []),
        ("nothing:", []),
    ],
)
def test_what_is_offered(query, found):
    assert texts(query) == found


def test_only_the_word_at_the_cursor_is_replaced():
    query = "qwen mod | -status:f acc>0.5"
    (found,) = [each for each in complete(query, query.index("mod") + 3, ROWS) if each.text == "model:"]
    assert query[: found.start] + found.text + query[found.end :] == "qwen model: | -status:f acc>0.5"
    place = query.index(":f") + 2
    (found,) = complete(query, place, ROWS)
    assert query[: found.start] + found.text + query[found.end :] == "qwen mod | -status:failed acc>0.5"
    assert complete(query, 5, [])[0].start == 5


def test_every_value_offered_is_a_query_that_finds_what_has_it():
    names = ['a"b', "a\\b", "a\\", '"', "-x", "!", "a|b", " lead", "x:y>z", "é", "[bold]", "a=b", '\\"']
    rows = [row(f"r{n}", model=name, tags=[name], metrics=[name]) for n, name in enumerate(names)]
    for field in ("model:", "model=", "tag:", "metric."):
        offered = texts(field, rows=rows)
        assert len(offered) == len(names)
        for text in offered:
            test = row_test(text + ("0.1" if field == "metric." else ""))
            assert any(test(one) for one in rows), text
        for one in rows:
            assert any(row_test(text + ("0.1" if field == "metric." else ""))(one) for text in offered)


def test_what_a_terminal_would_obey_is_not_offered():
    evil = ["\x1b[2J", "a\nb", "\u202eevil", "\ud800", "x" * 300, "", "\x00"]
    rows = [row(f"r{n}", model=name, tags=[name]) for n, name in enumerate(evil)]
    assert texts("model:", rows=rows) == []
    assert texts("tag:", rows=rows) == []


def test_at_most_fifty_those_of_the_most_runs_first():
    rows = [row(f"r{n}", model=f"m{n % 200:03d}" if n > 50 else "often") for n in range(400)]
    found = complete("model:", 6, rows)
    assert len(found) == MOST
    assert (found[0].text, found[0].about) == ("model:often", "51 runs")


def test_any_text_and_any_cursor_are_taken():
    chance = random.Random(13)
    pieces = [
        "status",
        "metric.",
        "is",
        ":",
        ">",
        "=",
        '"',
        "\\",
        "|",
        "-",
        " ",
        "smol",
        "\x00",
        "\ud800",
        "é",
        "tag",
    ]
    for _ in range(5_000):
        query = "".join(chance.choices(pieces, k=chance.randint(0, 8)))
        for found in complete(query, chance.randint(-3, len(query) + 3), ROWS):
            assert 0 <= found.start <= found.end <= len(query)
            assert found.text.isprintable()


@pytest.mark.parametrize(
    "typed", ["", "m", "model:", "tag:x", "metric.", "9" * 10_000, '"' * 10_000, "a " * 5_000]
)
def test_typing_is_never_held_up(typed):
    rows = [row(f"r{n}", model=f"m{n}", tags=[f"t{n}"], metrics=["A", "B"]) for n in range(30_000)]
    best = min(_seconds(typed, rows) for _ in range(3))
    assert best < 0.25


def _seconds(typed, rows):
    started = time.perf_counter()
    complete(typed, len(typed), rows)
    return time.perf_counter() - started
