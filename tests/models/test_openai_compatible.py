"""Any server that speaks chat completions, well or badly, and where a key goes."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import struct
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from themis.core.errors import ModelError, UsageError
from themis.models import open_model
from themis.models.base import Answer, Request
from themis.models.openai_compatible import OpenAICompatibleModel
from themis.models.retry import MOST_CALLS


@pytest.fixture(autouse=True, params=["called", "awaited"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether it is asked from a thread, or on an event loop."""
    if request.param == "awaited":
        monkeypatch.setattr(f"{__name__}.answer", answer_awaited)
    return request.param


def answer(model: OpenAICompatibleModel, request: Request) -> Answer:
    return model.answer(request)


def answer_awaited(model: OpenAICompatibleModel, request: Request) -> Answer:
    # The loop closes what was opened in it: what it left open would be a warning, and so an error.
    return asyncio.run(model.answer_awaited(request))


@pytest.fixture
def model(server):
    model = OpenAICompatibleModel("m", base_url=server.url)
    yield model
    model.close()


def ask(model: OpenAICompatibleModel, prompt: Any = "2 + 2?", **more: Any) -> Answer:
    return answer(model, Request(prompt, more.pop("sampling", {}), "s1", **more))


def failure(model: OpenAICompatibleModel, **more: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        ask(model, **more)
    return caught.value


# Answers


def test_an_answer_with_its_usage(server, model) -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    server.body = server.said(
        usage={"prompt_tokens": 10, "completion_tokens": 9, "total_tokens": 19, **details}
    )
    answer = ask(model)
    assert (answer.text, answer.finish_reason, answer.model) == ("4", "stop", "served")
    assert answer.usage == {"input_tokens": 10, "output_tokens": 9, "cached_tokens": 3, "reasoning_tokens": 7}
    assert answer.wait_s == 0.0
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers
    assert body == {"model": "m", "messages": [{"role": "user", "content": "2 + 2?"}]}


@pytest.mark.parametrize("usage", [None, {}, [], "many", {"prompt_tokens": None, "completion_tokens": "9"}])
def test_usage_that_is_not_told_is_unknown(server, model, usage: Any) -> None:
    server.body = server.said(usage=usage)
    answer = ask(model)
    assert answer.text == "4"
    assert answer.usage is None or set(answer.usage.values()) == {None}


@pytest.mark.parametrize(
    ("content", "finish", "text"),
    [
        ("", "stop", ""),
        (None, "length", ""),
        (None, "content_filter", ""),
        (None, "tool_calls", ""),
        ("4", None, "4"),
        ("\x00\ud800é😀", "stop", "\x00\ud800é😀"),
        ([{"type": "text", "text": "fo"}, {"type": "image"}, {"type": "text", "text": "ur"}], "stop", "four"),
        ([], "stop", ""),
    ],
)
def test_what_counts_as_text(server, model, content: Any, finish: str | None, text: str) -> None:
    server.body = server.said(content, finish)
    answer = ask(model)
    assert (answer.text, answer.finish_reason) == (text, finish)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_not_taken_for_the_answer(server, model, field: str) -> None:
    body = server.said("4")
    body["choices"][0]["message"][field] = "2 and 2 are 5"
    server.body = body
    assert ask(model).text == "4"
    body["choices"][0]["message"]["content"] = None
    body["choices"][0]["finish_reason"] = "length"
    assert ask(model).text == ""


def test_reasoning_and_build_are_kept_beside_the_answer(server, model) -> None:
    body = server.said("4", system_fingerprint="b1")
    body["choices"][0]["message"]["reasoning_content"] = "2 and 2"
    server.body = body
    assert ask(model).metadata == {"reasoning": "2 and 2", "system_fingerprint": "b1"}
    server.body = server.said("4", system_fingerprint=None)
    assert ask(model).metadata is None


def test_a_cost_that_is_told_is_kept(server, model) -> None:
    server.body = server.said(usage={"prompt_tokens": 1, "cost": 0.25})
    assert ask(model).cost == 0.25
    server.body = server.said(usage={"prompt_tokens": -1, "cost": "free"})
    answer = ask(model)
    assert (answer.cost, answer.usage["input_tokens"]) == (None, None)


def test_completions_go_on_with_a_text(server) -> None:
    model = OpenAICompatibleModel("m", base_url=server.url, api="completions")
    server.body = {"model": "served", "choices": [{"text": " 4", "finish_reason": "stop"}]}
    assert ask(model, "2 + 2 =").text == " 4"
    path, _, body = server.requests[0]
    assert (path, body) == ("/v1/completions", {"model": "m", "prompt": "2 + 2 ="})
    ask(model, [{"role": "system", "content": "Add."}, {"role": "user", "content": "2 + 2 ="}])
    assert server.asked["prompt"] == "Add.\n\n2 + 2 ="
    model.close()
    assert model.identity == f"openai:m@{server.url.removesuffix('/v1')}?api=completions"
    with pytest.raises(UsageError, match="not chat or completions"):
        OpenAICompatibleModel("m", base_url=server.url, api="responses")


def test_neither_text_nor_reason_is_no_answer(server, model) -> None:
    server.body = server.said(None, None)
    assert failure(model).kind == "empty"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>gateway</html>",
        b'{"choices": [',
        b"\xff\xfe",
        b"null",
        b"[]",
        b"5",
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"choices": ["4"]},
        {"choices": [{"message": "4"}]},
        {"choices": [{"message": {"content": ["4"]}}]},
        b"[" * 100_000,
    ],
    ids=lambda body: str(body)[:30],
)
def test_what_cannot_be_read_is_quoted_and_not_asked_again(server, model, body: Any) -> None:
    server.body = body
    error = failure(model)
    assert (error.kind, error.status, error.calls) == ("bad_response", 200, 1)
    assert len(server.requests) == 1


