"""The fake model: what it can do, and that chance in it depends on nothing but its arguments."""

from __future__ import annotations

import pickle
import threading
import time
import timeit
from collections import Counter
from typing import Any

import pytest

from themis.benchmarks.demo import PROMPT, ROWS
from themis.core.errors import ModelError, UsageError
from themis.models.base import Model, Prompt, Request
from themis.models.fake import (
    KNOWN_FACTS,
    MISTAKEN_FACTS,
    NUMERAL,
    UNKNOWN,
    FakeMathModel,
    known_answer,
)
from themis.models.retry import MOST_CALLS

KINDS = ("arithmetic", "facts", "reasoning")


def request(prompt: Prompt, sample_id: str = "s1", **more: Any) -> Request:
    return Request(prompt, {}, sample_id, **more)


def demo_request(row: dict[str, Any], **more: Any) -> Request:
    return request(PROMPT.format(**row), row["id"], **more)


def said(model: Model, **more: Any) -> list[str]:
    return [model.answer(demo_request(row, **more)).text for row in ROWS]


def right(model: Model, **more: Any) -> list[bool]:
    answers = said(model, **more)
    return [answer == row["answer"] for answer, row in zip(answers, ROWS, strict=True)]


def failure_kind(model: Model, asked: Request) -> str | None:
    try:
        model.answer(asked)
    except ModelError as error:
        return error.kind
    return None


def failure_kinds(model: Model, count: int = 2_000, **more: Any) -> list[str | None]:
    return [failure_kind(model, request("1 + 1?", f"s{n}", **more)) for n in range(count)]


# Reading


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("3 + 4", "7"),
        ("What is 3+4?", "7"),
        ("What is 3 + 4 × 5?", "23"),
        ("What is (3 + 4) × 5?", "35"),
        ("((2 + 3) * (4 - 1)) ÷ 5", "3"),
        ("What is 20 - 5 - 5?", "10"),
        ("What is 100 / 5 / 2?", "10"),
        ("What is 8 Divided  By 2 plus 1?", "5"),
        ("9 minus 12 times 2", "-15"),
        ("6 multiplied by 7", "42"),
        ("5 − 3", "2"),
        ("-3 * -4", "12"),
        ("-(2 + 3) * 2", "-10"),
        ("- 5 + 3", "8"),
        ("7 / 2", "3.5"),
        ("10 / 3 * 3", "10"),
        ("2 / 3", "0.6667"),
        ("1 / 0", "undefined"),
        (f"{10**40} + 1", str(10**40 + 1)),
        (f"{10**40} / 10", str(10**39)),
        ("What is the sum of 12 and 30?", "42"),
        ("What is the difference between 12 and 30?", "-18"),
        ("Compute this (it is 3 + 4) please.", "7"),
    ],
)
def test_arithmetic_is_read(prompt: str, answer: str) -> None:
    assert FakeMathModel().answer(request(prompt)).text == answer


@pytest.mark.parametrize(
    "prompt",
    [
        "2.5 + 3",
        "3 + 2.5",
        "2 ** 3",
        "1,000 + 1",
        "3 +",
        "()",
        "((((",
        "x2 + y",
        "",
        "why?",
        "\ud800",
    ],
)
def test_what_is_no_arithmetic_is_not_taken_for_it(prompt: str) -> None:
    assert known_answer(prompt) is None
    assert FakeMathModel().answer(request(prompt)).text == UNKNOWN


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Q: 2 + 3? A: 5\nQ: 4 + 5? A:", "9"),
        ("Q: 2 + 3?\nA: 5\nQ: What is the capital of France?\nA:", "Paris"),
        ("Q: 10 apples, 4 eaten. How many are left?\nA: 6\nQ: What is 1 + 1?\nA:", "2"),
        ("What is 4 + 5? Answer in 1-3 words.", "9"),
        ("Can you work this out? 3 + 4", "7"),
        ("A box has 5 red\nand 6 blue pens. How many pens are in it altogether?", "11"),
        ("Which of these numbers is the largest: 0.5, 0.45, 0.09?", "0.5"),
    ],
)
def test_the_last_question_counts(prompt: str, answer: str) -> None:
    assert FakeMathModel().answer(request(prompt)).text == answer


