"""How the terminal app feels, measured in a pty: start, long tables, a live run, stalls of its loop.

    python benchmarks/app.py [paint table stall live idle] [--runs 10000] [--repeat 7]

``paint``   from the start of the process until rows are on the screen, beside a bare Textual app of a
            header, a table of 100 rows and a footer; both in turn, the ratio is of the medians.
``table``   100,000 rows until they are painted, and one page further, in our table and in Textual's
            DataTable, in one process; without waiting for the next frame, which Textual draws 60 of a second.
``stall``   the longest that the loop stood still while 10,000 runs were listed, from an index and
            without one, a filter was typed, and a run of 10,000 samples was opened and paged through.
``live``    bytes a second that reach the terminal, and share of one CPU, while a run is watched.
``idle``    the same while nothing happens.

The terminal is 80 by 24. What it shows is read by pyte, which the test extra brings.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 80, 24
WITHIN_S = 60.0
TICK_S = 0.002
SAMPLES = 10_000
FIGURES = "BENCHMARK_FIGURES"
"""In the child: the file to which its figures go."""

BARE = """
from textual.app import App
from textual.widgets import DataTable, Footer, Header

class Bare(App):
    def compose(self):
        yield Header()
        yield DataTable()
        yield Footer()

    def on_mount(self):
        table = self.query_one(DataTable)
        table.add_columns("status", "run", "model", "score")
        for number in range(100):
            table.add_row("completed", f"row-{number:03d}", "model", str(number))

Bare().run()
"""


class Pty:
    """A process in a terminal of its own, whose output is kept with the time at which it came."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.master = master
        self.pieces: list[tuple[float, bytes]] = []

    def drain(self, seconds: float) -> int:
        """Read for a while; returns how many bytes came."""
        until, count = time.perf_counter() + seconds, 0
        while (left := until - time.perf_counter()) > 0:
            ready, _, _ = select.select([self.master], [], [], min(left, 0.05))
            if ready:
                count += self._read()
        return count

    def until_bytes(self, wanted: bytes) -> None:
        """Read until the output holds ``wanted``, and the frame around it has come."""
        deadline = time.perf_counter() + WITHIN_S
        while not any(wanted in piece for _, piece in self.pieces):
            if time.perf_counter() > deadline or self.process.poll() is not None:
                raise SystemExit(f"{wanted!r} did not come:\n{b''.join(p for _, p in self.pieces)[-2000:]!r}")
            self.drain(0.02)
        self.drain(0.05)

    def seen_at(self, condition: Callable[[list[str]], bool]) -> float:
        """Seconds from the start until the screen, as pyte draws it, met a condition."""
        import pyte

        screen = pyte.Screen(WIDTH, HEIGHT)
        stream = pyte.ByteStream(screen)
        for moment, piece in self.pieces:
            # pyte prints what it does not know of the Kitty protocol, which is no matter here.
            stream.feed(piece)
            if condition(screen.display):
                return moment - self.started
        raise SystemExit("the screen never showed it:\n" + "\n".join(screen.display))

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self.master, keys)

    def end(self) -> None:
        """Leave as a closed terminal does, and wait."""
        self.process.send_signal(signal.SIGTERM)
        deadline = time.perf_counter() + 10
        while self.process.poll() is None and time.perf_counter() < deadline:
            self.drain(0.05)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    def _read(self) -> int:
        try:
            piece = os.read(self.master, 1 << 16)
        except OSError:
            time.sleep(0.01)
            return 0
        self.pieces.append((time.perf_counter(), piece))
        return len(piece)


def environment(folder: Path) -> dict[str, str]:
    """A home of its own, a terminal of 256 colours."""
    return {
        **os.environ,
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_DATA_HOME": str(folder / "data"),
        "TERM": "xterm-256color",
        "COLORTERM": "",
        "LC_ALL": "C.UTF-8",
    }


def app_command(*arguments: str, figures: bool = False) -> list[str]:
    """The app as a person starts it; or, where figures are wanted from inside it, as this file does."""
    return [sys.executable, *([__file__, "--inside"] if figures else ["-m", "themis_tui"]), *arguments]


# From the start to the first rows