def test_a_long_answer_that_cannot_be_read_is_cut(server, model) -> None:
    server.body = b"x" * 1_000_000
    assert len(str(failure(model))) < 1_000


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "no such thing"}, "bad_response"),
        ({"message": "no", "code": "invalid"}, "bad_response"),
        ({"message": "no", "code": 404}, "not_found"),
        ({"message": "no", "code": 401}, "auth"),
        ({"message": "no", "code": 402}, "quota"),
        ({"message": "no", "code": "401"}, "auth"),
    ],
)
def test_an_error_in_a_good_status_is_an_error(server, model, error: Any, kind: str) -> None:
    server.body = {"error": error}
    caught = failure(model)
    assert (caught.kind, caught.calls) == (kind, 1)
    assert error["message"] in str(caught)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "no", "choices": []},
        {"error": {"message": "no", "code": 403}, "choices": None},
        {"choices": [{"error": {"message": "no", "code": 403}, "finish_reason": "error"}]},
    ],
    ids=str,
)
def test_an_error_beside_empty_choices_is_an_error(server, model, body: Any) -> None:
    server.body = body
    caught = failure(model)
    assert caught.kind == ("auth" if "403" in str(body) else "bad_response")
    assert "no" in str(caught)


@pytest.mark.parametrize(
    ("code", "kind"),
    [("insufficient_quota", "quota"), ("invalid_api_key", "auth"), ("content_filter", "filtered")],
)
def test_a_code_may_be_a_word(server, model, code: str, kind: str) -> None:
    server.body = {"error": {"message": "no", "code": code}}
    assert failure(model).kind == kind


@pytest.mark.parametrize("content", [None, "", []])
def test_an_error_in_a_choice_without_text_is_an_error(server, model, content: Any) -> None:
    error = {"message": "no", "code": 403}
    choice = {"message": {"content": content}, "error": error, "finish_reason": "error"}
    server.body = {"choices": [choice]}
    assert failure(model).kind == "auth"


def test_a_message_that_is_none_is_told(server, model) -> None:
    server.body = {"choices": [{"text": "a", "message": "x"}]}
    assert failure(model).kind == "bad_response"


def test_sampling_replaces_neither_model_nor_prompt(model) -> None:
    for name in ("model", "messages", "prompt", "stream"):
        with pytest.raises(UsageError, match=f"sampling cannot set '{name}'"):
            model.check_sampling({"temperature": 0, name: "x"})
    model.check_sampling({"temperature": 0, "min_tokens": 3})


