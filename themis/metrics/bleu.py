"""BLEU of one answer."""

from __future__ import annotations

from typing import Any

import sacrebleu

from themis.core.errors import UsageError
from themis.metrics.base import Metric, Score
from themis.metrics.text import NO_REFERENCE

MOST_CHARACTERS = 25_000
"""Characters of answer and reference that are read, so that none takes seconds."""
TOKENISERS = ("13a", "char", "intl", "none", "zh")


class BLEU(Metric):
    """Sentence BLEU by sacrebleu, from 0 to 1 (its own figure is 100 times that), over all references.

    From: Papineni, Roukos, Ward, Zhu, "BLEU: a Method for Automatic Evaluation of Machine Translation", ACL
    2002; Post, "A Call for Clarity in Reporting BLEU Scores", WMT 2018. With effective order and
    exponential smoothing, as sacrebleu advises for sentences; the version is its signature. The mean over a
    run is of sentences, and not the BLEU of the corpus. Of each text the first 25,000 characters count.
    """

    name = "BLEU"

    def __init__(self, tokenize: str = "13a", lowercase: bool = False) -> None:
        if tokenize not in TOKENISERS:
            raise UsageError(f"BLEU: there is no tokenize={tokenize!r}. There are: {', '.join(TOKENISERS)}.")
        self.tokenize, self.lowercase = tokenize, lowercase
        self._bleu = sacrebleu.BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True)
        case = "lc" if lowercase else "mixed"
        self.version = f"2 case:{case}|eff:yes|tok:{tokenize}|smooth:exp|version:{sacrebleu.__version__}"

    @property
    def params(self) -> dict[str, Any]:
        return {"tokenize": self.tokenize, "lowercase": self.lowercase}

    def score(self, response: str, reference: Any) -> Score:
        references = [str(each) for each in (reference if isinstance(reference, list) else [reference])]
        if reference is None or not references:
            return Score(None, NO_REFERENCE)
        references = [each[:MOST_CHARACTERS] for each in references]
        scored = self._bleu.sentence_score(response[:MOST_CHARACTERS], references)
        precisions = "/".join(f"{each:.1f}" for each in scored.precisions)
        detail = f"precisions {precisions}, brevity {scored.bp:.3f}"
        # Rounding may take it a little above.
        return Score(min(1.0, scored.score / 100), detail)
