"""Metrics that compare texts."""

from __future__ import annotations

import functools
from typing import Any

from themis.metrics.base import Metric, Score

NO_REFERENCE = "the sample has no reference"


@functools.lru_cache(maxsize=256)
def normalised(text: str) -> str:
    """Text as it is compared: case folded, white space single, no white space or full stop at the end."""
    return " ".join(text.casefold().split()).rstrip(".")


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
    """1 if the reference, or one of several, stands anywhere in the answer once both are normalised."""

    name = "Includes"

    def score(self, response: str, reference: Any) -> Score:
        if reference is None:
            return _UNSCORED
        answer = normalised(response)
        if type(reference) is str:
            return _RIGHT if normalised(reference) in answer else _WRONG
        return _RIGHT if any(wanted in answer for wanted in _wanted(reference)) else _WRONG


_RIGHT, _WRONG, _UNSCORED = Score(1), Score(0), Score(None, NO_REFERENCE)


def _wanted(reference: Any) -> list[str]:
    return [normalised(str(each)) for each in (reference if isinstance(reference, list) else [reference])]
