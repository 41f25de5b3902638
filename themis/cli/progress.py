"""A run's progress on stderr: a bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from themis.cli import output
from themis.core.progress import ProgressSnapshot

LINE_EVERY_S = 10.0
_MOST_NAME = 24


class Reporter(Protocol):
    """Whoever wants to hear how far a run is. Called from the thread that runs it, except ``notice``."""

    def start(self, metadata: dict[str, Any]) -> None:
        """The run exists."""

    def update(self, snapshot: ProgressSnapshot) -> None:
        """The run is this far."""

    def notice(self, text: str) -> None:
        """Something happened that is not progress. May be called from a signal handler."""

    def close(self) -> None:
        """No more will be said."""


def reporter(*, as_json: bool) -> Reporter:
    """The reporter that suits where stderr goes."""
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb"):
        return Bar()
    return Quiet() if as_json else Lines()


def describe(snapshot: ProgressSnapshot) -> str:
    """``40/120 done · 3.2/s · about 25 s left · ExactMatch 0.725 · 2 errors``."""
    parts = [f"{output.count(snapshot.done)}{_of(snapshot.total)} done"]
    if snapshot.status == "running":
        parts += ahead(snapshot)
    return " · ".join([*parts, *findings(snapshot)])


def ahead(snapshot: ProgressSnapshot) -> list[str]:
    """How fast it goes, and how long it will take."""
    parts = []
    if output.is_number(snapshot.rate):
        parts.append(f"{snapshot.rate:.1f}/s")
    if snapshot.eta_s:
        low, high = (output.duration(each) for each in snapshot.eta_s)
        parts.append(f"{low} left" if low == high else f"{low} to {high} left")
    if snapshot.waiting:
        parts.append(f"waiting: {output.cut(str(snapshot.waiting.get('reason')), 40)}")
    return parts


def findings(snapshot: ProgressSnapshot) -> list[str]:
    """The headline metric, and the errors."""
    parts = []
    name, metric = next(iter(snapshot.metrics.items()), (None, {}))
    if name is not None and output.is_number(metric.get("mean")):
        parts.append(f"{output.cut(name, _MOST_NAME)} {output.number(metric['mean'])}")
    errors = sum(snapshot.failed.values())
    if errors:
        parts.append(output.plural(errors, "error"))
    return parts


class Lines:
    """One line at the start, then one at most every ten seconds, and one at the end."""

    def __init__(
        self,
        write: Callable[[str], None] = output.note,
        every_s: float = LINE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._every_s = every_s
        self._clock = clock
        self._told_at = clock()

    def start(self, metadata: dict[str, Any]) -> None:
        """Say what runs."""
        self._write(f"{metadata['run_id']}: {title(metadata)}")
        self._told_at = self._clock()

    def update(self, snapshot: ProgressSnapshot) -> None:
        """Say how far it is, if it was not said lately."""
        if snapshot.status != "running":
            reason = f": {output.cut(snapshot.status_reason, 200)}" if snapshot.status_reason else ""
            self._write(f"{describe(snapshot)} · {snapshot.status}{reason}")
        elif self._clock() - self._told_at >= self._every_s:
            self._told_at = self._clock()
            self._write(describe(snapshot))

    def notice(self, text: str) -> None:
        """Say it at once."""
        _write_now(text)

    def close(self) -> None:
        """Nothing is open."""


class Quiet:
    """For programs: nothing but what a person must know."""

    def start(self, metadata: dict[str, Any]) -> None:
        """Nothing."""

    def update(self, snapshot: ProgressSnapshot) -> None:
        """Nothing."""

    def notice(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Bar:
    """A bar drawn by rich, refreshed by a thread of its own."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        # Plain text columns: nothing here is read as markup.
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[line]}", markup=False),
            console=Console(stderr=True, highlight=False),
            refresh_per_second=8,
            expand=True,
        )
        self._task = self._progress.add_task("starting", total=None, line="")
        self._notice = ""
        self._progress.start()

    def start(self, metadata: dict[str, Any]) -> None:
        """Show what runs."""
        benchmark = (metadata.get("asked") or {}).get("benchmark")
        self._progress.update(self._task, description=output.cut(str(benchmark), _MOST_NAME))

    def update(self, snapshot: ProgressSnapshot) -> None:
        """Move the bar."""
        if snapshot.status != "running":
            self._notice = snapshot.status
        line = " · ".join([part for part in (self._notice, describe(snapshot)) if part])
        self._progress.update(self._task, completed=snapshot.done, total=snapshot.total, line=line)

    def notice(self, text: str) -> None:
        """Show it beside the bar from the next refresh on."""
        # Drawing here could wait for a lock that the interrupted thread holds.
        self._notice = "stopping"
        _write_now("\r\n" + text)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._progress.refresh()
        self._progress.stop()


def title(metadata: dict[str, Any]) -> str:
    """``120 answers of fake-math-llm to demo``, from a run's metadata."""
    asked = metadata.get("asked") or {}
    total = (metadata.get("progress") or {}).get("total")
    answers = output.plural(total, "answer") if isinstance(total, int) else "answers"
    model = output.cut(str((asked.get("model") or {}).get("name")), 60)
    return f"{_verb(metadata)}{answers} of {model} to {output.cut(str(asked.get('benchmark')), 60)}"


def _verb(metadata: dict[str, Any]) -> str:
    return "scoring anew " if "rescoring" in metadata else ""


def _of(total: int | None) -> str:
    return f"/{output.count(total)}" if total is not None else ""


def _write_now(text: str) -> None:
    # A signal may come in the middle of a buffered write, which must not be entered again.
    try:
        os.write(2, f"{text}\n".encode())
    except OSError:
        pass
