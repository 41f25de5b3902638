"""The promises of a backend as tests, for anyone who writes one. Needs nothing but pytest.

A storage backend is tested by a class of yours with one method::

    from themis.testing import StorageBackendSuite

    class TestMyStore(StorageBackendSuite):
        def make(self):
            return MyStore(self.tmp_path / "store")  # or MyStore(bucket, prefix=self.name)

Each call of ``make`` opens the same store anew; ``self.tmp_path`` and ``self.name`` are fresh for each
test. A backend of the eleven methods alone sets ``eleven_methods_only = True``: it is then tested inside
:func:`themis.backends.storage.foreign.whole`, as ``evaluate`` would use it.

An executor likewise::

    from themis.testing import ExecutionBackendSuite

    class TestMyExecutor(ExecutionBackendSuite):
        def make(self):
            return MyExecutor()

What a backend cannot do by its nature is said by the switches of the classes, and then skipped with that
reason. A test that fails for another cause is marked ``xfail`` with the reason in the subclass.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from themis.testing.execution_suite import ExecutionBackendSuite
    from themis.testing.storage_suite import StorageBackendSuite

# So that a failing promise shows the values that were compared.
pytest.register_assert_rewrite("themis.testing.storage", "themis.testing.execution")

_PLACES = {
    "ExecutionBackendSuite": "themis.testing.execution_suite",
    "StorageBackendSuite": "themis.testing.storage_suite",
}

__all__ = ["ExecutionBackendSuite", "StorageBackendSuite"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value
