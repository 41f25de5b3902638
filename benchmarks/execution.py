"""What an executor costs: tiny work, work that waits, a million items, and how soon it stops.

    python benchmarks/execution.py [--only threads ray …] [--items 100000] [--waits 2000]

Beside each are the bare library's ways, in a few lines: one task an item as a guide would write it, and the
best shape that we could write by hand. Each row is one process. Tiny work is tens of thousands of
``item + 1``; waiting work sleeps 10 ms, 32 at once, so that at best 3,200 are done a second. The million come
from a generator; what they cost is the growth of this process. Start-up (Ray's takes seconds) is told apart.
``cpu`` is what an item of tiny work costs in all processes together, which tells more than the clock where
others work too.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

WAIT_S = 0.01
AT_ONCE = 32
MILLION = 1_000_000

Map = Callable[..., Iterator[Any]]


def tiny(item: int) -> int:
    """The smallest work."""
    return item + 1


def waiting(item: int) -> int:
    """Work that waits."""
    time.sleep(WAIT_S)
    return item


class Both:
    """Waiting as a coroutine too."""

    def __call__(self, item: int) -> int:
        """As called in a thread."""
        return waiting(item)

    async def acall(self, item: int) -> int:
        """As awaited on a loop."""
        import asyncio

        await asyncio.sleep(WAIT_S)
        return item

    def batch(self, items: list[int]) -> list[int]:
        """As a model that answers many at once."""
        time.sleep(WAIT_S)
        return items


# Ours


def ours(name: str) -> Any:
    """The executor of a name."""
    from themis.backends import open_executor

    return open_executor(name)


# The bare libraries' ways


class PoolMap:
    """``ThreadPoolExecutor.map``, which takes all items at once."""

    def map(self, func: Any, items: Iterable[Any], max_workers: int = AT_ONCE, **_: Any) -> Iterator[Any]:
        """Results in order."""
        with ThreadPoolExecutor(max_workers) as pool:
            yield from pool.map(func, items)


class PoolWindow:
    """The pool with a window of futures, for a source that is not to be taken at once."""

    def map(self, func: Any, items: Iterable[Any], max_workers: int = AT_ONCE, **_: Any) -> Iterator[Any]:
        """Results as they complete."""
        items = iter(items)
        with ThreadPoolExecutor(max_workers) as pool:
            out = {pool.submit(func, item) for item in itertools.islice(items, 2 * max_workers)}
            while out:
                done, out = wait(out, return_when=FIRST_COMPLETED)
                out |= {pool.submit(func, item) for item in itertools.islice(items, len(done))}
                yield from (each.result() for each in done)


class RayBare:
    """A local cluster for what follows."""

    def __init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        ray.init(
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=200_000_000,
        )

    def shutdown(self) -> None:
        """End it."""
        import ray

        ray.shutdown()


class RayGuide(RayBare):
    """One task an item, all submitted, waited for one by one: what the guide prints."""

    def map(self, func: Any, items: Iterable[Any], **_: Any) -> Iterator[Any]:
        """Results as they complete."""
        import ray

        task = ray.remote(lambda item: func(item))
        left = [task.remote(item) for item in items]
        while left:
            done, left = ray.wait(left)
            for each in done:
                yield ray.get(each)


class RayByHand(RayBare):
    """Tasks of 500 items with threads inside, two for each CPU in flight."""

    def map(self, func: Any, items: Iterable[Any], threads: int = 0, **_: Any) -> Iterator[Any]:
        """Results, task by task."""
        import ray

        @ray.remote
        def work(part: list[Any]) -> list[Any]:
            if not threads:
                return [func(item) for item in part]
            with ThreadPoolExecutor(threads) as pool:
                return list(pool.map(func, part))

        parts = iter(lambda: list(itertools.islice(items, 500)), [])
        items = iter(items)
        out = [work.remote(part) for part in itertools.islice(parts, 2 * (os.cpu_count() or 1))]
        while out:
            done, out = ray.wait(out)
            out += [work.remote(part) for part in itertools.islice(parts, len(done))]
            for each in ray.get(done):
                yield from each


CONTESTANTS: dict[str, Callable[[], Any]] = {
    "ThreadPoolExecutor.map": PoolMap,
    "pool with a window": PoolWindow,
    "threads": lambda: ours(f"threads?max_workers={AT_ONCE}"),
    "async": lambda: ours(f"async?max_concurrent={AT_ONCE}&max_threads={AT_ONCE}"),
    "batch": lambda: ours(f"batch?size={AT_ONCE}&max_items={2 * AT_ONCE}"),
    "ray, the guide's": RayGuide,
    "ray, by hand": RayByHand,
    "ray": lambda: ours("ray"),
}
SMALL = {"ray, the guide's": 20}
"""So much fewer items for those that would take minutes."""
TAKES_ALL = {"ThreadPoolExecutor.map", "ray, the guide's"}


def measured(name: str, items: int, waits: int) -> dict[str, float]:
    """The row of one contestant."""
    began = time.perf_counter()
    executor = CONTESTANTS[name]()
    list(executor.map(tiny, range(64), max_workers=AT_ONCE))
    row = {"start": time.perf_counter() - began}
    few = SMALL.get(name, 1)
    spent = cpu_s()
    row["tiny"] = rate(executor, tiny, items // few, best_of=3)
    row["cpu"] = (cpu_s() - spent) / (3 * (items // few)) * 1e6
    options = {"threads": AT_ONCE // (os.cpu_count() or 1)} if name == "ray, by hand" else {}
    work = Both() if name in ("async", "batch", "ray") else waiting
    row["waits"] = rate(
        executor, work, waits // (4 if few > 1 else 1), best_of=1 if few > 1 else 3, **options
    )
    if few == 1:
        row["million_s"], row["million_mb"] = million(executor)
    if name not in TAKES_ALL and name != "pool with a window" and name != "ray, by hand":
        row["cancel"] = cancel(executor)
    if hasattr(executor, "shutdown"):
        executor.shutdown()
    return row


def rate(executor: Any, func: Any, count: int, best_of: int = 1, **options: Any) -> float:
    """Items a second."""
    rates = []
    for _ in range(best_of):
        began = time.perf_counter()
        done = sum(1 for _ in executor.map(func, range(count), max_workers=AT_ONCE, **options))
        rates.append(count / (time.perf_counter() - began))
        assert done == count
    return max(rates)


def million(executor: Any) -> tuple[float, float]:
    """Seconds that a million items take, and the megabytes by which they raise what the process holds."""
    numbers = (number for number in range(MILLION))
    began = time.perf_counter()
    before = most = resident_mb()
    results = executor.map(tiny, numbers, max_workers=AT_ONCE)
    for count, _ in enumerate(results):
        if count % 20_000 == 0:
            most = max(most, resident_mb())
    return time.perf_counter() - began, max(most, resident_mb()) - before


def cancel(executor: Any) -> float:
    """Seconds from the cancel to the end of the results, with work that takes ten seconds in flight."""
    event = threading.Event()
    results = executor.map(
        first_quick, itertools.count(), max_workers=4, cancel=event, return_exceptions=True
    )
    next(results)
    began = time.perf_counter()
    event.set()
    for _ in results:
        pass
    return time.perf_counter() - began


def first_quick(item: int) -> int:
    """Quick at first, then too slow to wait for."""
    if item:
        time.sleep(10)
    return item


def cpu_s() -> float:
    """CPU seconds spent so far, by this process and all that it started, also by way of others."""
    mine = str(os.getpid())
    parents, spent = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[stat.parent.name] = fields[1]
            spent[stat.parent.name] = int(fields[11]) + int(fields[12])
    total = 0
    for pid, ticks in spent.items():
        above = pid
        while above not in (mine, "1", "0"):
            above = parents.get(above, "0")
        total += ticks if above == mine else 0
    return total / os.sysconf("SC_CLK_TCK")


def resident_mb() -> float:
    """Memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def told(row: dict[str, float], name: str) -> str:
    """A row as it is printed."""
    parts = [f"{name:<24}{row['start']:6.2f} s", f"{row['tiny']:>11,.0f}/s {row['cpu']:6.1f} µs"]
    parts.append(f"{row['waits']:>8,.0f}/s")
    parts.append(
        f"{row['million_s']:7.2f} s {row['million_mb']:>+8.1f} MB" if "million_s" in row else " " * 20
    )
    parts.append(f"{row['cancel'] * 1000:7.0f} ms" if "cancel" in row else "")
    return " ".join(parts)


