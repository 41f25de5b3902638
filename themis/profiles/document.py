"""The file ``profiles.toml`` in the user's config directory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from themis.core.directories import config_dir
from themis.core.errors import UsageError
from themis.profiles.endpoint import Endpoint


@dataclass
class Profiles:
    """What the file says. A file that is not there says nothing."""

    endpoints: dict[str, Endpoint] = field(default_factory=dict)


def profiles_path() -> Path:
    """Where the file is, whether or not there is one."""
    return config_dir() / "profiles.toml"


def load_profiles() -> Profiles:
    """The user's profiles.

    Raises :class:`UsageError` naming the file, the table and what is wrong with it.
    """
    path = profiles_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Profiles()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}.") from exc
    import tomllib  # only who has profiles needs it

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise UsageError(f"{path} is not TOML: {exc}.") from exc
    tables: Any = document.get("endpoint", {})
    if not isinstance(tables, dict):
        raise UsageError(f"{path}: endpoint is not a table; write [endpoint.NAME].")
    endpoints = {}
    for name, table in tables.items():
        try:
            endpoints[name] = Endpoint.of_table(name, table)
        except UsageError as exc:
            raise UsageError(f"{path}, [endpoint.{name}]: {exc}") from exc
    return Profiles(endpoints)
