"""Stores of every kind that deletion and copies must work on, and small runs in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.runs.file_store import FileStore
from themis.backends import LocalStorageBackend, MemoryStorageBackend, StorageBackend
from themis.backends.storage.foreign import whole
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.runs.catalog import Store

KINDS = ("local", "memory", "eleven methods")


def make_store(kind: str, root: Path, name: str = "one", **more: Any) -> Store:
    """An empty store."""
    backends: dict[str, Any] = {
        "local": lambda: LocalStorageBackend(root / name),
        "memory": MemoryStorageBackend,
        "eleven methods": lambda: FileStore(str(root / name)),
    }
    backend: StorageBackend = backends[kind]()
    return Store(name, whole(backend), **more)


def make_run(store: Store, run_id: str = "r1", samples: int = 2, **metadata: Any) -> str:
    """A completed run."""
    backend = store.backend
    document = {
        "run_id": run_id,
        "schema_version": 1,
        "uid": f"uid-of-{run_id}",
        "status": "completed",
        "created_at": 1.0,
        "summary": {"done": samples},
        **metadata,
    }
    backend.save_run_metadata(run_id, document)
    for number in range(samples):
        name = f"s{number}"
        backend.save_generation_record(run_id, GenerationRecord(id=name, prompt="?", response=f"{number}!"))
        backend.save_evaluation_record(run_id, EvaluationRecord(cache_key=name, id=name, scores={"M": 1.0}))
    backend.save_report(
        run_id, ExperimentReport(run_id=run_id, status="completed", counts={"asked": samples})
    )
    backend.flush()
    return run_id
