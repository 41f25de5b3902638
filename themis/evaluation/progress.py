"""From sums to snapshots: how fast a run goes, and when it will be done."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from themis.backends.execution.base import ExecutionBackend
from themis.core.progress import ProgressSnapshot
from themis.evaluation.aggregate import RunAggregate

RATE_WINDOW_S = 10.0
HISTORY_EVERY_S = 1.0
MOST_HISTORY = 60
_Z = 1.96


class Meter:
    """Makes the snapshots of one run."""

    def __init__(
        self,
        run_id: str,
        total: int | None,
        aggregate: RunAggregate,
        executor: ExecutionBackend,
        *,
        budget: dict[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run_id = run_id
        self.total = total
        self.in_flight = 0
        self._aggregate = aggregate
        self._executor = executor
        self._budget = budget
        self._clock = clock
        self._seq = 0
        self._looks: deque[tuple[float, int]] = deque([(clock(), aggregate.done)])
        self._history: deque[float] = deque(maxlen=MOST_HISTORY)
        self._history_at = clock()
        self._history_done = aggregate.done
        self._finished_at = time.time()
        self._finished = aggregate.done

    def snapshot(self, status: str = "running", reason: str | None = None) -> ProgressSnapshot:
        """How far the run is now."""
        now, aggregate = self._clock(), self._aggregate
        rate = self._rate(now)
        self._seq += 1
        if aggregate.done != self._finished:
            self._finished, self._finished_at = aggregate.done, time.time()
        return ProgressSnapshot(
            run_id=self.run_id,
            seq=self._seq,
            at=time.time(),
            status=status,
            status_reason=reason,
            total=self.total,
            done=aggregate.done,
            kept=aggregate.kept,
            failed=dict(aggregate.failures),
            in_flight=self.in_flight,
            rate=rate,
            eta_s=self._eta(rate) if status == "running" else None,
            metrics={name: _brief(metric) for name, metric in aggregate.metrics.items()},
            input_tokens=aggregate.usage.get("input_tokens"),
            output_tokens=aggregate.usage.get("output_tokens"),
            cost=aggregate.cost,
            budget=self._budget,
            executor=_status_of(self._executor),
            top_errors=aggregate.top_errors(),
            finished_at=self._finished_at,
            latency_p50_s=aggregate.latencies.quantile(0.5),
            latency_p95_s=aggregate.latencies.quantile(0.95),
            history=[round(each, 3) for each in self._history],
        )

    def _rate(self, now: float) -> float | None:
        done = self._aggregate.done
        looks = self._looks
        while len(looks) > 1 and now - looks[0][0] > RATE_WINDOW_S:
            looks.popleft()
        since, before = looks[0]
        if now - looks[-1][0] >= HISTORY_EVERY_S / 4:
            looks.append((now, done))
        elapsed = now - self._history_at
        if elapsed >= HISTORY_EVERY_S:
            self._history.append((done - self._history_done) / elapsed)
            self._history_at, self._history_done = now, done
        return (done - before) / (now - since) if now > since and done > before else None

    def _eta(self, rate: float | None) -> list[float] | None:
        """Seconds left, low and high: the arrivals of the window taken as a Poisson count."""
        if rate is None or self.total is None:
            return None
        left = max(0, self.total - self._aggregate.done)
        count = max(1.0, rate * min(RATE_WINDOW_S, self._clock() - self._looks[0][0]))
        spread = _Z / math.sqrt(count)
        low = left / (rate * (1 + spread))
        high = left / (rate * max(0.1, 1 - spread))
        return [round(low, 1), round(high, 1)]


def _brief(metric: Any) -> dict[str, Any]:
    low, high, _ = metric.interval()
    return {"mean": metric.mean, "low": low, "high": high, "n": metric.count}


def _status_of(executor: ExecutionBackend) -> dict[str, Any]:
    try:
        status = executor.status()
        return {
            "name": status.name,
            "workers": status.workers,
            "running": status.running,
            "queued": status.queued,
            "nodes": status.nodes,
            "concurrency": status.concurrency,
            "reason": status.reason,
        }
    except Exception as exc:  # a stranger's status must not end a run
        return {"name": type(executor).__name__, "reason": f"no status: {exc}"[:200]}
