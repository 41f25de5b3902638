"""One table of exit codes; an error from another process means the same one as here."""

from __future__ import annotations

import pytest

from themis.core import errors
from themis.runs.exit_codes import code_of, code_of_status, error_of, kind_of

EVERY = [each for each in vars(errors).values() if isinstance(each, type)]


@pytest.mark.parametrize("cls", [each for each in EVERY if issubclass(each, errors.ThemisError)])
def test_an_error_that_travelled_is_what_it_was(cls) -> None:
    arrived = error_of(kind_of(cls("why")), "why")
    assert type(arrived) is cls
    assert str(arrived) == "why"


class OfAPlugin(errors.StoreFull):
    """Named nowhere else."""


@pytest.mark.parametrize("error", [OfAPlugin("x"), OSError("x"), PermissionError("x"), ValueError("x")])
def test_an_error_that_is_not_ours_keeps_its_code(error) -> None:
    assert code_of(error_of(kind_of(error), "x")) == code_of(error)


@pytest.mark.parametrize("kind", ["usage", "Any", "Exception", "annotations", "", "__name__"])
def test_a_name_that_is_none_of_ours_failed_to_launch(kind) -> None:
    assert type(error_of(kind, "x")) is errors.LaunchFailed


def test_codes_of_how_a_run_ended() -> None:
    words = ("completed", "failed", "crashed", "paused", "cancelled")
    assert [code_of_status(word) for word in words] == [0, 1, 1, 4, 130]
