"""Instructions, followed or not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.metrics.hostile import HOSTILE, scored
from themis.metrics import open_metrics
from themis.metrics.instruction_kinds import KINDS, is_followed, sentences
from themis.metrics.instructions import InstructionsFollowed

ENGLISH = "the weather is very nice today and we are going for a walk in the park with our friends"
FRENCH = "Le temps est très agréable aujourd'hui et nous allons nous promener dans le parc avec nos amis"

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "WELL-DONE, said NASA",
        "Well Done, said NASA",
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "less than"},
        "only ONE here",
        "NOW THERE are two",
    ),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH),
    ("change_case:english_capital", {}, ENGLISH.upper(), FRENCH.upper()),
    ("change_case:english_lowercase", {}, ENGLISH, ENGLISH.capitalize()),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Say hi. "},
        " say HI. Hello!",
        "Hello! Say hi.",
    ),
    ("combination:two_responses", {}, "one\n******\ntwo", "one\n******\none"),
    ("combination:two_responses", {}, "******one******two", "one******two******three"),
    ("combination:two_responses", {}, "one******two", "one************two"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name], [my street]", "[name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP. S. Hi", "Bye. PS: hi"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "p.p.s. Hi", "P.S. Hi"),
    ("detectable_content:postscript", {"postscript_marker": "(Note)"}, "(note) Hi", "Note: Hi"),
    ("detectable_format:constrained_response", {}, "Well. My answer is no.", "No."),
    ("detectable_format:json_format", {}, '```JSON\n{"a": [1]}\n```', "Here: {}"),
    ("detectable_format:json_format", {}, "[]", "{'a': 1}"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        "SECTION 1 a\nSECTION 2 b",
        "Section 1 a\nSection 2 b",
    ),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n  - b\nc", "* a\n* b\n* c"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "* a\n**b**", "**a**\n**b**"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and *b c*", "*a* and * *"),
    ("detectable_format:title", {}, "<<A title>>\ntext", "<< >> text"),
    ("detectable_format:title", {}, "x <<A>>", "<<A\n>>"),
    ("keywords:existence", {"keywords": ["C++", "dog"]}, "Dogs like c++", "Dogs like C"),
    ("keywords:forbidden_words", {"forbidden_words": ["rock", "a.b"]}, "Rocks roll, axb", "Rock!"),
    (
        "keywords:frequency",
        {"keyword": "war", "frequency": 2, "relation": "at least"},
        "War, warily",
        "one war",
    ),
    (
        "keywords:frequency",
        {"keyword": "war", "frequency": 2, "relation": "less than"},
        "one war",
        "war war",
    ),
    (
        "keywords:letter_frequency",
        {"letter": "#", "let_frequency": 2, "let_relation": "at least"},
        "#a #b",
        "#a",
    ),
    (
        "keywords:letter_frequency",
        {"letter": "Q", "let_frequency": 1, "let_relation": "less than"},
        "abc",
        "quite",
    ),
    ("language:response_language", {"language": "fr"}, FRENCH, ENGLISH),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "president"},
        'One.\n\n"President, …',
        "President.\n\nOne.",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "x"},
        "x y",
        "x y\n\nz",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***", "a *** *** b"),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 3, "relation": "at least"},
        "One. Two! Three?",
        "One. Two!",
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "less than"},
        "two words",
        "now three words",
    ),
    ("punctuation:no_comma", {}, "a; b", "a, b"),
    ("startend:end_checker", {"end_phrase": "That is all."}, 'Hi. "THAT is all."  ', "That is all. Bye."),
    ("startend:quotation", {}, ' "Hi." ', "“Hi.”"),
]


@pytest.mark.parametrize(("kind", "wanted", "followed", "broken"), CASES)
def test_each_kind_is_told_apart(kind: str, wanted: dict[str, Any], followed: str, broken: str) -> None:
    assert is_followed(kind, wanted, followed)
    assert not is_followed(kind, wanted, broken)
    assert not is_followed(kind, wanted, " \n")


def test_all_25_kinds_are_tested() -> None:
    assert {kind for kind, *_ in CASES} == set(KINDS)
    assert len(KINDS) == 25


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("No end", 1),
        ("One. Two", 2),
        ("One.Two", 1),
        ("Mr. Smith met Dr. Who at 3 p.m. in town. They talked.", 2),
        ("It costs 3.50 dollars, e.g. at Joe's. Yes!", 2),
        ('"Stop!" he said. (Really?) Yes…', 3),
        ("1. First\n2. Second", 1),
        ("What?! No way... Yes.", 3),
    ],
)
def test_sentences_are_counted(text: str, count: int) -> None:
    assert sentences(text) == count


def test_the_score_is_1_if_all_are_followed_and_the_detail_names_each() -> None:
    metric = InstructionsFollowed()
    reference = {
        "instruction_id_list": ["punctuation:no_comma", "keywords:existence", "keywords:existence"],
        "kwargs": [{}, {"keywords": ["a"], "language": None}, {"keywords": ["b"]}],
    }
    assert metric.score("a b", reference) == (
        1,
        {"punctuation:no_comma": True, "keywords:existence": True, "keywords:existence 3": True},
    )
    value, detail = metric.score("a, c", reference)
    assert value == 0
    assert detail == {
        "punctuation:no_comma": False,
        "keywords:existence": True,
        "keywords:existence 3": False,
    }


def test_loose_overlooks_what_models_add() -> None:
    reference = {"instruction_id_list": ["detectable_format:json_format"], "kwargs": [{}]}
    (loose,) = open_metrics("InstructionsFollowed?loose=yes")
    for answer in ("Sure:\n{}", "Sure:\n{}\nBye", "**{}**"):
        assert InstructionsFollowed().score(answer, reference).value == 0
        assert loose.score(answer, reference).value == 1
    assert loose.score("Sure, {}", reference).value == 0


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (None, "no reference"),
        ("x", "no instruction_id_list"),
        ({"instruction_id_list": []}, "no instruction_id_list"),
        ({"instruction_id_list": ["sing"]}, "no kind of instruction 'sing'"),
        ({"instruction_id_list": [["x"]]}, "no kind of instruction"),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}, {}]}, "not one kwargs"),
    ],
)
def test_a_reference_that_asks_nothing_gives_no_score(reference: Any, reason: str) -> None:
    value, detail = InstructionsFollowed().score("x", reference)
    assert value is None
    assert reason in detail


@pytest.mark.parametrize("wanted", [{}, {"keywords": 3}, {"keywords": ["a"], "more": 1}])
def test_arguments_that_are_wrong_are_named(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="keywords:existence"):
        is_followed("keywords:existence", wanted, "a")


def test_languages_are_the_same_in_every_thread() -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(
            pool.map(
                lambda n: is_followed("language:response_language", {"language": "fr"}, FRENCH), range(40)
            )
        )


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_answer_takes_long(kind: str) -> None:
    reference = {
        "instruction_id_list": [each[0] for each in CASES],
        "kwargs": [each[1] for each in CASES],
    }
    metric = InstructionsFollowed()
    answer = HOSTILE[kind]
    # All kinds at once; one of them alone takes a fraction of that.
    scored(metric, answer[:1_000_000], reference)
