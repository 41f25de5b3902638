"""How many words an answer shares with its reference."""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import Any

from themis.metrics.base import Metric, Score
from themis.metrics.text import NO_REFERENCE

MOST_CHARACTERS = 2_000_000
"""Characters of answer and reference that are read."""

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class TokenF1(Metric):
    """F1 of the words of the answer and of the reference; of several references, the best.

    Words are compared as in SQuAD: lower case, without punctuation and English articles. From: Rajpurkar,
    Zhang, Lopyrev, Liang, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP 2016,
    section 6.1. Where both have no words left, they agree.
    """

    name = "TokenF1"
    version = "2"

    def score(self, response: str, reference: Any) -> Score:
        references = reference if isinstance(reference, list) else [reference]
        if reference is None or not references:
            return Score(None, NO_REFERENCE)
        words = squad_words(response)
        scored = [(_f1(words, squad_words(str(each))), str(each)) for each in references]
        (f1, shared), best = max(scored, key=lambda each: each[0][0])
        return Score(f1, f"{shared} of {len(words)} words are in {best[:200]!r}")


def squad_words(text: str) -> list[str]:
    """The words of a text, of its first 2,000,000 characters, as SQuAD compares them."""
    return _ARTICLES.sub(" ", text[:MOST_CHARACTERS].lower().translate(_PUNCTUATION)).split()


def _f1(answer: list[str], reference: list[str]) -> tuple[float, int]:
    if not answer or not reference:
        return float(answer == reference), 0
    shared = (Counter(answer) & Counter(reference)).total()
    return 2 * shared / (len(answer) + len(reference)), shared
