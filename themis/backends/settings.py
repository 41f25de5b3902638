"""What a profile may hold: the options of its backend, and what the profile says beside them.

One source for ``themis profiles add``, for a form and for checks, also of a stranger's backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from themis.backends.registry import executor_class, executor_names, storage_class, storage_names
from themis.core.errors import UsageError
from themis.core.schema import Option, options_of, takes_any_option
from themis.profiles import Endpoint
from themis.profiles.secrets import check_reference
from themis.profiles.table import checked_colour, checked_option

_COLOUR = Option(
    "colour", "text", help="By which the app tells its runs from others: green, #ffaa00.", hint=str
)
_OF_STORAGE = (
    Option("readonly", "flag", False, help="Nothing in it is to be changed from here.", hint=bool),
    Option("protected", "flag", False, help="Deleting in it wants its name typed.", hint=bool),
)


def types_of(kind: str) -> list[str]:
    """The types that a profile of a kind can have; ``[]`` for endpoints, which have none. Imports no
    backend."""
    return {"storage": storage_names, "executor": executor_names}.get(kind, list)()


def class_of(kind: str, type_: str | None) -> Callable[..., Any]:
    """What the options of a profile are given to. Raises :class:`UsageError`, :class:`MissingExtra`."""
    if kind == "endpoint":
        return Endpoint
    if not type_:
        raise UsageError(f"A profile of kind {kind} needs a type: one of {', '.join(types_of(kind))}.")
    return storage_class(type_) if kind == "storage" else executor_class(type_)


def settings_of(kind: str, type_: str | None = None) -> dict[str, Option]:
    """The fields of a profile by name: those of its backend, then those of every profile.

    Without ``type``, which is no field, as all others hang on it. Raises as :func:`class_of`.
    """
    options = options_of(class_of(kind, type_))
    options.pop("name" if kind == "endpoint" else "", None)
    ours = (*(_OF_STORAGE if kind == "storage" else ()), _COLOUR)
    return {**options, **{each.name: each for each in ours}}


def checked_settings(
    kind: str, type_: str | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Texts of a person made into what the file holds, and field to what is wrong with it.

    A number becomes a number, a relative path is made absolute; a time (``2m``) stays as it was written. A
    secret itself is refused, and not quoted. What is missing is not looked for. Raises as :func:`class_of`.
    """
    known = settings_of(kind, type_)
    made: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, value in given.items():
        option = known.get(name)
        try:
            if option is None and not takes_any_option(class_of(kind, type_)):
                raise UsageError(f"There is no {name!r:.60}; there are: {', '.join(known)}.")
            made[name] = value if option is None else _in_file(option, value)
            checked_option(name, made[name], secret=option is not None and option.secret)
            if kind == "endpoint" and name == "key":
                check_reference(str(value))
            if name == "colour":
                checked_colour(value)
        except UsageError as exc:
            wrong[name] = str(exc)
    return {name: value for name, value in made.items() if name not in wrong}, wrong


def missing_settings(kind: str, type_: str | None, table: Mapping[str, Any]) -> dict[str, str]:
    """Field that is needed and not given, to that reason."""
    known = settings_of(kind, type_)
    return {
        each.name: f"{each.name} is needed."
        for each in known.values()
        if each.required and each.name not in table
    }


def _in_file(option: Option, value: Any) -> Any:
    if option.secret:
        return value
    converted = option.value(value)
    if option.kind == "path":
        text = str(value)
        return text if text.startswith("~") else str(Path(text).absolute())
    if option.kind == "seconds" or converted is None:
        return value
    if option.kind == "number" and isinstance(converted, float) and isinstance(value, str):
        return int(converted) if converted.is_integer() and value.strip("+-").isdigit() else converted
    return converted