def paint(folder: Path, store: Path, repeat: int) -> None:
    """First rows on the screen, beside a bare Textual app."""
    given = environment(folder)
    bare, ours = [], []
    for number in range(repeat + 1):
        a = _painted([sys.executable, "-c", BARE], given, "row-005")
        b = _painted(app_command("--storage", str(store)), given, "completed")
        if number:  # the first fills caches
            bare.append(a)
            ours.append(b)
    for name, seconds in (("bare Textual app", bare), ("themis-tui", ours)):
        median, best = statistics.median(seconds) * 1e3, min(seconds) * 1e3
        print(f"paint   {name:<17} median {median:5.0f} ms   best {best:.0f}")
    ratio, best = statistics.median(ours) / statistics.median(bare), min(ours) / min(bare)
    print(f"paint   ratio {ratio:.2f}, of the best {best:.2f}; wanted at most 1.3")


def _painted(command: list[str], given: dict[str, str], word: str) -> float:
    terminal = Pty(command, given)
    terminal.until_bytes(word.encode())
    took = terminal.seen_at(lambda display: any(word in row for row in display))
    terminal.end()
    return took


# Long tables


def table(repeat: int) -> None:
    """100,000 rows in our table and in Textual's."""
    os.environ["TEXTUAL_FPS"] = "1000"
    for name, figures in asyncio.run(_tables(repeat)).items():
        shown, paged = (statistics.median(each) * 1e3 for each in figures)
        wanted = ", wanted 20 and 10" if name == "ours" else ""
        print(f"table   {name:<12} 100,000 rows painted {shown:8.1f} ms   page-down {paged:6.1f} ms{wanted}")


async def _tables(repeat: int) -> dict[str, tuple[list[float], list[float]]]:
    return {
        "ours": await _measured_table(_our_table(), repeat),
        "DataTable": await _measured_table(_data_table(), 1),
    }


async def _measured_table(made: tuple[Any, Callable[[Any], None], Callable[[Any], None]], repeat: int) -> Any:
    app, fill, page = made
    async with app.run_test(size=(WIDTH, HEIGHT)):
        shown = [await _refreshed(app, lambda: fill(app)) for _ in range(repeat)]
        paged = [await _refreshed(app, lambda: page(app)) for _ in range(20)]
    return shown, paged


async def _refreshed(app: Any, change: Callable[[], None]) -> float:
    """Seconds from a change until it was drawn."""
    done = asyncio.Event()
    started = time.perf_counter()
    change()
    app.screen.focused.call_after_refresh(done.set)
    await done.wait()
    return time.perf_counter() - started


def _our_table() -> tuple[Any, Callable[[Any], None], Callable[[Any], None]]:
    from textual.app import App

    from themis_tui.theme import own_variables
    from themis_tui.widgets.columns import Column, cell
    from themis_tui.widgets.table import Table

    class Ours(App[None]):
        def get_theme_variable_defaults(self) -> dict[str, str]:
            return own_variables(self.current_theme)

        def compose(self) -> Iterator[Table[Any]]:
            yield Table(
                [Column(title, _cell(n, cell), 12, grow=True) for n, title in enumerate("ABCD")], _key
            )

        def on_mount(self) -> None:
            self.query_one(Table).focus()

    rows = _rows()
    show = lambda app: app.query_one(Table).show(rows)  # noqa: E731
    return Ours(), show, lambda app: app.query_one(Table).action_page(1)


def _cell(place: int, cell: Callable[[str], Any]) -> Callable[[tuple[str, ...]], Any]:
    return lambda row: cell(row[place])


def _key(row: tuple[str, ...]) -> str:
    return row[1]


def _data_table() -> tuple[Any, Callable[[Any], None], Callable[[Any], None]]:
    from textual.app import App
    from textual.widgets import DataTable

    class Theirs(App[None]):
        def compose(self) -> Iterator[DataTable[str]]:
            yield DataTable()

        def on_mount(self) -> None:
            self.query_one(DataTable).add_columns(*"ABCD")
            self.query_one(DataTable).focus()

    rows = _rows()
    add = lambda app: app.query_one(DataTable).add_rows(rows)  # noqa: E731
    return Theirs(), add, lambda app: app.query_one(DataTable).action_page_down()


