"""The records of a run in a bucket: immutable segments, read side by side, and gathered once it is complete.

A segment is named ``<open>-<writer>-g<number>.jsonl`` (``e`` for evaluations); the order of their names is
that in which records were saved, as far as the current-record rule asks for it. A *gathered* segment has
``z`` and a digest in its name, ``…-g<number>z<digest>.jsonl``, and stands in the place of the last of those
that it replaces: its first line names them, ``{"replaces": [...]}``, and the rest are their lines as they
were. Until those are deleted each record is there twice, which changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple

from themis.backends.storage.s3_bucket import Bucket, Listed, Read, Unmet
from themis.core import codec
from themis.core.current import Rank, identity, rank
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import StorageError, StoreCorrupt

MEGABYTE = 1 << 20
MOST_AHEAD, MOST_BYTES_AHEAD = 8, 32 * MEGABYTE
"""Segments, and bytes of them, that are fetched before they are looked at."""
SMALL_RUN = 16 * MEGABYTE
"""Bytes of records of one kind that are read at once rather than twice."""
GATHERED = 16 * MEGABYTE
"""Bytes to which small segments are gathered."""
WORTH = 8
"""Objects that there have to be fewer for it to be worth the requests."""
RESTARTS = 20
"""How often reading begins anew because segments were gathered under it."""

_NAME = re.compile(r"(\d{6,12})-([0-9a-f]{4,32})-([ge])(\d{6,12})(z[0-9a-f]{16})?\.jsonl")
_LETTERS = {GenerationRecord: "g", EvaluationRecord: "e"}
_USUAL: Rank = (1, True, 1)


class Segment(NamedTuple):
    """One object of records, by what its name says."""

    place: tuple[int, str, int, str]
    """Where it stands in the order of saving."""
    name: str
    key: str
    size: int

    @property
    def gathered(self) -> bool:
        """Whether it stands for others."""
        return self.place[3] != ""


class _Gone(Exception):
    """A segment that was listed is not there any more: the run was gathered meanwhile, or deleted."""


class Segments:
    """Reading and gathering the segments below one key."""

    def __init__(self, bucket: Bucket, folder: str, run: str, pool: Callable[[], Executor]) -> None:
        """``folder``: what their keys begin with. ``run``: which run of its id; others' are passed over."""
        self._bucket = bucket
        self._folder = folder
        self._run = run
        self._pool = pool
        self.known: list[Listed] | None = None
        """What is there, where that was listed just now; the next look lists it anew."""

    def of(self, kind: type) -> list[Segment]:
        """Those of one kind, in order."""
        known, self.known = self.known, None
        listed = self._bucket.listed(self._folder, "list segments") if known is None else known
        return sorted(each for each in (self._segment(one, _LETTERS[kind]) for one in listed) if each)

    def load(self, kind: type) -> Iterator[Any]:
        """All records of a kind, superseded ones too, in order. Holds them all."""
        for _ in range(RESTARTS):
            try:
                return iter([record for records in self._records(self.of(kind), kind) for record in records])
            except _Gone:
                continue
        raise self._restless()

    def iterate(self, kind: type, current: Callable[[Iterable[Any]], Iterable[Any]]) -> Iterator[Any]:
        """The current records one by one. A large run is read twice, and never held."""
        given: set[str] = set()
        for _ in range(RESTARTS):
            segments = self.of(kind)
            try:
                if sum(each.size for each in segments) <= SMALL_RUN:
                    records = [each for some in self._records(segments, kind) for each in some]
                    for record in current(records):
                        if identity(record) not in given:
                            yield record
                    return
                for record in self._current(segments, kind):
                    if identity(record) not in given:
                        given.add(identity(record))
                        yield record
                return
            except _Gone:
                continue
        raise self._restless()

    def _current(self, segments: list[Segment], kind: type) -> Iterator[Any]:
        """One pass finds which record of each identity counts, the other yields it."""
        places: dict[str, int] = {}
        unusual: dict[str, Rank] = {}  # nearly all records are a first attempt that was answered
        for place, record in enumerate(each for some in self._records(segments, kind) for each in some):
            key, its_rank = identity(record), rank(record)
            if key not in places or its_rank >= unusual.get(key, _USUAL):
                places[key] = place
                if its_rank != _USUAL or key in unusual:
                    unusual[key] = its_rank
        for place, record in enumerate(each for some in self._records(segments, kind) for each in some):
            if places.get(identity(record)) == place:
                yield record

    def _records(self, segments: list[Segment], kind: Any) -> Iterator[list[Any]]:
        for segment, read in self._read(segments):
            where = f"{segment.key} in {self._bucket.place}"
            lines, first_line = read.body, 1
            if segment.gathered:
                lines, first_line = lines[lines.find(b"\n") + 1 :], 2
            records, torn = codec.decode_lines(lines, kind, where, first_line)
            if torn:  # none is ever written so: somebody cut the object itself
                raise StoreCorrupt(f"{where} ends in the middle of a line.")
            yield records

    def _read(self, segments: list[Segment]) -> Iterator[tuple[Segment, Read]]:
        """Segments of this run with their bytes, in order; a few are fetched ahead."""
        waiting: deque[tuple[Segment, Future[Read | None]]] = deque()
        coming = iter(segments)
        ahead = 0
        more = next(coming, None)
        try:
            while waiting or more is not None:
                while more is not None and (
                    not waiting or (len(waiting) < MOST_AHEAD and ahead + more.size <= MOST_BYTES_AHEAD)
                ):
                    waiting.append((more, self._pool().submit(self._bucket.get, more.key, "read records")))
                    ahead += more.size
                    more = next(coming, None)
                segment, future = waiting.popleft()
                read = future.result()
                ahead -= segment.size
                if read is None:
                    raise _Gone
                if not (read.run and self._run and read.run != self._run):
                    yield segment, read
        finally:
            for _, future in waiting:
                future.cancel()

    def _segment(self, listed: Listed, letter: str) -> Segment | None:
        name = listed.key[len(self._folder) :]
        parts = _NAME.fullmatch(name)
        if parts is None or parts[3] != letter:
            return None
        place = int(parts[1]), parts[2], int(parts[4]), parts[5] or ""
        return Segment(place, name, listed.key, listed.size)

    def _restless(self) -> StorageError:
        return StorageError(
            f"{self._bucket.place}: {self._folder} changed {RESTARTS} times while it was read."
        )

    # Gathering

    def gather(self, kind: type) -> int:
        """Put many small segments together; returns how many objects fewer there are.

        Only for a run that nobody writes any more. Cut short anywhere, it leaves every record there, and the
        next time goes on with it.
        """
        try:
            return self._gather(kind)
        except _Gone:
            return 0  # another gathers them, or deletes the run

    def _gather(self, kind: type) -> int:
        segments = self._without_replaced(self.of(kind))
        groups = [each for each in _groups(segments) if len(each) > 1]
        fewer = sum(len(each) - 1 for each in groups)
        if fewer < WORTH:
            return 0
        for group in groups:
            self._put_together(group)
        return fewer

    def _without_replaced(self, segments: list[Segment]) -> list[Segment]:
        """Delete what a gathering that was cut short had replaced already; returns the rest."""
        there = {each.name: each for each in segments}
        replaced: list[str] = []
        for segment in segments:
            if segment.gathered:
                read = self._bucket.get(segment.key, "read records")
                replaced += [] if read is None else [each for each in _replaced(read.body) if each in there]
        if replaced:
            self._bucket.delete([there[each].key for each in replaced], "delete gathered segments")
        gone = set(replaced)
        return [each for each in segments if each.name not in gone]

    def _put_together(self, group: list[Segment]) -> None:
        # Those of an earlier run of the same id are passed over, and stay as they are.
        found = list(self._read(group))
        if len(found) < 2:
            return
        segments = [segment for segment, _ in found]
        names = [each.name for each in segments]
        lines = [_lines_of(segment, read) for segment, read in found]
        body = json.dumps({"replaces": names}).encode() + b"\n" + b"".join(lines)
        # Named after what it holds, so that two who do the same make one object.
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
        stem = segments[-1].name.removesuffix(".jsonl").partition("z")[0]
        key = f"{self._folder}{stem}z{digest}.jsonl"
        try:
            self._bucket.put(key, body, "gather segments", run=self._run, if_absent=True)
        except Unmet:
            # Another did it, or this one before it was killed: the same name is the same bytes. But servers
            # have been known to say so of what is not there, and these are the only copy.
            if self._bucket.head(key, "gather segments") is None:
                return
        self._bucket.delete([each.key for each in segments if each.key != key], "delete gathered segments")


def _groups(segments: list[Segment]) -> Iterator[list[Segment]]:
    """Neighbours that together are not too large."""
    group: list[Segment] = []
    size = 0
    for segment in segments:
        if group and size + segment.size > GATHERED:
            yield group
            group, size = [], 0
        group.append(segment)
        size += segment.size
    if group:
        yield group


def _lines_of(segment: Segment, read: Read) -> bytes:
    return read.body[read.body.find(b"\n") + 1 :] if segment.gathered else read.body


def _replaced(body: bytes) -> list[str]:
    try:
        names = json.loads(body[: body.find(b"\n") + 1])["replaces"]
    except (ValueError, KeyError, TypeError):
        return []
    return [each for each in names if isinstance(each, str)] if isinstance(names, list) else []