def test_chat_messages_are_read() -> None:
    messages: Prompt = [
        {"role": "system", "content": "You calculate."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is 3 + 4?"}, {"type": "image"}],
        },
    ]
    answer = FakeMathModel().answer(request(messages))
    assert answer.text == "7"
    assert answer.usage == {"input_tokens": 7, "output_tokens": 1}


def test_a_message_without_content_is_empty() -> None:
    assert FakeMathModel().answer(request([{"role": "user", "content": None}])).text == UNKNOWN


@pytest.mark.parametrize("filler", ["(", "-(", "1 + ", "(1 + ", "1 ) ", "how many 1 ", " ", "?\n"])
def test_a_huge_prompt_costs_little(filler: str) -> None:
    started = time.process_time()
    FakeMathModel().answer(request(filler * 500_000 + "1 + 1"))
    # Quadratic work would take minutes; the bound leaves room for a slow machine.
    assert time.process_time() - started < 5


def test_answer_tells_about_itself() -> None:
    answer = FakeMathModel().answer(request("What is 3 + 4?"))
    assert (answer.finish_reason, answer.model) == ("stop", "fake-math-llm")
    assert answer.usage == {"input_tokens": 5, "output_tokens": 1}


# On the demo benchmark


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row["tags"] == ["arithmetic"]], ids=lambda row: row["id"]
)
def test_demo_arithmetic_is_always_right(row: dict[str, Any]) -> None:
    assert FakeMathModel().answer(demo_request(row)).text == row["answer"]


@pytest.mark.parametrize("seed", range(20))
def test_demo_score_is_neither_poor_nor_perfect(seed: int) -> None:
    correct = right(FakeMathModel(seed=seed))
    assert 0.55 <= sum(correct) / len(correct) <= 0.80
    assert sum(correct[:10]) >= 3
    assert correct[:10].count(False) >= 2


def test_demo_score_differs_by_kind() -> None:
    score = Counter(row["tags"][0] for row, good in zip(ROWS, right(FakeMathModel()), strict=True) if good)
    asked = Counter(row["tags"][0] for row in ROWS)
    arithmetic, facts, reasoning = (score[kind] / asked[kind] for kind in KINDS)
    assert arithmetic == 1
    assert 0.6 <= facts <= 0.9
    assert 0 < reasoning <= 0.3


def test_demo_score_is_the_same_on_every_machine() -> None:
    assert sum(right(FakeMathModel())) == 80


def test_known_facts_are_the_demo_ones() -> None:
    facts = {row["question"].lower(): row["answer"] for row in ROWS if row["tags"] == ["facts"]}
    for words, answer in KNOWN_FACTS:
        assert [facts[question] for question in facts if words in question] == [answer]
    for words, answer in MISTAKEN_FACTS:
        (wanted,) = (facts[question] for question in facts if words in question)
        assert wanted != answer


# Determinism


def test_same_arguments_give_the_same_answers() -> None:
    first = said(FakeMathModel(seed=3, accuracy=0.5))
    known_answer.cache_clear()
    assert said(FakeMathModel(seed=3, accuracy=0.5)) == first


def test_order_of_asking_does_not_matter() -> None:
    model = FakeMathModel(seed=3, accuracy=0.5)
    backwards = [model.answer(demo_request(row)).text for row in reversed(ROWS)]
    assert backwards[::-1] == said(model)


def test_epochs_and_both_seeds_change_guesses() -> None:
    answers = [
        said(FakeMathModel()),
        said(FakeMathModel(), epoch=2),
        said(FakeMathModel(seed=1)),
        said(FakeMathModel(), seed=1),
    ]
    assert len({tuple(each) for each in answers}) == len(answers)


def test_asking_again_gives_the_same_answer() -> None:
    model = FakeMathModel(accuracy=0.5)
    assert said(model, attempt=2) == said(model)


