"""How a sample reads as a line of a list, and as passages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.runs.samples import ERROR, PARTLY, RIGHT, WRONG, SampleRow
from themis_tui import figures
from themis_tui.glyphs import VERDICT
from themis_tui.widgets.columns import Cell, Column, cell
from themis_tui.widgets.reader import Passage

TONES = {"right": "dim", "partly": "accent", "wrong": "plain", "error": "bad", "unscored": "faint"}

MOST_EXTRACTED = 80
"""Characters of what a metric takes for the answer; more is a judge's reason."""

SHOWS = ("all", "wrong", "errors")
"""What ``f`` goes through."""


def columns() -> list[Column[SampleRow]]:
    """The columns of a run's samples."""
    return [
        Column(
            "SAMPLE",
            _id,
            12,
            grow=True,
            most=30,
            tail=True,
            order=lambda row: row.id,
        ),
        Column("RESULT", _verdict, 10, order=lambda row: row.verdict),
        Column("SCORE", _score, 6, right=True, order=lambda row: row.score),
        Column("ANSWER", _answer, 14, grow=True, most=90, order=lambda row: row.answer),
        Column("REFERENCE", _reference, 10, grow=True, most=50, rank=2, order=lambda row: row.reference),
        Column("LATENCY", _latency, 8, right=True, rank=3, order=lambda row: row.latency_s, down=True),
        Column("TOKENS", _tokens, 7, right=True, rank=4, order=lambda row: row.output_tokens, down=True),
    ]


def shows(name: str) -> Callable[[SampleRow], bool]:
    """The test behind one of ``SHOWS``."""
    if name == "wrong":
        return lambda row: row.verdict in (WRONG, PARTLY)
    if name == "errors":
        return lambda row: row.verdict == ERROR
    return lambda row: True


def holds(words: str) -> Callable[[SampleRow], bool]:
    """Whether every word stands in id, answer, reference, error or verdict."""
    wanted = words.casefold().split()

    def test(row: SampleRow) -> bool:
        texts = [
            text.casefold() for text in (row.id, row.answer, row.reference, row.error, row.verdict) if text
        ]
        return all(any(word in text for text in texts) for word in wanted)

    return test


def is_wrong(row: SampleRow) -> bool:
    """Whether a person looking for mistakes wants to see it."""
    return row.verdict != RIGHT


def next_wrong(rows: Sequence[SampleRow], place: int, step: int) -> int | None:
    """Where the nearest wrong sample is, forwards or back, round the end; ``None`` if there is no other."""
    count = len(rows)
    order = ((place + step * far) % count for far in range(1, count))
    return next((each for each in order if is_wrong(rows[each])), None)


def passages(generation: GenerationRecord, evaluation: EvaluationRecord | None) -> list[Passage]:
    """One sample whole."""
    found = [*prompted(generation.prompt)]
    if generation.error is not None:
        error = generation.error
        kind, stage = error.get("kind"), error.get("stage")
        found.append(Passage(str(error.get("message") or kind), f"error: {kind}", f"while: {stage}", "bad"))
    if generation.response is not None:
        found.append(Passage(generation.response or "(an empty answer)", "response", answered(generation)))
    if evaluation is not None:
        found.append(wanted_passage(evaluation))
        found.append(Passage(scored(evaluation), "scores", f"attempt {evaluation.attempt}"))
    found.append(Passage(_timing(generation), "timing", tone="dim"))
    return found


def raw(generation: GenerationRecord, evaluation: EvaluationRecord | None) -> list[Passage]:
    """The two records as JSON, escapes and all."""
    found = [Passage(_json(generation.__dict__), "generation record")]
    if evaluation is not None:
        found.append(Passage(_json(evaluation.__dict__), "evaluation record"))
    return found


def as_text(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, default=str)


def prompted(prompt: Any) -> list[Passage]:
    """What was asked, message by message."""
    if isinstance(prompt, str):
        return [Passage(prompt, "prompt")]
    messages = prompt if isinstance(prompt, list) else [prompt]
    return [
        Passage(as_text(each.get("content")), f"prompt: {each.get('role')}")
        if isinstance(each, dict)
        else Passage(as_text(each), "prompt")
        for each in messages
    ]


