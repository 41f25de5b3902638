"""Prompt templates: text or chat messages with ``{field}`` in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Formatter
from typing import Any

from themis.core.codec import check_value
from themis.core.errors import BenchmarkError, RecordRefused
from themis.core.hashing import hash_json
from themis.models.base import Prompt

Template = str | list[dict[str, Any]]
"""A text, or chat messages whose ``content`` is a text; ``{name}`` is a field, ``{{`` a brace."""

USUAL_FIELDS = ("question", "prompt", "input", "problem", "text")
"""Fields that make the whole prompt where a benchmark has no template of its own."""

_Piece = tuple[str, str | None]


class PromptTemplate:
    """A template taken apart once, so that filling it in is a join."""

    def __init__(self, template: Template, system: str | None = None) -> None:
        """Raises :class:`BenchmarkError` if the template cannot be read."""
        self.template = template
        self.system = system
        _check(template, system)
        if isinstance(template, str):
            self._pieces = _pieces(template)
            self._messages: list[tuple[dict[str, Any], list[_Piece]]] | None = None
        else:
            self._messages = [(message, _pieces(_content(message))) for message in template]

    @property
    def hash(self) -> str:
        """Hash of the template; the system prompt is told apart from it."""
        return hash_json(self.template)

    @property
    def fields(self) -> set[str]:
        """The names of the fields it asks for."""
        pieces = self._pieces if self._messages is None else [p for _, ps in self._messages for p in ps]
        return {name for _, name in pieces if name is not None}

    def render(self, fields: Mapping[str, Any]) -> Prompt:
        """The prompt for one sample. Raises :class:`BenchmarkError` for a field that it lacks."""
        if self._messages is None:
            text = _filled(self._pieces, fields)
            if self.system is None:
                return text
            return [{"role": "system", "content": self.system}, {"role": "user", "content": text}]
        messages = [{**message, "content": _filled(ps, fields)} for message, ps in self._messages]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        return messages


def default_template(fields: Mapping[str, Any]) -> str:
    """The template for rows of a benchmark that brings none: its one field, or the usual one."""
    names = list(fields) if len(fields) == 1 else [name for name in USUAL_FIELDS if name in fields]
    if not names:
        raise BenchmarkError(
            f"Rows have the fields {', '.join(fields)}; say with prompt= how to ask, for example "
            f"'{{{next(iter(fields))}}}'."
        )
    return "{" + names[0] + "}"


def _check(template: Any, system: Any) -> None:
    if not isinstance(template, str) and not (isinstance(template, list) and template):
        raise BenchmarkError(f"A prompt is a text or a list of chat messages, not {template!r:.100}.")
    if system is not None and not isinstance(system, str):
        raise BenchmarkError(f"A system prompt is a text, not {system!r:.100}.")
    try:
        check_value(template)
    except RecordRefused as exc:
        raise BenchmarkError(f"The prompt template cannot be stored: {exc}") from exc


def _pieces(template: str) -> list[_Piece]:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as exc:
        raise BenchmarkError(
            f"The prompt template cannot be read: {exc}. Write {{field}} for a field and {{{{ for a brace."
        ) from exc
    pieces: list[_Piece] = []
    for literal, name, spec, conversion in parts:
        if name is not None and (not name.isidentifier() or spec or conversion):
            raise BenchmarkError(
                f"The prompt template holds {{{name}}}; only plain field names can stand there. "
                "Write {{ and }} for braces."
            )
        pieces.append((literal, name))
    return pieces


def _content(message: Any) -> str:
    if not isinstance(message, dict) or not isinstance(message.get("content"), str) or "role" not in message:
        raise BenchmarkError(f"{message!r:.200} is not a chat message with a role and a text as content.")
    content: str = message["content"]
    return content


def _filled(pieces: list[_Piece], fields: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for literal, name in pieces:
        parts.append(literal)
        if name is not None:
            try:
                value = fields[name]
            except KeyError:
                raise BenchmarkError(
                    f"The prompt asks for {{{name}}}; this sample has: {', '.join(fields)}."
                ) from None
            parts.append(value if isinstance(value, str) else _as_text(value))
    return "".join(parts)


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
