"""Metrics that compare texts."""

from __future__ import annotations

import functools
from typing import Any

from themis.metrics.base import Metric, Score

NO_REFERENCE = "the sample has no reference"


@functools.lru_cache(maxsize=256)
def normalised(text: str) -> str:
    """Text as it is compared: case folded, white space single, no white space or full stop at the end."""
    return _spaced(text).rstrip(".")


@functools.lru_cache(maxsize=256)
def _spaced(text: str) -> str:
    return " ".join(text.casefold().split())


class ExactMatch(Metric):
    """1 if the whole answer equals the reference, or one of several, once both are normalised."""

    name = "ExactMatch"

    def score(self, response: str, reference: Any) -> Score:
        if reference is None:
            return _UNSCORED
        answer = normalised(response)
        if type(reference) is str:
            return _RIGHT if answer == normalised(reference) else _WRONG
        return _RIGHT if answer in _wanted(reference) else _WRONG


class Includes(Metric):
    """1 if the reference, or one of several, stands anywhere in the answer once both are normalised.

    An empty reference stands in every answer, and so is none.
    """

    name = "Includes"
    version = "2"

    def score(self, response: str, reference: Any) -> Score:
        if reference is None:
            return _UNSCORED
        if type(reference) is str:
            text = _part(reference)
            return _EMPTY if not text else _RIGHT if text in _spaced(response) else _WRONG
        references = reference if isinstance(reference, list) else [reference]
        wanted = [text for text in map(_part, references) if text]
        if references and not wanted:
            return _EMPTY
        answer = _spaced(response)
        return _RIGHT if any(text in answer for text in wanted) else _WRONG


_RIGHT, _WRONG, _UNSCORED = Score(1), Score(0), Score(None, NO_REFERENCE)
_EMPTY = Score(None, "the reference is empty")


def _part(reference: Any) -> str:
    """What should stand in the answer; full stops only where there is nothing else."""
    text = reference if type(reference) is str else str(reference)
    return normalised(text) or _spaced(text)


def _wanted(reference: Any) -> list[str]:
    return [normalised(str(each)) for each in (reference if isinstance(reference, list) else [reference])]
