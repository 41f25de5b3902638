"""The promise of a place where data are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any


class Place(ABC):
    """Rows as somebody else laid them out, by split."""

    name: str
    """For messages."""
    splits: tuple[str, ...]

    @abstractmethod
    def rows(self, split: str, parts: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
        """The rows of a split, of all parts. Raises :class:`BenchmarkError` for what cannot be read."""
