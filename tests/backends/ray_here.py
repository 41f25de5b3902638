"""The Ray cluster that all tests of a session share, and free ports for others."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOSTS = ("127.0.0.2", "127.0.0.3")
UP_WITHIN_S = 90.0


def free_port(host: str) -> int:
    """Of those that Ray lets a head have."""
    for _ in range(100):
        with socket.socket() as listening:
            listening.bind((host, 0))
            port: int = listening.getsockname()[1]
        if port > 20_000:
            return port
    raise AssertionError("no free port")


def start(hosts: tuple[str, ...] = HOSTS, pid: int | None = None) -> tuple[subprocess.Popen[bytes], Path]:
    """A cluster of its own, in a folder of its own; it ends with the process ``pid``, this one by default."""
    folder = Path(tempfile.mkdtemp(prefix="tray-"))
    command = [sys.executable, str(Path(__file__).with_name("ray_nodes.py")), str(folder)]
    with open(folder / "keeper.log", "wb") as output:
        keeper = subprocess.Popen(
            [*command, str(free_port(hosts[0])), str(pid or os.getpid()), *hosts],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return keeper, folder


def address_of(folder: Path) -> str:
    """Of a cluster's head, once all nodes are there."""
    until = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < until:
        try:
            return (folder / "address").read_text()
        except FileNotFoundError:
            time.sleep(0.05)
    raise AssertionError(f"no cluster: {(folder / 'keeper.log').read_text()}")


def shared() -> Path:
    """The folder of the session's cluster. Whichever worker of pytest comes first starts it; it ends with the
    process that started them."""
    session = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    place = Path(tempfile.gettempdir()) / f"tray-of-{session}"
    with open(place, "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        known = lock.read()
        if not known or not Path(known).exists():  # a number of a process may come again
            lock.truncate(0)
            keeper, folder = start(pid=session)
            keeper.returncode = 0  # it outlives this process, if only for a moment, and nobody waits for it
            known = str(folder)
            lock.write(known)
    return Path(known)