def answered(generation: GenerationRecord) -> str:
    """What an answer took, and why it ended."""
    usage, timing = generation.usage or {}, generation.timing or {}
    said = []
    if usage.get("output_tokens") is not None:
        count = usage["output_tokens"]
        said.append(f"{count} token{'' if count == 1 else 's'}")
    if timing.get("model_s") is not None:
        said.append(figures.seconds(timing["model_s"]))
    if generation.finish_reason == "length":
        said.append("cut off at the limit")
    elif generation.finish_reason:
        said.append(generation.finish_reason)
    return " · ".join(said)


def wanted_passage(evaluation: EvaluationRecord) -> Passage:
    """The reference; above it what each metric took for the answer, so that the two can be compared."""
    reference = as_text(evaluation.reference)
    taken = [(f"read by {name}", text) for name, text in extracted(evaluation).items()]
    if not taken or "\n" in reference:
        said = [f"{what}   {text}" for what, text in taken]
        return Passage("\n".join([*said, reference]), "reference")
    wide = max(len(what) for what, _ in taken)
    said = [f"{what:<{wide}}   {text}" for what, text in [*taken, ("reference", reference)]]
    return Passage("\n".join(said), "answer and reference")


def extracted(evaluation: EvaluationRecord) -> dict[str, str]:
    """Metric to what it took for the answer, of those that say so and gave a score."""
    return {
        name: detail
        for name, detail in evaluation.details.items()
        if isinstance(detail, str)
        and len(detail) <= MOST_EXTRACTED
        and "\n" not in detail
        and evaluation.scores.get(name) is not None
    }


def scored(evaluation: EvaluationRecord) -> str:
    """Metrics, one on each line."""
    wide = max((len(name) for name in evaluation.scores), default=0)
    shown = extracted(evaluation)
    said = []
    for name, value in evaluation.scores.items():
        detail = None if name in shown else evaluation.details.get(name)
        number = figures.NONE if value is None else f"{float(value):g}"
        if not isinstance(detail, dict):
            said.append(f"{name:<{wide}}   {number}" + ("" if detail is None else f"   {as_text(detail)}"))
            continue
        said.append(f"{name:<{wide}}   {number}")
        said += [f"{'':<{wide}}   {_item(item)}   {key}" for key, item in detail.items()]
    return "\n".join(said) or "(no metric)"


def _item(value: Any) -> str:
    if isinstance(value, bool):
        return VERDICT["right" if value else "wrong"]
    return as_text(value)


def _timing(generation: GenerationRecord) -> str:
    timing = generation.timing or {}
    names = (("queue_s", "queued"), ("wait_s", "waited"), ("model_s", "model"))
    said = [f"{name} {figures.seconds(timing[key])}" for key, name in names if key in timing]
    return "   ".join(said) or "(unknown)"


def _id(row: SampleRow) -> Cell:
    return cell(row.id, "dim")


def _verdict(row: SampleRow) -> Cell:
    return cell(f"{VERDICT[row.verdict]} {row.verdict}", TONES[row.verdict])


def _score(row: SampleRow) -> Cell:
    if row.score is None:
        return cell(figures.NONE, "faint")
    return cell(f"{row.score:g}" if row.score in (0, 1) else figures.score(row.score))


def _reference(row: SampleRow) -> Cell:
    return cell(row.reference or figures.NONE, "dim")


def _latency(row: SampleRow) -> Cell:
    return cell(figures.seconds(row.latency_s), "dim")


def _tokens(row: SampleRow) -> Cell:
    return cell(figures.count(row.output_tokens), "dim")


def _answer(row: SampleRow) -> Cell:
    if row.answer is None:
        return cell(row.error or figures.NONE, "bad")
    cut_off = (" cut off" if row.cut_off else "", "accent")
    if row.extracted is None or row.extracted == row.answer:
        return ((row.answer, "plain"), cut_off)
    return ((row.extracted, "plain"), ("   ", "faint"), (row.answer, "faint"), cut_off)
