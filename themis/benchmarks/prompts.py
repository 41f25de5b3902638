"""Prompt templates: text or chat messages with ``{field}`` in them, and examples before the question."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from string import Formatter
from typing import Any, NamedTuple

from themis.core.codec import check_value
from themis.core.errors import BenchmarkError, RecordRefused
from themis.core.hashing import hash_json
from themis.models.base import Prompt

Template = str | list[dict[str, Any]]
"""A text, or chat messages whose ``content`` is a text; ``{name}`` is a field, ``{{`` a brace."""

USUAL_FIELDS = ("question", "prompt", "input", "problem", "text")
"""Fields that make the whole prompt where a benchmark has no template of its own."""

_CHAT = re.compile(r'\s*\[\s*\{\s*"')
_Piece = tuple[str, str | None]


class Example(NamedTuple):
    """A question with its answer, to be shown before the one that is asked."""

    fields: dict[str, Any]
    answer: str


class Examples(NamedTuple):
    """What to choose a sample's examples from: the first ``shots`` that are not the sample itself."""

    shots: int
    pools: dict[str, list[Example]]
    """By the value of the field ``by``; all under ``""`` where there is none."""
    by: str | None = None
    as_text: bool = False
    """Before the question in one text, in place of earlier turns of a chat."""


class PromptTemplate:
    """A template taken apart once, so that filling it in is a join."""

    def __init__(
        self, template: Template, system: str | None = None, examples: Examples | None = None
    ) -> None:
        """Raises :class:`BenchmarkError` if the template cannot be read, or not be filled in for an example.

        A text that is a JSON list of objects is taken for chat messages; as a template it could not be read.
        """
        template = read_template(template)
        self.template = template
        self.system = system
        _check(template, system)
        if isinstance(template, str):
            self._pieces = _pieces(template)
            self._messages: list[tuple[dict[str, Any], list[_Piece]]] | None = None
        else:
            self._messages = [(message, _pieces(_content(message))) for message in template]
        self.examples = examples
        if examples is not None:
            if examples.as_text and self._messages is not None:
                raise BenchmarkError("Chat messages have examples as earlier turns; leave out shots_as=text.")
            self._shown = {
                key: [(self._asked(each.fields), each.answer) for each in pool]
                for key, pool in examples.pools.items()
            }

    @property
    def hash(self) -> str:
        """Hash of the template and its examples; the system prompt is told apart from it."""
        return hash_json(self.template if self.examples is None else [self.template, self.examples])

    @property
    def fields(self) -> set[str]:
        """The names of the fields it asks for."""
        pieces = self._pieces if self._messages is None else [p for _, ps in self._messages for p in ps]
        return {name for _, name in pieces if name is not None}

    def render(self, fields: Mapping[str, Any]) -> Prompt:
        """The prompt for one sample. Raises :class:`BenchmarkError` for a field that it lacks."""
        asked = self._asked(fields)
        if self.examples is None and self.system is None:
            return asked
        before = self._before(asked, fields)
        if isinstance(asked, str):
            if before and self.examples is not None and self.examples.as_text:
                asked = "\n\n".join([*(f"{question}\n{answer}" for question, answer in before), asked])
                before = []
            if self.system is None and not before:
                return asked
        head = [] if self.system is None else [{"role": "system", "content": self.system}]
        messages = _turns(asked)
        # What a template itself says as the system is said once, before the examples.
        own = next((i for i, each in enumerate(messages) if each["role"] != "system"), len(messages))
        return [*head, *messages[:own], *_earlier(before), *messages[own:]]

    def _asked(self, fields: Mapping[str, Any]) -> Prompt:
        if self._messages is None:
            return _filled(self._pieces, fields)
        return [{**message, "content": _filled(pieces, fields)} for message, pieces in self._messages]

    def _before(self, asked: Prompt, fields: Mapping[str, Any]) -> list[tuple[Prompt, str]]:
        if self.examples is None:
            return []
        key = "" if self.examples.by is None else str(fields.get(self.examples.by))
        if key not in self._shown:
            raise BenchmarkError(f"There is no example for {self.examples.by} {key!r:.100}.")
        # Told by what is asked: no question is shown its own answer, wherever the examples come from.
        return [each for each in self._shown[key] if each[0] != asked][: self.examples.shots]


def read_template(template: Template) -> Template:
    """Chat messages, where ``template`` is a text that holds them as JSON; else ``template`` itself.

    Raises :class:`BenchmarkError` for a text that begins as such messages and is not JSON.
    """
    if not isinstance(template, str) or not _CHAT.match(template):
        return template
    try:
        messages: Template = json.loads(template)
    except (ValueError, RecursionError) as exc:
        raise BenchmarkError(f"The prompt begins as a list of chat messages and is not JSON: {exc}.") from exc
    return messages


def _turns(asked: Prompt) -> list[dict[str, Any]]:
    return [{"role": "user", "content": asked}] if isinstance(asked, str) else asked


def _earlier(examples: list[tuple[Prompt, str]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for question, answer in examples:
        messages += [each for each in _turns(question) if each["role"] != "system"]
        messages.append({"role": "assistant", "content": answer})
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
    if isinstance(template, str) and (not template.strip() or template.strip() == "[]"):
        raise BenchmarkError("The prompt is empty; write what to ask, such as '{question}'.")
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
