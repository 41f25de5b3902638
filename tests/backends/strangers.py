"""Backends as somebody writes them who has read the first guide only."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

from themis.backends import ExecutionBackend, MemoryStorageBackend, StorageBackend
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord


class ElevenMethods(StorageBackend):
    """Keeps every record it was ever given, as lines of JSON.

    It bears one caller at a time, wants metadata before records, and refuses NUL, as a database might.
    """

    def __init__(self, files: dict[str, dict[str, Any]] | None = None) -> None:
        self.files = {} if files is None else files
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self._one_caller = threading.Lock()

    @contextmanager
    def _alone(self, call: str):
        self.calls.append(call)
        self.threads.add(threading.get_ident())
        if not self._one_caller.acquire(blocking=False):
            self.calls.append("OVERLAP")
            raise AssertionError(f"{call} was called during another call")
        try:
            yield
        finally:
            self._one_caller.release()

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        with self._alone("save_run_metadata"):
            run = self.files.setdefault(run_id, {"generations": [], "evaluations": []})
            run["metadata"] = json.dumps(metadata)

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        with self._alone("load_run_metadata"):
            return json.loads(self._file(run_id, "metadata"))

    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        with self._alone("save_generation_record"):
            self._append(run_id, "generations", record)

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        with self._alone("load_generation_records"):
            run = self.files.get(run_id, {"generations": []})
            return [GenerationRecord(**json.loads(line)) for line in run["generations"]]

    def save_evaluation_record(self, run_id: str, record: EvaluationRecord) -> None:
        with self._alone("save_evaluation_record"):
            self._append(run_id, "evaluations", record)

    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        with self._alone("load_evaluation_records"):
            run = self.files.get(run_id, {"evaluations": []})
            records = [EvaluationRecord(**json.loads(line)) for line in run["evaluations"]]
            return self._by_key(records)

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        with self._alone("save_report"):
            run = self.files.setdefault(run_id, {"generations": [], "evaluations": []})
            run["report"] = json.dumps(report.__dict__)

    def load_report(self, run_id: str) -> ExperimentReport:
        with self._alone("load_report"):
            return ExperimentReport(**json.loads(self._file(run_id, "report")))

    def list_runs(self) -> list[str]:
        with self._alone("list_runs"):
            return list(self.files)

    def run_exists(self, run_id: str) -> bool:
        with self._alone("run_exists"):
            return run_id in self.files

    def delete_run(self, run_id: str) -> None:
        with self._alone("delete_run"):
            self.files.pop(run_id, None)

    def _by_key(self, records: list[EvaluationRecord]) -> dict[str, EvaluationRecord]:
        return {record.cache_key: record for record in records}

    def _file(self, run_id: str, name: str) -> str:
        try:
            return self.files[run_id][name]
        except KeyError:
            raise FileNotFoundError(f"no {name} of {run_id}") from None

    def _append(self, run_id: str, kind: str, record: Any) -> None:
        line = json.dumps(record.__dict__)
        if "\\u0000" in line:
            raise ValueError("unsupported Unicode escape sequence")
        self.files[run_id][kind].append(line)  # KeyError without metadata, as a foreign key would


class Eager(ExecutionBackend):
    """Takes everything, does it one by one, and gives a list; knows no deadline and no failures."""

    def __init__(self) -> None:
        self.shut_down = False

    def map(
        self, func: Callable, items: Iterable, *, max_workers: int | None = None, timeout: float | None = None
    ) -> list:  # type: ignore[override]
        return [func(item) for item in list(items)]

    def shutdown(self) -> None:
        self.shut_down = True


class Crowd(ExecutionBackend):
    """As in the first guide: a thread for each item, all at once, results in the order of their ends."""

    def map(self, func, items, max_workers=None, timeout=None, **kwargs):
        results: list[Any] = []
        threads = [threading.Thread(target=lambda item=item: results.append(func(item))) for item in items]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield from results

    def shutdown(self) -> None:
        pass


class Fussy(MemoryStorageBackend):
    """Does not take everything, and looks for a server when it is made."""

    def __init__(self, retries: int = 0, away: bool = False) -> None:
        if retries < 0:
            raise ValueError("retries must not be negative")
        if away:
            raise ConnectionRefusedError("nobody is there")
        super().__init__()
