"""Endpoints by name: what the file says, and what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from themis.core.errors import SecretUnavailable, UnknownName, UsageError
from themis.models import model_names, open_model
from themis.profiles import Endpoint, load_profiles, profiles_path
from themis.profiles.secrets import resolved


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THEMIS_CONFIG_DIR", str(tmp_path / "config"))

    def write(text: str | bytes) -> None:
        profiles_path().parent.mkdir(exist_ok=True)
        profiles_path().write_bytes(text if isinstance(text, bytes) else text.encode())

    return write


LAB = """
# The box under the desk
[endpoint.lab]
base_url = "https://models.example.org/v1"
model = "org/Model-1.5"
key = "env:LAB_KEY"
timeout = "2m"

[endpoint.base]
base_url = "http://127.0.0.1:8000/v1"
api = "completions"

[cluster.results]  # of another version
"""


def test_without_a_file_there_are_none(write) -> None:
    assert load_profiles().endpoints == {}


def test_endpoints_are_read(write) -> None:
    write(LAB)
    assert load_profiles().endpoints == {
        "lab": Endpoint(
            "lab", "https://models.example.org/v1", "org/Model-1.5", "env:LAB_KEY", timeout=120.0
        ),
        "base": Endpoint("base", "http://127.0.0.1:8000/v1", api="completions"),
    }
    assert model_names()[:2] == ["base", "lab"]


def test_an_endpoint_makes_a_model_known_by_its_name(write) -> None:
    write(LAB)
    model = open_model("lab")
    assert (model.name, model.base_url, model.identity) == (
        "org/Model-1.5",
        "https://models.example.org/v1",
        "openai:org/Model-1.5@lab",
    )
    assert (model.key, model.call_s, model.executor) == ("env:LAB_KEY", 120.0, "async")
    assert open_model("lab:other/Model:free").identity == "openai:other/Model:free@lab"
    assert open_model("lab?model=other&timeout=5").call_s == 5.0
    assert open_model("base:m").identity == "openai:m@base?api=completions"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("base", "'base' names no model; write base:MODEL"),
        ("lab?base_url=https://elsewhere.example.org", "has no option 'base_url'. It has: model, timeout"),
        ("lab?key=env:OTHER", "has no option 'key'"),
        ("lba", "A model is one of: base, lab, fake-math-llm"),
    ],
)
def test_what_an_endpoint_cannot_mean(write, name: str, says: str) -> None:
    write(LAB)
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        open_model(name)


def test_an_unknown_name_says_where_names_come_from(write) -> None:
    with pytest.raises(UnknownName, match=r"profiles\.toml names"):
        open_model("lab")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[endpoint.lab", "is not TOML"),
        (b"\xff\xfe", "cannot be read"),
        ("endpoint = 5", r"write \[endpoint.NAME\]"),
        ("[endpoint]\nlab = 5", r"\[endpoint.lab\]: it is not a table"),
        ("[endpoint.lab]\nmodel = 'm'", "it needs base_url"),
        ("[endpoint.lab]\nbase_url = 5", "base_url is a int"),
        ("[endpoint.lab]\nbase_url = 'https://h'\nurl = ''", "it has no 'url'; there are base_url, model"),
        ("[endpoint.lab]\nbase_url = 'https://h'\nkey = 'sk-secret'", "never the key itself"),
        ("[endpoint.lab]\nbase_url = 'https://h'\nkey = ['sk-secret']", "key is a list"),
        ("[endpoint.lab]\nbase_url = 'https://h'\napi = 'x'", "chat or completions"),
        ("[endpoint.lab]\nbase_url = 'https://h'\ntimeout = 'soon'", "'soon' is not float"),
        ("[endpoint.lab]\nbase_url = 'https://h'\ntimeout = -1", "not a time"),
        ("[endpoint.lab]\nbase_url = 'https://h'\ntimeout = true", "not a time"),
        ("[endpoint.openai]\nbase_url = 'https://h'", "none of fake-math-llm, litellm, openai, python"),
        ("[endpoint.'a b']\nbase_url = 'https://h'", "cannot name an endpoint"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(write, text, says: str) -> None:
    write(text)
    (problem,) = load_profiles().problems.values()
    assert re.search(says, problem)
    assert str(profiles_path()) in problem
    assert "sk-secret" not in problem
    # Whoever uses none of it is not troubled.
    assert open_model("fake-math-llm").name == "fake-math-llm"
    assert "fake-math-llm" in model_names()


def test_a_key_over_plain_http_is_refused(write) -> None:
    write("[endpoint.lab]\nbase_url = 'http://10.0.0.1/v1'\nkey = 'env:K'\nmodel = 'm'")
    with pytest.raises(UsageError, match="over plain http"):
        open_model("lab")


def test_a_secret_is_read_when_needed(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_KEY", " sk-1 \n")
    assert resolved("env:LAB_KEY") == "sk-1"
    path = tmp_path / "key"
    path.write_text("sk-2\n")
    path.chmod(0o600)
    assert resolved(f"file:{path}") == "sk-2"
    path.chmod(0o644)
    with pytest.raises(SecretUnavailable, match="chmod 600"):
        resolved(f"file:{path}")
    with pytest.raises(SecretUnavailable, match="has no NOT_THERE"):
        resolved("env:NOT_THERE")
    for reference in ("sk-secret", "env:", "vault:sk-secret", ""):
        with pytest.raises(UsageError, match="never the key itself") as caught:
            resolved(reference)
        assert "sk-secret" not in str(caught.value)
