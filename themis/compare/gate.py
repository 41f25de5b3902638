"""A gate for changes: is a run surely no more than so much worse than a baseline?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree

from themis.compare.comparison import ZERO, Comparison, MetricComparison
from themis.compare.entry import compare_runs
from themis.compare.source import Run
from themis.compare.verdict import NOT_COMPARABLE, SAME, amount, bare
from themis.core.errors import UsageError
from themis.core.safe_text import safe_text

PASSED, FAILED, CANNOT_TELL = "passed", "failed", "cannot tell"


@dataclass(frozen=True)
class GatedMetric:
    """One metric at the gate."""

    metric: str
    word: str
    """``passed``, ``failed`` or ``cannot tell``."""
    text: str
    difference: float | None
    low: float | None
    high: float | None
    """Of the interval that decides, see :func:`gate`."""
    n: int


@dataclass(frozen=True)
class Gate:
    """What became of a run at the gate."""

    word: str
    text: str
    baseline: str
    candidate: str
    max_drop: float
    metrics: list[GatedMetric]
    comparison: Comparison

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        own = {name: getattr(self, name) for name in ("word", "text", "baseline", "candidate", "max_drop")}
        metrics = [asdict(each) for each in self.metrics]
        return {**own, "metrics": metrics, "comparison": self.comparison.to_dict()}


def gate(
    run: Run,
    *,
    baseline: Run,
    max_drop: float = 0.02,
    metrics: Sequence[str] | None = None,
    errors: str = ZERO,
    confidence: float = 0.95,
    force: bool = False,
    seed: int = 0,
    storage: str | None = None,
) -> Gate:
    """Hold a run against a baseline over the samples that both have.

    It passes when the whole interval of the paired difference lies above ``-max_drop``, fails when the whole
    interval lies below it, and cannot be told otherwise: the two one-sided questions of a non-inferiority
    test (Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15:657). With several metrics each has to
    pass, and the chance of a wrong answer, one minus ``confidence``, is divided among them (Bonferroni).

    ``metrics``: the headline metric if not given. Errors count zero if not told otherwise: a change that
    makes answers fail is no better for it. Raises what :func:`themis.compare.compare_runs` does.
    """
    if not max_drop >= 0:
        raise UsageError(f"max_drop={max_drop!r} has to be 0 or more: 0.02 is two points of a hundred.")
    level = 1 - (1 - confidence) / max(1, len(dict.fromkeys(metrics or [])))
    comparison = compare_runs(
        [baseline, run],
        metrics=metrics,
        errors=errors,
        confidence=level,
        force=force,
        seed=seed,
        storage=storage,
    )
    (pair,) = comparison.pairs
    shown = pair.metrics if metrics else pair.metrics[:1]
    gated = [_gated(each, max_drop) for each in shown]
    missing = [name for name in metrics or [] if name not in {each.metric for each in shown}]
    gated += [
        GatedMetric(name, CANNOT_TELL, f"cannot tell: not both have {name}", None, None, None, 0)
        for name in missing
    ]
    unfinished = [each for each in pair.guard.differs if each.what.startswith("status")]
    word = _together([each.word for each in gated])
    text = "; ".join(each.text for each in gated) or pair.verdict.text
    if unfinished and word == PASSED:
        word, text = CANNOT_TELL, f"cannot tell: a run is not completed; so far {text}"
    return Gate(word, text, pair.baseline, pair.candidate, max_drop, gated, comparison)


def _gated(metric: MetricComparison, max_drop: float) -> GatedMetric:
    word, why = _decided(metric, max_drop)
    allowed = amount(max_drop, metric.points).removeprefix("+")
    found = "" if metric.difference is None else f" {amount(metric.difference, metric.points)}"
    if metric.low is not None and metric.high is not None:
        found += f" ({bare(metric.low, metric.points)} to {bare(metric.high, metric.points)})"
    text = f"{word}: {metric.metric}{found}; {why}, allowed is a drop of {allowed}"
    return GatedMetric(metric.metric, word, text, metric.difference, metric.low, metric.high, metric.n)


def _decided(metric: MetricComparison, max_drop: float) -> tuple[str, str]:
    if metric.verdict.word == NOT_COMPARABLE:
        return CANNOT_TELL, metric.verdict.text
    if metric.verdict.word == SAME and metric.low is None:
        return PASSED, "equal on every sample"
    if any(note.startswith("too few groups") for note in metric.notes):
        return CANNOT_TELL, "too few groups"
    if metric.low is None or metric.high is None:
        return CANNOT_TELL, "too few samples"
    if metric.low >= -max_drop:
        return PASSED, "surely within the limit"
    if metric.high < -max_drop:
        return FAILED, "surely beyond the limit"
    return CANNOT_TELL, f"{metric.n:,} samples do not decide it"


def _together(words: list[str]) -> str:
    if FAILED in words:
        return FAILED
    return PASSED if words and set(words) == {PASSED} else CANNOT_TELL


def as_junit(decided: Gate) -> str:
    """The gate as JUnit XML: a test case for each metric; what cannot be told is an error."""
    failures = sum(each.word == FAILED for each in decided.metrics)
    errors = sum(each.word == CANNOT_TELL for each in decided.metrics)
    whole_run = decided.word == CANNOT_TELL and not failures and not errors
    suite = ElementTree.Element(
        "testsuite",
        name="themis gate",
        tests=str(len(decided.metrics) + whole_run),
        failures=str(failures),
        errors=str(errors + whole_run),
    )
    against = f"{decided.candidate} against {decided.baseline}"
    cases = [(each.metric, each.word, each.text) for each in decided.metrics]
    for name, word, text in cases + ([("run", decided.word, decided.text)] if whole_run else []):
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(against), name=_xml(name))
        if word != PASSED:
            kind = "failure" if word == FAILED else "error"
            ElementTree.SubElement(case, kind, message=_xml(text), type=word).text = _xml(text)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return safe_text(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
