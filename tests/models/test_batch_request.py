"""Many prompts in one request: to servers that know lists of prompts, and to those that do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from themis import evaluate
from themis.backends import MemoryStorageBackend
from themis.core.errors import ModelError
from themis.models.base import Answer, Request
from themis.models.batch_request import MOST_DOUBTS
from themis.models.openai_compatible import OpenAICompatibleModel


@pytest.fixture
def model(server) -> Iterator[OpenAICompatibleModel]:
    model = OpenAICompatibleModel("m", base_url=server.url, api="completions")
    yield model
    model.close()


def completing(server: Any, **more: Any) -> None:
    """The server answers each prompt of a list with its own length."""

    def act(handler: Any) -> bool:
        prompts = server.asked["prompt"]
        prompts = [prompts] if isinstance(prompts, str) else prompts
        if "poison" in " ".join(prompts):
            answer(handler, 400, {"error": {"message": "that prompt is too long"}})
            return True
        choices = [
            {"index": index, "text": str(len(prompt)), "finish_reason": "stop"}
            for index, prompt in enumerate(prompts)
        ]
        answer(handler, 200, {"model": "served", "choices": choices[::-1], **more})
        return True

    server.act = act


def answer(handler: Any, status: int, body: Any) -> None:
    data = json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def ask(model: OpenAICompatibleModel, prompts: list[str], **more: Any) -> list[Any]:
    requests = [
        Request(prompt, more.get("sampling", {}), f"s{number}", seed=more.get("seeds", {}).get(number))
        for number, prompt in enumerate(prompts)
    ]
    return model.answer_batch(requests)


def asked(server: Any) -> list[Any]:
    return [body["prompt"] for _, _, body in server.requests]


def test_many_prompts_are_one_request(server, model) -> None:
    """Answers are told apart by their index, whatever order they come in."""
    completing(server)
    answers = ask(model, ["a", "bb", "ccc"], sampling={"max_tokens": 5})
    assert [each.text for each in answers] == ["1", "2", "3"]
    assert [each.finish_reason for each in answers] == ["stop"] * 3
    assert [each.metadata for each in answers] == [{"batch_size": 3}] * 3
    assert server.asked == {"model": "m", "prompt": ["a", "bb", "ccc"], "max_tokens": 5}
    assert server.requests[0][0] == "/v1/completions"


def test_tokens_are_shared_so_that_their_sum_is_right(server, model) -> None:
    completing(server, usage={"prompt_tokens": 10, "completion_tokens": 4, "cost": 0.3})
    answers = ask(model, ["a", "bb", "ccc"])
    assert [each.usage["input_tokens"] for each in answers] == [4, 3, 3]
    assert sum(each.usage["output_tokens"] for each in answers) == 4
    assert sum(each.cost for each in answers) == pytest.approx(0.3)


def test_tokens_of_one_prompt_only_are_not_taken_for_those_of_all(server, model) -> None:
    """As the server of llama.cpp tells them."""
    choices = [{"index": n, "text": "The answer is 4", "finish_reason": "length"} for n in range(4)]
    server.body = {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 8}}
    assert [each.usage for each in ask(model, ["a", "b", "c", "d"])] == [None] * 4


def test_prompts_with_other_options_go_in_other_requests(server, model) -> None:
    completing(server)
    answers = ask(model, ["a", "bb", "ccc", "dddd"], seeds={0: 1, 1: 2, 2: 1, 3: 2})
    assert [each.text for each in answers] == ["1", "2", "3", "4"]
    assert sorted(asked(server)) == [["a", "ccc"], ["bb", "dddd"]]


def test_one_prompt_that_is_refused_fails_alone(server, model) -> None:
    completing(server)
    answers = ask(model, ["a", "poison", "ccc"])
    assert [each.text for each in (answers[0], answers[2])] == ["1", "3"]
    assert isinstance(answers[1], ModelError)
    assert answers[1].kind == "bad_request"
    assert [each.text for each in ask(model, ["a", "bb"])] == ["1", "2"]
    assert asked(server)[-1] == ["a", "bb"]


def test_a_server_that_knows_no_lists_is_asked_one_by_one(server, model) -> None:
    """It answers only the first; after a few of these, lists are no longer sent."""
    server.body = {"choices": [{"index": 0, "text": "4", "finish_reason": "stop"}]}
    for _ in range(MOST_DOUBTS + 1):
        assert [each.text for each in ask(model, ["a", "b"])] == ["4", "4"]
    assert sum(isinstance(prompt, list) for prompt in asked(server)) == MOST_DOUBTS


def test_a_limit_is_waited_for_as_a_whole(server, model, waits) -> None:
    completing(server)
    act, server.act = server.act, lambda handler: False
    server.status, server.headers = 429, {"retry-after": "7"}

    def then_answer(handler: Any) -> bool:
        if len(server.requests) > 1:
            return act(handler)
        return False

    server.act = then_answer
    answers = ask(model, ["a", "bb"])
    assert [each.text for each in answers] == ["1", "2"]
    assert asked(server) == [["a", "bb"]] * 2
    assert 7 <= waits[0] < 9


def test_a_refusal_is_of_each(server, model) -> None:
    """A wrong key is not tried again prompt by prompt."""
    server.status = 401
    answers = ask(model, ["a", "bb"])
    assert [each.kind for each in answers] == ["auth", "auth"]
    assert len(server.requests) == 1


def test_more_than_one_answer_to_a_prompt_leaves_the_first(server, model) -> None:
    server.body = {"choices": [{"index": n, "text": f"t{n}", "finish_reason": "stop"} for n in range(4)]}
    assert [each.text for each in ask(model, ["a", "b"], sampling={"n": 2})] == ["t0", "t2"]


def test_a_run_with_the_batch_executor(server) -> None:
    completing(server, usage={"prompt_tokens": 64, "completion_tokens": 32})
    store = MemoryStorageBackend()
    rows = [{"id": f"q{n}", "question": "x" * n, "answer": str(n)} for n in range(1, 33)]
    rows.append({"id": "bad", "question": "poison", "answer": "6"})
    report = evaluate(
        rows,
        model=f"openai:m?base_url={server.url}&api=completions",
        prompt="{question}",
        storage_backend=store,
        executor="batch?size=16&wait=1",
        metrics=["ExactMatch"],
    )
    assert report.counts["answered"] == 32
    assert report.counts["errors"] == 1
    assert report.evaluation_report.metrics["ExactMatch"].mean == 1.0
    generations = store.load_generation_records(report.run_id)
    assert [each.error["kind"] for each in generations if each.error] == ["bad_request"]
    assert max(each.metadata.get("batch_size", 1) for each in generations) >= 8


class Doubling:
    """A model in the user's own code that answers many prompts at once."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, prompt: str) -> str:
        return prompt + prompt

    def batch(self, prompts: list[str]) -> list[Any]:
        self.batches.append(len(prompts))
        return [
            ValueError("odd") if prompt == "3" else 7 if prompt == "5" else 2 * prompt for prompt in prompts
        ]


def test_a_function_with_a_batch_of_its_own(server) -> None:
    function = Doubling()
    rows = [{"id": str(n), "question": str(n), "answer": 2 * str(n)} for n in range(8)]
    report = evaluate(
        rows,
        model=function,
        model_id="doubling",
        prompt="{question}",
        storage_backend=MemoryStorageBackend(),
        executor="batch?size=8&wait=5",
    )
    assert function.batches == [8]
    assert report.counts["answered"] == 6
    assert report.counts["errors"] == 2


def test_a_batch_that_fails_as_a_whole_is_an_error_of_each_sample() -> None:
    class Short(Doubling):
        def batch(self, prompts: list[str]) -> list[Any]:
            return []

    report = evaluate(
        [{"id": str(n), "question": str(n), "answer": "1"} for n in range(4)],
        model=Short(),
        model_id="short",
        prompt="{question}",
        storage_backend=MemoryStorageBackend(),
        executor="batch?size=4&wait=5",
    )
    assert report.counts["errors"] == 4


def test_an_answer_is_an_answer_alone_too(server, model) -> None:
    completing(server)
    (only,) = ask(model, ["abc"])
    assert isinstance(only, Answer)
    assert (only.text, server.asked["prompt"]) == ("3", "abc")
