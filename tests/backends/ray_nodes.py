"""A real Ray cluster on loopback, one node an address, for as long as a process lives.

    python ray_nodes.py FOLDER PORT PID 127.0.0.2 127.0.0.3

The first address is the head's. ``FOLDER`` gets the token, the output, a file with the address of the head
once all nodes are there, and a file with the pid of each node. All end when the process ``PID`` does, or on
SIGTERM.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[2]
UP_WITHIN_S = 60.0
SMALL = ("--disable-usage-stats", "--object-store-memory=80000000", "--num-cpus=1")


def environment(folder: Path) -> dict[str, str]:
    """What every part of the cluster runs in, and whoever uses it."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    # With this file, the head does not ask the addresses at which clouds tell machines about themselves.
    (home / "ray_bootstrap_config.yaml").write_text("provider: {type: local}\n")
    token = folder / "token"
    if not token.exists():
        token.write_text(secrets.token_hex(32))
    return {
        **os.environ,
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_ENABLE_AUTO_CONNECT": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def start(folder: Path, host: str, *options: str) -> subprocess.Popen[bytes]:
    """One node; it ends with its process group."""
    ray = Path(sys.executable).with_name("ray")
    with open(folder / f"{host}.log", "wb") as output:
        process = subprocess.Popen(
            [str(ray), "start", "--block", f"--node-ip-address={host}", *SMALL, *options],
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (folder / f"{host}.pid").write_text(str(process.pid))
    return process


def start_head(folder: Path, host: str, port: int) -> subprocess.Popen[bytes]:
    """The first node."""
    # Paths of sockets are short.
    files = f"--temp-dir={folder / 'r'}"
    return start(folder, host, "--head", f"--port={port}", "--include-dashboard=false", files)


def wait_for(host: str, port: int) -> None:
    """Until something listens there."""
    until = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < until:
        try:
            socket.create_connection((host, port), 0.3).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing listens at {host}:{port}")


def wait_for_nodes(folder: Path, address: str, count: int) -> None:
    """Until so many nodes are there."""
    code = (
        "import sys, time\n"
        "from ray._raylet import GcsClient\n"
        "client, until = GcsClient(address=sys.argv[1]), time.monotonic() + 60\n"
        "while time.monotonic() < until:\n"
        "    nodes = client.get_all_node_info(timeout=5)\n"
        "    alive = sum(node.state == 0 for node in nodes.values())\n"
        "    if alive >= int(sys.argv[2]): break\n"
        "    time.sleep(0.1)\n"
        "else: sys.exit('not enough nodes')\n"
    )
    command = [sys.executable, "-c", code, address, str(count)]
    subprocess.run(command, env=environment(folder), check=True, capture_output=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a node to end, and see that it does."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main() -> None:
    """Keep the nodes until they are needed no more."""
    folder, port, pid = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    first, *others = sys.argv[4:]
    nodes = [start_head(folder, first, port)]

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)
    try:
        address = f"{first}:{port}"
        wait_for(first, port)
        nodes += [start(folder, host, f"--address={address}") for host in others]
        wait_for_nodes(folder, address, len(nodes))
        (folder / "address.new").write_text(address)
        (folder / "address.new").rename(folder / "address")
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.5)
    finally:
        for node in reversed(nodes):
            end(node)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
