"""Work on the processes of a Ray cluster: of this machine, or of many."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from themis.backends.execution.base import TICK, ExecutionBackend, ExecutorStatus, R, T, TaskFailure
from themis.backends.execution.dispatch import LOOK_AGAIN_S, Dispatch
from themis.backends.execution.ray_process import RayProcess, not_connected
from themis.backends.execution.threads import at_least_one
from themis.core.errors import MissingExtra, UsageError, described

DEFAULT_ACTORS = 32
DEFAULT_THREADS = 16
DEFAULT_CONCURRENT = 64


class RayExecutionBackend(ExecutionBackend):
    """Spreads work over actors: one for each CPU of the cluster, up to ``max_actors``.

    Ray itself runs in a process beside, started when work comes, so that nothing of it reaches this one: no
    output, no signal handler, no setting. Without an ``address`` it starts a cluster on this machine, on
    loopback and with a token, for this executor alone; it ends with it.

    A task that offers ``acall`` is awaited on the actors' loops; a plain function is called in their threads.
    Items go to them in batches, as many as keep each actor busy. Each item keeps its deadline in its
    actor. An actor, or a node, that is lost is replaced by another, which does what was unfinished.

    Functions travel by name, or with their code where they are defined in a script; the packages they need
    have to be installed where they run. So has Themis, in the same version. Keys do not travel: each worker
    reads them where it is.

    Args:
        num_cpus: CPUs of a cluster on this machine; all of them by default.
        address: ``HOST:PORT`` of a cluster's head, ``auto`` for the one of this machine, or
            ``ray://HOST:PORT``, which ends with the connection and so is for short runs.
        max_actors: How many processes work, at most.
        threads: How many threads call plain functions at once in each of them, at most.
        max_concurrent: How many coroutines are awaited at once in each of them, at most.
    """

    keeps_timeout = True
    ticks = True

    def __init__(
        self,
        num_cpus: int | None = None,
        address: str | None = None,
        *,
        max_actors: int = DEFAULT_ACTORS,
        threads: int = DEFAULT_THREADS,
        max_concurrent: int = DEFAULT_CONCURRENT,
    ) -> None:
        if find_spec("ray") is None or find_spec("cloudpickle") is None:
            raise MissingExtra("The executor 'ray' needs Ray. Install it: pip install 'themis-tui[ray]'")
        if num_cpus is not None and address is not None:
            raise UsageError("num_cpus is of a cluster on this machine; one with an address has its own.")
        self.num_cpus = None if num_cpus is None else at_least_one(num_cpus, "num_cpus")
        self.address = address
        self.max_actors = at_least_one(max_actors, "max_actors")
        self.threads = at_least_one(threads, "threads")
        self.max_concurrent = at_least_one(max_concurrent, "max_concurrent")
        self._starting = threading.Lock()
        self._process: RayProcess | None = None
        self._maps: set[Dispatch] = set()
        self._concurrency = 0

    def map(
        self,
        func: Callable[[T], R],
        items: Iterable[T],
        *,
        max_workers: int | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Iterator[R]:
        if max_workers is not None:
            at_least_one(max_workers, "max_workers")
        return self._results(func, items, max_workers, timeout, kwargs)

    def _results(
        self,
        func: Any,
        items: Iterable[Any],
        max_workers: int | None,
        timeout: float | None,
        options: dict[str, Any],
    ) -> Iterator[Any]:
        cancel, tick = options.get("cancel"), options.get("tick")
        code = travelling(func)
        _check_secrets(getattr(func, "secrets", ()))
        process = self._connected()
        while not process.up.wait(LOOK_AGAIN_S if tick is None else min(tick, LOOK_AGAIN_S)):
            if cancel is not None and cancel.is_set():
                return
            if tick is not None:
                yield TICK
        if process.refused is not None:
            raise not_connected(process.refused)
        slots = self._slots(func, max_workers, int(process.state.get("cpus") or 1))
        work = Dispatch(process, code, items, slots, timeout, cancel, tick, dumped)
        self._maps.add(work)
        try:
            for results in work.results():
                for result in results:
                    if type(result) is TaskFailure and not options.get("return_exceptions", False):
                        raise result.to_error()
                    yield result
        finally:
            self._maps.discard(work)
            work.close()

    def _slots(self, func: Any, max_workers: int | None, cpus: int) -> list[int]:
        """How many items each actor works on at once."""
        each = self.threads if getattr(func, "acall", None) is None else self.max_concurrent
        actors = max(1, min(self.max_actors, cpus, max_workers or cpus))
        self._concurrency = total = max_workers or actors * each
        return [total // actors + (index < total % actors) for index in range(actors)]

    def _connected(self) -> RayProcess:
        with self._starting:
            if self._process is None or self._process.ended:
                if self._process is not None:
                    self._process.stop()
                self._process = RayProcess(self.address, self.num_cpus)
            return self._process

    def shutdown(self) -> None:
        for work in list(self._maps):
            work.close()
        with self._starting:
            process, self._process = self._process, None
        if process is not None:
            process.stop()

    def status(self) -> ExecutorStatus:
        process, maps = self._process, list(self._maps)
        if process is None:
            return ExecutorStatus("ray", workers=0, running=0, queued=0, reason="not started")
        state, batches = process.state, sum(work.batches for work in maps)
        batch = sum(work.batched for work in maps) / batches if batches else 0.0
        return ExecutorStatus(
            "ray",
            workers=self._concurrency if maps else 0,
            running=sum(work.running for work in maps),
            queued=sum(work.queued for work in maps),
            nodes=state.get("nodes"),
            concurrency=self._concurrency or None,
            reason=self._in_words(state, batch, process.news()),
            details={**state, "batch": round(batch, 1)},
        )

    def _in_words(self, state: dict[str, Any], batch: float, news: str | None) -> str:
        """The cluster, for people."""
        if not state:
            return "starting Ray"
        counted = (("node", state["nodes"]), ("CPU", state["cpus"]), ("actor", state["actors"]))
        parts = [f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counted]
        if batch:
            parts.append(f"batches of {batch:.0f}")
        if state["restarts"]:
            parts.append(f"{state['restarts']} replaced")
        if news is not None:
            parts.append(news)
        if (self.address or "").startswith("ray://"):
            parts.append("ends with the connection: for short runs")
        return ", ".join(parts)

    def __getstate__(self) -> dict[str, Any]:
        names = ("num_cpus", "address", "max_actors", "threads", "max_concurrent")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __repr__(self) -> str:
        where = f"num_cpus={self.num_cpus}" if self.address is None else f"address={self.address!r}"
        return f"RayExecutionBackend({where})"


def _check_secrets(references: Iterable[str]) -> None:
    from themis.profiles.secrets import asks_a_person

    for reference in references:
        if asks_a_person(reference):
            kind = reference.partition(":")[0]
            raise UsageError(
                f"A key is given by {kind}:…, which may ask a person, and there is nobody where workers run. "
                "Keys do not travel; give it by env: or file:, and have it on every node."
            )


def travelling(func: Any) -> bytes:
    """A function as it travels. Raises :class:`UsageError` with what keeps it from that."""
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(func))
    except Exception as exc:
        raise UsageError(
            f"The function cannot travel to other processes: {described(exc)}. It holds something that only "
            "this one has, such as a lock, a connection or a generator."
        ) from exc


def dumped(value: Any) -> bytes:
    """Items as they travel."""
    try:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:
        import cloudpickle

        return bytes(cloudpickle.dumps(value))
