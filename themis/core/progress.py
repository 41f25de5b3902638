"""How far a run is, as everything that watches it sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ProgressSnapshot:
    """One look at a run. Its ``__dict__`` is the JSON object that watchers read (at most 4 kB)."""

    run_id: str
    seq: int = 0
    """One more at each snapshot of a runner."""
    at: float = 0.0
    status: str = "running"
    status_reason: str | None = None
    total: int | None = None
    """Samples times epochs, where the source knows its length."""
    done: int = 0
    """Outcomes so far, those kept from an earlier session of the run included."""
    kept: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """Error kind to count."""
    in_flight: int = 0
    rate: float | None = None
    """Outcomes a second, lately."""
    eta_s: list[float] | None = None
    """Seconds left: low and high."""
    waiting: dict[str, Any] | None = None
    """``reason`` and ``until``, while nothing can go on."""
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Metric name to ``mean``, ``low``, ``high``, ``n``."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    budget: dict[str, Any] | None = None
    executor: dict[str, Any] = field(default_factory=dict)
    """``name``, ``workers``, ``running``, ``queued``, ``nodes``, ``concurrency``, ``reason``."""
    top_errors: list[dict[str, Any]] = field(default_factory=list)
    """At most 5: ``kind``, ``message``, ``count``."""
    finished_at: float | None = None
    """When an outcome last came back."""
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    history: list[float] = field(default_factory=list)
    """The last 60 rates, oldest first."""
