"""One line of a list of runs, made of what a store says about a run.

A list may hold tens of thousands of lines, so a line keeps the JSON it was made of, and all of it is read
only when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from themis.core import codec
from themis.core.errors import StoreCorrupt
from themis.evaluation.aggregate import Z
from themis.runs.status import Status, status_of

FAR = 1e300
"""Numbers beyond this are not meant."""
_USUAL = 1e15
"""Up to here a number is the same whether it was written as a whole one or not."""
_Number = Annotated[float, msgspec.Meta(ge=-_USUAL, le=_USUAL)] | None
_Count = Annotated[int, msgspec.Meta(ge=-int(_USUAL), le=int(_USUAL))] | None


class RunRow(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One line of a list of runs. ``None`` is unknown."""

    store: str
    run_id: str
    status: Status
    benchmark: str
    model: str
    done: int | None
    total: int | None
    headline: str | None
    """Name of the metric shown."""
    score: float | None
    stderr: float | None
    errors: int | None
    tokens: int | None
    cost: float | None
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    updated_at: float | None
    means: dict[str, float | None]
    """Metric to mean."""
    annotations: dict[str, Any]
    """``name``, ``tags``, ``notes``, ``pinned``, ``trash``; anything, of a stranger. Not to be changed."""
    uid: str | None
    """The same in every copy of a run."""
    host: str | None
    executor: str | None
    user: str | None
    source: bytes | dict[str, Any]
    """The whole line as the store gave it, perhaps still as JSON; see ``summary``."""

    @property
    def summary(self) -> dict[str, Any]:
        """The whole line as the store gave it."""
        source = self.source
        if isinstance(source, bytes):
            return _object(source)
        return source

    @property
    def duration_s(self) -> float | None:
        """Seconds that the last session took, or takes so far."""
        until = self.ended_at if self.ended_at is not None else self.updated_at
        return None if until is None or self.started_at is None else until - self.started_at

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % interval of the score: by the normal approximation; by that of Wilson (1927) where
        all are right, or all wrong, which is not certain for that.
        """
        if self.stderr == 0 and self.score in (0, 1) and self.done:
            return Z * Z / (self.done + Z * Z) / 2
        return None if self.stderr is None else Z * self.stderr

    @property
    def address(self) -> str:
        """``STORE:RUN_ID``."""
        return f"{self.store}:{self.run_id}"

    @property
    def name(self) -> str:
        """What a person called it, or ``""``."""
        name = self.annotations.get("name")
        return name if isinstance(name, str) else ""

    @property
    def tags(self) -> list[str]:
        """What a person tagged it with."""
        tags = self.annotations.get("tags")
        return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []

    @property
    def notes(self) -> str:
        """What a person wrote about it, or ``""``."""
        notes = self.annotations.get("notes")
        return notes if isinstance(notes, str) else ""

    @property
    def pinned(self) -> bool:
        """Whether a person wants it kept in sight."""
        return self.annotations.get("pinned") is True

    @property
    def trashed(self) -> bool:
        """Whether it lies in the trash."""
        return bool(self.annotations.get("trash"))

    @property
    def created(self) -> float:
        """When it was made, for sorting; 0 where it does not say."""
        return self.created_at or 0.0

    def __eq__(self, other: object) -> bool:
        """Whether they say the same of the same run, as seen at the same time."""
        if not isinstance(other, RunRow):
            return NotImplemented
        if (self.store, self.run_id, self.status) != (other.store, other.run_id, other.status):
            return False
        if type(self.source) is type(other.source):
            return self.source == other.source
        return self.summary == other.summary

    def __hash__(self) -> int:
        return hash((self.store, self.run_id))


class _Model(msgspec.Struct, gc=False):
    name: str | None = None


class _Asked(msgspec.Struct, gc=False):
    benchmark: str | None = None
    model: _Model | None = None


class _Metric(msgspec.Struct, gc=False):
    mean: _Number = None
    stderr: _Number = None


class _Sums(msgspec.Struct, gc=False):
    headline: str | None = None
    metrics: dict[str, _Metric] | None = None
    done: _Count = None
    total: _Count = None
    errors: _Count = None
    tokens: dict[str, _Count] | None = None
    cost: _Number = None


class _Where(msgspec.Struct, gc=False):
    host: str | None = None
    executor: str | None = None
    user: str | None = None


class _Usual(msgspec.Struct, gc=False):
    """A summary as Themis writes it; whatever else a stranger wrote is read in full."""

    run_id: str
    status: str
    status_reason: str | None = None
    uid: str | None = None
    created_at: _Number = None
    started_at: _Number = None
    ended_at: _Number = None
    updated_at: _Number = None
    asked: _Asked | None = None
    summary: _Sums | None = None
    where: _Where | None = None
    annotations: dict[str, Any] | None = None


_read_usual = msgspec.json.Decoder(_Usual).decode
_NOTHING_ASKED, _NO_MODEL, _NO_SUMS, _NOWHERE, _NO_METRIC = _Asked(), _Model(), _Sums(), _Where(), _Metric()
_NO_NOTES: dict[str, Any] = {}
_PLAIN = {
    word: Status(word) for word in ("queued", "paused", "completed", "failed", "cancelled", "unreadable")
}


def row_of(store: str, summary: dict[str, Any] | bytes) -> RunRow:
    """A line made of a run's summary, or of its JSON.

    What a stranger stored is ``unreadable``, and hides no other run. Raises :class:`StoreCorrupt` only for
    bytes that are no JSON object.
    """
    if isinstance(summary, bytes):
        try:
            usual = _read_usual(summary)
            # Whether one that runs still does is told by more than a line shows.
            if usual.status != "running":
                return _usual_row(store, usual, summary)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
            pass
        summary = _object(summary)
    try:
        return _row(store, summary)
    except (AttributeError, TypeError, ValueError, OverflowError):
        reason = "its metadata have another form"
        run_id = summary.get("run_id") if isinstance(summary, dict) else None
        return _row(store, {"run_id": run_id, "status": "unreadable", "status_reason": reason})


def seen_now(row: RunRow) -> RunRow:
    """The same line, with the status as it is at this moment; ``row`` itself if that did not change."""
    if row.status.word not in ("running", "stalled", "no signal", "crashed"):
        return row
    anew = row_of(row.store, row.source)
    return row if anew.status == row.status else anew


def _object(source: bytes) -> dict[str, Any]:
    document = codec.decode_document(source, "A summary")
    if not isinstance(document, dict):
        raise StoreCorrupt("A summary is not a JSON object.")
    return document


def _usual_row(store: str, usual: _Usual, source: bytes) -> RunRow:
    asked, sums, where = usual.asked or _NOTHING_ASKED, usual.summary or _NO_SUMS, usual.where or _NOWHERE
    metrics, headline, tokens = sums.metrics, sums.headline, sums.tokens
    metric = _NO_METRIC if metrics is None or headline is None else metrics.get(headline, _NO_METRIC)
    reason = usual.status_reason
    status = _PLAIN.get(usual.status) if reason is None else None
    return RunRow(
        store,
        usual.run_id,
        status or Status(usual.status, reason),
        asked.benchmark or "",
        (asked.model or _NO_MODEL).name or "",
        sums.done,
        sums.total,
        headline,
        metric.mean,
        metric.stderr,
        sums.errors,
        _total(tokens) if tokens else None,
        sums.cost,
        usual.created_at,
        usual.started_at,
        usual.ended_at,
        usual.updated_at,
        {name: each.mean for name, each in metrics.items()} if metrics else {},
        usual.annotations or _NO_NOTES,
        usual.uid,
        where.host,
        where.executor,
        where.user,
        source,
    )


def _total(tokens: dict[str, int | None]) -> int | None:
    known = [each for each in tokens.values() if each is not None]
    return sum(known) if known else None


def _row(store: str, summary: dict[str, Any]) -> RunRow:
    asked, sums = summary.get("asked") or {}, summary.get("summary") or {}
    headline, metrics = sums.get("headline"), sums.get("metrics") or {}
    metric = metrics.get(headline) or {}
    tokens = [each for each in (sums.get("tokens") or {}).values() if isinstance(each, int)]
    where, notes = _mapping(summary.get("where")), summary.get("annotations")
    return RunRow(
        store,
        str(summary.get("run_id")),
        status_of(summary),
        str(asked.get("benchmark") or ""),
        str((asked.get("model") or {}).get("name") or ""),
        _number(sums.get("done")),
        _number(sums.get("total")),
        None if headline is None else str(headline),
        _number(metric.get("mean")),
        _number(metric.get("stderr")),
        _number(sums.get("errors")),
        sum(tokens) if tokens else None,
        _number(sums.get("cost")),
        _number(summary.get("created_at")),
        _number(summary.get("started_at")),
        _number(summary.get("ended_at")),
        _number(summary.get("updated_at")),
        {str(name): _number(_mapping(each).get("mean")) for name, each in metrics.items()},
        notes if isinstance(notes, dict) else {},
        _text(summary.get("uid")),
        _text(where.get("host")),
        _text(where.get("executor")),
        _text(where.get("user")),
        summary,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if -FAR < value < FAR and not math.isnan(value) else None
