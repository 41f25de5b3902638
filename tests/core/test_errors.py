"""The errors: the tree as drawn is the tree as written, and all of it travels between processes."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from themis.core import errors
from themis.core.errors import ModelError, ThemisError

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, ThemisError) and each.__module__ == errors.__name__
]


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """Class to the class above it in the drawing, and the builtin it is said to be too."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+)(.*)$", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        also = re.search(r"\(also (\w+)\)", found[3])
        del above[depth:]
        tree[found[2]] = (above[-1] if above else None, also[1] if also else None)
        above.append(found[2])
    return tree


def test_the_drawing_holds_every_class_in_its_place() -> None:
    tree = drawn()
    assert set(tree) == {each.__name__ for each in CLASSES}
    for each in CLASSES:
        above, also = tree[each.__name__]
        bases = [base.__name__ for base in each.__bases__]
        if above is None:
            assert each is ThemisError
        else:
            assert bases == [above, *([also] if also else [])], each


def made(cls: type[ThemisError]) -> ThemisError:
    return cls("what was asked: é \ud800 'x'")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickling(cls: type[ThemisError], protocol: int) -> None:
    error: Any = made(cls)
    error.extra = {"a": [1]}
    error.add_note("a note")
    loaded = pickle.loads(pickle.dumps(error, protocol))
    assert type(loaded) is cls
    assert str(loaded) == str(error) == "what was asked: é \ud800 'x'"
    assert loaded.args == error.args
    assert vars(loaded) == vars(error)
    assert loaded.__notes__ == ["a note"]
    assert str(copy.copy(error)) == str(error)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_says_its_message_and_nothing_else(cls: type[ThemisError]) -> None:
    assert str(cls("no run 'x' in local")) == "no run 'x' in local"
    if cls is not ModelError:
        assert str(cls()) == ""
    assert (cls.__doc__ or "").endswith(".")


def test_a_model_error_keeps_what_it_knows() -> None:
    error = ModelError("busy", kind="quota", status=429, retry_after=1.5, calls=6, usage={"x": 1}, fatal="f")
    error.wait_s = 2.5
    loaded = pickle.loads(pickle.dumps(error))
    assert vars(loaded) == vars(error)
    assert (loaded.kind, loaded.status, loaded.retry_after, loaded.calls) == ("quota", 429, 1.5, 6)
    assert (loaded.usage, loaded.fatal, loaded.wait_s, loaded.retry_s) == ({"x": 1}, "f", 2.5, 0.0)
    assert str(loaded) == "busy"


def test_an_error_of_ones_own_below_ours_survives_too() -> None:
    loaded = pickle.loads(pickle.dumps(Own("x", colour="red")))
    assert (str(loaded), loaded.colour) == ("x", "red")


class Own(ModelError):
    def __init__(self, message: str, *, colour: str) -> None:
        super().__init__(message)
        self.colour = colour
