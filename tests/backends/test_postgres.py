from __future__ import annotations

import pytest

from tests.backends.postgres_server import PostgresServer
from themis.backends.storage.postgres import PostgresStorageBackend
from themis.testing import StorageBackendSuite


class TestPostgres(StorageBackendSuite):
    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer):
        self.server = postgres

    def make(self) -> PostgresStorageBackend:
        return PostgresStorageBackend(self.server.uri(), schema=self.name)


class TestPostgresWithoutJournal(TestPostgres):
    def make(self) -> PostgresStorageBackend:
        return PostgresStorageBackend(self.server.uri(), schema=self.name, journal=False)