def ratios(rows: dict[str, dict[str, float]]) -> Iterator[str]:
    """What is promised, and what came of it."""

    def ratio(what: str, ours: str, theirs: str, wanted: float) -> Iterator[str]:
        if ours in rows and theirs in rows:
            value = rows[ours][what] / rows[theirs][what]
            yield f"{ours} / {theirs}, {what}: {value:,.2f} (promised: {wanted:g})"

    yield from ratio("tiny", "threads", "ThreadPoolExecutor.map", 1)
    ideal = AT_ONCE / WAIT_S
    for name in ("threads", "async"):
        if name in rows:
            yield f"{name}, of the ideal for waiting: {rows[name]['waits'] / ideal:.3f} (promised: 0.95)"
    yield from ratio("tiny", "ray", "ray, the guide's", 200)
    yield from ratio("waits", "ray", "ray, the guide's", 15)
    yield from ratio("tiny", "ray", "ray, by hand", 0.8)
    yield from ratio("waits", "ray", "ray, by hand", 0.8)


def main() -> None:
    """Run the contestants in turn, and print rows and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--waits", type=int, default=2_000)
    parser.add_argument("--only", choices=CONTESTANTS, nargs="+")
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(measured(asked.one, asked.items, asked.waits), flush=True)
        os._exit(0)
    print(f"{'':<24}{'start':>8} {'tiny':>13} {'cpu':>9} {'10 ms x 32':>10} {'a million':>9} ", end="")
    print(f"{'memory':>11} {'cancel':>10}")
    rows: dict[str, dict[str, float]] = {}
    for name in asked.only or CONTESTANTS:
        command = [sys.executable, __file__, "--one", name, "--items", str(asked.items)]
        command += ["--waits", str(asked.waits)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
        )
        rows[name] = eval(done.stdout.splitlines()[-1])
        print(told(rows[name], name), flush=True)
    for line in ratios(rows):
        print(line)


if __name__ == "__main__":
    main()
