"""Any server that speaks the chat-completions protocol of OpenAI."""

from __future__ import annotations

import ipaddress
import json
import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from themis.core.errors import ModelError, UsageError
from themis.models.base import Answer, Model, Request
from themis.models.retry import ask_again

DEFAULT_BASE_URL = "https://api.openai.com/v1"
DEFAULT_KEY = "env:OPENAI_API_KEY"
CONNECT_S = 5.0
READ_S = 300.0
MOST_CONNECTIONS = 256
MOST_BODY = 500
"""Characters of a server's error kept in ours."""

_KINDS = {400: "bad_request", 401: "auth", 403: "auth", 404: "not_found", 408: "timeout", 413: "too_large"}


class OpenAICompatibleModel(Model):
    """A model behind ``<base_url>/chat/completions``.

    ``key`` is a reference, never a key: ``env:NAME`` or ``file:path``. It is read when first needed, goes
    to this endpoint only, never over plain http except on this machine, and never along a redirect.
    """

    def __init__(self, model: str, base_url: str | None = None, key: str | None = None) -> None:
        """``base_url`` is OpenAI's own by default, and ``key`` then ``env:OPENAI_API_KEY``."""
        if not model:
            raise UsageError("Name the model: openai:NAME?base_url=…")
        self.base_url: str = (base_url or DEFAULT_BASE_URL).rstrip("/")
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"base_url={base_url!r} is not an http or https address.")
        if parts.username or parts.password:
            raise UsageError("base_url holds a user or password; give a key reference: key=env:NAME")
        if key is not None and key.partition(":")[0] not in ("env", "file"):
            raise UsageError("key is a reference, env:NAME or file:path, never the key itself.")
        self.key = key if key is not None or base_url is not None else DEFAULT_KEY
        if self.key and parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise UsageError(f"A key would go to {parts.hostname} over plain http. Use https.")
        self.name = model
        port = f":{parts.port}" if parts.port else ""
        self.identity = f"openai:{model}@{parts.scheme}://{parts.hostname}{port}"
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None

    def answer(self, request: Request) -> Answer:
        return ask_again(self._ask, request)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def __getstate__(self) -> dict[str, Any]:
        kept = ("base_url", "key", "name", "identity")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        self._client = None

    def _ask(self, request: Request) -> Answer:
        read_s = READ_S if request.timeout is None else min(READ_S, request.timeout)
        body = _without_surrogates({"model": self.name, "messages": _messages(request), **_options(request)})
        try:
            response = self._opened().post(
                f"{self.base_url}/chat/completions",
                content=body,
                headers=self._headers(),
                timeout=httpx2.Timeout(read_s, connect=min(CONNECT_S, read_s)),
            )
        except httpx2.TimeoutException as exc:
            raise ModelError(
                f"No answer within {read_s:.3g} s ({type(exc).__name__}).", kind="timeout"
            ) from None
        except httpx2.HTTPError as exc:
            raise ModelError(f"{self.base_url}: {exc or type(exc).__name__}", kind="connection") from None
        if response.status_code != 200:
            raise _refusal(response)
        return _read(response)

    def _opened(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                limits = httpx2.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=None)
                self._client = httpx2.Client(limits=limits, follow_redirects=False)
            return self._client

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self.key is not None:
            headers["authorization"] = f"Bearer {_resolved(self.key)}"
        return headers


def _messages(request: Request) -> list[dict[str, Any]]:
    if isinstance(request.prompt, str):
        return [{"role": "user", "content": request.prompt}]
    return request.prompt


def _options(request: Request) -> dict[str, Any]:
    seed = {} if request.seed is None else {"seed": request.seed}
    return {**seed, **request.sampling}


def _without_surrogates(body: dict[str, Any]) -> bytes:
    # Escaped as ASCII, any text travels; what the server makes of half a character is its own.
    return json.dumps(body, ensure_ascii=True, allow_nan=False).encode("ascii")


def _read(response: httpx2.Response) -> Answer:
    try:
        body = response.json()
        choice = body["choices"][0]
        text = (choice.get("message") or {}).get("content")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ModelError(
            f"The server's answer cannot be read: {response.text[:MOST_BODY]}",
            kind="bad_response",
            status=200,
        ) from None
    finish = choice.get("finish_reason")
    if text is None:
        if finish is None:
            raise ModelError("The server answered without text or reason.", kind="empty", status=200)
        text = ""
    return Answer(str(text), finish, body.get("model"), _usage(body.get("usage")))


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return {
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "cached_tokens": prompt.get("cached_tokens") if isinstance(prompt, dict) else None,
        "reasoning_tokens": completion.get("reasoning_tokens") if isinstance(completion, dict) else None,
    }


def _refusal(response: httpx2.Response) -> ModelError:
    status, text = response.status_code, response.text[:MOST_BODY]
    kind = _KINDS.get(status, "server" if status >= 500 else "bad_request")
    if status == 429:
        kind = "quota" if "insufficient_quota" in text else "rate_limit"
    if 300 <= status < 400:
        text = f"it redirects to {response.headers.get('location')}, which is not followed"
    return ModelError(f"HTTP {status}: {text}", kind=kind, status=status, retry_after=_retry_after(response))


def _retry_after(response: httpx2.Response) -> float | None:
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None


def _resolved(reference: str) -> str:
    kind, _, place = reference.partition(":")
    if kind == "env":
        value = os.environ.get(place)
        if not value:
            raise ModelError(f"The environment has no {place}, which the key is read from.", kind="auth")
        return value
    path = Path(place).expanduser()
    try:
        if path.stat().st_mode & 0o077:
            raise ModelError(f"{path} can be read by others; chmod 600 it.", kind="auth")
        return path.read_text().strip()
    except OSError as exc:
        raise ModelError(f"The key cannot be read from {path}: {exc.strerror}", kind="auth") from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
