"""Options in query form: taken apart, put together, and made into the arguments of a constructor."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional, Union

import pytest

from themis.core.errors import UsageError
from themis.core.options import build, converted, join_query, redacted, seconds, split_query


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("local", ("local", {})),
        ("local?", ("local", {})),
        ("local?root=/x", ("local", {"root": "/x"})),
        ("m?a=1&b=2", ("m", {"a": "1", "b": "2"})),
        ("m?a=", ("m", {"a": ""})),
        ("m?a", ("m", {"a": ""})),
        ("m?a=x%20y%26z", ("m", {"a": "x y&z"})),
        ("m?a=x=y", ("m", {"a": "x=y"})),
        ("local?root=/a+b", ("local", {"root": "/a+b"})),
        ("openai:q?base_url=http://h:1/v1", ("openai:q", {"base_url": "http://h:1/v1"})),
        ("?a=1", ("", {"a": "1"})),
    ],
)
def test_names_are_taken_apart(name: str, parts: tuple[str, dict[str, str]]) -> None:
    assert split_query(name) == parts


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="gives an option twice"):
        split_query("m?a=1&b=2&a=3")


@pytest.mark.parametrize("seed", range(30))
def test_what_was_joined_comes_apart_again(seed: int) -> None:
    chance = random.Random(seed)
    letters = "ab /:?&=+%#;é漢😀\n\x00"
    options = {
        "".join(chance.choices(letters, k=4)) + str(n): "".join(
            chance.choices(letters, k=chance.randrange(8))
        )
        for n in range(4)
    }
    assert split_query(join_query("base:x", options)) == ("base:x", options)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0.5", 0.5),
        ("50ms", 0.05),
        ("2s", 2),
        ("2m", 120),
        ("2min", 120),
        ("1h", 3600),
        ("7us", 7e-06),
        (" 1e-3 s ", 0.001),
        ("-5", -5),
    ],
)
def test_times_have_units(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "x", "5 days", "ms", "nan", "inf", "1,5", "0x10", "e", "--1", "1 2"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        seconds(text)


class Plain:
    def __init__(
        self,
        *,
        size: int = 1,
        wait: float = 0.0,
        fast: bool = False,
        name: str = "",
        most: int | None = None,
        also: Optional[float] = None,  # noqa: UP045 - people still write it so
        either: Union[int, str] = 0,  # noqa: UP007
        anything: Any = None,
        path: Path = Path(),
        untyped=None,  # type: ignore[no-untyped-def]
    ) -> None:
        self.given = {key: value for key, value in locals().items() if key != "self"}


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("size", "12", 12),
        ("size", "-3", -3),
        ("wait", "50ms", 0.05),
        ("wait", "3", 3.0),
        ("name", "007", "007"),
        ("most", "4", 4),
        ("most", "", None),
        ("also", "2m", 120.0),
        ("also", "", None),
        ("either", "5", "5"),
        ("anything", "5", "5"),
        ("path", "/a b", Path("/a b")),
        ("untyped", "5", "5"),
        *[("fast", text, True) for text in ("1", "true", "True", "YES", "on")],
        *[("fast", text, False) for text in ("0", "false", "No", "off")],
    ],
)
def test_texts_become_what_the_signature_names(option: str, text: str, value: Any) -> None:
    made = build(Plain, {option: text}, "thing").given[option]
    assert (made, type(made)) == (value, type(value))


def test_what_is_no_text_is_handed_on() -> None:
    marker = object()
    assert build(Plain, {"size": marker}, "thing").given["size"] is marker


@pytest.mark.parametrize(
    ("option", "text", "kind"),
    [
        ("size", "1.5", "int"),
        ("size", "x", "int"),
        ("wait", "soon", "float"),
        ("fast", "maybe", "bool"),
        ("most", "x", "int"),
        ("size", "9" * 5000, "int"),
    ],
)
def test_a_text_of_another_kind_is_refused(option: str, text: str, kind: str) -> None:
    with pytest.raises(UsageError, match=rf"thing, option {option}: '.*' is not {kind}\."):
        build(Plain, {option: text}, "thing")


def test_an_unknown_option_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"The thing has no option 'sise'. It has: size, wait, fast"):
        build(Plain, {"sise": "1"}, "thing")


class Needy:
    def __init__(self, path: str, *, size: int) -> None:
        self.path, self.size = path, size


def test_a_missing_option_is_named_with_an_example() -> None:
    with pytest.raises(UsageError, match=r"The thing needs the option 'size', for example \?size=…"):
        build(Needy, {"path": "x"}, "thing")
    assert build(Needy, {"path": "x", "size": "2"}, "thing").size == 2


class Bare:
    def __init__(self, a, b=2):  # type: ignore[no-untyped-def]
        self.a, self.b = a, b


class Nothing:
    pass


class Open:
    def __init__(self, size: int = 0, **options: Any) -> None:
        self.size, self.options = size, options


class FarAway:
    def __init__(self, size: NotHere = 0) -> None:  # type: ignore[name-defined]  # noqa: F821
        self.size = size


def test_classes_of_strangers_are_built() -> None:
    assert build(Bare, {"a": "1"}, "thing").a == "1"
    assert isinstance(build(Nothing, {}, "thing"), Nothing)
    with pytest.raises(UsageError, match="It has: none at all"):
        build(Nothing, {"a": "1"}, "thing")
    opened = build(Open, {"size": "3", "colour": "red"}, "thing")
    assert (opened.size, opened.options) == (3, {"colour": "red"})
    assert build(FarAway, {"size": "3"}, "thing").size == "3"


def test_a_function_is_built_too() -> None:
    def make(size: int, wait: float = 1.0) -> tuple[int, float]:
        return size, wait

    factory: Callable[..., tuple[int, float]] = make
    assert build(factory, {"size": "2", "wait": "1ms"}, "thing") == (2, 0.001)


def test_conversion_without_a_hint_changes_nothing() -> None:
    assert converted("5", None, "x") == "5"
    assert converted(5, int, "x") == 5


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("postgresql://ada:pw@h:5432/db", "postgresql://ada:***@h:5432/db"),
        ("postgresql://ada:p@w:x@h/db", "postgresql://ada:***@h/db"),
        ("postgres://ada@h/db", "postgres://ada@h/db"),
        ("postgres://pw@d@h/db", "postgres://***@h/db"),
        ("postgres://:pw@h/db", "postgres://:***@h/db"),
        ("postgresql://***@h/db", "postgresql://***@h/db"),
        ("postgresql://ada:***@h/db", "postgresql://ada:***@h/db"),
        ("mine+postgresql://key@h/db", "mine+postgresql://***@h/db"),
        ("https://sk-secret@h/v1", "https://***@h/v1"),
        ("mine?uri=postgresql://ada:pw@h/db&n=1", "mine?uri=postgresql://ada:***@h/db&n=1"),
        ("mine?uri=postgresql%3A%2F%2Fada%3Apw%40h%2Fdb", "mine?uri=postgresql%3A%2F%2Fada%3A***%40h%2Fdb"),
        ("mine?uri=pg%253a%252f%252fada%253apw%2540h%252fdb", "mine?uri=pg%253a%252f%252f***%2540h%252fdb"),
        ("postgresql://h/db?user=ada&password=pw&x=1", "postgresql://h/db?user=ada&password=***&x=1"),
        ("There is no run 'r1' in s3://k:s@h/b. Look.", "There is no run 'r1' in s3://***@h/b. Look."),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("local?root=/data/ada@work", "local?root=/data/ada@work"),
        ("./a:b", "./a:b"),
    ],
)
def test_a_password_in_a_name_is_not_shown(name: str, shown: str) -> None:
    assert redacted(name) == shown
