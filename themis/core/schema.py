"""The options of a class, read from its constructor: one source for forms, commands, checks and
documentation.

A parameter becomes an :class:`Option`: its kind from its annotation (or else its default), its help from
the docstring of ``__init__`` or of the class. There, a line begins with the parameter's name and a colon,
plain,
in backquotes or under ``Args:``; lines indented further go on with it::

    Args:
        root: The folder; the user's data directory if not given.

    ``root``: the folder; the user's data directory if not given.

What cannot be written as text (``client: Any = None``) is no option. An option whose name says that it holds
a secret (:func:`looks_secret`), or that the class names in ``secret_options``, a tuple of names, is given by
reference only.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from themis.core.errors import UsageError
from themis.core.options import converted, hints_of, kinds_of

KINDS = ("text", "number", "seconds", "flag", "path", "choice")

_SECRET_WORDS = frozenset(
    {"password", "passwd", "passphrase", "secret", "secrets", "token", "credential", "credentials"}
)
_SECRET_NAMES = frozenset({"connection_string", "conninfo", "dsn"})
_SECONDS = re.compile(r"(?:^|_)(?:timeout|interval|ttl|seconds|s)$")
_PLAIN = (str, int, float, bool, Path)
_NO_DEFAULT = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """One field of a form."""

    name: str
    kind: str
    """One of :data:`KINDS`."""
    default: Any = None
    """``None`` also where there is none."""
    required: bool = False
    help: str = ""
    secret: bool = False
    """Whether it is given by reference, ``env:NAME`` and the like. See :mod:`themis.profiles.secrets`."""
    choices: tuple[str, ...] = ()
    hint: Any = None
    """The annotation it is converted by."""

    def value(self, given: Any) -> Any:
        """``given``, a text of a person or a value of a file, as the constructor takes it.

        Raises :class:`UsageError` with what it has to be; a secret is not quoted.
        """
        shown = "" if self.secret else f" {given!r:.100}"
        if self.kind == "choice":
            if given not in self.choices:
                raise UsageError(f"{self.name}{shown} is none of {', '.join(self.choices)}.")
            return given
        if self.kind in ("text", "path") and not isinstance(given, (str, Path)):
            raise UsageError(f"{self.name}{shown} has to be a text, in quotation marks.")
        if self.kind == "flag" and not isinstance(given, (bool, str)):
            raise UsageError(f"{self.name}{shown} has to be true or false.")
        if self.kind in ("number", "seconds"):
            wanted = "a time such as 30 or '2m'" if self.kind == "seconds" else "a number"
            if isinstance(given, bool) or not isinstance(given, (int, float, str)):
                raise UsageError(f"{self.name}{shown} has to be {wanted}.")
        try:
            return converted(given, self.hint, self.name)
        except UsageError:
            names = {"number": "a number", "seconds": "a time such as 30 or '2m'", "flag": "true or false"}
            raise UsageError(f"{self.name}{shown} has to be {names.get(self.kind, self.kind)}.") from None


def options_of(cls: Callable[..., Any]) -> dict[str, Option]:
    """The options of a class by name, in the order of its constructor."""
    helps = _helps(cls)
    hints = hints_of(cls)
    marked = tuple(getattr(cls, "secret_options", ()))
    found = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            continue
        has_default = parameter.default is not _NO_DEFAULT
        default = parameter.default if has_default else None
        hint = hints.get(name, _hint_of(default) if parameter.annotation is _NO_DEFAULT else None)
        kind, choices = _kind(name, hint)
        if kind is None:
            if has_default:
                continue
            kind = "text"
        found[name] = Option(
            name=name,
            kind=kind,
            default=default if isinstance(default, (*_PLAIN, type(None))) else None,
            required=not has_default,
            help=helps.get(name, ""),
            secret=name in marked or looks_secret(name),
            choices=choices,
            hint=hint,
        )
    return found


def takes_any_option(cls: Callable[..., Any]) -> bool:
    """Whether a constructor takes keywords that it does not name."""
    return any(each.kind is each.VAR_KEYWORD for each in inspect.signature(cls).parameters.values())


def problems_of(cls: Callable[..., Any], given: dict[str, Any]) -> dict[str, str]:
    """Option to what is wrong with it, of options that are to be given to a class; ``{}`` if nothing is.

    References to secrets are not looked into.
    """
    known = options_of(cls)
    wrong = {}
    for name, value in given.items():
        option = known.get(name)
        if option is None:
            if not takes_any_option(cls):
                wrong[name] = (
                    f"There is no option {name!r:.60}; there are: {', '.join(known) or 'none at all'}."
                )
        elif not option.secret:
            try:
                option.value(value)
            except UsageError as exc:
                wrong[name] = str(exc)
    for name, option in known.items():
        if option.required and name not in given:
            wrong[name] = f"{name} is needed."
    return wrong


def looks_secret(name: str) -> bool:
    """Whether an option of this name holds a secret: a word of it says so, or it ends in ``key``."""
    words = name.lower().split("_")
    return words[-1] in ("key", "apikey") or name.lower() in _SECRET_NAMES or bool(_SECRET_WORDS & set(words))


def _kind(name: str, hint: Any) -> tuple[str | None, tuple[str, ...]]:
    choices = _choices(hint)
    if choices:
        return "choice", choices
    kinds = kinds_of(hint)
    if Path in kinds:
        return "path", ()
    if str in kinds or hint is str:
        return "text", ()
    if bool in kinds:
        return "flag", ()
    if float in kinds:
        return ("seconds" if _SECONDS.search(name) else "number"), ()
    return ("number" if int in kinds else None), ()


def _choices(hint: Any) -> tuple[str, ...]:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return tuple(
        str(value)
        for each in options
        if typing.get_origin(each) is typing.Literal
        for value in typing.get_args(each)
    )


def _hint_of(default: Any) -> Any:
    """Without an annotation the default tells; a text where it does not."""
    return next((kind for kind in (bool, int, float, Path) if type(default) is kind), str)


def _helps(cls: Callable[..., Any]) -> dict[str, str]:
    helps: dict[str, str] = {}
    names = set(inspect.signature(cls).parameters)
    # That of the constructor itself goes before that of its class.
    for text in (getattr(cls, "__doc__", None), getattr(getattr(cls, "__init__", None), "__doc__", None)):
        helps.update(_described_in(text or "", names))
    return helps


_ENTRY = re.compile(r"(\s*)(?:[-*]\s+)?[`*]{0,2}(\w{1,60})[`*]{0,2}(?:\s*\([^()]{0,80}\))?\s*:\s+(\S.*)")


def _described_in(text: str, names: set[str]) -> dict[str, str]:
    helps: dict[str, str] = {}
    current, indent = None, 0
    for line in inspect.cleandoc(text).splitlines():
        entry = _ENTRY.match(line)
        if entry is not None and entry[2] in names:
            current, indent = entry[2], len(entry[1])
            helps[current] = entry[3].strip()
        elif current is not None and line.strip() and _goes_on(line, indent, in_args=indent > 0):
            helps[current] += " " + line.strip()
        else:
            current = None
    return helps


def _goes_on(line: str, indent: int, *, in_args: bool) -> bool:
    own = len(line) - len(line.lstrip())
    # Under Args: it is indented further; a paragraph of its own goes on until an empty line.
    return own > indent if in_args else True
