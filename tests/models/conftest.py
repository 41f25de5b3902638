"""A small server in place of an endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from themis.models.base import Request
from themis.models.retry import MOST_CALLS


class Server:
    """Plays what it is told; remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: Any = self.said()
        self.act: Callable[[BaseHTTPRequestHandler], bool] | None = None
        """Does something else with a request; false if it is to be answered after all."""
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer is one packet

            def do_POST(self) -> None:
                server.handle(self)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    @staticmethod
    def said(text: Any = "4", finish: str | None = "stop", **more: Any) -> dict[str, Any]:
        """A body as servers send it."""
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        return {"object": "chat.completion", "model": "served", "choices": [choice], **more}

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.requests.append((handler.path, headers, json.loads(data) if data else None))
        if self.act is not None and self.act(handler):
            handler.close_connection = True
            return
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @property
    def asked(self) -> Any:
        """The body of the last request."""
        return self.requests[-1][2]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited before asking again."""
    waited: list[float] = []

    async def pause_awaited(seconds: float, request: Request) -> None:
        waited.append(seconds)

    # No time passes, which alone would end these.
    monkeypatch.setattr("themis.models.retry.MOST_LIMITS", MOST_CALLS)
    monkeypatch.setattr("themis.models.retry.pause", lambda seconds, request: waited.append(seconds))
    monkeypatch.setattr("themis.models.retry.pause_awaited", pause_awaited)
    return waited