def test_a_passing_error_in_a_good_status_is_asked_again(server, model, waits) -> None:
    server.body, server.headers = {"error": {"message": "busy", "code": 429}}, {"retry-after": "2"}
    caught = failure(model)
    assert (caught.kind, caught.calls) == ("rate_limit", MOST_CALLS)
    assert all(2 <= each <= 3 for each in waits)


# Refusals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (402, "quota"),
        (403, "auth"),
        (404, "not_found"),
        (405, "bad_request"),
        (413, "too_large"),
        (422, "bad_request"),
    ],
)
def test_a_refusal_is_asked_once(server, model, status: int, kind: str, waits) -> None:
    server.status, server.body = status, {"error": {"message": "because"}}
    error = failure(model)
    assert (error.kind, error.status, error.calls) == (kind, status, 1)
    assert f"HTTP {status}" in str(error)
    assert "because" in str(error)
    assert waits == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, "timeout"),
        (504, "timeout"),
        (429, "rate_limit"),
        (500, "server"),
        (503, "server"),
        (529, "server"),
    ],
)
def test_what_may_pass_is_asked_again(server, model, status: int, kind: str, waits) -> None:
    server.status, server.body = status, b"busy"
    error = failure(model)
    assert (error.kind, error.status, error.calls) == (kind, status, MOST_CALLS)
    assert len(server.requests) == MOST_CALLS
    assert len(waits) == MOST_CALLS - 1


def test_an_answer_after_failures_is_an_answer(server, model, waits) -> None:
    server.headers = {"retry-after": "3"}

    def twice_busy(handler) -> bool:
        server.status = 503 if len(server.requests) < 3 else 200
        return False

    server.act = twice_busy
    assert ask(model).text == "4"
    assert len(waits) == 2
    assert all(3 <= each <= 4 for each in waits)


def test_a_filter_is_told_apart(server, model) -> None:
    server.status, server.body = 400, {"error": {"code": "content_filter", "message": "no"}}
    assert failure(model).kind == "filtered"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"}, 62.5),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            360.0,
        ),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1m"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None),
    ],
)
def test_when_to_come_back(server, model, waits, headers: dict[str, str], seconds: float | None) -> None:
    server.status, server.headers = 429, headers
    assert failure(model).retry_after == (None if seconds is None else pytest.approx(seconds))


def test_an_empty_purse_is_not_asked_again(server, model, waits) -> None:
    server.status = 429
    server.body = {"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}
    error = failure(model)
    assert (error.kind, error.calls) == ("quota", 1)


def test_a_time_to_come_back_may_be_a_date(server, model, waits) -> None:
    server.status, server.headers = 429, {"retry-after": formatdate(time.time() + 100, usegmt=True)}
    failure(model)
    assert all(95 < each <= 102 for each in waits)


@pytest.mark.parametrize("value", ["soon", "-5", "nan", "inf", "1e9", "", "Mon, 99 Foo"])
def test_a_time_to_come_back_that_is_none_is_passed_over(server, model, waits, value: str) -> None:
    server.status, server.headers = 429, {"retry-after": value}
    assert failure(model).retry_after is None
    assert max(waits) <= 60


# The wire


def test_a_server_that_hangs_is_left_at_the_deadline(server, model) -> None:
    leave = threading.Event()
    server.act = lambda handler: leave.wait(30)
    try:
        error = failure(model, timeout=0.3)
    finally:
        leave.set()
    assert (error.kind, error.calls) == ("timeout", 1)
    assert "No answer within 0.3 s" in str(error)


def test_one_request_may_be_given_less_time_than_the_answer(server, waits) -> None:
    model = OpenAICompatibleModel("m", base_url=server.url, timeout=0.2)
    leave = threading.Event()
    server.act = lambda handler: len(server.requests) < 2 and leave.wait(30)
    try:
        assert ask(model, timeout=20.0).text == "4"
    finally:
        leave.set()
    model.close()
    assert len(server.requests) == 2


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b""])
def test_an_answer_that_trickles_is_left_at_the_deadline(server, model, head: bytes) -> None:
    leave = threading.Event()

    def trickle(handler) -> bool:
        handler.wfile.write(head or b"HTTP/1.1 200 OK\r\n")
        while not leave.wait(0.02):
            handler.wfile.write(b"{" if head else b"x: y\r\n")
            handler.wfile.flush()
        return True

    server.act = trickle
    try:
        error = failure(model, timeout=0.3)
    finally:
        leave.set()
    assert (error.kind, error.calls) == ("timeout", 1)