def test_pickling_keeps_the_model() -> None:
    model = FakeMathModel(seed=3, accuracy=0.5, error_rate=0.1)
    copy = pickle.loads(pickle.dumps(model))
    assert vars(copy) == vars(model)
    asked = [demo_request(row) for row in ROWS]
    assert [failure_kind(copy, each) for each in asked] == [failure_kind(model, each) for each in asked]


def test_threads_get_the_same_answers() -> None:
    model = FakeMathModel(accuracy=0.5)
    expected = said(model)
    known_answer.cache_clear()
    collected: list[list[str]] = []
    threads = [threading.Thread(target=lambda: collected.append(said(model)), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collected == [expected] * 4


# Accuracy


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 0.8, 1.0])
def test_accuracy_is_the_share_that_stays_right(accuracy: float) -> None:
    model = FakeMathModel(accuracy=accuracy)
    answers = [model.answer(request(f"What is {n} + 1?", f"s{n}")).text for n in range(2_000)]
    correct = sum(answer == str(n + 1) for n, answer in enumerate(answers))
    # Three standard deviations of 2,000 draws are at most 0.034.
    assert correct / 2_000 == pytest.approx(accuracy, abs=0.034 if 0 < accuracy < 1 else 0)


def test_full_accuracy_changes_nothing() -> None:
    assert said(FakeMathModel(accuracy=1.0)) == said(FakeMathModel())


def test_higher_accuracy_keeps_what_lower_had_right() -> None:
    lower, higher = right(FakeMathModel(accuracy=0.4)), right(FakeMathModel(accuracy=0.7))
    assert sum(higher) > sum(lower)
    assert all(high for low, high in zip(lower, higher, strict=True) if low)


def test_a_slip_in_arithmetic_is_still_a_number() -> None:
    answer = FakeMathModel(accuracy=0.0).answer(request("What is 3 - 9?")).text
    assert NUMERAL.fullmatch(answer.removeprefix("-"))
    assert answer != "-6"


# Failures and latency


def test_no_failures_unless_asked() -> None:
    assert set(failure_kinds(FakeMathModel())) == {None}


def test_calls_fail_in_the_asked_shares(waits: list[float]) -> None:
    kinds = Counter(failure_kinds(FakeMathModel(error_rate=0.2, rate_limit_rate=0.3)))
    calls = 2_000 + len(waits)
    assert kinds["server"] / calls == pytest.approx(0.2, abs=0.03)
    # Six limits in a row give up; each that was waited for was one too.
    assert (len(waits) + kinds["rate_limit"]) / calls == pytest.approx(0.3, abs=0.034)
    assert kinds["rate_limit"] / 2_000 == pytest.approx(0.3**6, abs=0.003)


def test_a_server_that_always_fails_is_asked_once() -> None:
    model = FakeMathModel(error_rate=1.0)
    for n in range(100):
        with pytest.raises(ModelError) as caught:
            model.answer(request("1 + 1", f"s{n}"))
        assert (caught.value.kind, caught.value.status, caught.value.calls) == ("server", 500, 1)


def test_a_server_that_fails_is_not_asked_again_where_limits_are(waits: list[float]) -> None:
    model = FakeMathModel(error_rate=0.5, rate_limit_rate=0.5)
    for n in range(100):
        with pytest.raises(ModelError) as caught:
            model.answer(request("1 + 1", f"s{n}"))
        assert caught.value.kind == "server" or caught.value.calls == MOST_CALLS


def test_a_limit_that_never_ends_is_given_up(waits: list[float]) -> None:
    with pytest.raises(ModelError) as caught:
        FakeMathModel(rate_limit_rate=1.0, retry_after=3.0).answer(request("1 + 1"))
    assert (caught.value.kind, caught.value.status, caught.value.calls) == ("rate_limit", 429, MOST_CALLS)
    assert len(waits) == MOST_CALLS - 1
    assert all(3.0 <= seconds <= 4.0 for seconds in waits)


def test_what_was_limited_is_answered_after_the_wait(waits: list[float]) -> None:
    model = FakeMathModel(rate_limit_rate=0.3)
    assert model.retry_after == 0.05
    right = [model.answer(request(f"{n} + 1", f"s{n}")).text == str(n + 1) for n in range(50)]
    assert all(right)
    assert waits
    assert all(0.05 <= seconds <= 0.2 for seconds in waits)


