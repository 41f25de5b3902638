from __future__ import annotations

from themis.backends import LocalStorageBackend
from themis.testing import StorageBackendSuite


class TestLocal(StorageBackendSuite):
    def make(self) -> LocalStorageBackend:
        return LocalStorageBackend(self.tmp_path / "store")
