"""A storage as a profile names it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from themis.core.errors import UsageError
from themis.profiles.table import checked_colour, checked_flag, checked_name, checked_option

BUILT_IN = ("local", "memory", "postgres", "s3")
"""Names that a profile takes only for a backend of that very type: ``[storage.local]`` with ``type =
"local"`` says where ``local`` is, and no name means two things."""


@dataclass(frozen=True)
class StorageProfile:
    """Which backend, made with which options, and what may be done there."""

    name: str
    type: str
    """The name of a storage backend, built in or by entry point."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of its constructor, as the file has them: secrets are references."""
    readonly: bool = False
    """Whether nothing in it is to be changed from here."""
    protected: bool = False
    """Whether deleting in it wants its name typed."""
    colour: str | None = None
    """By which the app tells its runs from others."""

    @property
    def place(self) -> str:
        """``storage.NAME``, as commands take it."""
        return f"storage.{self.name}"

    @classmethod
    def of_table(cls, name: str, table: Any) -> StorageProfile:
        """The profile of a table of the file. Raises :class:`UsageError` for what it cannot mean."""
        type_, options = typed_table(name, table, "a storage", BUILT_IN)
        settings = {
            key: checked_flag(key, options.pop(key)) for key in ("readonly", "protected") if key in options
        }
        colour = checked_colour(options.pop("colour")) if "colour" in options else None
        return cls(name, type_, checked_options(options), colour=colour, **settings)


def typed_table(name: str, table: Any, noun: str, built_in: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """``type`` and the rest of a table. Raises :class:`UsageError` for a name it cannot have, or no type."""
    checked_name(name, noun)
    if not isinstance(table, dict):
        raise UsageError("it is not a table with a type.")
    rest = dict(table)
    type_ = rest.pop("type", None)
    if not isinstance(type_, str) or not type_:
        raise UsageError(f"it needs type, such as {built_in[0]!r}.")
    if name in built_in and type_ != name:
        raise UsageError(
            f"its type is {type_!r:.60}, and {name} is the name of another; give it a name of its own."
        )
    return type_, rest


def checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a backend, each as the file may hold it."""
    return {key: checked_option(key, value) for key, value in options.items()}