def test_an_answer_that_does_not_end_is_left(server, model, monkeypatch) -> None:
    monkeypatch.setattr("themis.models.openai_compatible.MOST_BYTES", 1_000)
    server.body = b" " * 1_000_000
    error = failure(model)
    assert (error.kind, "longer than 1,000 bytes" in str(error)) == ("bad_response", True)


def test_a_connection_that_is_cut_is_asked_again(server, model, waits) -> None:
    def cut(handler) -> bool:
        # Closed with a reset, and not a word said.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        return True

    server.act = cut
    error = failure(model)
    assert (error.kind, error.calls) == ("connection", MOST_CALLS)
    assert server.url in str(error)


def test_an_answer_that_is_cut_is_asked_again(server, model, waits) -> None:
    def half(handler) -> bool:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
        return True

    server.act = half
    assert failure(model).kind == "connection"


def test_nobody_there_is_told(waits) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    error = failure(OpenAICompatibleModel("m", base_url=url))
    assert (error.kind, error.calls) == ("connection", MOST_CALLS)


def test_a_redirect_is_not_followed(server, model, monkeypatch) -> None:
    monkeypatch.setenv("KEY_OF_MINE", "sk-secret")
    server.status, server.headers = 307, {"location": server.url.replace("/v1", "/elsewhere")}
    keyed = OpenAICompatibleModel("m", base_url=server.url, key="env:KEY_OF_MINE")
    error = failure(keyed)
    keyed.close()
    assert error.kind == "bad_request"
    assert "elsewhere, which is not followed" in str(error)
    assert [path for path, _, _ in server.requests] == ["/v1/chat/completions"]


def test_a_server_on_this_machine_is_asked_without_a_proxy(server, model, monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert ask(model).text == "4"


def test_closed_it_opens_again(server, model) -> None:
    assert ask(model).text == "4"
    model.close()
    model.close()
    assert ask(model).text == "4"


def test_it_travels_without_its_connections(server, model, monkeypatch) -> None:
    monkeypatch.setenv("KEY_OF_MINE", "sk-secret")
    keyed = OpenAICompatibleModel("m", base_url=server.url, key="env:KEY_OF_MINE")
    ask(keyed)
    data = pickle.dumps(keyed)
    assert b"sk-secret" not in data
    copy = pickle.loads(data)
    assert (copy.name, copy.identity, copy.base_url) == (keyed.name, keyed.identity, keyed.base_url)
    assert ask(copy).text == "4"
    assert server.requests[-1][1]["authorization"] == "Bearer sk-secret"
    copy.close()
    keyed.close()


def test_many_threads_ask_at_once(server, model) -> None:
    server.body = server.said()
    answers: list[str] = []
    together = threading.Barrier(16)

    def work() -> None:
        together.wait()
        answers.extend(ask(model).text for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["4"] * 80


# What is sent


@pytest.mark.parametrize(
    "text", ["\ud800 half", "\x00", "é漢😀", "", "x" * 1_000_000], ids=lambda text: text[:5]
)
def test_any_prompt_is_sent(server, model, text: str) -> None:
    ask(model, text)
    assert server.asked["messages"] == [{"role": "user", "content": text}]


def test_messages_are_sent_as_they_are(server, model) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text"}]}]
    ask(model, messages)
    assert server.asked["messages"] == messages


def test_sampling_and_seed_are_handed_on(server, model) -> None:
    ask(model, sampling={"temperature": 0, "max_tokens": 5, "stop": ["\n"]}, seed=7)
    sent = {name: server.asked[name] for name in ("temperature", "max_tokens", "stop", "seed")}
    assert sent == {"temperature": 0, "max_tokens": 5, "stop": ["\n"], "seed": 7}
    ask(model, sampling={"seed": 3}, seed=7)
    assert server.asked["seed"] == 3
    ask(model)
    assert "seed" not in server.asked


# Names and keys


def test_a_name_makes_a_model(server) -> None:
    model = open_model(f"openai:org/Model-1.5:free?base_url={server.url}/")
    assert isinstance(model, OpenAICompatibleModel)
    assert (model.name, model.base_url, model.key) == ("org/Model-1.5:free", server.url, None)
    address = server.url.removesuffix("/v1")
    assert model.identity == f"openai:org/Model-1.5:free@{address}"


def test_without_an_address_it_is_the_original_with_its_key() -> None:
    model = OpenAICompatibleModel("gpt")
    assert (model.base_url, model.key) == ("https://api.openai.com/v1", "env:OPENAI_API_KEY")
    assert model.identity == "openai:gpt@https://api.openai.com"


def test_a_key_stays_with_its_endpoint(server, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    model = OpenAICompatibleModel("m", base_url=server.url)
    ask(model)
    model.close()
    assert "authorization" not in server.requests[0][1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"base_url": "ftp://h/v1"}, "not a plain http or https address"),
        ({"base_url": "h:80"}, "not a plain http or https address"),
        ({"base_url": "http://"}, "not a plain http or https address"),
        ({"base_url": "https://h/v1?api-version=1"}, "not a plain http or https address"),
        ({"base_url": "http://h:99999"}, "base_url cannot be read"),
        ({"base_url": "http://[::1"}, "base_url cannot be read"),
        ({"base_url": "https://ada:sk-secret@h/v1"}, "holds a user or password"),
        ({"base_url": "https://:sk-secret@h/v1"}, "holds a user or password"),
        ({"base_url": "https://sk-secret@h/v1"}, "holds a user or password"),
        ({"base_url": "https://h/v1", "key": "sk-secret"}, "never the key itself"),
        ({"base_url": "https://h/v1", "key": "vault:sk-secret"}, "never the key itself"),
        ({"base_url": "http://h/v1", "key": "env:K"}, "over plain http"),
        ({"base_url": "http://127.0.0.1.example.com/v1", "key": "env:K"}, "over plain http"),
        ({"base_url": "http://10.0.0.1/v1", "key": "env:K"}, "over plain http"),
        ({"base_url": "http://localhost.example.com/v1", "key": "env:K"}, "over plain http"),
    ],
)
def test_what_would_give_a_key_away_is_refused(options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        OpenAICompatibleModel("m", **options)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "[::1]", "LOCALHOST"])
def test_on_this_machine_a_key_may_go_over_plain_http(host: str) -> None:
    OpenAICompatibleModel("m", base_url=f"http://{host}:8000/v1", key="env:K")


