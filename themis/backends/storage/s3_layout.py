"""Where in a bucket things lie::

    <prefix>/meta/<run_id>            metadata; only blanks until some were saved
    <prefix>/meta/<run_id>~notes      annotations
    <prefix>/meta/<run_id>~deleting   nothing in it; the run is hidden, and being deleted
    <prefix>/index.json               what listings know, proved by the ETags of meta/ (s3_index.py)
    <prefix>/data/<run_id>/<open>-<writer>-g<number>.jsonl, -e<number>.jsonl, report.json
    <prefix>/lease/<run_id>, <prefix>/control/<run_id>/…
    <prefix>/.themis-probe            nothing in it; tells whether the server keeps conditions

``meta/`` is flat, so that one request lists a thousand runs. ``~`` is in no run id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from themis.core.errors import UsageError
from themis.core.run_ids import is_run_id

NOTES, DELETING = "~notes", "~deleting"

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]|arn:[\w:/.-]{10,200}")
_LONGEST_PREFIX = 512


class RunObjects(NamedTuple):
    """The ETags of a run's small documents, as a listing of ``meta/`` brings them."""

    etag: str
    notes: str | None = None


class Layout:
    """The keys of a store."""

    def __init__(self, bucket: str, prefix: str) -> None:
        """Raises :class:`UsageError` for names that cannot be."""
        if not _BUCKET.fullmatch(bucket):
            raise UsageError(
                f"{bucket!r:.100} cannot be a bucket: it has 3 to 63 letters, digits, dots and dashes."
            )
        self.prefix = _checked_prefix(prefix)
        self._base = f"{self.prefix}/" if self.prefix else ""
        self.metas = f"{self._base}meta/"
        self.index = f"{self._base}index.json"
        self.probe = f"{self._base}.themis-probe"

    def meta(self, run_id: str) -> str:
        """Of a run's metadata."""
        return f"{self.metas}{run_id}"

    def notes(self, run_id: str) -> str:
        """Of what people say of it."""
        return f"{self.metas}{run_id}{NOTES}"

    def deleting(self, run_id: str) -> str:
        """Of the mark that it is being deleted."""
        return f"{self.metas}{run_id}{DELETING}"

    def data(self, run_id: str) -> str:
        """What the keys of its records and report begin with."""
        return f"{self._base}data/{run_id}/"

    def report(self, run_id: str) -> str:
        """Of its report."""
        return f"{self.data(run_id)}report.json"

    def lease(self, run_id: str) -> str:
        """Of who is running it."""
        return f"{self._base}lease/{run_id}"

    def control(self, run_id: str) -> str:
        """What the keys of messages to its runner begin with."""
        return f"{self._base}control/{run_id}/"

    def sorted_out(self, listed: Iterable[tuple[str, str]]) -> tuple[dict[str, RunObjects], set[str]]:
        """The runs there are, and the ids of those being deleted, from keys below ``meta/`` and ETags."""
        etags, notes, deleting = {}, {}, set()
        for key, etag in listed:
            name, mark, rest = key[len(self.metas) :].partition("~")
            if not is_run_id(name):
                continue
            if not mark:
                etags[name] = etag
            elif mark + rest == NOTES:
                notes[name] = etag
            elif mark + rest == DELETING:
                deleting.add(name)
        runs = {
            each: RunObjects(etag, notes.get(each)) for each, etag in etags.items() if each not in deleting
        }
        return runs, deleting


def _checked_prefix(prefix: str) -> str:
    parts = prefix.strip("/").split("/")
    wrong = not prefix.isprintable() or len(prefix) > _LONGEST_PREFIX
    if wrong or (parts != [""] and any(part in ("", ".", "..") for part in parts)):
        raise UsageError(f"{prefix!r:.100} cannot be a prefix: it is a path such as 'team/evals'.")
    return "/".join(parts)
