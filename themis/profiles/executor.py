"""An executor as a profile names it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from themis.profiles.storage import checked_options, typed_table
from themis.profiles.table import checked_colour

BUILT_IN = ("async", "batch", "dask", "processes", "ray", "sequential", "threads")
"""As :data:`themis.profiles.storage.BUILT_IN`."""


@dataclass(frozen=True)
class ExecutorProfile:
    """Which execution backend, made with which options."""

    name: str
    type: str
    """The name of an execution backend, built in or by entry point."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of its constructor, as the file has them: secrets are references."""
    colour: str | None = None

    @property
    def place(self) -> str:
        """``executor.NAME``, as commands take it."""
        return f"executor.{self.name}"

    @classmethod
    def of_table(cls, name: str, table: Any) -> ExecutorProfile:
        """The profile of a table of the file. Raises :class:`UsageError` for what it cannot mean."""
        type_, options = typed_table(name, table, "an executor", BUILT_IN)
        colour = checked_colour(options.pop("colour")) if "colour" in options else None
        return cls(name, type_, checked_options(options), colour)
