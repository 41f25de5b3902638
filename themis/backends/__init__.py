"""Where records live and how work is spread: the two promises, and what keeps them.

Names are looked up on first use, so that importing this package loads no backend and no driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from themis.backends.execution.base import ExecutionBackend, ExecutorStatus, TaskFailure
    from themis.backends.execution.coroutines import AsyncExecutionBackend
    from themis.backends.execution.sequential import SequentialExecutionBackend
    from themis.backends.execution.threads import ThreadExecutionBackend
    from themis.backends.registry import open_executor, open_storage
    from themis.backends.storage.annotations import Annotations
    from themis.backends.storage.base import StorageBackend
    from themis.backends.storage.local import LocalStorageBackend
    from themis.backends.storage.memory import MemoryStorageBackend
    from themis.backends.storage.postgres import PostgresStorageBackend
    from themis.core.check_step import CheckStep

_PLACES = {
    "Annotations": "themis.backends.storage.annotations",
    "StorageBackend": "themis.backends.storage.base",
    "CheckStep": "themis.core.check_step",
    "MemoryStorageBackend": "themis.backends.storage.memory",
    "LocalStorageBackend": "themis.backends.storage.local",
    "PostgresStorageBackend": "themis.backends.storage.postgres",
    "ExecutionBackend": "themis.backends.execution.base",
    "ExecutorStatus": "themis.backends.execution.base",
    "TaskFailure": "themis.backends.execution.base",
    "AsyncExecutionBackend": "themis.backends.execution.coroutines",
    "SequentialExecutionBackend": "themis.backends.execution.sequential",
    "ThreadExecutionBackend": "themis.backends.execution.threads",
    "open_storage": "themis.backends.registry",
    "open_executor": "themis.backends.registry",
}

__all__ = [
    "Annotations",
    "AsyncExecutionBackend",
    "CheckStep",
    "ExecutionBackend",
    "ExecutorStatus",
    "LocalStorageBackend",
    "MemoryStorageBackend",
    "PostgresStorageBackend",
    "SequentialExecutionBackend",
    "StorageBackend",
    "TaskFailure",
    "ThreadExecutionBackend",
    "open_executor",
    "open_storage",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
