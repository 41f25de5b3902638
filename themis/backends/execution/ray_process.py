"""The near end of the process that speaks with Ray: see :mod:`.ray_driver`."""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from themis.backends.execution.dispatch import Dispatch, no_workers, refused
from themis.backends.execution.ray_station import themis_version
from themis.core.errors import ExecutionError

END_WITHIN_S = 10.0
NEWS_S = 60.0
"""For so long it is told that a node was lost."""
MOST_KEPT_LINES = 20
_LOG = logging.getLogger("themis.ray")
"""What Ray prints is logged as ``INFO``; what happens to workers and nodes as ``WARNING``."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class RayProcess:
    """A process with a connection to a cluster, and the maps that use it. Keeps the promise of a ``Crew``."""

    def __init__(self, address: str | None, num_cpus: int | None) -> None:
        if os.isatty(2) and not _LOG.handlers:
            _LOG.addHandler(logging.NullHandler())  # a terminal belongs to whoever draws on it
        self.up = threading.Event()
        """Set once it is known whether there is a cluster."""
        self.refused: str | None = None
        self.state: dict[str, Any] = {}
        """Nodes, CPUs, actors and restarts, as they were told last."""
        self._news: tuple[str, float] | None = None
        self._numbers = itertools.count()
        self._maps: dict[int, Dispatch] = {}
        self._lock = threading.Lock()
        self._lines: deque[str] = deque(maxlen=MOST_KEPT_LINES)
        self._ended: str | None = None
        self._folder = tempfile.mkdtemp(prefix="themis-ray-")
        self._connection, self._process = self._started(address is None)
        self._send(_options(address, num_cpus, self._folder))
        self._threads = [
            threading.Thread(target=each, name="themis-ray", daemon=True)
            for each in (self._log, self._listen)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def ended(self) -> bool:
        """Whether it is of no use any more."""
        return self._ended is not None or self.refused is not None

    def news(self) -> str | None:
        """What happened to the cluster lately."""
        news = self._news
        return None if news is None or time.monotonic() - news[1] > NEWS_S else news[0]

    def stop(self) -> None:
        """End the process, and with it a cluster of its own."""
        self._ended = self._ended or "it was shut down."
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        try:
            self._process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(END_WITHIN_S)
        self._connection.close()
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # A crew

    def open(self, dispatch: Dispatch, func: bytes, slots: list[int], timeout: float | None) -> int:
        number = next(self._numbers)
        self._maps[number] = dispatch
        self._send(("open", number, func, slots, timeout))
        if self._ended is not None:
            dispatch.failed(no_workers(self._ended))
        return number

    def give(self, number: int, seat: int, epoch: int, ids: bytes, items: bytes) -> None:
        self._send(("give", number, seat, epoch, ids, items))

    def recall(self, number: int, seat: int, epoch: int, most: int) -> None:
        self._send(("recall", number, seat, epoch, most))

    def close(self, number: int) -> None:
        self._maps.pop(number, None)
        self._send(("close", number))

    # The process

    def _started(self, local: bool) -> tuple[Connection, subprocess.Popen[str]]:
        self._socket, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "themis.backends.execution.ray_driver", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=[theirs.fileno()],
                env=_environment(local, self._folder),
                start_new_session=True,
            )
        return Connection(os.dup(self._socket.fileno())), process

    def _send(self, message: tuple[Any, ...]) -> None:
        data = pickle.dumps(message)
        with self._lock, suppress(OSError):  # it has ended; who listens to it says so
            self._connection.send_bytes(data)

    def _log(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                text = _COLOURS.sub("", line).rstrip()
                self._lines.append(text)
                _LOG.info("%s", text)

    def _listen(self) -> None:
        try:
            while True:
                name, *arguments = pickle.loads(self._connection.recv_bytes())
                getattr(self, f"_{name}")(*arguments)
        except (EOFError, OSError):
            pass
        if self._ended is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            last = "\n".join(self._lines)
            self._failed(
                f"the process that speaks with Ray has ended ({self._process.poll()}). It said:\n{last}"
            )
        self.up.set()

    # What it says

    def _up(self, state: dict[str, Any]) -> None:
        self.state = state
        self.up.set()

    def _refused_all(self, why: str) -> None:
        self.refused = why
        self.up.set()

    def _state(self, state: dict[str, Any]) -> None:
        self.state = state

    def _note(self, text: str) -> None:
        self._news = (text, time.monotonic())
        _LOG.warning("%s", text)

    def _failed(self, why: str) -> None:
        self._ended = why
        for dispatch in list(self._maps.values()):
            dispatch.failed(no_workers(why))

    def _refused(self, number: int, why: str) -> None:
        if number in self._maps:
            self._maps[number].failed(refused(why))

    def _lost(self, number: int, seat: int, why: str, blame: bool) -> None:
        _LOG.warning("%s; what it had not finished is done again", why)
        if number in self._maps:
            self._maps[number].lost(seat, why, blame=blame)

    def _seated(self, number: int, seat: int, epoch: int) -> None:
        if number in self._maps:
            self._maps[number].seated(seat, epoch)

    def _gave(self, number: int, seat: int) -> None:
        if number in self._maps:
            self._maps[number].gave(seat)

    def _recalled(self, number: int, seat: int, ids: bytes) -> None:
        if number in self._maps:
            self._maps[number].recalled(seat, ids)

    def _collected(self, number: int, seat: int, ids: bytes, values: bytes, item_s: float) -> None:
        if number in self._maps:
            self._maps[number].collected(seat, ids, values, item_s)


def not_connected(why: str) -> ExecutionError:
    """There is no working with the cluster."""
    return ExecutionError(why)


def _options(address: str | None, num_cpus: int | None, folder: str) -> tuple[Any, ...]:
    home = os.path.expanduser("~") if address is None else None
    return (address, num_cpus, folder, home, themis_version())


def _environment(local: bool, folder: str) -> dict[str, str]:
    """That of this process, and what keeps Ray quiet."""
    environment = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_AUTO_CONNECT": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "PYTHONPATH": os.pathsep.join(_own_paths()),
    }
    if local:
        # Others on this machine can reach its ports, and are nobody without the token. And with a file that
        # says "local", its head does not ask the addresses at which clouds tell machines about themselves.
        Path(folder, "ray_bootstrap_config.yaml").write_text("provider: {type: local}\n")
        environment |= {"HOME": folder, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
            environment.pop(name, None)
    return environment


def _own_paths() -> list[str]:
    """Where this process finds code beside what is installed, so that the workers of this machine do too."""
    installed = (sys.prefix, sys.base_prefix)
    paths = [os.path.abspath(path) for path in sys.path]
    return [path for path in dict.fromkeys(paths) if not path.startswith(installed) and os.path.isdir(path)]
