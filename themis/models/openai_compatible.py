"""Any server that speaks the chat-completions protocol of OpenAI, or its older completions."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httpx2

from themis.backends.execution.loop_thread import LoopThread
from themis.core.check_step import CheckStep
from themis.core.errors import MissingExtra, ModelError, SecretUnavailable, UsageError
from themis.models.base import Answer, Model, Request, check_answer
from themis.models.batch_request import BatchAnswer, BatchSupport, alike, shared
from themis.models.gate import Gate
from themis.models.lanes import Lanes, LoopLanes
from themis.models.reply import Reply
from themis.models.retry import ask_again_awaited
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
CHECK_TOKENS = 16
RESERVED = frozenset({"model", "messages", "prompt", "stream", "stream_options"})
"""Parts of a request that are no options of sampling."""

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
    keeps_time = True
    _loop: LoopThread | None

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
        return self._beside().wait_for(self.answer_awaited(request))

    async def answer_awaited(self, request: Request) -> Answer:
        return await ask_again_awaited(self._ask, request, gate=self._gate)

    def answer_batch(self, requests: list[Request]) -> list[Answer | BaseException]:
        return self._beside().wait_for(self._batch(requests))

    def check_sampling(self, sampling: dict[str, Any]) -> None:
        wrong = [name for name in sampling if name in RESERVED]
        if wrong:
            raise UsageError(
                f"sampling cannot set {wrong[0]!r}: model and prompt are named by the run, and an answer "
                "comes whole."
            )

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
            reply = self._beside().wait_for(self._models(key))
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

    def trouble(self) -> str | None:
        return self._gate.trouble()

    def begin(self) -> None:
        self._gate.reset()
        if self.key is not None:
            # Now, before anything is stored, and not on the loop that a person would be waited for on.
            resolved(self.key)

    def close(self) -> None:
        with self._lock:
            beside, self._loop = self._loop, None
            lanes = dict(self._lanes)
            self._lanes.clear()
        for loop, each in lanes.items():
            # Connections are closed in their own loop; those of a loop that is over went with it.
            if loop.is_running() and not _is_here(loop):
                with suppress(TimeoutError, RuntimeError):
                    asyncio.run_coroutine_threadsafe(each.close(), loop).result(CLOSE_WITHIN_S)
        if beside is not None:
            beside.stop()

    def __getstate__(self) -> dict[str, Any]:
        kept = ("base_url", "key", "api", "call_s", "name", "identity", "_on_this_machine")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def _prepare(self) -> None:
        self._url = httpx2.URL(f"{self.base_url}/{_PATHS[self.api]}")
        self.secrets: tuple[str, ...] = () if self.key is None else (self.key,)
        self.batches = self.api == "completions"
        self._lists = BatchSupport()
        self._gate = Gate()
        self._lock = threading.Lock()
        self._loop = None
        self._lanes: dict[asyncio.AbstractEventLoop, LoopLanes] = {}

    def _beside(self) -> LoopThread:
        """The loop for those who call and do not await."""
        with self._lock:
            if self._loop is None or not self._loop.runs:
                self._loop = LoopThread()
            return self._loop

    # One call

    async def _ask(self, request: Request) -> Answer:
        key = self._key()
        asked = _messages(request) if self.api == "chat" else _text(request)
        body = {"model": self.name, **asked, **options_of(request)}
        within_s = self.call_s if request.timeout is None else min(self.call_s, request.timeout)
        return (await self._sent(_Call(self._url, body, key, within_s))).answer()

    async def _batch(self, requests: list[Request]) -> list[Answer | BaseException]:
        """Prompts that are asked with the same options go together; each of the others alone."""
        answers: dict[int, Answer | BaseException] = {}

        async def ask(places: list[int]) -> None:
            asked = [requests[place] for place in places]
            answers.update(zip(places, await self._together(asked), strict=True))

        await asyncio.gather(*(ask(places) for places in alike(requests)))
        return [answers[place] for place in range(len(requests))]

    async def _together(self, requests: list[Request]) -> list[Answer | BaseException]:
        if len(requests) == 1 or not self._lists.believed:
            return await self._each_alone(requests)

        async def ask(first: Request) -> Answer:
            return await self._ask_list(first, requests)

        try:
            answer = await ask_again_awaited(ask, requests[0], gate=self._gate)
        except ModelError as exc:
            if not self._lists.may_be_to_blame(exc):
                return [exc] * len(requests)
        else:
            self._lists.worked()
            return shared(cast(BatchAnswer, answer))
        answers = await self._each_alone(requests)
        self._lists.failed(answers)
        return answers

    async def _each_alone(self, requests: list[Request]) -> list[Answer | BaseException]:
        asking = (self.answer_awaited(request) for request in requests)
        return list(await asyncio.gather(*asking, return_exceptions=True))

    async def _ask_list(self, first: Request, requests: list[Request]) -> BatchAnswer:
        texts = [_text(request)["prompt"] for request in requests]
        body = {"model": self.name, "prompt": texts, **options_of(first)}
        within_s = self.call_s if first.timeout is None else min(self.call_s, first.timeout)
        reply = await self._sent(_Call(self._url, body, self._key(), within_s))
        return BatchAnswer.of(reply.answers(len(texts)))

    async def _models(self, key: str | None) -> Reply:
        """What the server says of the models it has; whatever it says, it is there."""
        url = httpx2.URL(f"{self.base_url}/models")
        return await self._sent(_Call(url, None, key, min(self.call_s, CONNECT_S)))

    async def _sent(self, call: _Call) -> Reply:
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
                    return call.reply(response)
        except (httpx2.HTTPError, TimeoutError) as exc:
            raise call.failure(exc) from None

    def _key(self) -> str | None:
        try:
            return None if self.key is None else resolved(self.key)
        except (MissingExtra, SecretUnavailable) as exc:
            raise ModelError(str(exc), kind="auth") from None

    async def _lanes_here(self) -> Lanes:
        loop = asyncio.get_running_loop()
        lanes = self._lanes.get(loop)
        if lanes is None:
            with self._lock:
                for each in [each for each in self._lanes if each.is_closed()]:
                    del self._lanes[each]
                lanes = self._lanes[loop] = LoopLanes(lambda: httpx2.AsyncClient(**self._client_options))
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
