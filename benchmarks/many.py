"""How soon the app shows the runs of several large stores, measured inside it.

    python benchmarks/many.py [--runs 10000] [--stores 3] [--repeat 5]

Each time in a process of its own, without a terminal, 100 by 30; from the moment the app is made, its imports
apart: the first paint; the first 50 rows of all stores; every row, verified; then a filter typed key by key,
from the key until its rows are drawn, and dropped again; twenty rows marked. Beside it all, a clock
on the app's loop: the longest that it stood still.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TICK_S = 0.002
WITHIN_S = 60.0
FILTERS = ("x99", "model:fake acc>0.4", "demo -status:failed")
FIRST = 50


def shown(roots: list[Path], environment: dict[str, str]) -> dict[str, float]:
    """Seconds that each step took, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--inside", *map(str, roots)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


async def shown_here(roots: list[str]) -> dict[str, float]:
    """What :func:`shown` measures."""
    from themis_tui import terminal
    from themis_tui.app import ThemisApp
    from themis_tui.doors import Doors, FirstLook

    figures: dict[str, float] = {}
    ticking = asyncio.create_task(_tick(figures))
    terminal.hold_garbage()
    started = time.perf_counter()
    doors = Doors()
    look = FirstLook(doors.to(roots[0]), roots)
    look.start()
    app: Any = ThemisApp(roots[0], stores=roots, doors=doors, first_look=look)
    async with app.run_test(size=(100, 30)) as pilot:
        figures["paint"] = time.perf_counter() - started
        screen = app.screen
        rows = screen.table.rows
        terminal.free_garbage()
        await _until(
            lambda: len(rows.shown) >= FIRST and len({row.store for row in rows.shown}) == len(roots)
        )
        await _drawn(screen)
        figures["first"] = time.perf_counter() - started
        await _until(lambda: all(each.whole for each in screen._listed.stores) and screen._listed.settled)
        await _drawn(screen)
        figures["all"], figures["rows"] = time.perf_counter() - started, len(rows.all)
        figures["stood while listing"] = figures.pop("stood", 0.0)
        figures["worked while listing"] = figures.pop("worked", 0.0)
        await asyncio.sleep(0.5)
        figures.pop("stood", None)
        filtered = table_filter(screen.table, figures)
        for words in FILTERS:
            await pilot.press("slash")
            for key in words:
                began = time.perf_counter()
                before = len(filtered)
                screen.filter_bar.query_one("Input").insert_text_at_cursor(key)
                await _until(lambda n=before: len(filtered) > n or screen.filter_bar._problem is not None)
                await _drawn(screen)
                figures["key"] = max(figures.get("key", 0.0), time.perf_counter() - began)
            await pilot.press("escape")
        figures["stood while filtering"] = figures.pop("stood", 0.0)
        began = time.perf_counter()
        for _ in range(20):
            screen.do_mark()
            await _drawn(screen)
        figures["mark"] = (time.perf_counter() - began) / 20
    ticking.cancel()
    return figures


def table_filter(table: Any, figures: dict[str, float]) -> list[float]:
    """Note how long each filtering of the table takes."""
    took: list[float] = []
    filtered = table.filter

    def timed(test: Any) -> None:
        began, worked = time.perf_counter(), time.thread_time()
        filtered(test)
        figures["filter work"] = max(figures.get("filter work", 0.0), time.thread_time() - worked)
        took.append(time.perf_counter() - began)
        figures["filter"] = max(figures.get("filter", 0.0), took[-1])

    table.filter = timed
    return took


async def _tick(figures: dict[str, float]) -> None:
    while True:
        before, worked = time.perf_counter(), time.thread_time()
        await asyncio.sleep(TICK_S)
        stood = time.perf_counter() - before - TICK_S
        figures["stood"] = max(figures.get("stood", 0.0), stood)
        figures["worked"] = max(figures.get("worked", 0.0), time.thread_time() - worked)


async def _until(condition: Callable[[], Any]) -> None:
    deadline = time.perf_counter() + WITHIN_S
    while not condition():
        if time.perf_counter() > deadline:
            raise SystemExit("it did not come")
        await asyncio.sleep(TICK_S)


async def _drawn(screen: Any) -> None:
    done = asyncio.Event()
    screen.call_after_refresh(done.set)
    await done.wait()


def told(name: str, seconds: list[float], wanted: str) -> None:
    """Print one figure."""
    best, median = min(seconds) * 1e3, statistics.median(seconds) * 1e3
    print(f"{name:<44} best {best:7.1f} ms   median {median:7.1f} ms   wanted {wanted}")


def measure(folder: Path, runs: int, stores: int, repeat: int) -> None:
    """Make the stores and print the figures."""
    from catalog import make_runs

    environment = {
        **os.environ,
        **{f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")},
        "HOME": str(folder),
        "TEXTUAL_ANIMATIONS": "none",
    }
    roots = [folder / f"store-{number}" for number in range(stores)]
    for root in roots:
        make_runs(root, runs)
    print(f"{stores} stores of {runs:,} runs, in the app")
    first = shown(roots, environment)
    told("all rows, for the first time, without an index", [first["all"]], "-")
    told("the loop stood still meanwhile", [first["stood while listing"]], "at most 100 ms")
    figures = [shown(roots, environment) for _ in range(repeat)]
    for key, name, wanted in (
        ("paint", "first paint", "-"),
        ("first", f"first {FIRST} merged rows on the screen", "50 ms after the first paint"),
        ("all", "all merged rows, verified, on the screen", "500 ms"),
        ("filter", "a filter over them, the slowest", "50 ms"),
        ("filter work", "the same in processor time", "-"),
        ("key", "the same from the key to the screen, 60 ms rest", "-"),
        ("mark", "one row marked", "-"),
        ("stood while listing", "the loop stood still while listing", "at most 100 ms"),
        ("worked while listing", "of these at work, not waiting for its turn", "-"),
        ("stood while filtering", "the loop stood still while filtering", "at most 100 ms"),
    ):
        told(name, [each[key] for each in figures], wanted)


def main() -> None:
    """Make the runs and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--stores", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--inside", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        print(json.dumps(asyncio.run(shown_here(asked.inside))))
        return
    sys.path.insert(0, str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), asked.runs, asked.stores, asked.repeat)


if __name__ == "__main__":
    main()
