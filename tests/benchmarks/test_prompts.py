"""Templates: what they fill in, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from themis.benchmarks.prompts import PromptTemplate, default_template
from themis.core.errors import BenchmarkError


@pytest.mark.parametrize(
    ("template", "fields", "text"),
    [
        ("{q}", {"q": "a"}, "a"),
        ("{q}{q} {{q}} }}", {"q": "a"}, "aa {q} }"),
        ("no field", {}, "no field"),
        ("{q}", {"q": "{q} {x} %s \\1"}, "{q} {x} %s \\1"),
        ("{n} {f} {b} {none}", {"n": 5, "f": 0.5, "b": True, "none": None}, "5 0.5 True None"),
        ("{l} {d}", {"l": ["ä", 1], "d": {"k": "v"}}, '["ä", 1] {"k": "v"}'),
        ("{ü}", {"ü": "\x00\ud800"}, "\x00\ud800"),
    ],
)
def test_fields_are_filled_in_and_nothing_else_is_touched(template: str, fields: Any, text: str) -> None:
    assert PromptTemplate(template).render(fields) == text


@pytest.mark.parametrize(
    "bad", ["{", "}", "{q", "{}", "{0}", "{q.x}", "{q[0]}", "{q!r}", "{q:>3}", "{ q}", "{a b}", "{q:{w}}"]
)
def test_what_is_no_plain_field_is_refused_at_once(bad: str) -> None:
    for template in (bad, [{"role": "user", "content": bad}]):
        with pytest.raises(BenchmarkError, match="prompt template"):
            PromptTemplate(template)  # type: ignore[arg-type]


def test_a_missing_field_names_itself_and_what_there_is() -> None:
    with pytest.raises(BenchmarkError, match=r"\{topic\}.*question, choices"):
        PromptTemplate("{topic}").render({"question": "?", "choices": []})


def test_messages_keep_what_else_they_say_and_are_made_anew() -> None:
    template = [{"role": "user", "content": "{q}", "name": "n"}, {"role": "assistant", "content": "ok"}]
    prompt = PromptTemplate(template, system="be {brief}")
    first, second = prompt.render({"q": "1"}), prompt.render({"q": "2"})
    assert first == [
        {"role": "system", "content": "be {brief}"},
        {"role": "user", "content": "1", "name": "n"},
        {"role": "assistant", "content": "ok"},
    ]
    assert isinstance(second, list)
    second[1]["content"] = "changed"
    assert prompt.render({"q": "1"}) == first
    assert template[0]["content"] == "{q}"
    assert prompt.fields == {"q"}


def test_the_hash_is_of_the_template_and_not_of_the_system_prompt() -> None:
    assert PromptTemplate("{q}", "a").hash == PromptTemplate("{q}", "b").hash
    assert PromptTemplate("{q}").hash != PromptTemplate("{q} ").hash
    assert PromptTemplate("\ud800").hash != PromptTemplate("�").hash
    one = PromptTemplate([{"role": "user", "content": "x"}]).hash
    assert one == PromptTemplate([{"content": "x", "role": "user"}]).hash


@pytest.mark.parametrize(
    ("fields", "template"),
    [
        (["problem"], "{problem}"),
        (["anything"], "{anything}"),
        (["choices", "question"], "{question}"),
        (["text", "input"], "{input}"),
    ],
)
def test_the_usual_field_makes_the_prompt(fields: list[str], template: str) -> None:
    assert default_template(dict.fromkeys(fields)) == template


def test_without_a_usual_field_the_fields_are_named() -> None:
    with pytest.raises(BenchmarkError, match="a, b; say with prompt="):
        default_template({"a": 1, "b": 2})


def test_a_text_that_is_a_json_list_of_messages_is_those_messages() -> None:
    text = ' [{"role": "user", "content": "Hi {q}"}]'
    template = PromptTemplate(text)
    assert template.render({"q": "1"}) == [{"role": "user", "content": "Hi 1"}]
    assert template.hash == PromptTemplate([{"role": "user", "content": "Hi {q}"}]).hash


@pytest.mark.parametrize("bad", ['[{"role": "user"', '[{"role": "user"}]', '[{"a": 1}] and more', '[{"'])
def test_a_text_that_begins_as_messages_must_be_messages(bad: str) -> None:
    with pytest.raises(BenchmarkError, match="chat message"):
        PromptTemplate(bad)