def test_a_model_needs_a_name() -> None:
    with pytest.raises(UsageError, match="Name the model"):
        OpenAICompatibleModel("")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("sk-file\n")
    path.chmod(0o600)
    return path


def test_a_key_is_read_from_a_file_of_its_owner(server, key_file: Path) -> None:
    model = OpenAICompatibleModel("m", base_url=server.url, key=f"file:{key_file}")
    ask(model)
    assert server.requests[0][1]["authorization"] == "Bearer sk-file"
    for mode in (0o644, 0o640, 0o604, 0o620):
        key_file.chmod(mode)
        error = failure(model)
        assert error.kind == "auth"
        assert "can be read by others; chmod 600" in str(error)
    key_file.unlink()
    assert "No such file" in str(failure(model))
    model.close()


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a\nb", b"sk-\xff\xfe", "sk-é".encode(), b"sk\x00x", b"a\x1bb"]
)
def test_what_cannot_be_a_key_is_told_without_it(server, key_file: Path, content: bytes) -> None:
    key_file.write_bytes(content)
    model = OpenAICompatibleModel("m", base_url=server.url, key=f"file:{key_file}")
    error = failure(model)
    assert (error.kind, error.calls) == ("auth", 1)
    assert "cannot be a key" in str(error)
    assert server.requests == []


def test_a_key_from_the_environment(server, monkeypatch) -> None:
    model = OpenAICompatibleModel("m", base_url=server.url, key="env:KEY_OF_MINE")
    monkeypatch.delenv("KEY_OF_MINE", raising=False)
    assert "The environment has no KEY_OF_MINE" in str(failure(model))
    monkeypatch.setenv("KEY_OF_MINE", " sk-env\n")
    ask(model)
    model.close()
    assert server.requests[0][1]["authorization"] == "Bearer sk-env"


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_server_that_quotes_the_key_does_not_bring_it_into_our_errors(
    server, monkeypatch, waits, status: int
) -> None:
    monkeypatch.setenv("KEY_OF_MINE", "sk-very-secret")
    server.status, server.body = status, {"error": {"message": "Incorrect API key: sk-very-secret"}}
    model = OpenAICompatibleModel("m", base_url=server.url, key="env:KEY_OF_MINE")
    error = failure(model)
    model.close()
    assert "Incorrect API key: …" in str(error)
    assert "sk-very-secret" not in repr(error) + str(error.args) + str(vars(error))