def test_each_call_for_an_answer_is_drawn_anew() -> None:
    model = FakeMathModel(error_rate=0.5)
    before, after = failure_kinds(model), failure_kinds(model, call=2)
    kept = sum(one == other for one, other in zip(before, after, strict=True))
    assert kept / 2_000 == pytest.approx(0.5, abs=0.034)


def test_an_answer_costs_little() -> None:
    model = FakeMathModel()
    asked = [request(f"What is {n} + 1?", f"s{n}") for n in range(500)]
    for each in asked:
        model.answer(each)
    best = min(timeit.repeat(lambda: [model.answer(each) for each in asked], number=1, repeat=20))
    assert best / len(asked) < 15e-6


@pytest.mark.parametrize("changed", [{"attempt": 2}, {"epoch": 2}, {"seed": 1}])
def test_failures_are_drawn_anew(changed: dict[str, int]) -> None:
    model = FakeMathModel(error_rate=0.5)
    before, after = failure_kinds(model), failure_kinds(model, **changed)
    kept = sum(one == other for one, other in zip(before, after, strict=True))
    assert kept / 2_000 == pytest.approx(0.5, abs=0.034)


def test_failures_depend_on_the_seed_and_not_on_the_prompt() -> None:
    model = FakeMathModel(error_rate=0.5)
    assert failure_kinds(model) == failure_kinds(FakeMathModel(error_rate=0.5))
    assert failure_kinds(model) != failure_kinds(FakeMathModel(error_rate=0.5, seed=1))
    other_prompt = [failure_kind(model, request("2 + 2", f"s{n}")) for n in range(2_000)]
    assert other_prompt == failure_kinds(model)


def test_failures_do_not_change_answers() -> None:
    steady = FakeMathModel(accuracy=0.5)
    shaky = FakeMathModel(accuracy=0.5, error_rate=0.5)
    for row in ROWS:
        asked = demo_request(row)
        if failure_kind(shaky, asked) is None:
            assert shaky.answer(asked) == steady.answer(asked)


def test_any_sample_id_can_be_drawn_for() -> None:
    model = FakeMathModel(error_rate=0.5, accuracy=0.5)
    for sample_id in ("\ud800", "\x00", "🙂", ""):
        failure_kind(model, request("Why \udfff\x00?", sample_id))


def test_latency_ends_with_the_run() -> None:
    stopped = threading.Event()
    stopped.set()
    asked = request("1 + 1", stop=stopped)
    assert failure_kind(FakeMathModel(latency=3_600.0), asked) == "interrupted"


def test_latency_ends_at_the_deadline() -> None:
    asked = request("1 + 1", timeout=0.0)
    assert failure_kind(FakeMathModel(latency=3_600.0), asked) == "timeout"


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"latency": -1.0},
        {"latency": float("inf")},
        {"latency": float("nan")},
        {"error_rate": 1.1},
        {"rate_limit_rate": -0.1},
        {"retry_after": -1.0},
        {"accuracy": 2.0},
        {"accuracy": float("nan")},
        {"error_rate": 0.6, "rate_limit_rate": 0.6},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="|".join(options)):
        FakeMathModel(**options)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="latancy"):
        FakeMathModel(latancy=1.0)  # type: ignore[call-arg]


def test_identity_names_what_changes_answers() -> None:
    assert FakeMathModel().identity == "fake-math-llm"
    assert FakeMathModel(seed=0).identity == "fake-math-llm"
    assert FakeMathModel(seed=1).identity == "fake-math-llm?seed=1"
    assert FakeMathModel(seed=1, accuracy=0.5).identity == "fake-math-llm?accuracy=0.5&seed=1"
    assert FakeMathModel(accuracy=1).identity == FakeMathModel(accuracy=1.0).identity


def test_identity_ignores_latency_and_failures() -> None:
    slow = FakeMathModel(latency=0.5, error_rate=0.2, rate_limit_rate=0.2)
    assert slow.identity == FakeMathModel().identity
    assert slow.name == "fake-math-llm"
    assert slow.base_url is None
