"""Any server that speaks the chat-completions protocol of OpenAI."""

from __future__ import annotations

import ipaddress
import json
import os
import threading
import time
from email.utils import parsedate_to_datetime
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

_KINDS = {
    400: "bad_request",
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not_found",
    408: "timeout",
    413: "too_large",
}


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
        try:
            parts = urlsplit(self.base_url)
            host, port_number = parts.hostname, parts.port
        except ValueError as exc:
            raise UsageError(f"base_url cannot be read: {exc}.") from None
        if "@" in parts.netloc:
            raise UsageError("base_url holds a user or password; give a key reference: key=env:NAME")
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise UsageError(f"base_url={base_url!r} is not a plain http or https address.")
        if key is not None and key.partition(":")[0] not in ("env", "file"):
            raise UsageError("key is a reference, env:NAME or file:path, never the key itself.")
        self.key = key if key is not None or base_url is not None else DEFAULT_KEY
        self._on_this_machine = _is_loopback(host)
        if self.key and parts.scheme == "http" and not self._on_this_machine:
            raise UsageError(f"A key would go to {host} over plain http. Use https.")
        self.name = model
        port = f":{port_number}" if port_number else ""
        self.identity = f"openai:{model}@{parts.scheme}://{host}{port}"
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
        kept = ("base_url", "key", "name", "identity", "_on_this_machine")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        self._client = None

    def _ask(self, request: Request) -> Answer:
        read_s = READ_S if request.timeout is None else min(READ_S, request.timeout)
        body = _without_surrogates({"model": self.name, "messages": _messages(request), **_options(request)})
        key = None if self.key is None else _resolved(self.key)
        try:
            response = self._opened().post(
                f"{self.base_url}/chat/completions",
                content=body,
                headers=_headers(key),
                timeout=httpx2.Timeout(read_s, connect=min(CONNECT_S, read_s)),
            )
        except httpx2.TimeoutException as exc:
            raise ModelError(
                f"No answer within {read_s:.3g} s ({type(exc).__name__}).", kind="timeout"
            ) from None
        except httpx2.HTTPError as exc:
            raise ModelError(f"{self.base_url}: {exc or type(exc).__name__}", kind="connection") from None
        if response.status_code != 200:
            raise _refusal(response, key)
        return _read(response, key)

    def _opened(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                limits = httpx2.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=None)
                # What stays on this machine goes to no proxy that the environment names.
                self._client = httpx2.Client(
                    limits=limits, follow_redirects=False, trust_env=not self._on_this_machine
                )
            return self._client


def _headers(key: str | None) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
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


def _quoted(text: str, key: str | None) -> str:
    """What a server said, fit to be stored and shown: it may quote the key that it was sent."""
    # Before it is cut: a part of a key is not found any more.
    for form in () if key is None else (key, json.dumps(key)[1:-1]):
        text = text.replace(form, "…")
    return text[:MOST_BODY]


def _read(response: httpx2.Response, key: str | None) -> Answer:
    try:
        body = response.json()
        if "choices" not in body and isinstance(body.get("error"), dict):
            raise _error_in_body(body["error"], response, key)
        choice = body["choices"][0]
        text = _text((choice.get("message") or {}).get("content"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ModelError(
            f"The server's answer cannot be read: {_quoted(response.text, key)}",
            kind="bad_response",
            status=200,
        ) from None
    finish = choice.get("finish_reason")
    if text is None:
        if finish is None:
            raise ModelError("The server answered without text or reason.", kind="empty", status=200)
        text = ""
    return Answer(text, finish, body.get("model"), _usage(body.get("usage")))


def _text(content: Any) -> str | None:
    """The words of an answer: a text, or parts of which some are text."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return None if content is None else str(content)


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    return {
        "input_tokens": _count(usage, "prompt_tokens"),
        "output_tokens": _count(usage, "completion_tokens"),
        "cached_tokens": _count(usage.get("prompt_tokens_details"), "cached_tokens"),
        "reasoning_tokens": _count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    }


def _count(counts: Any, name: str) -> int | None:
    count = counts.get(name) if isinstance(counts, dict) else None
    return count if type(count) is int else None


def _error_in_body(error: dict[str, Any], response: httpx2.Response, key: str | None) -> ModelError:
    code = error.get("code")
    text = f"The server answered with an error: {_quoted(json.dumps(error), key)}"
    kind = _kind(code, text) if type(code) is int and code >= 400 else "bad_response"
    return ModelError(text, kind=kind, status=200, retry_after=_retry_after(response))


def _kind(status: int, text: str) -> str:
    if status == 429:
        return "quota" if "insufficient_quota" in text else "rate_limit"
    return _KINDS.get(status, "server" if status >= 500 else "bad_request")


def _refusal(response: httpx2.Response, key: str | None) -> ModelError:
    status, text = response.status_code, _quoted(response.text, key)
    kind = _kind(status, text)
    if 300 <= status < 400:
        place = _quoted(str(response.headers.get("location")), key)
        text = f"it redirects to {place}, which is not followed"
    return ModelError(f"HTTP {status}: {text}", kind=kind, status=status, retry_after=_retry_after(response))


def _retry_after(response: httpx2.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            return None
    return seconds if 0 <= seconds < 86_400 else None


def _resolved(reference: str) -> str:
    key = _read_key(reference).strip()
    if not key or not key.isascii() or not key.isprintable():
        # Said here, without the key: what refuses it further down would quote it.
        raise ModelError(
            f"What {reference} holds cannot be a key: one line of plain characters.", kind="auth"
        )
    return key


def _read_key(reference: str) -> str:
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
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise ModelError(f"The key cannot be read from {path}: {exc.strerror}", kind="auth") from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
