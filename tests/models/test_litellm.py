"""Models by way of litellm: with a stand-in for the package, and with the package where it is installed.

``.ci/run`` installs it in an environment of its own and runs this file there.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from themis.core.errors import MissingExtra, ModelError, UsageError
from themis.models import litellm_model, open_model
from themis.models.base import Request
from themis.models.retry import MOST_CALLS

ENDPOINT = Path(__file__).parents[2] / "benchmarks" / "endpoint.py"


class Response:
    _hidden_params = {"response_cost": 0.5}  # noqa: RUF012 - as litellm has it

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.headers = {"retry-after": "2"}

    def model_dump(self, mode: str) -> dict[str, Any]:
        return self.body


class RateLimitError(Exception):
    status_code = 429
    response = Response({})


class AuthenticationError(Exception):
    status_code = 401


class Timeout(Exception):
    status_code = 408


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module: Any = ModuleType("litellm")
    module.__spec__ = importlib.machinery.ModuleSpec("litellm", None)
    module.asked = []
    module.failures = []
    usage = {"prompt_tokens": 7, "completion_tokens": 1}
    choice = {"message": {"content": "4"}, "finish_reason": "stop"}

    def completion(**given: Any) -> Response:
        module.asked.append(given)
        if module.failures:
            raise module.failures.pop(0)
        return Response({"model": "served", "choices": [choice], "usage": usage})

    module.completion = completion
    monkeypatch.setitem(sys.modules, "litellm", module)
    litellm_model._load.cache_clear()
    yield module
    litellm_model._load.cache_clear()


def ask(model: Any, **more: Any) -> Any:
    return model.answer(Request("2 + 2?", {"temperature": 0}, "s1", **more))


def test_it_is_asked_once_and_our_layer_asks_again(stand_in, waits) -> None:
    stand_in.failures = [RateLimitError("slower"), Timeout("late")]
    answer = ask(open_model("litellm:anthropic/claude"), seed=3)
    assert (answer.text, answer.finish_reason, answer.model, answer.cost) == ("4", "stop", "served", 0.5)
    assert answer.usage["input_tokens"] == 7
    assert len(stand_in.asked) == 3
    assert 2 <= waits[0] <= 3
    given = stand_in.asked[0]
    assert given["model"] == "anthropic/claude"
    assert given["messages"] == [{"role": "user", "content": "2 + 2?"}]
    assert (given["num_retries"], given["max_retries"], given["temperature"], given["seed"]) == (0, 0, 0, 3)
    assert "api_key" not in given
    assert "base_url" not in given


def test_a_key_goes_along_and_into_no_error(stand_in, monkeypatch) -> None:
    monkeypatch.setenv("KEY_OF_MINE", "sk-secret")
    model = open_model("litellm:openai/m?base_url=http://127.0.0.1:9/v1&key=env:KEY_OF_MINE")
    stand_in.failures = [AuthenticationError("no such key: sk-secret")]
    with pytest.raises(ModelError) as caught:
        ask(model)
    assert (caught.value.kind, caught.value.status, str(caught.value)) == ("auth", 401, "no such key: …")
    assert stand_in.asked[0]["api_key"] == "sk-secret"
    assert b"sk-secret" not in pickle.dumps(model)
    assert model.identity == "litellm:openai/m@http://127.0.0.1:9"
    assert ask(pickle.loads(pickle.dumps(model))).text == "4"


def test_other_failures_are_told_by_their_kind(stand_in, waits) -> None:
    model = open_model("litellm:openai/m")
    for failure, kind, calls in (
        (OSError("x"), "connection", MOST_CALLS),
        (type("ContentPolicyViolationError", (Exception,), {"status_code": 400})("no"), "filtered", 1),
        (type("NotFoundError", (Exception,), {"status_code": 404})("no"), "not_found", 1),
    ):
        stand_in.failures = [failure] * calls
        with pytest.raises(ModelError) as caught:
            ask(model)
        assert (caught.value.kind, caught.value.calls) == (kind, calls)


def test_sampling_names_no_address_and_no_key(stand_in) -> None:
    model = open_model("litellm:openai/m")
    for name in ("api_base", "base_url", "api_key", "extra_headers", "num_retries", "model"):
        with pytest.raises(UsageError, match=f"sampling cannot set '{name}'"):
            model.check_sampling({name: "http://elsewhere"})
    model.check_sampling({"temperature": 0})


def test_what_it_cannot_mean(stand_in) -> None:
    with pytest.raises(UsageError, match="over plain http"):
        open_model("litellm:openai/m?base_url=http://h/v1")
    with pytest.raises(UsageError, match="names no provider"):
        open_model("litellm:claude")
    with pytest.raises(UsageError, match="over plain http"):
        open_model("litellm:openai/m?base_url=http://h/v1&key=env:K")


def test_without_the_package_it_says_how_to_have_it(monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "litellm" else find(name, *more)
    )
    with pytest.raises(MissingExtra, match=r"pip install 'themis-tui\[litellm\]'"):
        open_model("litellm:openai/m")


REAL = """
import json, socket, sys
from themis import evaluate
from themis.models import open_model

real = socket.socket.connect
away = []

def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
        away.append(address)
        raise OSError("this test stays on the machine")
    return real(self, address)

socket.socket.connect = connect
good, refusing = sys.argv[1:]
name = "litellm:openai/mock?base_url={}&key=env:KEY_OF_MINE"
opened = open_model(name.format(good))
assert "litellm" not in sys.modules, "named, not loaded"
report = evaluate("demo", model=name.format(good), limit=20, storage="memory", executor="threads")
refused = evaluate("demo", model=name.format(refusing), limit=50, storage="memory", executor="threads")
print(json.dumps([report.counts, report.usage, refused.status, refused.failures, away]))
"""


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    importlib.util.find_spec("litellm") is None,
    reason="litellm is not installed here; .ci/run has it in an environment of its own",
)
def test_the_real_package_asks_an_endpoint_and_nobody_else() -> None:
    spec = importlib.util.spec_from_file_location("endpoint", ENDPOINT)
    assert spec is not None
    assert spec.loader is not None
    endpoint = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(endpoint)
    with (
        endpoint.served("--latency", "0.005") as good,
        endpoint.served("--status", "401", "--latency", "0.005") as refusing,
    ):
        done = subprocess.run(
            [sys.executable, "-c", REAL, good, refusing],
            capture_output=True,
            text=True,
            timeout=280,
            env={"PATH": "/usr/bin:/bin", "KEY_OF_MINE": "sk-secret", "HOME": "/nonexistent"},
        )
        assert done.returncode == 0, done.stderr
        counts, usage, status, failures, away = json.loads(done.stdout.strip().splitlines()[-1])
        assert endpoint.stats(refusing)["requests"] <= 10
    assert counts == {"asked": 20, "answered": 20, "errors": 0, "kept": 0}
    assert usage["input_tokens"] == 400
    assert (status, list(failures)) == ("paused", ["auth"])
    assert away == []
    assert "sk-secret" not in done.stdout + done.stderr
