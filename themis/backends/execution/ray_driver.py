"""The process that speaks with Ray: ``python -m themis.backends.execution.ray_driver FD``.

Ray prints, takes signals, and ends the process that uses it when its head is gone. So it has one of its own,
and whatever it prints is read by the process that started this one. They talk over the socket ``FD``: tuples
of a method's name and its arguments, to :class:`Driver` there and to :class:`.ray_process.RayProcess` here.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import sys
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from themis.backends.execution.ray_connection import (
    Cluster,
    Options,
    Refused,
    check_versions,
    connect,
    listens,
)

START_WITHIN_S = 120.0
LOOK_EVERY_S = 1.0
"""How often the state of the cluster is told."""
HEAD_GONE_S = 5.0
"""A head that does not listen for this long does not come back."""
ACTOR_WITHIN_S = 60.0
"""A worker that is not up after this long counts as lost."""
SILENT_S = 30.0
"""A worker that says nothing for this long beyond a deadline counts as lost; it says something every second,
unless work in it lets nothing else run."""
MOST_SILENT_S = 600.0
"""As much where there is no deadline: loading a large model may take it."""
MOST_TRIES = 5
"""Workers in a row that did not come up, after which there will be none."""
MOST_CALLS = 1_000


class _WorkerHangs(Exception):
    """So much of a worker's work hangs that it is replaced."""


@dataclass
class _Seat:
    """A place for a worker."""

    index: int
    actor: Any = None
    node: str = ""
    host: str = ""
    epoch: int = 0
    tries: int = 0
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class _Map:
    """What a call of ``map`` needs of every worker."""

    func: Any
    timeout: float | None
    opened: dict[int, int] = field(default_factory=dict)
    """Seat to the epoch of the worker that knows of it."""


