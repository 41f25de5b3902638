"""Trying a store in a bucket step by step, so that one sees where it fails."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

from themis.backends.storage.s3_bucket import SINGLE_WRITER, Bucket
from themis.backends.storage.s3_client import S3Client
from themis.backends.storage.s3_errors import translated
from themis.core.check_step import CheckStep
from themis.core.errors import StorageError, StoreUnreachable

VERSIONED = (
    "the bucket keeps versions: what is deleted goes on lying there, and costing, until a lifecycle rule "
    "removes old versions (docs/s3.md)"
)


class BucketCheck:
    """The steps up to a bucket that can be written to."""

    def __init__(self, bucket: Bucket, connection: S3Client, connect_timeout: float) -> None:
        self._bucket = bucket
        self._connection = connection
        self._connect_timeout = connect_timeout

    def steps(self) -> Iterator[CheckStep]:
        """Resolve, connect, credentials, bucket, conditional write: to the first that fails.

        Behind a proxy the first two are its business.
        """
        work: list[tuple[str, Callable[[], str | None]]] = [
            ("find host", self._resolve),
            ("reach", self._reach),
            ("credentials", self._credentials),
            ("bucket", self._look),
            ("conditional write", self._conditions),
        ]
        for name, step in work:
            started = time.perf_counter()
            try:
                said = step()
            except StorageError as exc:
                yield CheckStep(name, False, time.perf_counter() - started, str(exc))
                return
            yield CheckStep(name, True, time.perf_counter() - started, said or "")

    def _address(self) -> tuple[str, int] | None:
        try:
            url = urlsplit(self._connection.get().meta.endpoint_url)
        except (BotoCoreError, ClientError, ValueError) as exc:
            raise self._translated(exc, "connect") from exc
        host = url.hostname or ""
        if getproxies().get(url.scheme) and not proxy_bypass(host):
            return None
        return host, url.port or (443 if url.scheme == "https" else 80)

    def _resolve(self) -> str | None:
        address = self._address()
        if address is None:
            return "by the proxy"
        try:
            socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        except OSError as exc:
            raise StoreUnreachable(
                f"{self._bucket.place}: the host {address[0]!r} is unknown. Is its name right, and is "
                f"there a network? ({exc})"
            ) from exc
        return None

    def _reach(self) -> str | None:
        address = self._address()
        if address is None:
            return "by the proxy"
        try:
            socket.create_connection(address, self._connect_timeout).close()
        except OSError as exc:
            said = EndpointConnectionError(endpoint_url=self._connection.endpoint, error=exc)
            raise self._translated(said, "connect") from exc
        return None

    def _credentials(self) -> str | None:
        try:
            signer = self._connection.get()._request_signer
            if signer._credentials is None:
                raise NoCredentialsError
            signer._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError) as exc:
            raise self._translated(exc, "sign requests") from exc
        return None

    def _look(self) -> str | None:
        key = f"themis-check-{os.urandom(6).hex()}"
        list(self._bucket.listed(key, "look into the bucket"))
        return VERSIONED if self._bucket.keeps_versions() else None

    def _conditions(self) -> str | None:
        return None if self._bucket.probe_conditions() else SINGLE_WRITER

    def _translated(self, exc: Exception, doing: str) -> StorageError:
        return translated(exc, self._bucket.place, doing, self._connection.keys)
