"""A comparison as a document: Markdown, HTML, CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from themis.compare.comparison import Comparison
from themis.compare.error_clusters import error_clusters
from themis.compare.flips import Flips
from themis.compare.report_csv import as_csv
from themis.compare.report_html import as_html
from themis.compare.report_markdown import as_markdown
from themis.core.errors import UsageError


def as_object(comparison: Comparison, *, flips: bool = False) -> dict[str, Any]:
    """The comparison as JSON values, with the counts of flips; with ``flips``, every sample and what errors
    come down to, too."""
    made = comparison.to_dict()
    if flips:
        made["error_clusters"] = [asdict(each) for each in error_clusters(comparison)]
    for pair, said in zip(comparison.pairs, made["pairs"], strict=True):
        each = [Flips(comparison, pair, metric.metric) for metric in pair.metrics]
        said["flips"] = [asdict(one.summary()) for one in each]
        if flips:
            said["samples"] = {one.metric: [flip._asdict() for flip in one.listed()] for one in each}
    return made


def as_json(comparison: Comparison, *, flips: bool = False) -> str:
    """The same as text: ASCII-escaped, so that it is exact and harmless at once."""
    return json.dumps(as_object(comparison, flips=flips), indent=2, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[..., str]] = {
    "md": as_markdown,
    "html": as_html,
    "csv": as_csv,
    "json": as_json,
}
"""Name of a format, which is how its files end, to what writes it."""


def written(comparison: Comparison, wanted: str, *, flips: bool = False) -> str:
    """The document in a format; ``flips``: with the samples that changed.

    Whatever a store holds is harmless in each: no markup, script, link or formula of it takes effect. Raises
    :class:`UsageError` with the formats there are.
    """
    if wanted not in FORMATS:
        raise UsageError(f"There is no format {wanted!r:.60}. There are: {', '.join(FORMATS)}.")
    return FORMATS[wanted](comparison, flips=flips)
