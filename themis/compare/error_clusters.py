"""Errors that are one fault, told together: by kind, and by what they say without its numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from themis.compare.comparison import Comparison

MOST_CLUSTERS = 200
MOST_LISTED = 20
_MOST_MESSAGE = 300

_QUOTED = re.compile(r"'[^']{1,200}'|\"[^\"]{1,200}\"")
_ADDRESS = re.compile(r"\b[a-z]{2,10}://\S+")
_NUMBER = re.compile(r"\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F-]{4,}\b|\d+(?:\.\d+)?")
_SPACE = re.compile(r"\s+")


@dataclass
class ErrorCluster:
    """One fault, and how often each run met it."""

    kind: str
    message: str
    """What was said, with signs in place of addresses, quoted words and numbers."""
    example: str
    """What was said the first time."""
    counts: dict[str, int] = field(default_factory=dict)
    """Address of the run to number of outcomes."""
    sample_ids: dict[str, list[str]] = field(default_factory=dict)
    """Address to the first :data:`MOST_LISTED` samples."""


def error_clusters(comparison: Comparison) -> list[ErrorCluster]:
    """The errors of all runs, the most frequent first.

    Messages lie in the generations: those of a run with errors are read one by one, of others not at all.
    What comes after :data:`MOST_CLUSTERS` faults is told as one.
    """
    clusters: dict[tuple[str, str], ErrorCluster] = {}
    for side in comparison.runs:
        if not side.errors:
            continue
        source, left = comparison.sources[side.address], side.errors
        for record in source.backend.iter_generation_records(source.run_id):
            if record.error is None:
                continue
            said = str(record.error.get("message") or "")[:_MOST_MESSAGE]
            key = str(record.error.get("kind") or "error"), normalised(said)
            if key not in clusters and len(clusters) >= MOST_CLUSTERS:
                key = "others", "other errors"
            cluster = clusters.setdefault(key, ErrorCluster(*key, said))
            cluster.counts[side.address] = cluster.counts.get(side.address, 0) + 1
            listed = cluster.sample_ids.setdefault(side.address, [])
            if len(listed) < MOST_LISTED:
                listed.append(record.id)
            left -= 1
            if not left:
                break
    return sorted(clusters.values(), key=lambda each: -sum(each.counts.values()))


def normalised(message: str) -> str:
    """A message without what makes one fault look like many."""
    text = _ADDRESS.sub("<url>", message)
    text = _QUOTED.sub("'…'", text)
    return _SPACE.sub(" ", _NUMBER.sub("#", text)).strip()