def _rows() -> list[tuple[str, ...]]:
    return [("completed", f"row-{number:06d}", "model", str(number % 97)) for number in range(100_000)]


# The loop


def stall(folder: Path, store: Path, repeat: int) -> None:
    """The longest that the loop stood still after the first paint."""
    given = environment(folder)

    def use_new_list(terminal: Pty) -> None:
        _use_the_list(terminal)
        _forget_index(given)

    _forget_index(given)
    _tell_stall("no index yet", given, ["--storage", str(store)], use_new_list, repeat)
    _tell_stall("from an index", given, ["--storage", str(store)], _use_the_list, repeat)
    _tell_stall("10,000 samples", given, ["--storage", str(_long_run(folder))], _use_a_run, repeat)


def _forget_index(given: dict[str, str]) -> None:
    for index in Path(given["XDG_CACHE_HOME"]).rglob("*.sqlite"):
        index.unlink()


def _use_the_list(terminal: Pty) -> None:
    terminal.until_bytes(b"completed")
    terminal.drain(6.0)
    for key in (b"j", b"\x04", b"G", b"g", b"/", b"0", b"9", b"9", b"\x1b"):
        terminal.press(key)
        terminal.drain(0.4)
    terminal.drain(2.0)


def _use_a_run(terminal: Pty) -> None:
    terminal.until_bytes(b"completed")
    terminal.drain(1.0)
    for key in (
        b"\r",
        b"j",
        b"G",
        b"g",
        b"\x04",
        b"f",
        b"f",
        b"f",
        b"/",
        b"1",
        b"2",
        b"\r",
        b"\r",
        b"j",
        b"\x1b",
    ):
        terminal.press(key)
        terminal.drain(1.5)


def _tell_stall(
    name: str, given: dict[str, str], arguments: list[str], use: Callable[[Pty], None], repeat: int
) -> None:
    figures = sorted(_inside(given, arguments, use) for _ in range(repeat))
    stood, busy, alone = figures[len(figures) // 2]
    print(
        f"stall   {name:<15} stood still {stood * 1e3:4.0f} ms, of these at work {busy * 1e3:4.0f};"
        f" a clock alone beside it {alone * 1e3:.0f}; wanted at most 100"
    )


def _inside(given: dict[str, str], arguments: list[str], use: Callable[[Pty], None]) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as kept:
        path, beside = Path(kept) / "figures.json", Path(kept) / "beside.json"
        terminal = Pty(app_command(*arguments, figures=True), {**given, FIGURES: str(path)})
        clock = subprocess.Popen([sys.executable, __file__, "--control", str(beside)])
        use(terminal)
        clock.terminate()
        clock.wait()
        terminal.end()
        return (*json.loads(path.read_text()), json.loads(beside.read_text()))


def inside(arguments: list[str]) -> int:
    """In the child: the app, and a second clock on its loop."""
    from themis_tui.app import ThemisApp
    from themis_tui.main import main

    worst, leaving = (0.0, 0.0), False

    async def watch() -> None:
        nonlocal worst
        await asyncio.sleep(0.3)  # the first paint, which a bare app has too
        while not leaving:
            before, busy = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK_S)
            stood = time.perf_counter() - before - TICK_S
            worst = worst if leaving else max(worst, (stood, time.thread_time() - busy))

    mount, left, tasks = ThemisApp.on_mount, ThemisApp.exit, []

    def on_mount(self: ThemisApp) -> None:
        mount(self)
        tasks.append(asyncio.get_running_loop().create_task(watch()))

    def leave(self: ThemisApp, *given: Any, **named: Any) -> None:
        nonlocal leaving
        leaving = True
        left(self, *given, **named)

    ThemisApp.exit, ThemisApp.on_mount = leave, on_mount  # type: ignore[method-assign]
    code = main(arguments)
    Path(os.environ[FIGURES]).write_text(json.dumps(worst))
    return code


