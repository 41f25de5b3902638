"""Between a client and an S3 server: counts what is asked, and does to it what a bad day would."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

Rule = Callable[[str, str], str | None]
"""Method and path to what happens: a status such as ``503 SlowDown``, ``lost``, ``cut``; ``None``: nothing.

``lost``: it is done, and the connection is closed without an answer. ``cut``: the body ends in its middle.
"""


class S3Proxy(ThreadingHTTPServer):
    """``rule`` is asked about every request; ``delay_s`` goes by before each answer."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server = urlsplit(url).netloc
        self.rule: Rule = lambda method, path: None
        self.delay_s = 0.0
        self.asked: Counter[str] = Counter()
        self.open: set[Any] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: S3Proxy

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)
        self.behind = http.client.HTTPConnection(self.server.server, timeout=60)

    def finish(self) -> None:
        self.behind.close()
        self.server.open.discard(self.connection)
        super().finish()

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked[self.command] += 1
        if self.server.delay_s:
            time.sleep(self.server.delay_s)
        what = self.server.rule(self.command, self.path)
        if what is not None and what[0].isdigit() and self.may_be(what):
            self.refuse(what)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        self.behind.request(self.command, self.path, body, headers)
        answer = self.behind.getresponse()
        found = answer.read()
        if what == "lost":
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(found))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if what == "cut":
            found = found[: len(found) // 2]
            self.close_connection = True
        self.wfile.write(found)

    def may_be(self, what: str) -> bool:
        """No server says of a write without a condition that its condition does not hold."""
        return not what.startswith("412") or bool(
            self.headers.get("If-Match", self.headers.get("If-None-Match"))
        )

    def refuse(self, what: str) -> None:
        status, _, code = what.partition(" ")
        body = f"<Error><Code>{escape(code)}</Code><Message>so said the proxy</Message></Error>".encode()
        self.send_response_only(int(status))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on


@contextmanager
def proxied(url: str) -> Iterator[S3Proxy]:
    """A proxy before a server, for as long as the block runs."""
    proxy = S3Proxy(url)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def once(what: str, method: str, part: str = "", times: int = 1) -> Rule:
    """A rule that does ``what`` to the first requests of a method whose path holds ``part``."""
    left = [times]
    lock = threading.Lock()

    def rule(asked: str, path: str) -> str | None:
        with lock:
            if asked == method and part in path and left[0] > 0:
                left[0] -= 1
                return what
        return None

    return rule
