"""The packages of the extra ``compare``, asked for by whoever computes with them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from themis.core.errors import MissingExtra


def needed(module: str) -> Any:
    """A module of numpy or scipy.

    Raises :class:`MissingExtra` with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as exc:
        package = module.partition(".")[0]
        raise MissingExtra(
            f"Comparing runs needs {package}. Install it: pip install 'themis-tui[compare]'"
        ) from exc