def control(path: str) -> int:
    """In a child beside it: a clock alone, to tell what the machine's other work makes of one."""
    worst, leaving = 0.0, []
    signal.signal(signal.SIGTERM, lambda *_: leaving.append(True))
    while not leaving:
        before = time.perf_counter()
        time.sleep(TICK_S)
        worst = max(worst, time.perf_counter() - before - TICK_S)
    Path(path).write_text(json.dumps(worst))
    return 0


def _long_run(folder: Path) -> Path:
    """A finished run of many samples."""
    root = folder / "long"
    if not root.exists():
        code = (
            "import sys; from themis import evaluate; from themis.backends import LocalStorageBackend\n"
            "evaluate('demo', model='fake-math-llm', epochs=int(sys.argv[2]), run_id='long',"
            " storage_backend=LocalStorageBackend(sys.argv[1]))"
        )
        command = [sys.executable, "-c", code, str(root), str(SAMPLES // 120 + 1)]
        subprocess.run(command, check=True, env=environment(folder), stdout=subprocess.DEVNULL)
    return root


# A live run


def live(folder: Path, seconds: float, repeat: int) -> None:
    """Bytes a second and CPU while a run is watched."""
    with _live_run(folder) as (given, root):
        _spent("live", given, ["--storage", str(root), "run", "live"], seconds, repeat, "12.0 kB/s and 5%")


def idle(folder: Path, store: Path, seconds: float, repeat: int) -> None:
    """Bytes a second and CPU while nothing happens."""
    _spent("idle", environment(folder), ["--storage", str(store)], seconds, repeat, "2%")


def _spent(
    name: str, given: dict[str, str], arguments: list[str], seconds: float, repeat: int, wanted: str
) -> None:
    sizes, shares = [], []
    for _ in range(repeat):
        terminal = Pty(app_command(*arguments), given)
        terminal.drain(5.0)
        before, started = _cpu_s(terminal.process.pid), time.perf_counter()
        size = terminal.drain(seconds)
        took = time.perf_counter() - started
        sizes.append(size / took / 1e3)
        shares.append((_cpu_s(terminal.process.pid) - before) / took * 100)
        terminal.end()
    print(
        f"{name:<7} {statistics.median(sizes):5.1f} kB/s   CPU {statistics.median(shares):4.1f}%"
        f"   (medians of {repeat} times {seconds:g} s), wanted at most {wanted}"
    )


@contextmanager
def _live_run(folder: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """A launched run of ten samples a second, three metrics, errors now and then."""
    given, root = environment(folder), folder / "live"
    themis = [sys.executable, "-m", "themis.cli.main"]
    model = "fake-math-llm?latency=400ms&error_rate=0.02"
    launch = ["eval", "demo", "--model", model, "--epochs", "100", "--max-workers", "4", "--run-id", "live"]
    metrics = ["--metric", "ExactMatch", "--metric", "Includes"]
    subprocess.run(
        [*themis, *launch, *metrics, "--storage", str(root), "--detach"],
        env=given,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(3)
    try:
        yield given, root
    finally:
        subprocess.run([*themis, "runs", "cancel", "live", "--storage", str(root)], env=given, check=False)


def _cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has taken, all its threads."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        done = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True)
        parts = [float(each) for each in done.stdout.strip().replace("-", ":").split(":")]
        return sum(part * 60**place for place, part in enumerate(reversed(parts)))


def main() -> int:
    """Measure what was asked for."""
    if sys.argv[1:2] == ["--inside"]:
        return inside(sys.argv[2:])
    if sys.argv[1:2] == ["--control"]:
        return control(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", default=["paint", "table", "stall", "live", "idle"])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long a live run is watched")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    from catalog import make_runs

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
        folder, store = Path(root), Path(root) / "store"
        if {"paint", "stall", "idle"} & set(asked.what):
            make_runs(store, asked.runs)
        steps: dict[str, Callable[[], None]] = {
            "paint": lambda: paint(folder, store, asked.repeat),
            "table": lambda: table(asked.repeat),
            "stall": lambda: stall(folder, store, min(3, asked.repeat)),
            "live": lambda: live(folder, asked.seconds, min(3, asked.repeat)),
            "idle": lambda: idle(folder, store, asked.seconds, min(3, asked.repeat)),
        }
        for name in asked.what:
            steps[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
