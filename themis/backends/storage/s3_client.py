"""Making clients of S3: each backend's own, made when first used, and anew in another process."""

from __future__ import annotations

import os
import threading
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import boto3
from botocore.config import Config
from botocore.session import Session

from themis.core.options import redacted

MOST_CONNECTIONS = 32
ATTEMPTS = 5
"""How often the driver asks, errors of the server and the network included, before it gives up."""
_AWS = (".amazonaws.com", ".amazonaws.com.cn")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


class S3Client:
    """How to reach a server, and the client that does. A client may be used by all threads at once."""

    def __init__(
        self,
        client: Any = None,
        *,
        endpoint_url: str | None,
        region: str | None,
        profile: str | None,
        path_style: bool | None,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        """``client``: one that is ready to use; copies in other processes are made after its address."""
        self._given = client
        if client is not None:
            endpoint_url = endpoint_url or client.meta.endpoint_url
            region = region or client.meta.region_name
        self.endpoint_url = endpoint_url
        self.region = region
        self.profile = profile
        self._path_style = path_style
        self._timeouts = connect_timeout, read_timeout
        self._begin()

    def _begin(self) -> None:
        self._client = self._given
        self._lock = threading.Lock()
        _clients[id(self)] = self

    def get(self) -> Any:
        """The client. Raises what the driver raises."""
        client = self._client
        if client is None:
            with self._lock:  # the driver's sessions are no thread's but one
                if self._client is None:
                    self._client = self._made()
                client = self._client
        return client

    def close(self) -> None:
        """Let go of connections and credentials; the next use makes new ones, and looks for keys anew."""
        with self._lock:
            client, self._client = self._client, self._given
        if client is not None and client is not self._given:
            client.close()

    @property
    def endpoint(self) -> str:
        """What is asked, in words without secrets."""
        named = self.endpoint_url or next((os.environ[n] for n in _ENDPOINTS if os.environ.get(n)), None)
        return "AWS" if named is None else redacted(named)

    @property
    def keys(self) -> str:
        """Where credentials are looked for, in words."""
        if self._given is not None:
            return "the client that was given"
        if self.profile:
            return f"the AWS profile {self.profile!r}"
        named = os.environ.get("AWS_PROFILE")
        profile = f"the AWS profile {named!r} (AWS_PROFILE)" if named else "the default AWS profile"
        return f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, {profile}, or the role of this machine"

    def is_aws(self) -> bool:
        """Whether it is Amazon's own, and not what is only like it. Raises what the driver raises."""
        host = urlsplit(self.get().meta.endpoint_url).hostname or ""
        return host.endswith(_AWS)

    def _made(self) -> Any:
        base = Session(profile=self.profile)
        # Thousands of times a listing brings are parsed for nothing otherwise: none is ever looked at.
        base.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
        session = boto3.Session(botocore_session=base)
        path_style = bool(self.endpoint_url) if self._path_style is None else self._path_style
        connect, read = self._timeouts
        config = Config(
            connect_timeout=connect,
            read_timeout=read,
            max_pool_connections=MOST_CONNECTIONS,
            tcp_keepalive=True,
            # Named, as its default differs between versions; "adaptive" may hold back the very first call.
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            # Many servers that are only like S3 fail on what newer drivers send by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if path_style else "auto"},
        )
        region = self.region or session.region_name or "us-east-1"
        return session.client("s3", region_name=region, endpoint_url=self.endpoint_url, config=config)

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_client", "_lock", "_given")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._given = None
        self._begin()


_clients: WeakValueDictionary[int, S3Client] = WeakValueDictionary()


def _begin_anew_in_a_forked_child() -> None:
    # The connections are the parent's, and a lock may be held by a thread that only it has.
    for client in list(_clients.values()):
        if client._given is not None:
            client._given.close()
        client._begin()


os.register_at_fork(after_in_child=_begin_anew_in_a_forked_child)
