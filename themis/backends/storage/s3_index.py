"""What listings know of the runs in a bucket: ``index.json``, a cache that is always verified.

One LIST brings the ETags of a thousand runs. A line of the index counts only while the ETags in it are those
of the run's metadata and annotations now; of any other run these are read. So the index may be old, damaged
or gone, and several may write it at once: whoever is slower lets it be.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import msgspec

from themis.backends.storage.base import created_at, summarised, unreadable
from themis.backends.storage.index import Listing
from themis.backends.storage.s3_bucket import Bucket, Read, Unmet
from themis.backends.storage.s3_layout import Layout, RunObjects
from themis.core import codec
from themis.core.errors import StorageError

FEW = 8
"""Runs that are read at once, without a look whether the index has them."""
MANY = 32
"""Runs that the index did not have: then it is written, though they may all change again soon."""
WRITE_EVERY_S = 10.0
"""How often one process writes the index at most, for each megabyte that it has."""
_LIVE = frozenset({"running", "pausing", "paused"})

T = TypeVar("T")
Make = Callable[[bytes | dict[str, Any]], T]


class _Row(NamedTuple):
    objects: RunObjects
    summary: bytes
    created: float


class _Head(msgspec.Struct):
    """What of a summary a listing itself looks at."""

    created_at: Any = None
    status: Any = None


_index = msgspec.json.Decoder(dict[str, tuple[str, str | None, msgspec.Raw]])
_head = msgspec.json.Decoder(_Head)


class S3Index:
    """Summaries of the runs in one bucket, as this process last saw them."""

    def __init__(
        self,
        bucket: Bucket,
        layout: Layout,
        read: Callable[[str, bool], tuple[RunObjects, dict[str, Any]] | None],
        pool: Callable[[], Executor],
    ) -> None:
        """``read``: a run's summary, from its metadata and, where there are any, its annotations, and their
        ETags: those it was made of, which need not be the listed ones."""
        self._bucket = bucket
        self._layout = layout
        self._read = read
        self._pool = pool
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] = {}
        self._etag: str | None = None
        self._looked = False
        self._may_write = True
        self._written_at = float("-inf")
        self._size = 0

    def changed_since(self, stamps: Mapping[str, Any], make: Make[T]) -> Listing[T]:
        """What ``make`` makes of each run that is not as it was at ``stamps``, newest first."""
        rows = self._verified()
        changed = [each for each, row in rows.items() if stamps.get(each) != row.objects]
        changed.sort(key=lambda each: rows[each].created, reverse=True)
        made = (make(rows[each].summary) for each in changed)
        return Listing(made, len(changed), {run_id: row.objects for run_id, row in rows.items()})

    def _verified(self) -> dict[str, _Row]:
        """Every run as it is now."""
        with self._lock:
            asked = None if self._looked else self._pool().submit(self._fetched)
            now = self._runs_now()
            known = self._rows
            missing = [each for each, objects in now.items() if not _is_fresh(known.get(each), objects)]
            if asked is None and len(missing) > FEW:
                asked = self._pool().submit(self._fetched)
            if asked is not None:
                known = {**known, **self._taken(asked, now)}
                missing = [each for each, objects in now.items() if not _is_fresh(known.get(each), objects)]
            read = self._read_anew(missing, now)
            rows = {}
            for each, objects in now.items():
                row = (
                    read.get(each) if each in read or not _is_fresh(known.get(each), objects) else known[each]
                )
                if row is not None:  # deleted since
                    rows[each] = row
            gone = len(self._rows.keys() - rows.keys())
            self._rows = rows
            self._perhaps_write([row for row in read.values() if row is not None], gone)
            return rows

    def _runs_now(self) -> dict[str, RunObjects]:
        listed = self._bucket.listed(self._layout.metas, "list runs")
        return self._layout.sorted_out((each.key, each.etag) for each in listed)[0]

    def _fetched(self) -> Read | None:
        return self._bucket.get(self._layout.index, "read the index", unless=self._etag)

    def _taken(self, asked: Future[Read | None], now: dict[str, RunObjects]) -> dict[str, _Row]:
        """The lines of the index that are as the runs are now."""
        self._looked = True
        read = asked.result()
        if read is None:  # there is none, or it is the one that is known
            return {}
        self._etag, self._size = read.etag, len(read.body)
        rows = {}
        with suppress(msgspec.DecodeError, UnicodeDecodeError):  # damaged: as good as none
            for run_id, (etag, notes, raw) in _index.decode(read.body).items():
                objects = RunObjects(etag, notes)
                if now.get(run_id) == objects:
                    with suppress(msgspec.DecodeError, UnicodeDecodeError):
                        rows[run_id] = _row(objects, bytes(raw))
        return rows

    def _read_anew(self, run_ids: list[str], now: dict[str, RunObjects]) -> dict[str, _Row | None]:
        def read(run_id: str) -> _Row | None:
            found = self._read(run_id, now[run_id].notes is not None)
            return None if found is None else _row(found[0], _encoded(run_id, found[1]))

        if len(run_ids) <= 1:
            return {run_id: read(run_id) for run_id in run_ids}
        return dict(zip(run_ids, self._pool().map(read, run_ids), strict=True))

    def _perhaps_write(self, read: list[_Row], gone: int) -> None:
        settled = sum(_head.decode(row.summary).status not in _LIVE for row in read)
        due = time.monotonic() - self._written_at >= WRITE_EVERY_S * max(1.0, self._size / 1e6)
        if self._may_write and (len(read) >= MANY or (due and (settled or gone))):
            self._write()

    def _write(self) -> None:
        lines = {
            run_id: (row.objects.etag, row.objects.notes, msgspec.Raw(row.summary))
            for run_id, row in self._rows.items()
        }
        body = msgspec.json.encode(lines)
        self._written_at = time.monotonic()
        try:
            self._etag = self._bucket.put(
                self._layout.index,
                body,
                "write the index",
                if_absent=self._etag is None,
                if_match=self._etag,
            )
            self._size = len(body)
        except Unmet:
            self._looked = False  # another was faster: what it knows is worth a look
            self._etag = None
        except StorageError as exc:
            # Whoever only reads may not write it; to all others its loss costs time alone.
            self._may_write = not isinstance(exc, PermissionError)


def _is_fresh(row: _Row | None, objects: RunObjects) -> bool:
    return row is not None and row.objects == objects


def _row(objects: RunObjects, summary: bytes) -> _Row:
    return _Row(objects, summary, created_at({"created_at": _head.decode(summary).created_at}))


def _encoded(run_id: str, summary: dict[str, Any]) -> bytes:
    # A document that was edited by hand may hold what Themis would not have saved.
    try:
        return codec.encode_document(summary)
    except StorageError as exc:
        return codec.encode_document(summarised(run_id, unreadable(exc)))
