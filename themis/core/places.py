"""A thing of a person's own code, by its place: ``module:attribute``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from themis.core.errors import UsageError


def load_place(place: str) -> Any:
    """What ``module:attribute`` (``module:Class.method``) names. Raises :class:`UsageError` with why not."""
    module_name, _, path = place.partition(":")
    if not module_name or not path:
        raise UsageError(f"'python:{place}' is not python:module:function.")
    try:
        found: Any = import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
    except Exception as exc:  # a person's own module can fail in any way
        raise UsageError(f"python:{place} cannot be loaded: {type(exc).__name__}: {exc}") from exc
    return found
