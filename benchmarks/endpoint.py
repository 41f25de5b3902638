"""A chat endpoint on this machine that answers after a while, or misbehaves as it is told.

    python benchmarks/endpoint.py [--latency 0.05] [--status 401]
        [--error 0.3 --limit 0.1 --hang 0.05 --cut 0.01]

Prints its address once it listens. ``GET /stats`` says what was asked of it. It reads just enough HTTP to be
no slower than what it measures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

SAID = {
    "object": "chat.completion",
    "model": "mock",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "12"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 1},
}
FAULTS = ("error", "limit", "hang", "cut")


def listed(prompt: str | list[str]) -> list[str]:
    """The prompts of one request."""
    return [prompt] if isinstance(prompt, str) else prompt


def said_to(prompts: list[str]) -> dict[str, Any]:
    """The answer to a list of prompts."""
    count = len(prompts)
    choices = [{"index": index, "text": "12", "finish_reason": "stop"} for index in range(count)]
    usage = {"prompt_tokens": 20 * count, "completion_tokens": count}
    return {"object": "text_completion", "model": "mock", "choices": choices, "usage": usage}


class Endpoint:
    """What it was told to do, and what was asked of it."""

    def __init__(self, latency: float, shares: dict[str, float], status: int, seed: int) -> None:
        self.latency = latency
        self.shares = shares
        self.status = status
        self.random = random.Random(seed)
        self.requests = 0
        self.first_at: float | None = None
        self.in_flight = self.most_in_flight = 0
        self.done: Counter[str] = Counter()
        self.answered: set[str] = set()
        self.after_answer = 0

    def fault(self) -> str:
        """What to do with the next request; an empty text is an answer."""
        drawn = self.random.random()
        for name in FAULTS:
            drawn -= self.shares[name]
            if drawn < 0:
                return name
        return ""

    def stats(self) -> dict[str, Any]:
        """For ``GET /stats``."""
        return {
            "requests": self.requests,
            "first_at": self.first_at,
            "answered": len(self.answered),
            "after_answer": self.after_answer,
            "most_in_flight": self.most_in_flight,
            "done": self.done,
        }


class Connection(asyncio.Protocol):
    """One connection, kept alive; one request at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.data = bytearray()
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """The transport to write to."""
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever hung up waits for nothing."""
        if self.timer is not None:
            self.timer.cancel()
            self.endpoint.in_flight -= 1

    def data_received(self, data: bytes) -> None:
        """A part of a request."""
        self.data += data
        head_ends = self.data.find(b"\r\n\r\n")
        if head_ends < 0:
            return
        head = bytes(self.data[:head_ends]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(self.data) < head_ends + 4 + length:
            return
        body = bytes(self.data[head_ends + 4 : head_ends + 4 + length])
        self.data.clear()
        if head.startswith(b"get /stats"):
            self.write(200, self.endpoint.stats())
        else:
            asked = json.loads(body)
            self.asked(asked["messages"][-1]["content"] if "messages" in asked else asked["prompt"])

    def asked(self, prompt: str | list[str]) -> None:
        """A question, or a list of them that are answered together: begin to."""
        endpoint = self.endpoint
        endpoint.requests += 1
        endpoint.first_at = endpoint.first_at or time.time()
        endpoint.in_flight += 1
        endpoint.most_in_flight = max(endpoint.most_in_flight, endpoint.in_flight)
        endpoint.after_answer += not endpoint.answered.isdisjoint(listed(prompt))
        fault = endpoint.fault()
        endpoint.done[fault or "answer"] += 1
        # A second in the life of a server that hangs is an hour for who is tested.
        wait = 3_600.0 if fault == "hang" else endpoint.latency
        self.timer = asyncio.get_running_loop().call_later(wait, self.act, fault, prompt)

    def act(self, fault: str, prompt: str | list[str]) -> None:
        """Answer, or do what was drawn."""
        self.timer = None
        endpoint = self.endpoint
        endpoint.in_flight -= 1
        if endpoint.status != 200:
            self.write(endpoint.status, {"error": {"message": "as I was told"}})
        elif fault == "error":
            self.write(500, {"error": {"message": "broken"}})
        elif fault == "limit":
            self.write(429, {"error": {"message": "slower"}}, "retry-after: 0\r\n")
        elif fault == "cut":
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
            self.transport.close()
        else:
            endpoint.answered.update(listed(prompt))
            self.write(200, SAID if isinstance(prompt, str) else said_to(prompt))

    def write(self, status: int, body: Any, headers: str = "") -> None:
        """One response."""
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\n{headers}content-type: application/json\r\n"
        self.transport.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)


@contextmanager
def served(*options: str) -> Iterator[str]:
    """The base URL of an endpoint in a process of its own, for as long as it is needed."""
    command = [sys.executable, __file__, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def stats(base_url: str) -> dict[str, Any]:
    """What was asked of an endpoint so far."""
    with urlopen(base_url.removesuffix("/v1") + "/stats", timeout=10) as response:
        return dict(json.load(response))


async def main() -> None:
    """Listen until terminated."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--latency", type=float, default=0.05, help="seconds of an answer")
    for name in FAULTS:
        parser.add_argument(f"--{name}", type=float, default=0.0, help="share of requests")
    parser.add_argument("--status", type=int, default=200, help="instead of answers")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    shares = {name: getattr(asked, name) for name in FAULTS}
    endpoint = Endpoint(asked.latency, shares, asked.status, asked.seed)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(endpoint), "127.0.0.1", 0, backlog=1024
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
