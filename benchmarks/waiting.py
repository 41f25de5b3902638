"""How much of the waiting for a model is done at once: answers that take 50 ms, many in flight.

    python benchmarks/waiting.py [--samples 10000] [--concurrency 64 256]

Each row is one process: from the first request to the report saved in local files, as the share of
the ideal ``samples * 0.05 / concurrency``, beside bare asyncio and bare threads that only wait. Over HTTP, an
endpoint on this machine takes the 50 ms, and the measure is a bare httpx2 loop: as many coroutines that share
one client, post the same question and decode the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from endpoint import served, stats

ANSWER_S = 0.05
QUESTION = "What is six plus six? " * 8


class First:
    """When the first request was made."""

    at: float | None = None
    ended: float = 0.0
    """When the report was saved."""

    @classmethod
    def asked(cls) -> None:
        """A request is made now."""
        if cls.at is None:
            cls.at = time.time()


async def awaited(prompt: str) -> str:
    """The model, as a coroutine."""
    First.asked()
    await asyncio.sleep(ANSWER_S)
    return "12"


def waited(prompt: str) -> str:
    """The model, as a plain function."""
    First.asked()
    time.sleep(ANSWER_S)
    return "12"


def bare_asyncio(samples: int, concurrency: int) -> float:
    """Seconds of as many tasks that share one iterator."""

    async def work(numbers: object) -> None:
        for _ in numbers:  # type: ignore[attr-defined]
            await awaited("")

    async def main() -> None:
        numbers = iter(range(samples))
        await asyncio.gather(*(work(numbers) for _ in range(concurrency)))

    asyncio.run(main())
    return time.time() - (First.at or 0.0)


def bare_threads(samples: int, concurrency: int) -> float:
    """Seconds of as many threads that share one iterator."""
    numbers, taking = iter(range(samples)), threading.Lock()

    def work() -> None:
        while True:
            with taking:
                if next(numbers, None) is None:
                    return
            waited("")

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.time() - (First.at or 0.0)


def bare_httpx2(samples: int, concurrency: int) -> float:
    """Seconds of as many coroutines that share one client."""
    import httpx2

    async def work(client: httpx2.AsyncClient, url: str, numbers: object) -> None:
        for _ in numbers:  # type: ignore[attr-defined]
            body = {"model": "mock", "messages": [{"role": "user", "content": QUESTION}]}
            response = await client.post(url, json=body)
            assert json.loads(response.content)["choices"][0]["message"]["content"] == "12"

    async def main(url: str) -> None:
        numbers = iter(range(samples))
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx2.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
            await asyncio.gather(*(work(client, url, numbers) for _ in range(concurrency)))

    with served("--latency", str(ANSWER_S)) as base_url:
        asyncio.run(main(f"{base_url}/chat/completions"))
        ended = time.time()
        return ended - stats(base_url)["first_at"]


def _evaluate(samples: int, executor: str, model: object) -> None:
    from themis import evaluate

    rows = [{"id": f"q{number}", "question": QUESTION, "answer": "12"} for number in range(samples)]
    with tempfile.TemporaryDirectory() as folder:
        report = evaluate(rows, model=model, storage=f"local?root={Path(folder)}", executor=executor)
        First.ended = time.time()
    assert report.counts["answered"] == samples


def ours_async(samples: int, concurrency: int) -> float:
    """Seconds of ``evaluate`` with the async executor."""
    _evaluate(samples, f"async?max_concurrent={concurrency}", awaited)
    return First.ended - (First.at or 0.0)


def ours_threads(samples: int, concurrency: int) -> float:
    """Seconds of ``evaluate`` with threads."""
    _evaluate(samples, f"threads?max_workers={concurrency}", waited)
    return First.ended - (First.at or 0.0)


def ours_http(samples: int, concurrency: int) -> float:
    """Seconds of ``evaluate`` with an endpoint on this machine."""
    with served("--latency", str(ANSWER_S)) as base_url:
        executor = f"async?max_concurrent={concurrency}"
        _evaluate(samples, executor, f"openai:mock?base_url={base_url}")
        return float(First.ended - stats(base_url)["first_at"])


CONTESTANTS = {
    each.__name__: each
    for each in (bare_asyncio, ours_async, bare_threads, ours_threads, bare_httpx2, ours_http)
}


def main() -> None:
    """Run the contestants in turn and print their shares."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--only", choices=CONTESTANTS, nargs="+")
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        took = CONTESTANTS[asked.one](asked.samples, asked.concurrency[0])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
        print(took, peak)
        return
    print(f"{asked.samples:,} samples of {ANSWER_S * 1000:g} ms")
    for concurrency in asked.concurrency:
        ideal = asked.samples * ANSWER_S / concurrency
        for name in asked.only or CONTESTANTS:
            command = [sys.executable, __file__, "--one", name, "--samples", str(asked.samples)]
            done = subprocess.run(
                [*command, "--concurrency", str(concurrency)], capture_output=True, text=True, check=True
            )
            took, peak = map(float, done.stdout.split())
            print(f"{concurrency:>5}  {name:<13} {took:6.2f} s  {ideal / took:.3f} of ideal  {peak:4.0f} MB")


if __name__ == "__main__":
    main()
