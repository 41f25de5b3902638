"""Runs in a bucket of a real server keep every promise."""

from __future__ import annotations

import pytest

from tests.backends.s3_server import S3Server
from themis.backends import S3StorageBackend
from themis.testing import StorageBackendSuite


class TestS3(StorageBackendSuite):
    @pytest.fixture(autouse=True)
    def server(self, s3: S3Server, s3_keys: None) -> None:
        self.at, self.bucket = s3.url, s3.make_bucket()

    def make(self) -> S3StorageBackend:
        return S3StorageBackend(self.bucket, endpoint_url=self.at)


@pytest.mark.long  # each save is a request of its own; tests/backends/far.py stands for it every day
class TestS3WithoutJournal(TestS3):
    runs_listed = 20

    def make(self) -> S3StorageBackend:
        return S3StorageBackend(self.bucket, endpoint_url=self.at, journal=False)
