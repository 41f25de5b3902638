"""Where the names of storages lead, and what the user's profiles forbid there.

A mark such as ``readonly`` is about a place, not about a word for it: whoever names the folder of a readonly
profile by its path, or by ``local?root=…``, finds it readonly too. A profile speaks for itself, so a second
one that leads to the same place may allow what the first forbids.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from themis.backends.registry import Named, storage_class, storage_named
from themis.core.directories import profiles_path
from themis.core.errors import UsageError

if TYPE_CHECKING:
    from themis.core.schema import Option

Place = tuple[str, frozenset[tuple[str, Any]]]
"""A backend and all its options but secrets, as its constructor takes them."""


class Marks(NamedTuple):
    """What the user's profiles say of a place."""

    readonly: bool = False
    protected: bool = False
    by: str | None = None
    """The profile that says so."""

    def said_of(self, name: str) -> str:
        """Where it says so of a storage named ``name``, in the middle of a sentence."""
        return "in your profiles" + ("" if self.by in (None, name) else f", as {self.by}")


def marks_of(named: Named) -> Marks:
    """The marks of a storage: its profile's, or those of every profile that leads to the same place.

    Looks at the folders that names lead to, so links and other spellings of a path are seen through.
    """
    own: Any = named.profile
    if own is not None:
        return Marks(own.readonly, own.protected, own.name)
    if not os.path.lexists(profiles_path()):
        return Marks()
    from themis.profiles import load_profiles

    marking = [
        each
        for each in load_profiles().storages.values()
        if each.type == named.base and (each.readonly or each.protected)
    ]
    if not marking:
        return Marks()
    here = _found(place_of(named))
    there = [each for each in marking if _found(place_of(Named(each.type, each.options))) == here]
    strictest = next((each for each in there if each.readonly), there[0] if there else None)
    return Marks(
        any(each.readonly for each in there),
        any(each.protected for each in there),
        None if strictest is None else strictest.name,
    )


def place_of(named: Named) -> Place:
    """Where a storage's name leads, as far as can be told without looking there.

    Raises what :func:`themis.backends.registry.storage_class` does.
    """
    cls = storage_class(named.base)
    options = dict(named.options)
    folder = getattr(cls, "folder", None)
    if folder is not None:
        with suppress(TypeError, ValueError):
            return named.base, frozenset({("root", folder(**options))})
    from themis.core.schema import options_of

    known = options_of(cls)
    for name, option in known.items():
        options.setdefault(name, option.default)
    values = {
        name: _value(known.get(name), value)
        for name, value in options.items()
        if not (name in known and known[name].secret)
    }
    return named.base, frozenset(values.items())


def _value(option: Option | None, given: Any) -> Any:
    made = given
    if option is not None:
        with suppress(UsageError):
            made = option.value(given)
    if isinstance(made, Path):
        made = Path(os.path.abspath(made.expanduser()))
    return made if made is None or isinstance(made, (str, int, float, bool, Path)) else repr(made)


def _found(place: Place) -> tuple[str, frozenset[tuple[str, Any]]]:
    """A place with each folder as the file system knows it."""
    base, values = place
    return base, frozenset((name, _folder(value)) for name, value in values)


def _folder(value: Any) -> Any:
    if not isinstance(value, Path):
        return value
    try:
        stat = os.stat(value)
    except OSError:
        return os.path.realpath(value)
    return (stat.st_dev, stat.st_ino)


def each_place_once(names: Iterable[str]) -> list[str]:
    """The names without those that lead, by their words, where one before them does."""
    places: dict[object, str] = {}
    for name in names:
        try:
            base, values = place_of(storage_named(name))
            place: object = (base, values) if values else name  # memory is nobody else's
        except Exception:  # opening it says what is wrong; a stranger's class may raise anything
            place = name
        places.setdefault(place, name)
    return list(places.values())
