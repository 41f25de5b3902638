"""From sums to snapshots: how fast a run goes, and when it will be done."""

from __future__ import annotations

import json
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
MOST_BYTES = 4_096
"""Of a snapshot as JSON, ASCII-escaped."""
MOST_TEXT = 200
"""Characters of a text that a snapshot tells."""
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
        self.waiting: dict[str, Any] | None = None
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
        snapshot = ProgressSnapshot(
            run_id=self.run_id,
            seq=self._seq,
            at=time.time(),
            status=status,
            status_reason=_cut(reason),
            total=self.total,
            kept=aggregate.kept,
            in_flight=self.in_flight,
            rate=rate,
            eta_s=self._eta(rate) if status == "running" else None,
            waiting=self.waiting,
            budget=self._budget,
            executor=_status_of(self._executor),
            finished_at=self._finished_at,
            history=[round(each, 3) for each in self._history],
            **counted(aggregate, recent=status == "running"),
        )
        return fitted(snapshot)

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


def counted(aggregate: RunAggregate, *, recent: bool = False) -> dict[str, Any]:
    """The fields of a snapshot that its outcomes alone decide; ``recent`` while more come."""
    return {
        "done": aggregate.done,
        "failed": dict(aggregate.failures),
        "metrics": {name: _brief(metric, recent=recent) for name, metric in aggregate.metrics.items()},
        "input_tokens": aggregate.usage.get("input_tokens"),
        "output_tokens": aggregate.usage.get("output_tokens"),
        "cost": aggregate.cost,
        "top_errors": aggregate.top_errors(),
        "latency_p50_s": aggregate.latencies.quantile(0.5),
        "latency_p95_s": aggregate.latencies.quantile(0.95),
    }


def fitted(snapshot: ProgressSnapshot) -> ProgressSnapshot:
    """The snapshot, with what matters least left out until it is at most ``MOST_BYTES``."""
    for step in _SHORTER:
        if len(json.dumps(snapshot.__dict__)) <= MOST_BYTES:
            break
        step(snapshot)
    return snapshot


def _shorter_texts(snapshot: ProgressSnapshot) -> None:
    for error in snapshot.top_errors:
        error["message"] = _within(error["message"], 100)
    snapshot.status_reason = _within(snapshot.status_reason, 300)
    snapshot.executor = {
        key: _within(value, 100) if isinstance(value, str) else value
        for key, value in snapshot.executor.items()
    }


def _shorter_history(snapshot: ProgressSnapshot) -> None:
    snapshot.history = snapshot.history[-10:]


def _fewer_kinds(snapshot: ProgressSnapshot) -> None:
    most = sorted(snapshot.failed.items(), key=lambda each: (-each[1], each[0]))
    kept = {_within(kind, 40) or "": count for kind, count in most[:10]}
    rest = sum(count for _, count in most) - sum(kept.values())
    snapshot.failed = {**kept, "other": kept.get("other", 0) + rest} if rest else kept


def _fewer_errors(snapshot: ProgressSnapshot) -> None:
    snapshot.top_errors = [{**error, "kind": _within(error["kind"], 40)} for error in snapshot.top_errors[:2]]


def _fewer_metrics(snapshot: ProgressSnapshot) -> None:
    # The first is the headline.
    snapshot.metrics = {_within(name, 100) or "": brief for name, brief in list(snapshot.metrics.items())[:8]}


def _one_metric(snapshot: ProgressSnapshot) -> None:
    snapshot.metrics = dict(list(snapshot.metrics.items())[:1])
    snapshot.history, snapshot.top_errors = [], snapshot.top_errors[:1]


_SHORTER = (_shorter_history, _shorter_texts, _fewer_kinds, _fewer_errors, _fewer_metrics, _one_metric)


def _within(text: str | None, size: int) -> str | None:
    """As much of a text as takes at most ``size`` bytes in JSON."""
    if text is None or len(json.dumps(text)) <= size:
        return text
    while len(json.dumps(text)) > size - 6:
        text = text[: len(text) * 9 // 10]
    return text + "…"


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _brief(metric: Any, *, recent: bool) -> dict[str, Any]:
    low, high, _ = metric.interval(recent=recent)
    return {"mean": metric.mean, "low": low, "high": high, "n": metric.count}


def _status_of(executor: ExecutionBackend) -> dict[str, Any]:
    try:
        status = executor.status()
        return {
            "name": _cut(status.name),
            "workers": status.workers,
            "running": status.running,
            "queued": status.queued,
            "nodes": status.nodes,
            "concurrency": status.concurrency,
            "reason": _cut(status.reason),
        }
    except Exception as exc:  # a stranger's status must not end a run
        return {"name": type(executor).__name__, "reason": f"no status: {exc}"[:200]}