@pytest.mark.parametrize("status", [200, 307, 400])
@pytest.mark.parametrize("as_json", [True, False])
def test_no_part_of_a_key_is_left_where_an_error_is_cut(
    server, monkeypatch, status: int, as_json: bool
) -> None:
    key = 'sk-"very\\secret' * 3
    monkeypatch.setenv("KEY_OF_MINE", key)
    server.status, server.headers = status, {"location": "/" + "x" * 480 + key}
    for before in range(440, 500, 7):
        said = "x" * before + key
        server.body = {"error": {"message": said}} if as_json else said.encode()
        model = OpenAICompatibleModel("m", base_url=server.url, key="env:KEY_OF_MINE")
        error = failure(model)
        model.close()
        assert "sk-" not in str(error)
        assert "xxx" in str(error)


@pytest.mark.parametrize("status", [200, 500])
def test_a_key_is_found_however_it_is_written(server, monkeypatch, waits, status: int) -> None:
    monkeypatch.setenv("KEY_OF_MINE", "sk-a/b+c")
    forms = ["sk-a/b+c", "sk-a\\/b+c", "sk-a%2Fb%2Bc"]
    server.status, server.body = status, "{} {} {}".format(*forms).encode()
    model = OpenAICompatibleModel("m", base_url=server.url, key="env:KEY_OF_MINE")
    assert "sk-a" not in str(failure(model))
    server.status, server.body = 200, server.said("it is sk-a/b+c")
    assert ask(model).text == "it is …"
    model.close()


def test_nothing_is_read_or_opened_before_it_is_asked(monkeypatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    model = OpenAICompatibleModel("m", base_url="https://h/v1", key="file:/not/there")
    assert repr(model.identity) == "'openai:m@https://h'"
    model.close()


# Trying it


def steps(model: OpenAICompatibleModel) -> list[tuple[str, bool]]:
    return [(step.name, step.ok) for step in model.check()]


def test_a_model_is_tried_step_by_step(server, model) -> None:
    assert steps(model) == [("key", True), ("connect", True), ("authenticate", True), ("answer", True)]
    assert [path for path, _, _ in server.requests] == ["/v1/models", "/v1/chat/completions"]
    assert [step.message for step in model.check()][-1] == "'4'"
    server.body = {**server.said(), "data": [{"id": f"m{n}"} for n in range(20)]}
    assert "it does not list m; it has: m0, m1," in [step.message for step in model.check()][2]
    server.body["data"].append({"id": "m"})
    assert [step.message for step in model.check()][2] == "it lists m"


def test_the_step_that_fails_is_the_last(server, model, monkeypatch, waits) -> None:
    server.status, server.body = 401, {"error": {"message": "Incorrect API key: sk-secret"}}
    monkeypatch.setenv("KEY_OF_MINE", "sk-secret")
    keyed = OpenAICompatibleModel("m", base_url=server.url, key="env:KEY_OF_MINE")
    told = list(keyed.check())
    assert [(step.name, step.ok) for step in told][1:] == [("connect", True), ("authenticate", False)]
    assert "sk-secret" not in str(told)
    keyed.close()
    server.status, server.body = 404, b"no such path"
    assert steps(model)[2:] == [("authenticate", True), ("answer", False)]
    assert steps(OpenAICompatibleModel("m", base_url="http://127.0.0.1:9/v1"))[1:] == [("connect", False)]
    monkeypatch.delenv("KEY_OF_MINE")
    assert steps(keyed) == [("key", False)]


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b'{"data": 5}', b'{"data": [5]}'])
def test_a_list_of_models_that_is_none_is_passed_over(server, model, body: bytes) -> None:
    server.body = body
    assert [step.message for step in model.check()][2] == "it gives no list of its models"
