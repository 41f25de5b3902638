"""Options in query form, ``name?latency=50ms&seed=1``, made into the arguments of a constructor."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote

from themis.core.errors import UsageError
from themis.core.masking import MASK, masked

B = TypeVar("B")

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})

_SLASH = "(?:/|%(?:25)*2F)"
# What stands between :// and the last @ before the address goes on; each sign may be encoded.
_USER_INFO = re.compile(
    rf"((?<![\w+])postgres(?:ql)?)?((?::|%(?:25)*3A){_SLASH}{_SLASH})((?:(?!{_SLASH})[^?#&\s])*)(@|%(?:25)*40)",
    re.IGNORECASE,
)
# A role's name, and the password after it.
_ROLE = re.compile(r"((?:(?!%(?:25)*(?:3A|40))[^:@])*)((?::|%(?:25)*3A)(?!$))?.*", re.IGNORECASE | re.DOTALL)
_PASSWORD_OPTION = re.compile(
    r"((?:[?&]|%(?:25)*(?:3F|26))(?:(?:ssl)?password|passwd|passphrase|secret|token|(?:api|access|secret)[-_]?key)(?:=|%(?:25)*3D))(?:(?!%(?:25)*26)[^&#\s:])+",
    re.IGNORECASE,
)


def split_query(name: str) -> tuple[str, dict[str, str]]:
    """``"local?root=/x"`` as ``("local", {"root": "/x"})``. A repeated option raises :class:`UsageError`."""
    base, mark, query = name.partition("?")
    # A plus is itself, not a space: paths are given in this form too.
    pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True) if mark else []
    options = dict(pairs)
    if len(options) < len(pairs):
        raise UsageError(f"{name!r} gives an option twice.")
    return base, options


def join_query(base: str, options: dict[str, Any]) -> str:
    """The name that ``split_query`` takes apart."""
    if not options:
        return base
    return (
        base
        + "?"
        + "&".join(f"{quote(key)}={quote(str(value), safe='/:')}" for key, value in options.items())
    )


def redacted(name: str) -> str:
    """A store's name, or a text that holds one, fit to be shown: passwords in it are ``***``, and users too.

    Of a PostgreSQL address only the password: its user is a role's name, where others have a key there. Also
    inside options, however often they are percent-encoded. So are the secrets that this process has
    read.
    """
    return masked(_PASSWORD_OPTION.sub(r"\1***", _USER_INFO.sub(_shown, name)))


def _shown(found: re.Match[str]) -> str:
    scheme, slashes, info, at = found.groups(default="")
    role = _ROLE.fullmatch(info) if scheme else None
    if role is None:
        shown = MASK
    elif role[2] is not None:
        shown = f"{role[1]}{role[2]}{MASK}"
    else:
        shown = role[1] if role[1] == info else MASK  # an @ in it: a password without a user, perhaps
    return f"{scheme}{slashes}{shown}{at}"


def build(make: Callable[..., B], options: dict[str, Any], what: str) -> B:
    """Call ``make`` with options whose texts are converted to the types its signature names.

    Raises :class:`UsageError` naming ``what``, the option, and the options there are.
    """
    parameters = inspect.signature(make).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    named = {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    unknown = [name for name in options if name not in named]
    if unknown and not open_ended:
        raise UsageError(
            f"The {what} has no option {unknown[0]!r}. It has: {', '.join(named) or 'none at all'}."
        )
    missing = [n for n, p in named.items() if p.default is p.empty and n not in options]
    if missing:
        raise UsageError(f"The {what} needs the option {missing[0]!r}, for example ?{missing[0]}=…")
    hints = hints_of(make)
    values = {
        name: converted(value, hints.get(name), f"{what}, option {name}") for name, value in options.items()
    }
    return make(**values)


def converted(value: Any, hint: Any, what: str) -> Any:
    """``value``, if it is text, as the type that ``hint`` names; ``50ms`` is a float of seconds."""
    if not isinstance(value, str):
        return value
    kinds = kinds_of(hint)
    if not kinds or str in kinds:
        return value
    if value == "" and type(None) in kinds:
        return None
    for kind, convert in ((bool, _to_bool), (int, int), (float, seconds), (Path, Path)):
        if kind in kinds:
            try:
                return convert(value)
            except ValueError:
                continue
    names = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
    raise UsageError(f"{what}: {value!r} is not {names}.")


def seconds(text: str) -> float:
    """A number, with an optional unit of time: ``0.05``, ``50ms``, ``2m``."""
    found = re.fullmatch(r"\s*([-+0-9.eE]+)\s*([a-z]*)\s*", text)
    if not found or (found[2] and found[2] not in _UNITS):
        raise ValueError(text)
    return float(found[1]) * _UNITS.get(found[2], 1.0)


def _to_bool(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError(text)


def hints_of(make: Callable[..., Any]) -> dict[str, Any]:
    """The types that the parameters of a callable are annotated with; ``{}`` where they cannot be told."""
    target: Any = make.func if isinstance(make, functools.partial) else make
    target = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    try:
        return typing.get_type_hints(target)
    except Exception:  # a stranger's annotations may name what is not importable here
        return {}


def kinds_of(hint: Any) -> list[type]:
    """The types that an annotation allows: of ``int | None``, ``int`` and ``NoneType``."""
    if hint is Any:
        return []
    if isinstance(hint, type):
        return [hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [kind for kind in typing.get_args(hint) if isinstance(kind, type)]
    return []
