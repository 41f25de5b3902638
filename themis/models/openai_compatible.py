"""Any server that speaks the chat-completions protocol of OpenAI, or its older completions."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx2

from themis.core.errors import ModelError, SecretUnavailable, UsageError
from themis.models.base import Answer, Model, Request
from themis.models.gate import Gate
from themis.models.reply import Reply
from themis.models.retry import ask_again, ask_again_awaited
from themis.profiles.endpoint import APIS, Endpoint
from themis.profiles.secrets import check_reference, resolved

DEFAULT_BASE_URL = "https://api.openai.com/v1"
DEFAULT_KEY = "env:OPENAI_API_KEY"
CONNECT_S = 5.0
CALL_S = 300.0
"""Seconds that one request may take, where nothing else is said."""
MOST_BYTES = 64_000_000
"""Of one answer."""
CLOSE_WITHIN_S = 2.0

_PATHS = {"chat": "chat/completions", "completions": "completions"}


class OpenAICompatibleModel(Model):
    """A model behind ``<base_url>/chat/completions``, or ``/completions`` with ``api="completions"``.

    ``key`` is a reference, never a key: ``env:NAME`` or ``file:path``. It is read when first needed, goes
    to this endpoint only, never over plain http except on this machine, and never along a redirect.

    At most :data:`themis.models.gate.MOST_UNTRIED` requests are in flight until one has succeeded; after
    :data:`themis.models.gate.MOST_REFUSALS` refusals in a row nothing more is asked.
    """

    awaits = True
    executor = "async"
    _client: httpx2.Client | None
    _awaited: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClient]

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        key: str | None = None,
        *,
        api: str = "chat",
        timeout: float | None = None,
    ) -> None:
        """``base_url`` is OpenAI's own by default, and ``key`` then ``env:OPENAI_API_KEY``.

        ``timeout`` are the seconds that one request may take, after which it is asked again.
        """
        if not model:
            raise UsageError("Name the model: openai:NAME?base_url=…")
        self.base_url: str = (base_url or DEFAULT_BASE_URL).rstrip("/")
        address = _address(self.base_url)
        self.key = None if key is None else check_reference(key)
        if key is None and base_url is None:
            self.key = DEFAULT_KEY
        self._on_this_machine = _is_loopback(address.host)
        if self.key and address.scheme == "http" and not self._on_this_machine:
            raise UsageError(f"A key would go to {address.host} over plain http. Use https.")
        if api not in APIS:
            raise UsageError(f"api={api!r:.60} is not {' or '.join(APIS)}.")
        if timeout is not None and not timeout > 0:
            raise UsageError(f"timeout={timeout!r} is not more than 0 seconds.")
        self.api = api
        self.call_s = CALL_S if timeout is None else timeout
        self.name = model
        self.identity = _identity(model, str(address), api)
        self._prepare()

    @classmethod
    def of_endpoint(
        cls, endpoint: Endpoint, model: str | None = None, timeout: float | None = None
    ) -> OpenAICompatibleModel:
        """The model of an endpoint in the user's profiles: its own one, unless another is named."""
        name = model or endpoint.model
        if not name:
            raise UsageError(
                f"The endpoint {endpoint.name!r} names no model; write {endpoint.name}:MODEL, or add "
                "model = to its profile."
            )
        wanted = endpoint.timeout if timeout is None else timeout
        made = cls(name, endpoint.base_url, endpoint.key, api=endpoint.api, timeout=wanted)
        made.identity = _identity(name, endpoint.name, endpoint.api)
        return made

    def answer(self, request: Request) -> Answer:
        return ask_again(self._ask, request, gate=self._gate)

    async def answer_awaited(self, request: Request) -> Answer:
        return await ask_again_awaited(self._ask_awaited, request, gate=self._gate)

    def begin(self) -> None:
        self._gate.reset()

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
            awaited = dict(self._awaited)
            self._awaited.clear()
        if client is not None:
            client.close()
        for loop, held in awaited.items():
            # A client is closed in its own loop; one whose loop is over went with it.
            if loop.is_running() and not _is_here(loop):
                with suppress(TimeoutError, RuntimeError):
                    asyncio.run_coroutine_threadsafe(held.close(), loop).result(CLOSE_WITHIN_S)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("base_url", "key", "api", "call_s", "name", "identity", "_on_this_machine")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self._gate = Gate()
        self._client = None
        self._awaited = WeakKeyDictionary()

    # One call

    def _ask(self, request: Request) -> Answer:
        call = self._call(request)
        try:
            with self._opened().stream("POST", call.url, **call.options) as response:
                for chunk in response.iter_bytes():
                    call.take(chunk)
                return call.reply(response).answer()
        except httpx2.HTTPError as exc:
            raise call.failure(exc) from None

    async def _ask_awaited(self, request: Request) -> Answer:
        call = self._call(request)
        try:
            client = await self._opened_here()
            async with asyncio.timeout(call.within_s):
                async with client.stream("POST", call.url, **call.options) as response:
                    async for chunk in response.aiter_bytes():
                        call.take(chunk)
                    return call.reply(response).answer()
        except (httpx2.HTTPError, TimeoutError) as exc:
            raise call.failure(exc) from None

    def _call(self, request: Request) -> _Call:
        try:
            key = None if self.key is None else resolved(self.key)
        except SecretUnavailable as exc:
            raise ModelError(str(exc), kind="auth") from None
        within_s = self.call_s if request.timeout is None else min(self.call_s, request.timeout)
        asked = _messages(request) if self.api == "chat" else _text(request)
        body = {"model": self.name, **asked, **_options(request)}
        return _Call(f"{self.base_url}/{_PATHS[self.api]}", body, key, within_s)

    def _opened(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx2.Client(**self._client_options())
            return self._client

    async def _opened_here(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        held = self._awaited.get(loop)
        if held is None:
            with self._lock:
                held = self._awaited.setdefault(loop, _LoopClient(self._client_options()))
        return await held.opened()

    def _client_options(self) -> dict[str, Any]:
        return {
            # The executor says how many are in flight; whoever waits for a connection would seem to hang.
            "limits": httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            "follow_redirects": False,
            # What stays on this machine goes to no proxy that the environment names.
            "trust_env": not self._on_this_machine,
        }


class _Call:
    """One request on its way, and what came back so far."""

    def __init__(self, url: str, body: dict[str, Any], key: str | None, within_s: float) -> None:
        self.url = url
        self.within_s = within_s
        self._key = key
        self._until = time.monotonic() + within_s
        self._content = bytearray()
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self.options: dict[str, Any] = {
            # Escaped as ASCII, any text travels; what the server makes of half a character is its own.
            "content": json.dumps(body, ensure_ascii=True, allow_nan=False).encode("ascii"),
            "headers": headers,
            "timeout": httpx2.Timeout(within_s, connect=min(CONNECT_S, within_s)),
        }

    def take(self, chunk: bytes) -> None:
        """Take in a part of the answer. Raises :class:`ModelError` for one that does not end."""
        self._content += chunk
        if len(self._content) > MOST_BYTES:
            raise ModelError(f"The answer is longer than {MOST_BYTES:,} bytes.", kind="bad_response")
        if time.monotonic() > self._until:
            raise self.failure(TimeoutError())

    def reply(self, response: httpx2.Response) -> Reply:
        """What came back, whole."""
        return Reply(response.status_code, response.headers, bytes(self._content), self._key)

    def failure(self, exc: Exception) -> ModelError:
        """Why nothing came back."""
        if isinstance(exc, (TimeoutError, httpx2.TimeoutException)):
            how = "" if isinstance(exc, TimeoutError) else f" ({type(exc).__name__})"
            return ModelError(f"No answer within {self.within_s:.3g} s{how}.", kind="timeout")
        return ModelError(f"{self.url}: {exc or type(exc).__name__}", kind="connection")


class _LoopClient:
    """The client of one event loop, which closes it at its end."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._life = self._lived(options)
        self._client: httpx2.AsyncClient | None = None

    async def opened(self) -> httpx2.AsyncClient:
        """The client; a loop that it is first used in takes care of it from then on."""
        if self._client is None:
            self._client = await anext(self._life)
        return self._client

    async def close(self) -> None:
        """Close it now; to be called in its loop."""
        await self._life.aclose()

    async def _lived(self, options: dict[str, Any]) -> AsyncGenerator[httpx2.AsyncClient, None]:
        # Event loops close the asynchronous generators that were begun in them; no other hook is theirs.
        async with httpx2.AsyncClient(**options) as client:
            yield client


class _Address:
    """Scheme, host and port of a base URL."""

    def __init__(self, scheme: str, host: str, port: int | None) -> None:
        self.scheme, self.host, self.port = scheme, host, port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def _address(base_url: str) -> _Address:
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise UsageError(f"base_url cannot be read: {exc}.") from None
    if "@" in parts.netloc:
        raise UsageError("base_url holds a user or password; give a key reference: key=env:NAME")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise UsageError(f"base_url={base_url!r} is not a plain http or https address.")
    return _Address(parts.scheme, host, port)


def _identity(model: str, place: str, api: str) -> str:
    return f"openai:{model}@{place}" + ("" if api == "chat" else f"?api={api}")


def _messages(request: Request) -> dict[str, Any]:
    prompt = request.prompt
    return {"messages": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt}


def _text(request: Request) -> dict[str, Any]:
    prompt = request.prompt
    if not isinstance(prompt, str):
        # A model that only goes on with a text knows no roles.
        prompt = "\n\n".join(str(message.get("content")) for message in prompt)
    return {"prompt": prompt}


def _options(request: Request) -> dict[str, Any]:
    seed = {} if request.seed is None else {"seed": request.seed}
    return {**seed, **request.sampling}


def _is_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
