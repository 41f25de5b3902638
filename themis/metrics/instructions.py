"""Whether an answer does what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from themis.metrics.base import Metric, Score
from themis.metrics.instruction_kinds import KINDS, is_followed
from themis.metrics.text import NO_REFERENCE


class InstructionsFollowed(Metric):
    """1 if the answer follows all instructions of its sample: IFEval's strict accuracy by prompt.

    The detail says of each whether it was followed. A reference is the sample's ``{"instruction_id_list":
    [kind, …], "kwargs": [{…}, …]}``, where an argument that is ``None`` counts as not given. With
    ``loose``, an instruction is followed if the answer follows it without its first line, its last, both,
    or its asterisks. Kinds and rules: :mod:`themis.metrics.instruction_kinds`.
    """

    name = "InstructionsFollowed"

    def __init__(self, loose: bool = False) -> None:
        self.loose = loose
        self.version = f"1 langdetect {version('langdetect')}"

    @property
    def params(self) -> dict[str, Any]:
        return {"loose": self.loose}

    def score(self, response: str, reference: Any) -> Score:
        if reference is None:
            return Score(None, NO_REFERENCE)
        instructions = _instructions(reference)
        if isinstance(instructions, str):
            return Score(None, instructions)
        answers = list(_loosened(response)) if self.loose else [response]
        followed: dict[str, bool] = {}
        for kind, wanted in instructions:
            name = kind if kind not in followed else f"{kind} {len(followed) + 1}"
            followed[name] = any(is_followed(kind, wanted, answer) for answer in answers)
        return Score(int(all(followed.values())), followed)


def _instructions(reference: Any) -> list[tuple[str, dict[str, Any]]] | str:
    """The kinds and arguments asked for, or why that cannot be told."""
    kinds = reference.get("instruction_id_list") if isinstance(reference, dict) else None
    if not isinstance(kinds, list) or not kinds:
        return "the reference has no instruction_id_list"
    unknown = [kind for kind in kinds if not isinstance(kind, str) or kind not in KINDS]
    if unknown:
        return f"there is no kind of instruction {unknown[0]!r:.100}"
    given = reference.get("kwargs") or [{}] * len(kinds)
    if not isinstance(given, list) or len(given) != len(kinds):
        return "the reference has not one kwargs for each instruction"
    return [
        (kind, {name: value for name, value in (wanted or {}).items() if value is not None})
        for kind, wanted in zip(kinds, given, strict=True)
    ]


def _loosened(response: str) -> Iterator[str]:
    """The answer, and what is left of it without what models like to add."""
    lines = response.split("\n")
    for text in (response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))):
        yield text
        yield text.replace("*", "")
