"""A comparison as Markdown, for a pull request or a wiki."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from themis.compare import figures
from themis.compare.comparison import Comparison, PairComparison
from themis.compare.error_clusters import error_clusters
from themis.compare.flips import BROKEN, FIXED, Flips
from themis.core.safe_text import safe_line

MOST_FLIPS = 200
"""Samples listed of those fixed, and of those broken."""

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$@#!{}])")
_FIGURE = re.compile(r"[+-]?[\d.,]+(?: to [+-]?[\d.,]+| ms)?|–|< \.0001")
_TICKS = re.compile("`+")


def as_markdown(comparison: Comparison, *, flips: bool = False) -> str:
    """The whole comparison; with ``flips``, what changed, at most :data:`MOST_FLIPS` of a kind."""
    return "\n".join(_lines(comparison, flips)) + "\n"


def _lines(comparison: Comparison, flips: bool) -> Iterator[str]:
    yield "# Comparison"
    yield ""
    yield f"**{prose(comparison.verdict)}**"
    yield ""
    yield from table(figures.RUN_HEADER, (figures.run_row(each) for each in comparison.runs))
    for pair in comparison.pairs:
        yield from _pair(comparison, pair, flips)
    if flips and any(each.errors for each in comparison.runs):
        yield ""
        yield "## Errors"
        yield ""
        yield from table(("KIND", "MESSAGE", "HOW OFTEN"), figures.error_rows(error_clusters(comparison)))
    yield ""
    yield f"*{prose(figures.footing(comparison))}.*"


def _pair(comparison: Comparison, pair: PairComparison, flips: bool) -> Iterator[str]:
    yield ""
    yield f"## {code(pair.candidate)} against {code(pair.baseline)} (baseline)"
    yield ""
    yield prose(pair.verdict.text)
    yield ""
    differing = list(figures.differing(pair))
    if differing:
        yield from table(("DIFFERS", "BASELINE", "CANDIDATE"), differing)
        yield ""
    yield f"The same: {prose(figures.same_line(pair)) or 'nothing'}."
    if pair.guard.unknown:
        yield f"Not known of both: {', '.join(code(each) for each in pair.guard.unknown)}."
    yield f"{prose(figures.pairing_line(pair))}."
    yield ""
    yield from table(figures.METRIC_HEADER, map(figures.metric_row, pair.metrics))
    yield ""
    for metric in pair.metrics:
        yield f"- {code(metric.metric)}: {prose(figures.power_line(metric))}"
        if metric.other is not None and figures.has_other(metric):
            yield f"  - {prose(figures.other_line(metric, metric.other))}"
    if pair.resources:
        yield ""
        header = ("PER SAMPLE", "BASELINE", "CANDIDATE", "DIFFERENCE", "INTERVAL", "N")
        yield from table(header, figures.resource_rows(pair))
    for metric in pair.metrics:
        yield from _flips(Flips(comparison, pair, metric.metric), flips)


def _flips(flips: Flips, listed: bool) -> Iterator[str]:
    counted = " · ".join(f"{kind} {count:,}" for kind, count in flips.counts.items())
    yield ""
    yield f"Flips by {code(flips.metric)}: {counted}"
    if not listed:
        return
    for kind in (FIXED, BROKEN):
        rows = [
            (each.sample_id, f"{each.baseline:g}", f"{each.candidate:g}", " ".join(each.tags))
            for each in flips.listed(kind, most=MOST_FLIPS)
        ]
        if rows:
            yield ""
            yield from table((kind.upper(), "BASELINE", "CANDIDATE", "TAGS"), rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of texts that are a store's."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(each if _FIGURE.fullmatch(each) else code(each) for each in row)} |"


def code(text: str) -> str:
    """A store's text as code, in which neither markup nor HTML nor a link takes effect."""
    line = safe_line(text).replace("|", "\\|") or " "
    fence = "`" * (max((len(each) for each in _TICKS.findall(line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def prose(text: str) -> str:
    """A sentence with a store's names in it, in which no markup takes effect."""
    line = safe_line(text).replace("://", ": //").replace("www.", "www .")
    return _SPECIAL.sub(r"\\\1", line)
