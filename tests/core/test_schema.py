"""The options of a class, as its constructor and its docstring tell them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from tests.backends import strangers
from themis.backends import AsyncExecutionBackend, LocalStorageBackend, ThreadExecutionBackend
from themis.backends.settings import checked_settings, missing_settings, settings_of, types_of
from themis.core.errors import UnknownName, UsageError
from themis.core.schema import looks_secret, options_of, problems_of, takes_any_option
from themis.profiles import Endpoint


class Backend:
    """A stranger's backend.

    Args:
        bucket: The bucket, which
            has to exist.
        retries (int): How often it is tried again.
    """

    secret_options = ("pin",)

    def __init__(
        self,
        bucket: str,
        retries: int = 3,
        *,
        mode: Literal["fast", "safe"] = "safe",
        wait_s: float | None = None,
        ratio: float = 0.5,
        root: str | Path | None = None,
        verbose: bool = False,
        api_key: str | None = None,
        pin: int | None = None,
        guessed=7,
        client: Any = None,
        hooks: list[str] | None = None,
        on_error: Literal["stop", "go"] | None = None,
    ) -> None:
        """``verbose``: Say more,
        and more still.

        ratio: Between 0 and 1.
        """


def test_every_parameter_that_a_text_can_say_is_an_option() -> None:
    options = options_of(Backend)
    assert {name: each.kind for name, each in options.items()} == {
        "bucket": "text",
        "retries": "number",
        "mode": "choice",
        "wait_s": "seconds",
        "ratio": "number",
        "root": "path",
        "verbose": "flag",
        "api_key": "text",
        "pin": "number",
        "guessed": "number",
        "on_error": "choice",
    }
    assert [name for name, each in options.items() if each.required] == ["bucket"]
    assert [name for name, each in options.items() if each.secret] == ["api_key", "pin"]
    assert options["mode"].choices == ("fast", "safe")
    assert (options["retries"].default, options["bucket"].default) == (3, None)


def test_help_comes_from_docstrings() -> None:
    helps = {name: each.help for name, each in options_of(Backend).items() if each.help}
    assert helps == {
        "bucket": "The bucket, which has to exist.",
        "retries": "How often it is tried again.",
        "verbose": "Say more, and more still.",
        "ratio": "Between 0 and 1.",
    }


@pytest.mark.parametrize(
    "cls", [LocalStorageBackend, ThreadExecutionBackend, AsyncExecutionBackend, Endpoint]
)
def test_our_own_options_are_all_explained(cls: type) -> None:
    assert [each.name for each in options_of(cls).values() if not each.help and each.name != "name"] == []


def test_problems_name_the_option_and_quote_no_secret() -> None:
    given = {
        "retries": "many",
        "mode": "slow",
        "verbose": 5,
        "wait_s": True,
        "bukket": "x",
        "api_key": "sk-canary",
    }
    problems = problems_of(Backend, given)
    assert problems.keys() == {"retries", "mode", "verbose", "wait_s", "bukket", "bucket"}
    assert problems["mode"] == "mode 'slow' is none of fast, safe."
    assert "there are: bucket, retries" in problems["bukket"]
    assert "sk-canary" not in str(problems)
    with pytest.raises(UsageError) as caught:
        options_of(Backend)["pin"].value("sk-canary")
    assert "sk-canary" not in str(caught.value)
    assert problems_of(Backend, {"bucket": "b", "wait_s": "2m", "retries": "4", "mode": "fast"}) == {}


def test_a_class_may_take_any_option() -> None:
    class Open:
        def __init__(self, root: str = "", **more: Any) -> None:
            pass

    assert takes_any_option(Open)
    assert problems_of(Open, {"whatever": 5}) == {}
    assert options_of(strangers.Eager) == {}


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("db_password", True),
        ("secret_access_key", True),
        ("api_key", True),
        ("key", True),
        ("token", True),
        ("connection_string", True),
        ("max_tokens", False),
        ("key_prefix", False),
        ("access_key_id", False),
        ("keyspace", False),
        ("monkey", False),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret


# The fields of a profile


def test_a_profile_has_the_fields_of_its_backend_and_those_of_its_kind() -> None:
    assert list(settings_of("storage", "local")) == ["root", "readonly", "protected", "colour"]
    assert list(settings_of("executor", "threads")) == ["max_workers", "colour"]
    assert list(settings_of("endpoint")) == ["base_url", "model", "key", "api", "timeout", "colour"]
    assert types_of("endpoint") == []
    assert "local" in types_of("storage")
    with pytest.raises(UsageError, match="needs a type: one of"):
        settings_of("storage")
    with pytest.raises(UnknownName, match="no storage backend 'nowhere'"):
        settings_of("storage", "nowhere")


def test_texts_become_what_the_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made, wrong = checked_settings("storage", "local", {"root": "here", "readonly": "yes", "colour": "red"})
    assert (made, wrong) == ({"root": str(tmp_path / "here"), "readonly": True, "colour": "red"}, {})
    assert checked_settings("storage", "local", {"root": "~/x"})[0] == {"root": "~/x"}
    assert checked_settings("executor", "threads", {"max_workers": "8"})[0] == {"max_workers": 8}
    made, wrong = checked_settings("endpoint", None, {"timeout": "2m", "key": "sk-canary", "api": "x"})
    assert made == {"timeout": "2m"}
    assert wrong.keys() == {"key", "api"}
    assert "sk-canary" not in str(wrong)
    assert missing_settings("endpoint", None, {}) == {"base_url": "base_url is needed."}
