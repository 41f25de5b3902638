"""The terminal that the app is drawn on: whether it can be, and leaving it as it was found."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import sys
import termios
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from themis.core.directories import make_private, state_dir
from themis.core.safe_text import safe_text

if TYPE_CHECKING:
    from textual.app import App

LOOK_FOR_TERMINAL_S = 1.0
CALM_S = 0.25
"""Seconds without another size after which the last one is drawn whole."""
LEAVE_WITHIN_S = 3.0
"""Seconds that the app has after a signal to leave by itself, which needs a terminal that is read."""
HUNG_UP = 128 + signal.SIGHUP

_log_file: IO[str] | None = None


def why_not() -> str | None:
    """Why the app cannot be drawn here, in one line; ``None`` if it can."""
    if not sys.stdin.isatty():
        return "themis-tui needs a terminal: its input is not one. For scripts there is 'themis'."
    if not sys.stderr.isatty():
        return "themis-tui is drawn on stderr, which is not a terminal here. For scripts there is 'themis'."
    term = os.environ.get("TERM", "")
    if term in ("", "dumb"):
        return f"themis-tui cannot draw on TERM={term or '(unset)'}. 'themis' prints plain lines."
    return None


def forget_size() -> None:
    """Let the terminal say how large it is: these stay as they were, whatever becomes of its window."""
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)


def log_quietly() -> Path:
    """Send what libraries and threads say to a file of this person's, as the screen is taken."""
    global _log_file
    path = state_dir() / "logs" / "app.log"
    _log_file = _opened(path)
    handler = logging.StreamHandler(_log_file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.lastResort = None
    logging.captureWarnings(True)
    faulthandler.enable(file=_log_file)
    threading.excepthook = _thread_failed
    sys.unraisablehook = _unraisable
    return path


def hold_garbage() -> None:
    """Look for no garbage while the app is loaded: what an import makes stays."""
    gc.disable()


def free_garbage() -> None:
    """Look for garbage again, but never in what was loaded until now."""
    gc.freeze()
    gc.enable()


def obey_signals(app: App[Any]) -> None:
    """Leave cleanly on SIGTERM and SIGHUP, and when the terminal is gone without a signal.

    A thread sees to it: while a terminal takes nothing, as in a hung connection, the loop stands still.
    """
    heard: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGHUP):
        with suppress(ValueError):  # not the main thread
            signal.signal(number, lambda number, frame: heard.put(number))
    loop = asyncio.get_running_loop()
    threading.Thread(target=_guard, args=(app, loop, heard), name="themis-terminal", daemon=True).start()


def follow_size(app: App[Any]) -> None:
    """Learn each size of the window in the loop, one after the other, and draw all anew after the last.

    The driver learns it in the signal's own handler, which the next signal interrupts: amid many, an older
    size would be told last. And of what is written meanwhile, some terminals lose a part.
    """
    loop = asyncio.get_running_loop()
    calm = loop.call_later(CALM_S, _tell_size, app)

    def changed() -> None:
        nonlocal calm
        calm.cancel()
        _tell_size(app)
        calm = loop.call_later(CALM_S, _draw_whole, app)

    with suppress(ValueError, RuntimeError):  # not the main thread
        loop.add_signal_handler(signal.SIGWINCH, changed)
    _tell_size(app)


def write_crash(error: BaseException) -> Path | None:
    """Keep a crash's traceback, without the values of variables, for its owner alone."""
    path = state_dir() / "logs" / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        with _opened(path) as file:
            file.write(safe_text("".join(traceback.format_exception(error)), 1_000_000))
    except OSError:
        return None
    return path


def _opened(path: Path) -> IO[str]:
    make_private(path.parent)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return os.fdopen(fd, "a", encoding="utf-8", errors="replace", buffering=1)


def _tell_size(app: App[Any]) -> None:
    from textual.events import Resize  # here, as Textual is loaded after garbage is held
    from textual.geometry import Size

    # The driver asks stdout, which may be a file; the app is drawn on stderr.
    with suppress(OSError, ValueError, AttributeError):
        columns, rows = os.get_terminal_size(sys.__stderr__.fileno())  # type: ignore[union-attr]
        size = Size(columns or 80, rows or 24)
        app.post_message(Resize(size, size))


def _draw_whole(app: App[Any]) -> None:
    _tell_size(app)
    if app.screen_stack:
        app.screen.refresh()


def _exit(app: App[Any], code: int) -> None:
    app.exit(return_code=code)


def _guard(app: App[Any], loop: asyncio.AbstractEventLoop, heard: SimpleQueue[int]) -> None:
    code = HUNG_UP
    while True:
        try:
            code = 128 + heard.get(timeout=LOOK_FOR_TERMINAL_S)
        except Empty:
            # With SIGHUP ignored, a lost terminal would leave a process that spins on its end of file.
            if not os.isatty(0):
                os._exit(HUNG_UP)
            continue
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_exit, app, code)
        time.sleep(LEAVE_WITHIN_S)
        _give_back_line(app)
        os._exit(code)


def _give_back_line(app: App[Any]) -> None:
    before = getattr(app._driver, "attrs_before", None)
    if before is not None:
        with suppress(termios.error):
            termios.tcsetattr(0, termios.TCSANOW, before)


def _thread_failed(args: Any) -> None:
    logging.getLogger("themis.app").error(
        "a thread ended", exc_info=_info(args.exc_type, args.exc_value, args.exc_traceback)
    )


def _unraisable(args: Any) -> None:
    logging.getLogger("themis.app").error(
        "not raised", exc_info=_info(args.exc_type, args.exc_value, args.exc_traceback)
    )


def _info(
    kind: type[BaseException], value: BaseException | None, trace: TracebackType | None
) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    return kind, value if value is not None else kind(), trace
