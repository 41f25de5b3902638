"""Which column of a file is what: ``questions.csv?answer=label&id=qid&tags=subject,level&group=passage``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from themis.core.errors import BenchmarkError
from themis.core.hashing import hash_json

LONGEST_GROUP = 80
"""Characters of a group's name; what is longer, such as a whole passage, is named by its hash."""

_NUMBER = re.compile(r"[-+]?[0-9]{1,20}(?:\.[0-9]{1,20})?")


@dataclass(frozen=True)
class Columns:
    """Names of columns. ``None``: what a sample needs stands in columns of the usual names, or nowhere.

    The columns of reference and id are taken away, so that no prompt can hold them; those of tags and group
    stay input fields.
    """

    answer: str | None = None
    """The reference."""
    id: str | None = None
    tags: tuple[str, ...] = ()
    """Each gives one tag, or as many as its list holds; a number is told apart by its column: ``level 5``."""
    group: str | None = None

    def __bool__(self) -> bool:
        return self != Columns()

    @property
    def hash(self) -> str:
        """Tells one choice of columns from another: it changes the samples."""
        return hash_json(asdict(self))

    @property
    def names(self) -> Iterator[str]:
        """Every column that is asked for."""
        yield from (name for name in (self.answer, self.id, *self.tags, self.group) if name is not None)

    def check(self, there: Mapping[str, Any] | list[str], where: str) -> None:
        """Raise :class:`BenchmarkError` if a column is not there."""
        missing = next((name for name in self.names if name not in there), None)
        if missing is not None:
            raise BenchmarkError(f"{where} has no column {missing!r}; it has: {', '.join(map(str, there))}.")

    def row(self, raw: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """The row with the names that a sample is made of. Raises :class:`BenchmarkError` as ``check``."""
        if not self:
            return raw
        self.check(raw, where)
        row = dict(raw)
        if self.answer is not None:
            reference = raw[self.answer]
            row.pop(self.answer)
            # A cell cannot be null: an empty one is no reference.
            row["answer"] = None if reference == "" else reference
        if self.id is not None:
            row.pop(self.id, None)
            row["id"] = raw[self.id]
        if self.tags:
            row["tags"] = [tag for name in self.tags for tag in _tags(name, raw[name])]
        if self.group is not None:
            row["group"] = _group(raw[self.group])
        return row


def _tags(column: str, value: Any) -> Iterator[str]:
    if value is None or value == "":
        return
    if isinstance(value, list):
        for each in value:
            yield from _tags(column, each)
    elif isinstance(value, str) and not _NUMBER.fullmatch(value):
        yield value
    else:
        yield f"{column} {value}"


def _group(value: Any) -> str | None:
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST_GROUP else hash_json(text)
