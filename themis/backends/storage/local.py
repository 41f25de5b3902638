"""Runs as plain files in a folder: readable with ``jq``, safe for many processes, also on NFS.

::

    <root>/themis-store.json            {"layout": 1}
    <root>/runs/<run_id>/run.json       metadata, replaced whole
                         report.json    replaced whole
                         annotations.json  replaced whole, under a lock on .annotations.lock
                         gen-<open>-<writer>.jsonl, eval-<open>-<writer>.jsonl
    <root>/.deleting/<run_id>-<nonce>/  a run on its way out

Each writer has files of its own, so no two ever write to one; ``open`` is one more than the highest there
at opening, so that later openings are loaded later. Deleting is one rename, then a sweep.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from themis.backends.storage.annotations import NEVER_SAVED, Annotations, annotations_apart
from themis.backends.storage.base import StorageBackend, summarised, unreadable
from themis.backends.storage.deleted_runs import DeletedRuns
from themis.backends.storage.files import (
    FileClosed,
    locked,
    nearest_existing,
    sync_folder,
    translated,
    write_whole,
)
from themis.backends.storage.index import Listing, RunIndex
from themis.backends.storage.run_reader import RunReader
from themis.backends.storage.run_writer import RunWriter, make_folder
from themis.core import codec
from themis.core.current import current_evaluations, current_generations
from themis.core.directories import data_dir
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import Conflict, RunNotFound, SchemaTooNew, StorageError, StoreCorrupt
from themis.core.run_ids import checked_run_id, is_run_id

if TYPE_CHECKING:
    from themis.backends.storage.anatomy import Anatomy
T = TypeVar("T")

LAYOUT = 1
MOST_OPEN_RUNS = 64
"""Runs whose files are held open at once; the one unused for longest is synced and closed."""


class LocalStorageBackend(StorageBackend, Annotations):
    """A folder of runs. Made when first written to."""

    thread_safe = True

    def __init__(self, root: str | Path | None = None) -> None:
        """``root``: The folder; a place in the user's data directory if not given."""
        self.root = self.folder(root)
        self._set_up()

    @staticmethod
    def folder(root: str | Path | None = None) -> Path:
        """Where a store that is made with these options lies. Does not look there."""
        chosen = data_dir() / "store" if root is None else Path(root)
        return Path(os.path.abspath(chosen.expanduser()))

    def _set_up(self) -> None:
        self._runs = self.root / "runs"
        self._deleted = DeletedRuns(self.root / ".deleting")
        self._begin_writing()
        _stores[id(self)] = self
        self._checked_layout = False
        self._reported: set[Path] = set()
        self._unsynced: set[Path] = set()
        self._index = RunIndex(self._runs, self._read_summary)

    def _begin_writing(self) -> None:
        """With files of this process's own, and a lock that no thread of another process holds."""
        self._writers: OrderedDict[str, RunWriter] = OrderedDict()
        self._lock = threading.RLock()

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        self._save_document(run_id, "run.json", codec.encode_document(metadata))

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        path = self._folder(run_id) / "run.json"
        data = self._read(path)
        if data is None:
            raise RunNotFound(f"{self.root} has no metadata of a run {run_id!r}.")
        return _metadata_of(data, path)

    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        self._append(run_id, "gen", codec.encode_line(record))

    def save_generation_records(self, run_id: str, records: Iterable[GenerationRecord]) -> None:
        self._append(run_id, "gen", codec.encode_lines(records))

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        with codec.paused_gc():
            return current_generations(self._reader(run_id, GenerationRecord).every())

    def iter_generation_records(self, run_id: str) -> Iterator[GenerationRecord]:
        return self._current(run_id, GenerationRecord)

    def save_evaluation_record(self, run_id: str, record: EvaluationRecord) -> None:
        self._append(run_id, "eval", codec.encode_line(record))

    def save_evaluation_records(self, run_id: str, records: Iterable[EvaluationRecord]) -> None:
        self._append(run_id, "eval", codec.encode_lines(records))

    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        with codec.paused_gc():
            return current_evaluations(self._reader(run_id, EvaluationRecord).every())

    def iter_evaluation_records(self, run_id: str) -> Iterator[EvaluationRecord]:
        return self._current(run_id, EvaluationRecord)

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        self._save_document(run_id, "report.json", codec.encode_report(report))

    def load_report(self, run_id: str) -> ExperimentReport:
        path = self._folder(run_id) / "report.json"
        self._check_schema(run_id)
        data = self._read(path)
        if data is None:
            raise RunNotFound(f"{self.root} has no report of a run {run_id!r}.")
        return codec.decode_report(data, str(path))

    def load_annotations(self, run_id: str) -> tuple[dict[str, Any], str]:
        path = self._folder(run_id) / "annotations.json"
        data = self._read(path)
        if data is None:
            self._check_there(run_id)
            return {}, NEVER_SAVED
        return _object(data, path), _version(data)

    def save_annotations(self, run_id: str, annotations: dict[str, Any], version: str) -> str:
        data = codec.encode_document(annotations)
        folder = self._folder(run_id)
        path = folder / "annotations.json"
        with translated(folder, "save annotations.json"):
            try:
                with locked(folder / ".annotations.lock"):
                    stored = self._read(path)
                    if (NEVER_SAVED if stored is None else _version(stored)) != version:
                        raise Conflict(f"The annotations of the run {run_id!r} were changed meanwhile.")
                    write_whole(path, data)
            except FileNotFoundError as exc:
                raise RunNotFound(f"{self.root} has no run {run_id!r}.") from exc
        self._unsynced.add(folder)
        return _version(data)

    def _check_there(self, run_id: str) -> None:
        if not self.run_exists(run_id):
            raise RunNotFound(f"{self.root} has no run {run_id!r}.")

    def list_runs(self) -> list[str]:
        self._check_layout()
        with translated(self._runs, "list runs"):
            try:
                with os.scandir(self._runs) as entries:
                    return sorted(e.name for e in entries if _is_run(e))
            except FileNotFoundError:
                return []

    def list_summaries(self) -> Iterator[dict[str, Any]]:
        self._check_layout()
        with translated(self._runs, "list runs"):
            return self._index.verified()

    def changed_since(
        self, stamps: Mapping[str, int], make: Callable[[bytes | dict[str, Any]], T]
    ) -> Listing[T]:
        """What ``make`` makes of the summary of each run that changed, see :meth:`RunIndex.changed_since`."""
        self._check_layout()
        with translated(self._runs, "list runs"):
            return self._index.changed_since(stamps, make)

    def cached_summaries(self, limit: int | None = None) -> list[dict[str, Any]]:
        """What the last listing on this machine saw, newest first: at once, perhaps out of date."""
        return self._index.cached(limit)

    def run_exists(self, run_id: str) -> bool:
        folder = self._folder(run_id)
        with translated(folder, "look for a run"):
            try:
                os.stat(folder)
            except FileNotFoundError:
                return False
        return True

    def delete_run(self, run_id: str) -> None:
        folder = self._folder(run_id)
        with self._lock:
            writer = self._writers.pop(run_id, None)
            if writer is not None:
                writer.close(sync=False)
            with translated(folder, "delete the run"):
                if self.run_exists(run_id):
                    self._deleted.take(folder)
                self._deleted.sweep(run_id)

    def size_of(self, run_id: str) -> int:
        """Bytes that the files of a run take; 0 if there is no such run."""
        folder = self._folder(run_id)
        with translated(folder, "measure the run"):
            try:
                with os.scandir(folder) as entries:
                    return sum(each.stat(follow_symlinks=False).st_size for each in entries)
            except FileNotFoundError:
                return 0

    def anatomy_of(self, run_id: str) -> Anatomy:
        """What the folder of a run holds. Raises :class:`RunNotFound` if there is none."""
        from themis.backends.storage.anatomy import anatomy_of

        folder = self._folder(run_id)
        with translated(folder, "look at the run's files"):
            try:
                return anatomy_of(folder)
            except FileNotFoundError as exc:
                raise RunNotFound(f"{self.root} has no run {run_id!r}.") from exc

    def sweep_strays(self, run_id: str) -> list[str]:
        """Remove temporary files of killed writers; returns their names."""
        strays = self.anatomy_of(run_id).strays
        with translated(self._folder(run_id), "remove temporary files"):
            for name in strays:
                (self._folder(run_id) / name).unlink(missing_ok=True)
        return strays

    def stale_in_index(self) -> list[str]:
        """Runs of which the index, once verified, says something else than the store does."""
        listed = {str(each.get("run_id")): each for each in self.list_summaries()}
        truth = {run_id: self._read_summary(run_id) for run_id in self.list_runs()}
        return sorted(each for each in listed.keys() | truth.keys() if listed.get(each) != truth.get(each))

    def rebuild_index(self) -> None:
        """Throw the index away and make it anew from the store."""
        self._index.rebuild()

    def left_of(self, run_id: str) -> list[str]:
        """The folders in which anything of a run still lies, a deleted one's too."""
        folder = self._folder(run_id)
        return [str(each) for each in (folder, *self._deleted.left_of(run_id)) if os.path.lexists(each)]

    def unswept(self) -> list[str]:
        """The ids of runs whose deletion was begun and not brought to its end."""
        self._check_layout()
        return self._deleted.run_ids()

    def flush(self) -> None:
        failure: StorageError | None = None
        with self._lock:
            # Taken before the files are synced: what is renamed meanwhile waits for the next flush.
            folders = list(self._unsynced)
            for run_id, writer in list(self._writers.items()):
                try:
                    with translated(writer.folder, "sync records"):
                        writer.sync()
                except StorageError as exc:  # the other runs are synced all the same
                    failure = failure or exc
                    if isinstance(exc, RunNotFound):
                        self._forget(run_id, writer)
            for folder in folders:
                self._sync_folder(folder)
        if failure is not None:
            raise failure

    def _sync_folder(self, folder: Path) -> None:
        # Before it is synced: what is renamed meanwhile waits for the next flush.
        self._unsynced.discard(folder)
        try:
            with translated(folder, "sync the folder"), suppress(FileNotFoundError):
                sync_folder(folder)
        except BaseException:
            self._unsynced.add(folder)
            raise

    def close(self) -> None:
        with self._lock:
            try:
                with suppress(RunNotFound):  # of a run that was deleted there is nothing to keep
                    self.flush()
            finally:
                for writer in self._writers.values():
                    writer.close(sync=True)
                self._writers.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.root = state["root"]
        self._set_up()

    def __repr__(self) -> str:
        return f"LocalStorageBackend({str(self.root)!r})"

    # Writing

    def _append(self, run_id: str, kind: str, data: bytes) -> None:
        folder = self._folder(run_id)
        if not data:
            return None
        with translated(folder, "save records"):
            while True:
                writer = self._writer(run_id)
                try:
                    return writer.append(kind, data)
                except FileClosed:
                    continue  # another thread closed the store, or opened so many runs that this one gave way
                except RunNotFound:
                    self._forget(run_id, writer)
                    if not folder.exists():
                        raise
                    # Deleted and made anew: the record belongs to the new run.

    def _forget(self, run_id: str, writer: RunWriter) -> None:
        with self._lock:
            if self._writers.get(run_id) is writer:
                del self._writers[run_id]
            writer.close(sync=False)

    def _writer(self, run_id: str) -> RunWriter:
        with self._lock:
            writers = self._writers
            writer = writers.get(run_id)
            if writer is None:
                self._make_root()
                writer = writers[run_id] = RunWriter(self._folder(run_id), self._unsynced)
                if len(writers) > MOST_OPEN_RUNS:
                    _, oldest = writers.popitem(last=False)
                    with suppress(RunNotFound):  # it was deleted: nothing to keep
                        oldest.sync()
                    oldest.close(sync=True)
            else:
                writers.move_to_end(run_id)
            return writer

    def _save_document(self, run_id: str, name: str, data: bytes) -> None:
        folder = self._folder(run_id)
        with translated(folder, f"save {name}"):
            try:
                write_whole(folder / name, data)
            except FileNotFoundError:
                self._make_root()
                make_folder(folder, self._unsynced)
                write_whole(folder / name, data)
            self._unsynced.add(folder)

    def _make_root(self) -> None:
        self._check_layout()
        header = self.root / "themis-store.json"
        if not header.exists():
            self._runs.mkdir(parents=True, exist_ok=True)
            self._unsynced |= {self.root, self.root.parent}
            write_whole(header, json.dumps({"layout": LAYOUT}).encode())

    # Reading

    def _folder(self, run_id: str) -> Path:
        folder = self._runs / checked_run_id(run_id)
        self._check_layout()
        return folder

    def _read(self, path: Path) -> bytes | None:
        with translated(path, "read"):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _check_layout(self) -> None:
        if self._checked_layout:
            return
        header = self.root / "themis-store.json"
        with translated(header, "read"):
            try:
                layout = json.loads(header.read_bytes()).get("layout")
            except (FileNotFoundError, NotADirectoryError):
                self._check_possible()
                return
            except (ValueError, AttributeError) as exc:
                raise StorageError(f"{header} is not the header of a Themis store ({exc}).") from exc
        if layout != LAYOUT:
            raise SchemaTooNew(
                f"{self.root} has layout {layout!r}; this Themis reads {LAYOUT}. "
                "Upgrade it: pip install -U themis-tui"
            )
        self._checked_layout = True

    def _check_possible(self) -> None:
        """Raise where there cannot be a folder, so that what cannot be is not taken for what is empty."""
        there = nearest_existing(self.root)
        if not there.is_dir():
            what = "a link that leads nowhere" if there.is_symlink() else "no folder"
            raise StorageError(f"{self.root} cannot be a store: {there} is {what}.")

    def _check_schema(self, run_id: str) -> None:
        path = self._folder(run_id) / "run.json"
        data = self._read(path)
        if data is not None:
            _metadata_of(data, path)

    def _read_summary(self, run_id: str) -> dict[str, Any] | None:
        if not is_run_id(run_id):
            return None
        path = self._runs / run_id / "run.json"
        try:
            data = self._read(path)
            if data is None and not path.parent.exists():
                return None
            metadata = _object(data, path) if data is not None else {}
        except StorageError as exc:
            metadata = unreadable(exc)
        return summarised(run_id, metadata, annotations_apart(self, run_id))

    def _current(self, run_id: str, kind: type) -> Iterator[Any]:
        yield from self._reader(run_id, kind).current()

    def _reader(self, run_id: str, kind: type) -> RunReader:
        folder = self._folder(run_id)
        self._check_schema(run_id)
        return RunReader(folder, kind, self._reported)


_stores: WeakValueDictionary[int, LocalStorageBackend] = WeakValueDictionary()


def _begin_anew_in_a_forked_child() -> None:
    # The lock may be held by a thread that only the parent has; the open files are the parent's.
    for store in list(_stores.values()):
        store._begin_writing()


os.register_at_fork(after_in_child=_begin_anew_in_a_forked_child)


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _metadata_of(data: bytes, path: Path) -> dict[str, Any]:
    metadata = _object(data, path)
    codec.check_schema(metadata, str(path))
    return metadata


def _object(data: bytes, path: Path) -> dict[str, Any]:
    document = codec.decode_document(data, str(path))
    if not isinstance(document, dict):
        raise StoreCorrupt(f"{path} is not a JSON object.")
    return document


def _is_run(entry: os.DirEntry[str]) -> bool:
    # The index of summaries cannot see a change behind a link, so that a link is no run for either.
    return is_run_id(entry.name) and entry.is_dir(follow_symlinks=False)
