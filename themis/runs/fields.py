"""What can be asked of a run in a query: its texts, numbers, times, and what is true of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from themis.runs.row import RunRow
from themis.runs.status import ENDED

Texts = Callable[[RunRow], Iterable[str]]
Number = Callable[[RunRow], float | None]
RowTest = Callable[[RunRow], bool]

METRIC = "metric."
STATUSES = (
    "running", "completed", "failed", "paused", "queued", "cancelled",
    "stalled", "no signal", "crashed", "unknown", "unreadable",
)  # fmt: skip


class Field(NamedTuple):
    """Something that runs have, and what it is."""

    get: Texts
    about: str


class Amount(NamedTuple):
    """Something of runs that is counted, and what it is."""

    get: Number
    about: str


TEXTS: dict[str, Field] = {
    "status": Field(lambda row: (row.status.word,), "completed, failed, running …"),
    "model": Field(lambda row: (row.model,), "the model's name"),
    "benchmark": Field(lambda row: (row.benchmark,), "the benchmark's name"),
    "tag": Field(lambda row: row.tags, "a tag"),
    "name": Field(lambda row: (row.name,), "the name that a person gave it"),
    "store": Field(lambda row: (row.store,), "the store it lies in"),
    "id": Field(lambda row: (row.run_id,), "the run's id"),
    "notes": Field(lambda row: (row.notes,), "what a person wrote about it"),
    "host": Field(lambda row: (row.host or "",), "the machine that ran it"),
    "executor": Field(lambda row: (row.executor or "",), "what spread its work"),
    "user": Field(lambda row: (row.user or "",), "who ran it"),
}
NUMBERS: dict[str, Amount] = {
    "acc": Amount(lambda row: row.score, "the headline metric, 0.5 or 50%"),
    "score": Amount(lambda row: row.score, "the headline metric, 0.5 or 50%"),
    "errors": Amount(lambda row: row.errors, "samples without an answer"),
    "n": Amount(lambda row: row.done, "samples done"),
    "total": Amount(lambda row: row.total, "samples in all"),
    "tokens": Amount(lambda row: row.tokens, "tokens used, 10k or 1.5M"),
    "cost": Amount(lambda row: row.cost, "what it cost"),
}
DURATIONS: dict[str, str] = {
    "age": "how long ago it was made, 90s, 15m, 2h, 3d, 1w",
    "took": "how long it took, 90s, 15m, 2h, 3d, 1w",
}
TIMES: dict[str, Amount] = {
    "created": Amount(lambda row: row.created_at, "when it was made, 2026-11-01 or today"),
    "started": Amount(lambda row: row.started_at, "when it last began, 2026-11-01 or today"),
    "ended": Amount(lambda row: row.ended_at, "when it ended, 2026-11-01 or today"),
    "updated": Amount(lambda row: row.updated_at, "when it last said something, 2026-11-01 or today"),
}
ALIASES = {"tags": "tag", "note": "notes", "accuracy": "acc", "bench": "benchmark"}
HAS: dict[str, RowTest] = {
    "errors": lambda row: bool(row.errors),
    "score": lambda row: row.score is not None,
    "tags": lambda row: bool(row.tags),
    "name": lambda row: bool(row.name),
    "notes": lambda row: bool(row.notes),
    "tokens": lambda row: bool(row.tokens),
    "cost": lambda row: row.cost is not None,
}
IS: dict[str, RowTest] = {
    "live": lambda row: row.status.live,
    "finished": lambda row: row.status.word in ENDED,
    "pinned": lambda row: row.pinned,
    "trashed": lambda row: row.trashed,
}
NEW = "new"
"""``is:new``: not as it was at your last look."""


def duration(name: str, clock: Callable[[], float] = time.time) -> Number:
    """How to get one of :data:`DURATIONS` in seconds."""
    if name == "took":
        return lambda row: row.duration_s
    return lambda row: None if row.created_at is None else clock() - row.created_at


def metric(wanted: str) -> Number:
    """How to get the mean of a metric, whose name is meant in either case."""
    folded = wanted.casefold()

    def number(row: RunRow) -> float | None:
        if wanted in row.means:
            return row.means[wanted]
        return next((mean for name, mean in row.means.items() if name.casefold() == folded), None)

    return number