class Driver:
    """Seats with a worker each, replaced when it is lost; messages go to them and come back."""

    def __init__(self, connection: Connection, options: Options, cluster: Cluster) -> None:
        self._connection = connection
        self._options = options
        self._cluster = cluster
        self._seats: list[_Seat] = []
        self._maps: dict[int, _Map] = {}
        self._restarts = 0
        self._alive: list[dict[str, Any]] = []
        self._hosts: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._actor_class: Any = None

    async def run(self) -> None:
        """Until the other end is closed, or the cluster is gone."""
        import ray

        from themis.backends.execution.ray_station import RayStation

        self._actor_class = ray.remote(RayStation)
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), daemon=True).start()
        nodes = self._alive = self._nodes()
        self._hosts = {str(node["NodeManagerAddress"]) for node in nodes}
        self._send("up", _state(nodes))
        self._begin(self._look())
        await self._over.wait()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while True:
                name, *arguments = pickle.loads(self._connection.recv_bytes())
                loop.call_soon_threadsafe(getattr(self, name), *arguments)
        except (EOFError, OSError):
            loop.call_soon_threadsafe(self._over.set)

    def _send(self, name: str, *arguments: Any) -> None:
        with suppress(OSError):  # nobody listens any more, and this ends soon
            self._connection.send_bytes(pickle.dumps((name, *arguments)))

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._send("failed", f"the driver of Ray failed: {type(error).__name__}: {error}")

    # Messages

    def open(self, number: int, func: bytes, slots: list[int], timeout: float | None) -> None:
        """Begin a map: a worker for each count of slots."""
        import ray

        work = self._maps[number] = _Map(ray.put(func), timeout)
        while len(self._seats) < len(slots):
            self._seats.append(_Seat(len(self._seats)))
        for seat, count in zip(self._seats, slots, strict=False):
            self._begin(self._serve(number, work, seat, count))

    def give(self, number: int, index: int, epoch: int, ids: bytes, items: bytes) -> None:
        """Items for a worker, unless another sits in its place by now."""
        self._begin(self._give(number, self._seats[index], epoch, ids, items))

    def recall(self, number: int, index: int, epoch: int, most: int) -> None:
        """Items to be had back."""
        self._begin(self._recall(number, self._seats[index], epoch, most))

    def close(self, number: int) -> None:
        """A map is over."""
        work = self._maps.pop(number, None)
        if work is not None:
            for index, epoch in work.opened.items():
                self._begin(self._close(number, self._seats[index], epoch))

    # Work

    async def _give(self, number: int, seat: _Seat, epoch: int, ids: bytes, items: bytes) -> None:
        if seat.epoch == epoch and seat.actor is not None:
            with suppress(Exception):  # who serves the seat sees that it is lost
                await seat.actor.give.remote(number, ids, items)
                if seat.epoch == epoch:
                    self._send("gave", number, seat.index)

    async def _recall(self, number: int, seat: _Seat, epoch: int, most: int) -> None:
        if seat.epoch == epoch and seat.actor is not None:
            with suppress(Exception):  # as above
                ids = await seat.actor.recall.remote(number, most)
                if seat.epoch == epoch:
                    self._send("recalled", number, seat.index, ids)

    async def _close(self, number: int, seat: _Seat, epoch: int) -> None:
        if seat.epoch != epoch or seat.actor is None:
            return
        try:
            idle = await seat.actor.close.remote(number)
        except Exception:  # it is gone, and its work with it
            idle = False
        shared = any(work.opened.get(seat.index) == epoch for work in self._maps.values())
        if not idle and not shared:
            await self._unseat(seat, epoch)

    async def _serve(self, number: int, work: _Map, seat: _Seat, slots: int) -> None:
        """Have a worker in a seat work for a map, and the next one if it is lost."""
        while number in self._maps:
            if not await self._seated(seat):
                return
            epoch, actor = seat.epoch, seat.actor
            if actor is None:
                continue
            try:
                opening = actor.open.remote(number, work.func, slots, work.timeout)
                refused = await _in_time(opening, MOST_SILENT_S)
                if refused is not None:
                    self._send("refused", number, f"on {seat.host}, {refused}")
                    return
                work.opened[seat.index] = epoch
                if number not in self._maps:
                    await self._close(number, seat, epoch)
                    return
                self._send("seated", number, seat.index, epoch)
                within_s = MOST_SILENT_S if work.timeout is None else work.timeout + SILENT_S
                await self._collect(number, seat, actor, within_s)
            except Exception as exc:
                if number not in self._maps:
                    return
                why = f"the worker on {seat.host} {_in_words(exc)}"
                self._restarts += 1
                self._send("lost", number, seat.index, why, not isinstance(exc, _WorkerHangs))
                await self._unseat(seat, epoch)

    async def _collect(self, number: int, seat: _Seat, actor: Any, within_s: float) -> None:
        while number in self._maps:
            ids, values, item_s, exhausted = await _in_time(actor.collect.remote(number), within_s)
            if ids:
                self._send("collected", number, seat.index, ids, values, item_s)
            if exhausted:
                raise _WorkerHangs

    async def _seated(self, seat: _Seat) -> bool:
        """See that a worker sits there; false if there will be none any more."""
        async with seat.changing:
            while seat.actor is None:
                try:
                    await self._hire(seat)
                    seat.tries = 0
                except Refused as exc:
                    self._send("failed", str(exc))
                    return False
                except Exception as exc:
                    seat.tries += 1
                    if seat.tries >= MOST_TRIES or self._over.is_set():
                        self._send("failed", f"no worker comes up on the cluster: {_in_words(exc)}")
                        return False
                    await asyncio.sleep(LOOK_EVERY_S)
        return True

    async def _hire(self, seat: _Seat) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        made = self._actor_class.options(
            num_cpus=0,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=MOST_CALLS,
            scheduling_strategy=NodeAffinitySchedulingStrategy(self._least_busy(), soft=True),
        )
        # A head that is gone would be waited for, and everything else with it.
        actor = await asyncio.to_thread(made.remote, self._options.home)
        try:
            hello = await asyncio.wait_for(_awaited(actor.hello.remote()), ACTOR_WITHIN_S)
            self._check(hello)
        except BaseException as exc:
            await asyncio.to_thread(_kill, actor)
            if "No module named 'themis'" in str(exc):
                raise Refused(
                    "Themis is not installed where workers run. On every node: "
                    f"pip install 'themis-tui[ray]=={self._options.themis}'"
                ) from None
            raise
        seat.actor, seat.node, seat.host = actor, hello["node"], hello["host"]
        seat.epoch += 1

    def _check(self, hello: dict[str, Any]) -> None:
        where = f"The node {hello['host']}"
        check_versions({"ray_version": hello["ray"], "python_version": hello["python"]}, where)
        if hello["themis"] != self._options.themis:
            raise Refused(
                f"{where} has Themis {hello['themis']}, this machine {self._options.themis}. They have to be "
                "the same."
            )

    def _least_busy(self) -> str:
        taken: dict[str, int] = {}
        for seat in self._seats:
            if seat.actor is not None:
                taken[seat.node] = taken.get(seat.node, 0) + 1
        nodes = self._alive
        if not nodes:
            raise Refused("The cluster has no node that is alive.")
        least = min(nodes, key=lambda node: (taken.get(node["NodeID"], 0) + 1) / (_cpus(node) or 0.1))
        return str(least["NodeID"])

    async def _unseat(self, seat: _Seat, epoch: int) -> None:
        """Let go of the worker that sat there in this epoch; with it go those pieces of work that hang."""
        async with seat.changing:
            if seat.epoch == epoch and seat.actor is not None:
                actor, seat.actor = seat.actor, None
                await asyncio.to_thread(_kill, actor)

    # The cluster

    @staticmethod
    def _nodes() -> list[dict[str, Any]]:
        import ray

        return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]

    async def _look(self) -> None:
        heard_at = time.monotonic()
        while not self._over.is_set():
            await asyncio.sleep(LOOK_EVERY_S)
            head = self._cluster.head
            if head is not None and not await asyncio.to_thread(listens, head, LOOK_EVERY_S):
                if time.monotonic() - heard_at > HEAD_GONE_S:
                    self._send("failed", f"the head of the Ray cluster at {head[0]}:{head[1]} is gone.")
                    return
                continue
            heard_at = time.monotonic()
            try:
                nodes = await asyncio.wait_for(asyncio.to_thread(self._nodes), HEAD_GONE_S)
            except Exception:  # the head is asked again, and given up where it does not listen
                continue
            self._alive = nodes
            self._notice(nodes)
            state = _state(nodes)
            state["actors"] = sum(seat.actor is not None for seat in self._seats)
            state["restarts"] = self._restarts
            self._send("state", state)

    def _notice(self, nodes: list[dict[str, Any]]) -> None:
        hosts = {str(node["NodeManagerAddress"]) for node in nodes}
        for host in sorted(self._hosts - hosts):
            self._send("note", f"the node {host} is lost")
        for host in sorted(hosts - self._hosts):
            self._send("note", f"the node {host} has joined")
        self._hosts = hosts


