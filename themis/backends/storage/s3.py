"""Runs in a bucket of S3, or of a server that is like it: for teams without a database.

Records lie in immutable segments that no two writers share (:mod:`.s3_segments`), so that nothing is ever
downloaded to be saved; small documents lie flat under one prefix, so that one request lists a thousand runs
(:mod:`.s3_layout`, :mod:`.s3_index`). A run is told from another of the same id, made after it was deleted,
by a random word noted with each of its objects: what a writer of the old one sends late is never taken for
the new one's.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from themis.backends.storage.annotations import NEVER_SAVED, Annotations
from themis.backends.storage.base import summarised, unreadable, walk_steps
from themis.backends.storage.index import Listing
from themis.backends.storage.journal import Opening
from themis.backends.storage.journalled import JournalledStorage
from themis.backends.storage.s3_bucket import TRIES, Bucket, Read, Seen, Unmet
from themis.backends.storage.s3_check import VERSIONED, BucketCheck
from themis.backends.storage.s3_client import S3Client
from themis.backends.storage.s3_index import S3Index
from themis.backends.storage.s3_layout import Layout, RunObjects
from themis.backends.storage.s3_segments import WORTH, Segments
from themis.backends.storage.updates import Updates
from themis.core import codec
from themis.core.check_step import CheckStep
from themis.core.current import current_evaluations, current_generations
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import Conflict, RunNotFound, StorageError, StoreCorrupt, StoreUnreachable, described
from themis.core.run_ids import checked_run_id

T = TypeVar("T")

AT_ONCE = 16
"""Requests that one backend makes side by side."""
MOST_RACES = 100
"""How often a document is saved anew because others saved theirs in between."""
LOOK_EVERY_S = 10.0
"""How often a writer looks whether somebody began to delete its run."""
_ENDED = frozenset({"completed", "failed", "cancelled"})


class _Run(NamedTuple):
    """A run as it was last seen."""

    metadata: Read

    @property
    def token(self) -> str:
        """What tells it from another of its id."""
        return self.metadata.run


class S3StorageBackend(JournalledStorage, Annotations, Updates):
    """A prefix of a bucket. The bucket has to be there; nothing else has to be made."""

    segment_bytes = 4 << 20
    segment_age_s = 15.0
    metadata_every_s = 2.0

    def __init__(
        self,
        bucket: str,
        prefix: str = "themis-experiments",
        *,
        client: Any = None,
        endpoint_url: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        path_style: bool | None = None,
        journal: bool = True,
        journal_mb: int = 256,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
    ) -> None:
        """Nothing is connected to yet.

        Args:
            bucket: The bucket's name.
            prefix: What all keys begin with: a path, such as team/evals.
            endpoint_url: The server's address, where it is not AWS: https://minio.example.org.
            region: The bucket's region; that of the AWS profile if not given, else us-east-1.
            profile: A profile of ~/.aws/config. Without one the driver looks where it always does:
                AWS_ACCESS_KEY_ID and the like, the default profile, the role of the machine.
            path_style: Whether the bucket stands in the path of addresses, not in the host's name; with an
                endpoint_url it does unless this says otherwise.
            journal: Whether records wait in a journal on this machine until the server has them. Off: a save
                returns when the server has it, which is one object a save.
            journal_mb: Megabytes of records of one run that may wait; then saving waits too.
            connect_timeout: Seconds to wait for a connection.
            read_timeout: Seconds to wait for an answer.

        ``client``: a boto3 client of your own, used as it is. It does not travel: in another process one is
        made for the same address, with the credentials that are found there.

        Raises :class:`UsageError` for a bucket or prefix that cannot be.
        """
        self.bucket = bucket
        self._layout = Layout(bucket, prefix)
        self.prefix = self._layout.prefix
        self._options: dict[str, Any] = {"journal": journal, "journal_mb": journal_mb}
        self._connect_timeout = connect_timeout
        self._connection = S3Client(
            client,
            endpoint_url=endpoint_url or None,
            region=region or None,
            profile=profile or None,
            path_style=path_style,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )
        self._set_up()

    def _set_up(self) -> None:
        place = f"s3://{self.bucket}/{self.prefix}"
        if self._connection.endpoint != "AWS":
            place += f" at {self._connection.endpoint}"
        self._bucket = Bucket(self.bucket, self._connection, place, self._layout.probe)
        self._begin()
        self._set_up_journal(place, **self._options)
        _stores[id(self)] = self

    def _begin(self) -> None:
        """With nothing that only another process can use."""
        self._pool_lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._known: dict[str, Seen] = {}
        self._saving: dict[str, threading.Lock] = {}
        self._segments_seen: dict[str, int] = {}
        self._looked_at: dict[str, float] = {}
        self._told_of_versions = False
        self._index = S3Index(self._bucket, self._layout, self._read_summary, self._pool)

    # Documents

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        self._save_metadata(run_id, metadata, make=True)

    def update_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        self._save_metadata(run_id, metadata, make=False)

    def _save_metadata(self, run_id: str, metadata: dict[str, Any], *, make: bool) -> None:
        body = codec.encode_document(metadata)
        with self._saving.setdefault(checked_run_id(run_id), threading.Lock()):
            token, made = self._put_metadata(run_id, body, make=make)
        opening = self._openings.get(run_id)
        if opening is None or opening.run != token:
            self._opened_as(run_id, Opening(1 if made else self._next_number(run_id), token))
        if metadata.get("status") in _ENDED:
            self._gather(run_id, token)

    def _put_metadata(self, run_id: str, body: bytes, *, make: bool) -> tuple[str, bool]:
        """Save in place of what is there, or ``make`` the run; returns its token, and whether it was made."""
        key = self._layout.meta(run_id)
        seen = self._known.get(run_id)
        if seen is None and not make:  # of others that are not known most are new
            seen = self._bucket.head(key, "save metadata")
        for _ in range(MOST_RACES):
            if not make:
                self._check_held(run_id, seen, self._openings.get(run_id))
            try:
                if seen is None:
                    self._refuse_deleting(run_id)
                    token = os.urandom(8).hex()
                    marked = _marked(body, token)
                    etag = self._bucket.put(key, marked, "save metadata", run=token, if_absent=True)
                else:
                    token = seen.run
                    marked = _marked(body, token)
                    etag = self._bucket.put(key, marked, "save metadata", run=token, if_match=seen.etag)
            except Unmet:
                seen = self._bucket.head(key, "save metadata")
                continue
            self._known[run_id] = Seen(etag, token, "")
            return token, seen is None
        raise Conflict(
            f"{self._bucket.place}: others saved metadata of {run_id!r} {MOST_RACES} times meanwhile."
        )

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        run = self._seen(run_id)
        if run is None or not run.metadata.body:
            raise RunNotFound(f"{self._bucket.place} has no metadata of a run {run_id!r}.")
        return self._metadata_of(run_id, run)

    def _metadata_of(self, run_id: str, run: _Run) -> dict[str, Any]:
        where = f"{self._layout.meta(run_id)} in {self._bucket.place}"
        metadata = _object(run.metadata.body, where)
        codec.check_schema(metadata, where)
        return metadata

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        body, doing = codec.encode_report(report), "save the report"
        opening = self._opening(checked_run_id(run_id))
        key = self._layout.report(run_id)
        for _ in range(MOST_RACES):
            # Before too: a later run of this id may have a report there.
            asked = self._pool().submit(self._bucket.head, key, doing, sure=False)
            self._check_held(run_id, self._bucket.head(self._layout.meta(run_id), doing), opening)
            seen = asked.result()
            match = None if seen is None else seen.etag
            try:
                self._bucket.put(key, body, doing, run=opening.run, if_absent=seen is None, if_match=match)
            except Unmet:
                continue
            self._check_taken(run_id, opening, key)
            return
        raise Conflict(f"{self._bucket.place}: others saved the report of {run_id!r} {MOST_RACES} times.")

    def load_report(self, run_id: str) -> ExperimentReport:
        run = self._checked(run_id)
        key = self._layout.report(run_id)
        read = None if run is None else self._bucket.get(key, "load the report")
        if run is None or read is None or _is_of_another(read, run.token):
            raise RunNotFound(f"{self._bucket.place} has no report of a run {run_id!r}.")
        return codec.decode_report(read.body, f"{key} in {self._bucket.place}")

    def load_annotations(self, run_id: str) -> tuple[dict[str, Any], str]:
        key = self._layout.notes(checked_run_id(run_id))
        asked = self._pool().submit(self._bucket.get, key, "load annotations")
        run = self._there(run_id, "load annotations")
        read = asked.result()
        if read is None or _is_of_another(read, run.run):
            return {}, NEVER_SAVED
        return _object(read.body, f"{key} in {self._bucket.place}"), read.etag

    def save_annotations(self, run_id: str, annotations: dict[str, Any], version: str) -> str:
        body = codec.encode_document(annotations)
        key = self._layout.notes(checked_run_id(run_id))
        run = self._there(run_id, "save annotations")
        match = version
        if version == NEVER_SAVED:
            stray = self._bucket.head(key, "save annotations", sure=False)
            match = stray.etag if stray is not None and _is_of_another(stray, run.run) else NEVER_SAVED
        try:
            etag = self._bucket.put(
                key,
                body,
                "save annotations",
                run=run.run,
                if_absent=match == NEVER_SAVED,
                if_match=match or None,
            )
        except Unmet:
            raise Conflict(f"The annotations of the run {run_id!r} were changed meanwhile.") from None
        self._check_taken(run_id, Opening(1, run.run), key)
        return etag

    # Records

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        segments = self._segments_of(run_id)
        with codec.paused_gc():
            return current_generations(segments.load(GenerationRecord)) if segments else []

    def iter_generation_records(self, run_id: str) -> Iterator[GenerationRecord]:
        segments = self._segments_of(run_id)
        return segments.iterate(GenerationRecord, current_generations) if segments else iter(())

    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        segments = self._segments_of(run_id)
        with codec.paused_gc():
            return current_evaluations(segments.load(EvaluationRecord)) if segments else {}

    def iter_evaluation_records(self, run_id: str) -> Iterator[EvaluationRecord]:
        segments = self._segments_of(run_id)
        if segments is None:
            return iter(())
        return segments.iterate(EvaluationRecord, lambda records: current_evaluations(records).values())

    def _segments_of(self, run_id: str) -> Segments | None:
        """What is read of a run; ``None`` if there is none. Raises for a schema that is too new."""
        self._settle(checked_run_id(run_id))
        # Asked beside the metadata: each waits for the server's answer, and none for the other's.
        asked = self._pool().submit(list, self._bucket.listed(self._layout.data(run_id), "list segments"))
        run = self._checked(run_id)
        if run is None:
            return None
        segments = self._segments(run_id, run.token)
        segments.known = asked.result()
        return segments

    def _segments(self, run_id: str, token: str) -> Segments:
        return Segments(self._bucket, self._layout.data(run_id), token, self._pool)

    def _open_run(self, run_id: str) -> Opening:
        key = self._layout.meta(run_id)
        self._refuse_deleting(run_id)
        for _ in range(MOST_RACES):
            token = os.urandom(8).hex()
            try:
                etag = self._bucket.put(key, _marked(b"", token), "make the run", run=token, if_absent=True)
            except Unmet:
                seen = self._bucket.head(key, "make the run")
                if seen is None:
                    continue
                return Opening(self._next_number(run_id), seen.run)
            self._known[run_id] = Seen(etag, token, "")
            return Opening(1, token)
        raise Conflict(f"{self._bucket.place}: {run_id!r} was made and deleted {MOST_RACES} times meanwhile.")

    def _next_number(self, run_id: str) -> int:
        folder = self._layout.data(run_id)
        numbers = [0]
        for listed in self._bucket.listed(folder, "open the run"):
            number = listed.key[len(folder) :].partition("-")[0]
            if number.isdecimal():
                numbers.append(int(number))
        self._segments_seen[run_id] = len(numbers) - 1
        return 1 + max(numbers)

    def _send(self, run_id: str, opening: Opening, name: str, kind: str, lines: bytes) -> None:
        key = self._layout.data(run_id) + name
        for _ in range(TRIES):
            try:
                self._bucket.put(key, lines, "save records", run=opening.run, if_absent=True)
                break
            except Unmet:
                # Sent before, by this process or one that was killed: the same name is the same bytes. But
                # servers have been known to say so of what is not there.
                if self._bucket.head(key, "save records") is not None:
                    break
        else:
            raise StoreUnreachable(f"{self._bucket.place} says that it has {key}, and it has not.")
        self._check_taken(run_id, opening, key)
        self._segments_seen[run_id] = self._segments_seen.get(run_id, 0) + 1

    def _check_taken(self, run_id: str, opening: Opening, key: str) -> None:
        """Raise :class:`RunNotFound`, and take back what was written, if its run is gone.

        Looked at after writing: a deletion that begins later finds it by itself. One that was begun and cut
        short is seen within :data:`LOOK_EVERY_S`.
        """
        seen = self._bucket.head(self._layout.meta(run_id), "save")
        try:
            self._check_held(run_id, seen, opening)
        except RunNotFound:
            late = self._bucket.head(key, "save", sure=False)
            if late is not None and not _is_of_another(late, opening.run):
                self._bucket.delete([key], "take back what came too late")
            raise

    def _check_held(self, run_id: str, seen: Seen | None, opening: Opening | None) -> None:
        """Raise :class:`RunNotFound` unless the run that was seen is there, and the one that was opened."""
        of_another = seen is not None and opening is not None and _is_of_another(seen, opening.run)
        if seen is None or of_another or self._is_deleting_by_now(run_id):
            self._known.pop(run_id, None)
            raise RunNotFound(f"{self._bucket.place}: {run_id!r} was deleted while it was written to.")

    def _is_deleting_by_now(self, run_id: str) -> bool:
        now = time.monotonic()
        if now - self._looked_at.get(run_id, float("-inf")) < LOOK_EVERY_S:
            return False
        self._looked_at[run_id] = now
        return self._is_deleting(run_id)

    def _gather(self, run_id: str, token: str) -> None:
        """Put the small segments of a run that ended together, where there may be enough of them."""
        if self._segments_seen.get(run_id, 0) < WORTH:
            return
        try:
            self._settle(run_id)
            segments = self._segments(run_id, token)
            for kind in (GenerationRecord, EvaluationRecord):
                segments.gather(kind)
        except StorageError as exc:  # the run is whole without it
            log = logging.getLogger("themis.storage")
            log.warning(
                "%s: segments of %s were not gathered: %s", self._bucket.place, run_id, described(exc)
            )
        else:
            self._segments_seen[run_id] = 0

    # Runs

    def list_runs(self) -> list[str]:
        return sorted(self._listed()[0])

    def _listed(self) -> tuple[dict[str, Any], set[str]]:
        found = self._bucket.listed(self._layout.metas, "list runs")
        runs, deleting = self._layout.sorted_out((each.key, each.etag) for each in found)
        return runs, deleting

    def list_summaries(self) -> Iterator[dict[str, Any]]:
        return self._index.changed_since({}, _summary)

    def changed_since(
        self, stamps: Mapping[str, Any], make: Callable[[bytes | dict[str, Any]], T]
    ) -> Listing[T]:
        """What ``make`` makes of the summary of each run that changed, see :class:`.s3_index.S3Index`."""
        return self._index.changed_since(stamps, make)

    def _read_summary(self, run_id: str, has_notes: bool) -> tuple[RunObjects, dict[str, Any]] | None:
        read = self._read_metadata(run_id, "list runs")
        if read is None:
            return None
        try:
            metadata = (
                _object(read.body, f"{self._layout.meta(run_id)} in {self._bucket.place}")
                if read.body
                else {}
            )
        except StoreCorrupt as exc:
            metadata = unreadable(exc)
        notes = self._bucket.get(self._layout.notes(run_id), "list runs") if has_notes else None
        apart = None
        if notes is not None and not _is_of_another(notes, read.run):
            try:
                apart = _object(notes.body, "")
            except StoreCorrupt:  # damaged ones hide no run
                apart = None
        objects = RunObjects(read.etag, None if notes is None else notes.etag)
        return objects, summarised(run_id, metadata, apart)

    def run_exists(self, run_id: str) -> bool:
        doing = "look for a run"
        there = self._bucket.head(self._layout.meta(checked_run_id(run_id)), doing)
        return there is not None and not self._is_deleting(run_id)

    def delete_run(self, run_id: str) -> None:
        self._discard(checked_run_id(run_id))
        for known in (self._known, self._segments_seen, self._looked_at):
            known.pop(run_id, None)
        if not self.left_of(run_id):
            return
        doing = "delete the run"
        layout, bucket = self._layout, self._bucket
        bucket.put(layout.deleting(run_id), b"", doing)
        while keys := list(self._keys_of(run_id)):
            bucket.delete(keys, doing)
        bucket.delete([layout.meta(run_id), layout.notes(run_id)], doing)
        self._sweep_late(run_id)
        bucket.delete([layout.deleting(run_id)], doing)
        self._tell_of_versions()

    def _sweep_late(self, run_id: str) -> None:
        """Delete what a writer sent before it saw that the run is gone; what belongs to a new one stays."""
        doing = "delete the run"
        for key in list(self._keys_of(run_id)):
            late = self._bucket.head(key, doing, sure=False)
            now = self._bucket.head(self._layout.meta(run_id), doing)
            if late is not None and (now is None or _is_of_another(late, now.run)):
                self._bucket.delete([key], doing)

    def _keys_of(self, run_id: str) -> Iterator[str]:
        """What there is of a run beside its documents."""
        for prefix in (self._layout.data(run_id), self._layout.control(run_id)):
            yield from (each.key for each in self._bucket.listed(prefix, "list a run's objects"))
        lease = self._layout.lease(run_id)
        if self._bucket.head(lease, "list a run's objects", sure=False) is not None:
            yield lease

    def _documents_of(self, run_id: str) -> list[str]:
        layout = self._layout
        return [layout.meta(run_id), layout.notes(run_id), layout.deleting(run_id)]

    def left_of(self, run_id: str) -> list[str]:
        """The keys of all that there is of a run, one half deleted too."""
        doing = "look for what is left of a run"
        documents = self._documents_of(checked_run_id(run_id))
        there = [key for key in documents if self._bucket.head(key, doing, sure=False) is not None]
        return there + list(self._keys_of(run_id))

    def unswept(self) -> list[str]:
        """The ids of runs whose deletion was begun and not brought to its end."""
        return sorted(self._listed()[1])

    def size_of(self, run_id: str) -> int:
        """Bytes that the objects of a run take; 0 if there is no such run."""
        documents = set(self._documents_of(checked_run_id(run_id)))
        found = list(self._bucket.listed(self._layout.data(run_id), "measure the run"))
        found += [
            each
            for each in self._bucket.listed(self._layout.meta(run_id), "measure the run")
            if each.key in documents
        ]
        return sum(each.size for each in found)

    def check(self) -> list[CheckStep]:
        steps = list(BucketCheck(self._bucket, self._connection, self._connect_timeout).steps())
        return steps if not steps[-1].ok else [*steps, *walk_steps(self)]

    def close(self) -> None:
        try:
            super().close()
        finally:
            with self._pool_lock:
                threads, self._threads = self._threads, None
            if threads is not None:
                threads.shutdown()  # what is still asked would make a client that nobody closes
            self._connection.close()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "bucket": self.bucket,
            "prefix": self.prefix,
            "_options": self._options,
            "_connect_timeout": self._connect_timeout,
            "_connection": self._connection,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._layout = Layout(self.bucket, self.prefix)
        self._set_up()

    def __repr__(self) -> str:
        at = "" if self._connection.endpoint == "AWS" else f", endpoint_url={self._connection.endpoint!r}"
        return f"S3StorageBackend({self.bucket!r}, {self.prefix!r}{at})"

    # Looking

    def _seen(self, run_id: str) -> _Run | None:
        """A run with its metadata as they are; ``None`` if there is none, or it is being deleted."""
        asked = self._pool().submit(self._is_deleting, checked_run_id(run_id))
        read = self._read_metadata(run_id, "load metadata")
        return None if asked.result() or read is None else _Run(read)

    def _read_metadata(self, run_id: str, doing: str) -> Read | None:
        """The object as it is, without the blanks that mark it: empty until metadata were saved."""
        read = self._bucket.get(self._layout.meta(run_id), doing)
        return None if read is None else read._replace(body=read.body.rstrip())

    def _checked(self, run_id: str) -> _Run | None:
        """The same, once its metadata were seen to be of a schema this version reads."""
        run = self._seen(run_id)
        if run is not None and run.metadata.body:
            self._metadata_of(run_id, run)
        return run

    def _there(self, run_id: str, doing: str) -> Seen:
        seen = self._bucket.head(self._layout.meta(run_id), doing)
        if seen is None or self._is_deleting(run_id):
            raise RunNotFound(f"{self._bucket.place} has no run {run_id!r}.")
        return seen

    def _is_deleting(self, run_id: str) -> bool:
        # Not sure: whoever asks looks for the run itself too.
        return self._bucket.head(self._layout.deleting(run_id), "look for a run", sure=False) is not None

    def _refuse_deleting(self, run_id: str) -> None:
        self._looked_at[run_id] = time.monotonic()
        if self._is_deleting(run_id):
            raise RunNotFound(
                f"{self._bucket.place}: {run_id!r} is being deleted. Finish it: themis runs purge {run_id}"
            )

    def _pool(self) -> ThreadPoolExecutor:
        with self._pool_lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="s3")
            return self._threads

    def _tell_of_versions(self) -> None:
        if not self._told_of_versions:
            self._told_of_versions = True
            if self._bucket.keeps_versions():
                logging.getLogger("themis.storage").warning("%s: %s", self._bucket.place, VERSIONED)


_stores: WeakValueDictionary[int, S3StorageBackend] = WeakValueDictionary()


def _begin_anew_in_a_forked_child() -> None:
    # The threads are the parent's alone, and it may hold a lock.
    for store in list(_stores.values()):
        store._begin()


os.register_at_fork(after_in_child=_begin_anew_in_a_forked_child)


def _is_of_another(found: Read | Seen, token: str) -> bool:
    """Whether an object belongs to another run of the same id. What does not say belongs to any."""
    return bool(found.run and token and found.run != token)


def _marked(body: bytes, token: str) -> bytes:
    """With the run's token in blanks at the end, which JSON passes over.

    Else two runs of one id could have the same bytes, so the same ETag, and who knew the one would save in
    place of the other.
    """
    digest = hashlib.sha256(token.encode()).digest()[:8]
    return body + f"{int.from_bytes(digest):064b}".translate(_BLANKS).encode()


_BLANKS = str.maketrans("01", " \t")


def _object(body: bytes, where: str) -> dict[str, Any]:
    document = codec.decode_document(body, where)
    if not isinstance(document, dict):
        raise StoreCorrupt(f"{where} is not a JSON object.")
    return document


def _summary(summary: bytes | dict[str, Any]) -> dict[str, Any]:
    return summary if isinstance(summary, dict) else _object(summary, "A line of the index")
