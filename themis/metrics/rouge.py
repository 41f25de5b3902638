"""ROUGE-L of one answer."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from rouge_score import rouge_scorer, tokenizers

from themis.metrics.base import Metric, Score
from themis.metrics.text import NO_REFERENCE

MOST_WORDS = 800
"""Words compared of each text: the time is that of both together, multiplied."""
MOST_CHARACTERS = 20_000
"""Characters in which these words are looked for."""


class RougeL(Metric):
    """F1 of the longest common subsequence of words, by rouge-score; of several references, the best.

    From: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL 2004. With ``stem``, words
    count as equal that have the same stem in English. Of each text the first 800 words count.
    """

    name = "ROUGE-L"

    def __init__(self, stem: bool = False) -> None:
        self.stem = stem
        self.version = f"2 rouge-score {version('rouge-score')}"
        self._scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=_FirstWords(stem))

    @property
    def params(self) -> dict[str, Any]:
        return {"stem": self.stem}

    def score(self, response: str, reference: Any) -> Score:
        references = [str(each) for each in (reference if isinstance(reference, list) else [reference])]
        if reference is None or not references:
            return Score(None, NO_REFERENCE)
        answer = response[:MOST_CHARACTERS]
        scored = [self._scorer.score(each[:MOST_CHARACTERS], answer)["rougeL"] for each in references]
        best = max(scored, key=lambda each: each.fmeasure)
        return Score(float(best.fmeasure), f"precision {best.precision:.3f}, recall {best.recall:.3f}")


class _FirstWords(tokenizers.DefaultTokenizer):  # type: ignore[misc]  # it has no types
    def tokenize(self, text: str) -> list[str]:
        words: list[str] = super().tokenize(text)
        return words[:MOST_WORDS]
