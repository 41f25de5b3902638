"""Copying a run from one store to another, verified record by record.

What is written, in this order: metadata that say nothing but that this is a half copy (status ``copying``);
the current records, in batches; the report; what people said of the run; and the run's own metadata last.
So a copy that was cut short, ``kill -9`` included, never looks whole: it is ``copying``, cannot be resumed,
and the same copy again goes on with what is missing.

Before the last step everything is read back: as many records as were sent, each with the same content. The
copy keeps the run's ``uid``, by which the two are known as one. Nothing that the metadata name is opened.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from themis.backends.registry import storage_named
from themis.backends.storage.annotations import NEVER_SAVED, Annotations, annotations_in
from themis.backends.storage.base import StorageBackend
from themis.core.codec import encode_line
from themis.core.current import identity
from themis.core.entities import SCHEMA_VERSION, EvaluationRecord, GenerationRecord
from themis.core.errors import (
    Conflict,
    RunError,
    RunExists,
    RunHeld,
    RunNotFound,
    StorageError,
    ThemisError,
    described,
)
from themis.core.hashing import hash_json
from themis.core.options import redacted
from themis.core.run_ids import checked_run_id
from themis.core.safe_text import storable_value
from themis.runs.annotations import MOST_AUDIT, is_live, lock_name_of, person, run_held
from themis.runs.catalog import Store, store_key
from themis.runs.trash import trash_of
from themis.runs.watch import RunView, look

COPYING = "copying"
"""The status of a half copy, and the key in its metadata that says of what."""
BATCH = 256
"""Records saved in one go."""
_MOST_RUN_AUDIT = 200

Record = GenerationRecord | EvaluationRecord
Digests = dict[str, bytes]
"""Identity of a record to a digest of its content."""


class CopyProgress(NamedTuple):
    """How far a copy is."""

    run_id: str
    step: str
    """``generations``, ``evaluations``, ``reading back``."""
    done: int
    total: int | None
    """Of this step, where the metadata say."""


class Copied(NamedTuple):
    """A copy that is whole and was read back."""

    source: str
    target: str
    """Names of the stores."""
    run_id: str
    new_id: str
    generations: int
    evaluations: int
    resumed: int
    """Records that an earlier copy, cut short, had brought already."""
    report: bool
    """Whether there was one to copy."""


class CopyTarget(NamedTuple):
    """A store that runs may be copied into, or not."""

    name: str
    why_not: str | None


OnProgress = Callable[[CopyProgress], None]


def copy_targets(names: Iterable[str], sources: Iterable[str]) -> list[CopyTarget]:
    """What of the named stores runs of ``sources`` can be copied into; no store is opened for it."""
    come_from = set(sources)
    return [CopyTarget(name, _why_not(name, come_from)) for name in names]


def _why_not(name: str, sources: set[str]) -> str | None:
    if sources == {name}:
        return "they are in it"
    try:
        profile = storage_named(name).profile
    except (ThemisError, ImportError) as exc:
        return redacted(described(exc))
    return "readonly in your profiles" if getattr(profile, "readonly", False) else None


def copy_run(
    source: Store,
    run_id: str,
    target: Store,
    *,
    new_id: str | None = None,
    progress: OnProgress | None = None,
) -> Copied:
    """Copy a run into another store, or into the same one by ``new_id``, and read the copy back.

    The current record of each identity is copied; older attempts stay behind. The source is only read.

    Raises:
        StoreReadonly: The target is, by the user's profile.
        RunNotFound: There is no such run.
        RunHeld: Somebody may be working on the run.
        RunExists: The target has a run of that id which is no half copy of this one.
        RecordRefused: The target cannot hold a record; what was copied so far stays, as a half copy.
        Conflict: The run was changed meanwhile; the same copy again goes on.
        StorageError: A store failed, or what was read back is not what was sent.
    """
    target.check_writable("copying runs into it")
    new_id = checked_run_id(run_id if new_id is None else new_id)
    view = _checked(source, run_id)
    with run_held(source, view, (lock_name_of(target), new_id)):
        return _Copy(source, _checked(source, run_id), target, new_id, progress).made()


def _checked(source: Store, run_id: str) -> RunView:
    view = look(source.backend, run_id)
    if is_live(view):
        raise RunHeld(
            f"{run_id} is {view.status.word}, so a copy would be of no one moment. Wait for it, or pause it "
            f"(themis runs pause {source.address(run_id)}), then copy it."
        )
    if COPYING in view.metadata:
        raise RunError(f"{run_id} is itself half of a copy. Complete it, or copy the original.")
    return view


class _Copy:
    """One copy under way."""

    def __init__(
        self, source: Store, view: RunView, target: Store, new_id: str, progress: OnProgress | None
    ) -> None:
        self.source, self.view, self.target, self.new_id = source, view, target, new_id
        self.run_id = view.run_id
        self.progress = progress
        # A stranger's run has none, and every copy of it must come to the same.
        self.uid = view.metadata.get("uid") or hash_json([store_key(source), view.run_id])
        self.total = _total(view.metadata)
        self.sent: dict[str, Digests] = {}

    def made(self) -> Copied:
        """Copy, read back, and only then say that it is whole."""
        resumed = 0
        self._begin()
        for kind in _KINDS:
            resumed += self._send(kind)
        self.target.backend.flush()
        for kind in _KINDS:
            self._read_back(kind)
        report = self._send_report()
        self._check_unchanged()
        self._conclude()
        generations, evaluations = (len(self.sent[kind]) for kind in _KINDS)
        names = self.source.name, self.target.name
        return Copied(*names, self.run_id, self.new_id, generations, evaluations, resumed, report)

    def _begin(self) -> None:
        """Mark the copy as a half one, unless an earlier attempt did."""
        backend = self.target.backend
        if backend.run_exists(self.new_id) and self._is_begun():
            return
        ids = set(backend.list_runs()) - {self.new_id}
        same = next((each for each in ids if each.lower() == self.new_id.lower()), None)
        if same is not None:
            raise RunExists(f"{self.target.name} has a run {same!r}; ids must differ by more than case.")
        mark = {
            "run_id": self.new_id,
            "schema_version": SCHEMA_VERSION,
            "uid": self.uid,
            "status": COPYING,
            "status_reason": f"half a copy of {self._origin()}",
            "created_at": self.view.metadata.get("created_at"),
            COPYING: {"from": self._origin(), "at": time.time(), "by": person()},
        }
        backend.save_run_metadata(self.new_id, storable_value(mark))

    def _is_begun(self) -> bool:
        """Whether the run that is there is a half copy of this one; ``False`` if it is but an empty place.

        Raises :class:`RunExists` if it is anything else.
        """
        backend = self.target.backend
        try:
            there = backend.load_run_metadata(self.new_id)
        except RunNotFound:
            # A store may have made a place for the mark, and then the process was killed.
            if not any(next(self._records(backend, self.new_id, kind), None) for kind in _KINDS):
                return False
            there = {}
        if COPYING in there and there.get("uid") == self.uid:
            self._check_not_deleted(annotations_in(backend, self.new_id, there))
            return True
        what = "this very run, whole" if there.get("uid") == self.uid else f"a run {self.new_id!r}"
        raise RunExists(
            f"{self.target.name} has {what}; nothing was copied. To have it twice, give the copy another "
            "id (--as)."
        )

    def _check_not_deleted(self, notes: dict[str, Any]) -> None:
        """Raise :class:`Conflict` where the half copy lies in the trash: made whole, it would go with it."""
        if trash_of(notes) is not None:
            raise Conflict(
                f"{self.target.name} has half a copy of this run in the trash. Delete it for good, or bring "
                f"it back, then copy again: themis runs purge {self.target.address(self.new_id)}, or "
                "restore."
            )

    def _send(self, kind: str) -> int:
        """Save what the target has not, or not so; returns how many it had."""
        there = self._digests(self.target.backend, self.new_id, kind)
        save = getattr(self.target.backend, f"save_{kind}_records")
        records = self._records(self.source.backend, self.run_id, kind)
        sent = self.sent[kind] = {}
        while some := list(islice(records, BATCH)):
            digests = {identity(each): _digest(each) for each in some}
            sent |= digests
            save(self.new_id, [each for each in some if there.get(identity(each)) != digests[identity(each)]])
            self._tell(f"{kind}s", len(sent))
        return sum(there.get(key) == digest for key, digest in sent.items())

    def _read_back(self, kind: str) -> None:
        """Raise :class:`StorageError` unless the target gives back what was sent, and nothing else."""
        sent, back = self.sent[kind], self._digests(self.target.backend, self.new_id, kind, tell=True)
        wrong = [key for key, digest in sent.items() if back.get(key) != digest]
        more = [key for key in back if key not in sent]
        if wrong or more:
            which = ", ".join(repr(each)[:60] for each in (wrong + more)[:5])
            raise StorageError(
                f"{self.target.name} does not give back what was sent: of {len(sent)} {kind} records "
                f"{len(wrong)} are missing or differ, and {len(more)} were not sent ({which}). The half copy "
                f"{self.new_id} is left there, marked as one."
            )

    def _digests(self, backend: StorageBackend, run_id: str, kind: str, *, tell: bool = False) -> Digests:
        digests: Digests = {}
        for record in self._records(backend, run_id, kind):
            digests[identity(record)] = _digest(record)
            if tell and len(digests) % BATCH == 0:
                self._tell("reading back", len(digests))
        return digests

    def _records(self, backend: StorageBackend, run_id: str, kind: str) -> Iterator[Record]:
        records: Iterator[Record] = getattr(backend, f"iter_{kind}_records")(run_id)
        return records

    def _send_report(self) -> bool:
        try:
            report = self.source.backend.load_report(self.run_id)
        except RunNotFound:
            return False
        sent = replace(report, run_id=self.new_id)
        self.target.backend.save_report(self.new_id, sent)
        self._check_same("report", self.target.backend.load_report(self.new_id), sent)
        return True

    def _check_unchanged(self) -> None:
        now = _checked(self.source, self.run_id).metadata
        if now != self.view.metadata:
            raise Conflict(
                f"{self.run_id} was changed while it was copied. The half is left in {self.target.name}; "
                "the same copy again brings it up to date."
            )

    def _conclude(self) -> None:
        """What people said of it, and then the metadata, with which the copy is whole."""
        backend = self.target.backend
        line = {"at": time.time(), "by": person(), "did": f"{_COPIED}{self._origin()}"}
        stored = annotations_in(self.source.backend, self.run_id, self.view.metadata)
        notes = _with_line({key: value for key, value in stored.items() if key != "trash"}, line, MOST_AUDIT)
        own = {key: value for key, value in self.view.metadata.items() if key not in _NOT_COPIED}
        metadata = {"schema_version": SCHEMA_VERSION, **own, "run_id": self.new_id, "uid": self.uid}
        metadata = _with_line(metadata, line, _MOST_RUN_AUDIT)
        there = annotations_in(backend, self.new_id, backend.load_run_metadata(self.new_id))
        self._check_not_deleted(there)
        # What people said of the half copy stays; an attempt that was cut short may have said all.
        notes = notes if not there else there if _was_copied(there) else _joined(notes, there)
        if isinstance(backend, Annotations):
            _, version = backend.load_annotations(self.new_id)
            if version == NEVER_SAVED or notes is not there:
                backend.save_annotations(self.new_id, notes, version)
        else:
            metadata["annotations"] = notes
        backend.save_run_metadata(self.new_id, metadata)
        backend.flush()
        self._check_same("metadata", backend.load_run_metadata(self.new_id), metadata)

    def _check_same(self, what: str, back: Any, sent: Any) -> None:
        if back != sent:
            raise StorageError(f"{self.target.name} does not give back the {what} of {self.new_id} as sent.")

    def _origin(self) -> str:
        return f"{redacted(self.source.name)}:{self.run_id}"

    def _tell(self, step: str, done: int) -> None:
        if self.progress is not None:
            self.progress(CopyProgress(self.run_id, step, done, self.total))


_KINDS = ("generation", "evaluation")
_COPIED = "copied from "
_NOT_COPIED = ("annotations", COPYING)


def _digest(record: Record) -> bytes:
    return hashlib.blake2b(encode_line(record), digest_size=16).digest()


def _with_line(document: dict[str, Any], line: dict[str, Any], most: int) -> dict[str, Any]:
    """The document as one may store it, with a line more in its audit."""
    audit = document.get("audit")
    lines = audit if isinstance(audit, list) else []
    return dict(storable_value({**document, "audit": [*lines, line][-most:]}))


def _joined(notes: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """The annotations of the source, and over them those that the half copy got meanwhile."""
    audit = there.get("audit")
    lines = audit if isinstance(audit, list) else []
    return {**notes, **there, "audit": [*lines, *notes["audit"]][-MOST_AUDIT:]}


def _was_copied(notes: dict[str, Any]) -> bool:
    """Whether a copy has brought these annotations already."""
    audit = notes.get("audit")
    lines = audit if isinstance(audit, list) else []
    return any(isinstance(each, dict) and str(each.get("did")).startswith(_COPIED) for each in lines)


def _total(metadata: dict[str, Any]) -> int | None:
    summary = metadata.get("summary")
    done = summary.get("done") if isinstance(summary, dict) else None
    return done if isinstance(done, int) else None
