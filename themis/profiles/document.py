"""The file ``profiles.toml`` in the user's config directory, as it is read.

::

    [default]
    storage = "team"                # a name as --storage takes it; likewise executor and endpoint

    [storage.team]
    type = "local"                  # a backend; the other keys are options of its constructor
    root = "/data/team"
    readonly = false                # nothing in it is to be changed from here
    protected = true                # deleting in it wants its name typed
    colour = "green"

    [executor.many]
    type = "threads"
    max_workers = 64

    [endpoint.lab]
    base_url = "https://models.example.org/v1"
    key = "env:LAB_KEY"

A bare name means a profile before it means a backend. One that is broken is a problem of its own: the
others work on, and whoever uses it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from themis.core.directories import profiles_path
from themis.core.errors import UsageError
from themis.profiles.endpoint import Endpoint
from themis.profiles.executor import ExecutorProfile
from themis.profiles.storage import StorageProfile
from themis.profiles.table import checked_option

KINDS = ("storage", "executor", "endpoint")
Profile = StorageProfile | ExecutorProfile | Endpoint
P = TypeVar("P")


@dataclass(frozen=True)
class Profiles:
    """What the file says. A file that is not there says nothing."""

    storages: dict[str, StorageProfile] = field(default_factory=dict)
    executors: dict[str, ExecutorProfile] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    """Kind to the name meant where none is given."""
    problems: dict[str, str] = field(default_factory=dict)
    """Place, such as ``storage.team``, to what is wrong there; ``""`` is the file as a whole."""

    def storage(self, name: str) -> StorageProfile | None:
        """The storage of that name, ``None`` if there is none. Raises :class:`UsageError` if it is broken."""
        return self._get(self.storages, "storage", name)

    def executor(self, name: str) -> ExecutorProfile | None:
        """The executor of that name; as :meth:`storage`."""
        return self._get(self.executors, "executor", name)

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of that name; as :meth:`storage`."""
        return self._get(self.endpoints, "endpoint", name)

    def default(self, kind: str) -> str | None:
        """The name meant where none of a kind is given. Raises :class:`UsageError` if that is broken."""
        self._check("", "default", f"default.{kind}")
        return self.defaults.get(kind)

    def of_kind(self, kind: str) -> dict[str, Profile]:
        """The profiles of a kind by name."""
        return dict(getattr(self, _PLURALS[kind]))

    def _get(self, found: dict[str, P], kind: str, name: str) -> P | None:
        self._check("", kind, f"{kind}.{name}")
        return found.get(name)

    def _check(self, *places: str) -> None:
        for place in places:
            if place in self.problems:
                raise UsageError(self.problems[place])


_PLURALS = {"storage": "storages", "executor": "executors", "endpoint": "endpoints"}


def load_profiles() -> Profiles:
    """The user's profiles. Never raises: what is wrong stands in ``problems``."""
    path = profiles_path()
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Profiles()
    except OSError as exc:
        return Profiles(problems={"": f"{path} cannot be read: {exc.strerror or exc}."})
    return read_profiles(text, path)


def read_profiles(data: bytes, path: Path) -> Profiles:
    """What a file of these bytes says; ``path`` is named in problems."""
    import tomllib  # only who has profiles needs it

    try:
        document = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        return Profiles(problems={"": f"{path} cannot be read: it is not UTF-8."})
    except (ValueError, RecursionError) as exc:  # a number of 5,000 digits is a plain ValueError
        return Profiles(problems={"": f"{path} is not TOML: {str(exc) or type(exc).__name__}."})
    profiles = Profiles()
    makers: dict[str, Callable[[str, Any], Any]] = {
        "storage": StorageProfile.of_table,
        "executor": ExecutorProfile.of_table,
        "endpoint": Endpoint.of_table,
    }
    for kind, make in makers.items():
        found = getattr(profiles, _PLURALS[kind])
        for name, table in _tables(document, kind, path, profiles.problems).items():
            try:
                found[name] = make(name, table)
            except UsageError as exc:
                profiles.problems[f"{kind}.{name}"] = f"{path}, [{kind}.{name:.60}]: {exc}"
    _read_defaults(document, path, profiles)
    for name in document:
        if name not in (*KINDS, "default"):
            known = ", ".join(f"[{kind}.NAME]" for kind in KINDS)
            profiles.problems[name] = f"{path}: it has no {name!r:.60}; there are {known} and [default]."
    return profiles


def _tables(document: dict[str, Any], name: str, path: Path, problems: dict[str, str]) -> dict[str, Any]:
    tables = document.get(name, {})
    if isinstance(tables, dict):
        return tables
    shape = "[default]" if name == "default" else f"[{name}.NAME]"
    problems[name] = f"{path}: {name} is not a table; write {shape}."
    return {}


def _read_defaults(document: dict[str, Any], path: Path, profiles: Profiles) -> None:
    for kind, name in _tables(document, "default", path, profiles.problems).items():
        if kind not in KINDS:
            wrong = f"it has no {kind!r:.60}; there are {', '.join(KINDS)}."
        elif not isinstance(name, str) or not name:
            wrong = f"{kind} is not a name."
        else:
            try:
                profiles.defaults[kind] = checked_option(kind, name)
                continue
            except UsageError as exc:
                wrong = str(exc)
        profiles.problems[f"default.{kind}"] = f"{path}, [default]: {wrong}"
