"""A comparison as one HTML file: no script, nothing loaded, charts drawn in it."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Iterator, Sequence

from themis.compare import figures
from themis.compare.comparison import Comparison, MetricComparison, PairComparison
from themis.compare.error_clusters import error_clusters
from themis.compare.flips import BROKEN, FIXED, Flips
from themis.core.safe_text import safe_line

MOST_FLIPS = 1_000
"""Samples listed of those fixed, and of those broken."""

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;
background:#fff}
table{border-collapse:collapse;margin:.6rem 0}
td,th{padding:.2rem .7rem;border-bottom:1px solid #d8dee4;text-align:left;vertical-align:top;
overflow-wrap:anywhere}
th{font-size:.8em;color:#57606a}
.verdict{font-size:1.2em;font-weight:600;padding:.7rem 1rem;
border-left:.4rem solid #57606a;background:#f6f8fa}
.note{color:#57606a;font-size:.9em}
svg{display:block;margin:.6rem 0;max-width:100%}
details{margin:.6rem 0}
"""
_WIDTH, _ROW, _LABEL, _MARGIN = 760, 26, 220, 90


def as_html(comparison: Comparison, *, flips: bool = False) -> str:
    """The whole comparison; with ``flips``, the samples that changed, at most :data:`MOST_FLIPS` of a kind.

    Its content security policy allows the one style sheet in it and nothing else.
    """
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    body = "\n".join(_body(comparison, flips))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Comparison</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _body(comparison: Comparison, flips: bool) -> Iterator[str]:
    yield "<h1>Comparison</h1>"
    yield f'<p class="verdict">{text(comparison.verdict)}</p>'
    yield from table(figures.RUN_HEADER, (figures.run_row(each) for each in comparison.runs))
    for pair in comparison.pairs:
        yield from _pair(comparison, pair, flips)
    if flips and any(each.errors for each in comparison.runs):
        yield "<h2>Errors</h2>"
        yield from table(("KIND", "MESSAGE", "HOW OFTEN"), figures.error_rows(error_clusters(comparison)))
    yield "<h2>Each run by itself</h2>"
    yield from table(("RUN", "METRIC", "MEAN", "INTERVAL", "BY", "N"), figures.mean_rows(comparison))
    yield f'<p class="note">{text(figures.footing(comparison))}.</p>'


def _pair(comparison: Comparison, pair: PairComparison, flips: bool) -> Iterator[str]:
    yield f"<h2>{text(pair.candidate)} against {text(pair.baseline)} (baseline)</h2>"
    if len(comparison.pairs) > 1:
        yield f'<p class="verdict">{text(pair.verdict.text)}</p>'
    differing = list(figures.differing(pair))
    if differing:
        yield from table(("DIFFERS", "BASELINE", "CANDIDATE"), differing)
    yield f'<p class="note">The same: {text(figures.same_line(pair)) or "nothing"}.</p>'
    if pair.guard.unknown:
        yield f'<p class="note">Not known of both: {text(", ".join(pair.guard.unknown))}.</p>'
    yield f"<p>{text(figures.pairing_line(pair))}.</p>"
    yield from table(figures.METRIC_HEADER, map(figures.metric_row, pair.metrics))
    yield from chart(pair.metrics)
    yield "<ul>"
    for metric in pair.metrics:
        yield f"<li>{text(metric.metric)}: {text(figures.power_line(metric))}"
        if metric.other is not None and figures.has_other(metric):
            yield f"<br>{text(figures.other_line(metric, metric.other))}"
        yield "</li>"
    yield "</ul>"
    if pair.resources:
        header = ("PER SAMPLE", "BASELINE", "CANDIDATE", "DIFFERENCE", "INTERVAL", "N")
        yield from table(header, figures.resource_rows(pair))
    for metric in pair.metrics:
        yield from _flips(Flips(comparison, pair, metric.metric), flips)


def _flips(flips: Flips, listed: bool) -> Iterator[str]:
    counted = " · ".join(f"{kind} {count:,}" for kind, count in flips.counts.items())
    yield f"<p>Flips by {text(flips.metric)}: {text(counted)}</p>"
    for kind in (FIXED, BROKEN) if listed else ():
        rows = [
            (each.sample_id, f"{each.baseline:g}", f"{each.candidate:g}", " ".join(each.tags))
            for each in flips.listed(kind, most=MOST_FLIPS)
        ]
        if rows:
            yield f"<details><summary>{text(kind)}: {len(rows):,} listed</summary>"
            yield from table(("SAMPLE", "BASELINE", "CANDIDATE", "TAGS"), rows)
            yield "</details>"


def chart(metrics: Sequence[MetricComparison]) -> Iterator[str]:
    """Differences with their intervals beside zero, as SVG."""
    drawn = [each for each in metrics if each.difference is not None]
    ends = [end for each in drawn for end in (each.low, each.high, each.difference) if end is not None]
    if not drawn:
        return
    reach = max((abs(each) for each in ends), default=0) or 1.0
    middle = _LABEL + (_WIDTH - _LABEL - _MARGIN) / 2
    scale = (_WIDTH - _LABEL - _MARGIN) / 2 / reach
    height = _ROW * len(drawn) + 30
    said = "; ".join(f"{each.metric} {figures.signed(each.difference)}" for each in drawn)
    yield f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img">'
    yield f"<title>Differences and intervals: {text(said)}</title>"
    bottom = _ROW * len(drawn) + 6
    yield f'<line x1="{middle}" y1="4" x2="{middle}" y2="{bottom}" stroke="#8c959f" stroke-dasharray="3 3"/>'
    for row, each in enumerate(drawn):
        y = _ROW * row + 16
        x = middle + scale * (each.difference or 0)
        yield _words(0, y + 4, each.metric[:28], "start")
        if each.low is not None and each.high is not None:
            left, right = middle + scale * each.low, middle + scale * each.high
            yield _line(left, y, right, y)
            yield _line(left, y - 5, left, y + 5)
            yield _line(right, y - 5, right, y + 5)
        yield f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill="#0969da"/>'
        yield _words(_WIDTH, y + 4, figures.signed(each.difference), "end")
    for at, anchor in ((-reach, "start"), (0.0, "middle"), (reach, "end")):
        yield _words(middle + scale * at, bottom + 16, f"{at:+.3g}" if at else "0", anchor)
    yield "</svg>"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1}" x2="{x2:.1f}" y2="{y2}" stroke="#0969da" stroke-width="2"/>'


def _words(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="13" fill="#1b1f24" text-anchor="{anchor}">'
        f"{text(words)}</text>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of texts that are a store's."""
    yield f"<table><tr>{''.join(f'<th>{text(each)}</th>' for each in header)}</tr>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{text(each)}</td>' for each in row)}</tr>"
    yield "</table>"


def text(of: str) -> str:
    """A store's text, in which nothing takes effect."""
    return html.escape(safe_line(of))
