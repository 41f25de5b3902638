"""Any server that speaks the chat-completions protocol of OpenAI, or its older completions."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx2

from themis.core.check_step import CheckStep
from themis.core.errors import MissingExtra, ModelError, SecretUnavailable, UsageError
from themis.models.base import Answer, Model, Request, check_answer
from themis.models.gate import Gate
from themis.models.lanes import Lanes, LoopLanes
from themis.models.reply import Reply
from themis.models.retry import ask_again, ask_again_awaited
from themis.profiles.endpoint import APIS, Endpoint
from themis.profiles.secrets import asks_a_person, check_reference, resolved

DEFAULT_BASE_URL = "https://api.openai.com/v1"
DEFAULT_KEY = "env:OPENAI_API_KEY"
CONNECT_S = 5.0
CALL_S = 300.0
"""Seconds that one request may take, where nothing else is said."""
MOST_BYTES = 64_000_000
"""Of one answer."""
CLOSE_WITHIN_S = 2.0
CHECK_TOKENS = 16

_HEADERS = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "content-type": "application/json",
    "user-agent": f"themis ({httpx2.__title__}/{httpx2.__version__})",
}
_PATHS = {"chat": "chat/completions", "completions": "completions"}


class OpenAICompatibleModel(Model):
    """A model behind ``<base_url>/chat/completions``, or ``/completions`` with ``api="completions"``.

    ``key`` is a reference, never a key: see :mod:`themis.profiles.secrets`. It is read when first needed,
    goes to this endpoint only, never over plain http except on this machine, and never along a redirect.

    At most :data:`themis.models.gate.MOST_UNTRIED` requests are in flight until one has succeeded; after
    :data:`themis.models.gate.MOST_REFUSALS` refusals in a row nothing more is asked.
    """

    awaits = True
    executor = "async"
    _lanes: Lanes[httpx2.Client]
    _awaited: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopLanes]

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
        self.key = None if key is None else check_reference(key)
        if key is None and base_url is None:
            self.key = DEFAULT_KEY
        address = checked_address(self.base_url, self.key)
        self._on_this_machine = address.is_loopback
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

    def check(self) -> Iterator[CheckStep]:
        began = time.perf_counter()
        try:
            key = self._key()
        except ModelError as exc:
            yield CheckStep("key", False, time.perf_counter() - began, str(exc))
            return
        yield CheckStep("key", True, time.perf_counter() - began, self.key or "none is sent")
        began = time.perf_counter()
        try:
            reply = self._models(key)
        except ModelError as exc:
            yield CheckStep("connect", False, time.perf_counter() - began, str(exc))
            return
        yield CheckStep("connect", True, time.perf_counter() - began, self.base_url)
        refused = reply.status in (401, 403)
        yield CheckStep(
            "authenticate",
            not refused,
            0.0,
            reply.refusal() if refused else reply.models(self.name),
        )
        if not refused:
            self.begin()
            yield check_answer(self, {"max_tokens": CHECK_TOKENS})

    def begin(self) -> None:
        self._gate.reset()
        if asks_a_person(self.key):
            # Now, and not on the loop that it would hold up. That it failed is said by the first request.
            with suppress(MissingExtra, SecretUnavailable):
                resolved(self.key or "")

    def close(self) -> None:
        for client in self._lanes.emptied():
            client.close()
        for loop, lanes in list(self._awaited.items()):
            # Connections are closed in their own loop; those of a loop that is over went with it.
            if loop.is_running() and not _is_here(loop):
                with suppress(TimeoutError, RuntimeError):
                    asyncio.run_coroutine_threadsafe(lanes.close(), loop).result(CLOSE_WITHIN_S)
        self._awaited.clear()

    def __getstate__(self) -> dict[str, Any]:
        kept = ("base_url", "key", "api", "call_s", "name", "identity", "_on_this_machine")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def _prepare(self) -> None:
        self._url = httpx2.URL(f"{self.base_url}/{_PATHS[self.api]}")
        self._gate = Gate()
        self._lanes = Lanes(lambda: httpx2.Client(**self._client_options))
        self._awaited = WeakKeyDictionary()

    # One call

    def _ask(self, request: Request) -> Answer:
        call = self._call(request)
        try:
            with self._lanes.one() as client:
                response = client.send(call.request, stream=True)
                try:
                    for chunk in response.iter_bytes():
                        call.take(chunk)
                finally:
                    response.close()
                return call.reply(response).answer()
        except httpx2.HTTPError as exc:
            raise call.failure(exc) from None

    async def _ask_awaited(self, request: Request) -> Answer:
        call = self._call(request)
        lanes = await self._lanes_here()
        try:
            async with asyncio.timeout(call.within_s):
                with lanes.one() as client:
                    response = await client.send(call.request, stream=True)
                    try:
                        async for chunk in response.aiter_bytes():
                            call.take(chunk)
                    finally:
                        await response.aclose()
                    return call.reply(response).answer()
        except (httpx2.HTTPError, TimeoutError) as exc:
            raise call.failure(exc) from None

    def _models(self, key: str | None) -> Reply:
        """What the server says of the models it has; whatever it says, it is there."""
        url = httpx2.URL(f"{self.base_url}/models")
        call = _Call(url, None, key, min(self.call_s, CONNECT_S))
        try:
            with self._lanes.one() as client:
                response = client.send(call.request)
                call.take(response.content)
                return call.reply(response)
        except httpx2.HTTPError as exc:
            raise call.failure(exc) from None

    def _key(self) -> str | None:
        try:
            return None if self.key is None else resolved(self.key)
        except (MissingExtra, SecretUnavailable) as exc:
            raise ModelError(str(exc), kind="auth") from None

    def _call(self, request: Request) -> _Call:
        key = self._key()
        within_s = self.call_s if request.timeout is None else min(self.call_s, request.timeout)
        asked = _messages(request) if self.api == "chat" else _text(request)
        body = {"model": self.name, **asked, **options_of(request)}
        return _Call(self._url, body, key, within_s)

    async def _lanes_here(self) -> Lanes[httpx2.AsyncClient]:
        loop = asyncio.get_running_loop()
        lanes = self._awaited.get(loop)
        if lanes is None:
            lanes = self._awaited.setdefault(
                loop, LoopLanes(lambda: httpx2.AsyncClient(**self._client_options))
            )
        return await lanes.opened()

    @functools.cached_property
    def _client_options(self) -> dict[str, Any]:
        https = self.base_url.startswith("https:")
        return {
            "limits": httpx2.Limits(max_connections=1),
            "follow_redirects": False,
            # What stays on this machine goes to no proxy that the environment names.
            "trust_env": not self._on_this_machine,
            # Made once: it takes longer than a request.
            "verify": httpx2.create_ssl_context() if https else False,
        }


class _Call:
    """One request on its way, and what came back so far."""

    def __init__(
        self, url: httpx2.URL, body: dict[str, Any] | None, key: str | None, within_s: float
    ) -> None:
        self.within_s = within_s
        self._key = key
        self._until = time.monotonic() + within_s
        self._content = bytearray()
        headers = dict(_HEADERS)
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self.request = httpx2.Request(
            "GET" if body is None else "POST",
            url,
            # Escaped as ASCII, any text travels; what the server makes of half a character is its own.
            content=None if body is None else json.dumps(body, allow_nan=False).encode("ascii"),
            headers=headers,
            extensions={"timeout": httpx2.Timeout(within_s, connect=min(CONNECT_S, within_s)).as_dict()},
        )

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
        return ModelError(f"{self.request.url}: {exc or type(exc).__name__}", kind="connection")


class Address(NamedTuple):
    """Scheme, host and port of a base URL."""

    scheme: str
    host: str
    port: int | None

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def checked_address(base_url: str, key: str | None) -> Address:
    """Where a base URL leads. Raises :class:`UsageError` where a key would be given away, or it is none."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise UsageError(f"base_url cannot be read: {exc}.") from None
    if "@" in parts.netloc:
        raise UsageError("base_url holds a user or password; give a key reference: key=env:NAME")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise UsageError(f"base_url={base_url!r} is not a plain http or https address.")
    address = Address(parts.scheme, host, port)
    if key and parts.scheme == "http" and not address.is_loopback:
        raise UsageError(f"A key would go to {host} over plain http. Use https.")
    return address


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


def options_of(request: Request) -> dict[str, Any]:
    """What a request sets beside its prompt."""
    seed = {} if request.seed is None else {"seed": request.seed}
    return {**seed, **request.sampling}


def _is_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
