"""BLEU of sentences."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import sacrebleu

from tests.metrics.hostile import HOSTILE, scored
from themis.core.errors import UsageError
from themis.metrics import open_metrics
from themis.metrics.bleu import BLEU


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("the cat sat on the mat", "the cat sat on the mat"),
        ("the cat is on a mat", "the cat sat on the mat"),
        ("the cat", ["a dog", "the cat sat"]),
        ("", "the cat"),
        ("the cat", ""),
    ],
)
def test_it_is_sacrebleus_own_figure(answer: str, reference: Any) -> None:
    references = reference if isinstance(reference, list) else [reference]
    theirs = sacrebleu.sentence_bleu(answer, references, use_effective_order=True).score
    assert BLEU().score(answer, reference).value == pytest.approx(theirs / 100)


def test_a_perfect_answer_scores_1_and_no_more() -> None:
    assert BLEU().score("the cat sat on the mat", "the cat sat on the mat").value == 1


def test_the_version_is_the_signature() -> None:
    (metric,) = open_metrics(["BLEU?tokenize=char&lowercase=yes"])
    assert metric.version == f"2 case:lc|eff:yes|tok:char|smooth:exp|version:{sacrebleu.__version__}"
    assert metric.score("THE CAT", "the cat").value == pytest.approx(1)
    assert pickle.loads(pickle.dumps(metric)).version == metric.version


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="There are: 13a"):
        BLEU(tokenize="flores200")


@pytest.mark.parametrize("reference", [None, []])
def test_without_a_reference_there_is_no_score(reference: Any) -> None:
    assert BLEU().score("x", reference).value is None


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_answer_takes_long(kind: str) -> None:
    scored(BLEU(), HOSTILE[kind], "the cat sat on the mat " * 20)