def _state(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"nodes": len(nodes), "cpus": int(sum(map(_cpus, nodes))), "actors": 0, "restarts": 0}


def _cpus(node: dict[str, Any]) -> float:
    return float(node["Resources"].get("CPU", 0))


async def _awaited(reference: Any) -> Any:
    return await reference


async def _in_time(reference: Any, within_s: float) -> Any:
    return await asyncio.wait_for(_awaited(reference), within_s)


def _kill(actor: Any) -> None:
    import ray

    with suppress(Exception):  # it is gone already
        ray.kill(actor, no_restart=True)


def _in_words(exc: BaseException) -> str:
    """How a worker was lost."""
    if isinstance(exc, _WorkerHangs):
        return "hangs in work that passed its deadline"
    if isinstance(exc, TimeoutError):
        return "does not answer"
    text = " ".join(str(exc).split())
    for sign, words in _SIGNS:
        if sign in text:
            return words
    return f"failed: {type(exc).__name__}: {text[:300]}"


_SIGNS = (
    ("node died", "went with its node"),
    ("Node", "went with its node"),
    ("died unexpectedly", "died"),
    ("worker process has died", "died"),
    ("actor is dead", "died"),
    ("actor died", "died"),
)


def main() -> None:
    """Connect, and serve until the other end is closed."""
    connection = Connection(int(sys.argv[1]))
    options = Options(*pickle.loads(connection.recv_bytes()))

    def refuse(why: str) -> NoReturn:
        connection.send_bytes(pickle.dumps(("refused_all", why)))
        _end(options)

    late = threading.Timer(START_WITHIN_S, refuse, [f"Ray does not start within {START_WITHIN_S:g} s."])
    late.start()
    try:
        cluster = connect(options)
    except Refused as exc:
        refuse(str(exc))
    late.cancel()
    asyncio.run(Driver(connection, options, cluster).run())
    import ray

    # A cluster of its own ends with it; one that is gone would be waited for.
    if cluster.head is None or listens(cluster.head, LOOK_EVERY_S):
        ray.shutdown()
    _end(options)


def _end(options: Options) -> NoReturn:
    """End without waiting for threads that wait for a cluster."""
    until = time.monotonic() + LOOK_EVERY_S
    while os.path.exists(options.folder) and time.monotonic() < until:
        shutil.rmtree(options.folder, ignore_errors=True)  # what is ending may still write there
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
