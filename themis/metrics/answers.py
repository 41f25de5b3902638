"""Where in an answer the answer stands: near the end, after the thoughts."""

from __future__ import annotations

READ_CHARACTERS = 20_000
"""Characters from the end in which a final answer is looked for."""

_THOUGHTS_END = "</think>"


def last_part(text: str) -> str:
    """The end of an answer, without the thoughts that a reasoning model writes before it."""
    end = text[-READ_CHARACTERS:]
    return end.rpartition(_THOUGHTS_END)[2] or end
