"""Reaching a Ray cluster, or starting one on this machine; what is wrong is said within seconds.

Runs in the driver's process only: see :mod:`.ray_driver`.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

PROBE_S = 3.0
ANSWER_S = 8.0
"""Ray itself would wait for most of a minute."""
INIT_S = 60.0
LOOPBACK = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Ray takes 127.0.0.1 for "find out my address"; its neighbour it leaves alone."""
STORE_BYTES = 200_000_000
"""Shared memory of a local cluster: what travels is small."""
CLIENT = "ray://"


class Refused(Exception):
    """Why there is no working with a cluster."""


class Options(NamedTuple):
    """What a driver is told when it starts."""

    address: str | None
    num_cpus: int | None
    folder: str
    """For a local cluster's files; short, since paths of sockets are."""
    home: str | None
    """The user's, where ``HOME`` is another."""
    themis: str


class Cluster(NamedTuple):
    """A cluster that was reached."""

    head: tuple[str, int] | None
    """Where its head listens."""
    local: bool


def connect(options: Options) -> Cluster:
    """Connect. Raises :class:`Refused` with the reason."""
    address = options.address
    if address is None:
        return _start(options)
    if address == "auto":
        _init(address, "auto")
        return Cluster(_head(), local=False)
    plain = address.removeprefix(CLIENT)
    host, port = host_and_port(plain)
    _probe(host, port, address)
    if address.startswith(CLIENT):
        _init(address, address)
        return Cluster((host, port), local=False)
    _check_metadata(plain)
    own = {"_node_ip_address": host} if host.startswith("127.") else {}
    _init(address, address, **own)
    return Cluster((host, port), local=False)


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of ``HOST:PORT``. Raises :class:`Refused`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise Refused(f"{address!r:.100} is no address of a Ray cluster. Write HOST:PORT, such as head:6379.")
    return host.strip("[]"), int(port)


def listens(head: tuple[str, int], within_s: float = PROBE_S) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(head, within_s).close()
    except OSError:
        return False
    return True


def _start(options: Options) -> Cluster:
    import ray

    try:
        # In the main thread: its parts end with the thread that started them.
        ray.init(
            num_cpus=options.num_cpus,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            configure_logging=False,
            log_to_driver=False,
            _temp_dir=str(Path(options.folder) / "ray"),
            _node_ip_address=LOOPBACK,
        )
    except Exception as exc:
        text = " ".join(str(exc).split())[:500]
        raise Refused(f"Ray does not start on this machine: {text}") from None
    return Cluster(_head(), local=True)


def _head() -> tuple[str, int] | None:
    import ray

    try:
        return host_and_port(ray.get_runtime_context().gcs_address)
    except (Refused, AttributeError):
        return None


def _probe(host: str, port: int, address: str) -> None:
    try:
        socket.create_connection((host, port), PROBE_S).close()
    except TimeoutError:
        raise Refused(
            f"{address}: nothing answers within {PROBE_S:g} s. Is the address right, and does a firewall let "
            "this machine through?"
        ) from None
    except OSError as exc:
        raise Refused(
            f"{address}: {exc.strerror or exc}. Is the head running there? It is started by: "
            f"ray start --head --port={port}"
        ) from None


def _check_metadata(address: str) -> None:
    """Whether the token fits and the versions are the same: Ray itself takes long to say."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.exceptions import AuthenticationError

    def ask() -> Any:
        return GcsClient(address=address).internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster")

    try:
        said = _within(ANSWER_S, ask)
    except AuthenticationError:
        raise Refused(
            f"{address}: the cluster refuses the token. Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to "
            "the token file that the head was started with."
        ) from None
    except Exception as exc:
        raise Refused(f"{address}: what listens there does not answer as a Ray head does: {exc}") from None
    check_versions(json.loads(said) if said else {}, address)


def check_versions(cluster: dict[str, Any], where: str) -> None:
    """Raises :class:`Refused` where Ray or Python is another; of Python the last number may be."""
    import ray

    theirs, ours = cluster.get("ray_version"), ray.__version__
    if theirs is not None and theirs != ours:
        raise Refused(
            f"{where} runs Ray {theirs}, this machine {ours}. They have to be the same: "
            f"pip install 'ray=={theirs}'"
        )
    theirs, ours = cluster.get("python_version"), platform.python_version()
    if theirs is not None and theirs.split(".")[:2] != ours.split(".")[:2]:
        raise Refused(f"{where} runs Python {theirs}, this machine {ours}. They have to be the same.")


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What ``call`` gives, or :class:`TimeoutError`: then it goes on in a thread that is left behind."""
    done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            done.put((call(), None))
        except BaseException as exc:  # raised again where it is waited for
            done.put((None, exc))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return result


def _init(address: str, said: str, **options: Any) -> None:
    import ray

    # Of Python, the last number may differ; Ray is told that here.
    os.environ.setdefault("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "minor")

    def init() -> Any:
        return ray.init(address=address, configure_logging=False, log_to_driver=False, **options)

    try:
        _within(INIT_S, init)
    except ImportError as exc:
        raise Refused(f"{said}: {exc}. Install it: pip install 'ray[client]'") from None
    except Exception as exc:
        text = " ".join(str(exc).split())[:500]
        raise Refused(
            f"{said}: Ray does not connect: {text}. A machine that uses a cluster has to be a node of it "
            "(ray start --address=HOST:PORT), or use ray://HOST:10001 for short runs."
        ) from None
