"""Examples before the question: which, where, and never the question's own answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from themis.benchmarks import open_benchmark
from themis.core.errors import BenchmarkError, UsageError


def asked(name: str, prompt: Any = None, system: str | None = None) -> list[Any]:
    """What each sample of a benchmark would be asked with."""
    benchmark = open_benchmark(name)
    template = benchmark.template(prompt, system)
    return [template.render(sample.fields) for sample in benchmark.samples()]


@pytest.fixture
def questions(tmp_path: Path) -> str:
    path = tmp_path / "q.csv"
    path.write_text("question,answer\n" + "".join(f"q{n},a{n}\n" for n in range(6)))
    return str(path)


def turns(*said: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[number % 2], "content": text} for number, text in enumerate(said)]


def test_examples_are_earlier_turns(questions: str) -> None:
    prompts = asked(questions + "?shots=2")
    assert prompts[5] == turns("q0", "a0", "q1", "a1", "q5")


def test_no_question_is_shown_its_own_answer_and_each_gets_as_many(questions: str) -> None:
    prompts = asked(questions + "?shots=2")
    assert prompts[0] == turns("q1", "a1", "q2", "a2", "q0")
    assert prompts[1] == turns("q0", "a0", "q2", "a2", "q1")
    for number, prompt in enumerate(prompts):
        assert len(prompt) == 5
        assert f"a{number}" not in json.dumps(prompt)


def test_a_question_that_stands_twice_is_not_shown_its_answer_either(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [{"id": n, "question": "same" if n < 2 else f"q{n}", "answer": f"a{n}"} for n in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert asked(f"{path}?shots=2")[0] == turns("q2", "a2", "same")


def test_examples_as_text(questions: str) -> None:
    assert asked(questions + "?shots=2&shots_as=text")[5] == "q0\na0\n\nq1\na1\n\nq5"
    assert asked(questions + "?shots=1&shots_as=text", "Q: {question}\nA:", "be brief")[5] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "Q: q0\nA:\na0\n\nQ: q5\nA:"},
    ]


def test_system_prompts_stand_first_and_once(questions: str) -> None:
    chat = [{"role": "system", "content": "own"}, {"role": "user", "content": "{question}", "name": "n"}]
    assert asked(questions + "?shots=1", chat, "given")[5] == [
        {"role": "system", "content": "given"},
        {"role": "system", "content": "own"},
        {"role": "user", "content": "q0", "name": "n"},
        {"role": "assistant", "content": "a0"},
        {"role": "user", "content": "q5", "name": "n"},
    ]
    with pytest.raises(BenchmarkError, match="leave out shots_as=text"):
        asked(questions + "?shots=1&shots_as=text", chat)


def test_examples_from_another_file_with_columns_of_its_own(questions: str, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"question": "x", "label": ["y", "z"]}\n')
    assert asked(f"{questions}?shots=1&shots_from={tmp_path}/train.jsonl%3Fanswer=label")[0] == turns(
        "x", "y", "q0"
    )


def test_a_file_of_examples_has_the_columns_of_the_questions(tmp_path: Path) -> None:
    for name, text in (("q.csv", "question,label\nq,a\n"), ("t.csv", "question,label\nx,5\n")):
        (tmp_path / name).write_text(text)
    assert asked(f"{tmp_path}/q.csv?answer=label&shots=1&shots_from={tmp_path}/t.csv") == [
        turns("x", "5", "q")
    ]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("shots=-1", "less than 0"),
        ("shots=many", "is not int"),
        ("shots=1&shots_as=poem", "turns or text"),
        ("shots_from=x.csv", "shots="),
        ("shots=1&shots_from=nope.csv", "There is no file"),
        ("shots=1&shots_from=nope.doc", "has to end in"),
        ("shots=6", "too few rows for 6 examples besides the sample itself: 6"),
    ],
)
def test_what_cannot_be_meant_is_refused(questions: str, options: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        asked(f"{questions}?{options}")


def test_an_example_needs_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": "n1", "question": "a"}\n{"question": "b", "answer": "c"}\n')
    with pytest.raises(BenchmarkError, match=r"'n1' .* has no answer"):
        asked(f"{path}?shots=1")


def test_examples_are_part_of_the_prompt_and_so_of_its_hash(questions: str) -> None:
    names = ["", "?shots=0", "?shots=1", "?shots=2", "?shots=2&shots_as=text"]
    hashes = [open_benchmark(questions + name).template(None, None).hash for name in names]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4
    other = Path(questions)
    other.write_text(other.read_text().replace("a1", "b1"))
    assert open_benchmark(questions + "?shots=2").template(None, None).hash not in hashes
    assert open_benchmark(questions).template(None, None).hash == hashes[0]


def test_the_built_in_benchmark_takes_examples_too() -> None:
    benchmark = open_benchmark("demo?shots=2")
    assert benchmark.source.description == "demo?shots=2"
    assert benchmark.source.fingerprint() == open_benchmark("demo").source.fingerprint()
    assert all(len(prompt) == 5 for prompt in asked("demo?shots=2"))


def test_a_run_with_examples_is_asked_again_with_them(questions: str) -> None:
    from themis import evaluate
    from themis.backends import MemoryStorageBackend
    from themis.runs.preview import first_prompts
    from themis.runs.spec import spec_of

    store = MemoryStorageBackend()
    evaluate(questions + "?shots=2", model="fake-math-llm", limit=3, storage_backend=store, run_id="r1")
    again = spec_of(store.load_run_metadata("r1")).spec
    assert again.benchmark == questions + "?shots=2"
    stored = {each.id: each.prompt for each in store.load_generation_records("r1")}
    assert {each.sample_id: each.prompt for each in first_prompts(again)[0]} == stored
