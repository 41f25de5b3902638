"""How far a run is and what it found, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from textual.content import Content

from themis.core.progress import ProgressSnapshot
from themis.runs.annotations import Said
from themis.runs.watch import RunView
from themis_tui import figures
from themis_tui.glyphs import DOT
from themis_tui.text import Part, cut, line, lines
from themis_tui.widgets.steady import Steady
from themis_tui.words import also_said, notes_said, tags_said

LABEL = 15
MOST_METRICS = 4
DRAWN_INTERVAL = 30
SEP = f" {DOT} "


class RunPanel(Steady):
    """Drawn from one look at the run."""

    DEFAULT_CSS = """
    RunPanel { height: auto; padding: 0 1; color: $foreground; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None
        self._progress: ProgressSnapshot | None = None
        self._said = Said()
        self._also: Sequence[str] = ()

    def show(
        self,
        view: RunView,
        progress: ProgressSnapshot | None,
        said: Said | None = None,
        also: Sequence[str] = (),
    ) -> None:
        """Draw the run; nothing is drawn that would read the same.

        ``said``: by people, of it. ``also``: the other stores that have it.
        """
        self._view, self._progress, self._said, self._also = view, progress, said or Said(), also
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.size.width
        if self._view is None or width < 20:
            return
        rows = [*_rows(self._view, self._progress, width), *_words(self._view, self._said, self._also)]
        self.draw(lines(rows))


def _rows(view: RunView, progress: ProgressSnapshot | None, width: int) -> Iterator[Content]:
    if progress is None:
        yield line(("No progress is known of this run.", "$dim"))
        return
    yield _bar(view, progress, width)
    yield _speed(view, progress, width)
    for name, metric in list(progress.metrics.items())[:MOST_METRICS]:
        yield _metric(name, metric, width)
    if progress.failed:
        yield _errors(progress)
    yield _tokens(view, progress)
    yield _executor(view, progress)


def _words(view: RunView, said: Said, also: Sequence[str]) -> Iterator[Content]:
    """What people said of it; its id, where a name stands in its place; where else it is."""
    parts: list[Part] = []
    if said.tags:
        parts.append((tags_said(said.tags), "$accent"))
    if said.notes:
        parts += [(SEP, "$faint")] if parts else []
        parts.append(notes_said(said.notes))
    if parts:
        yield line(_label("tags" if said.tags else "notes"), *parts)
    if also:
        yield line(_label("also in"), also_said(also))
    if said.name:
        yield line(_label("id"), (view.run_id, "$dim"))


def _bar(view: RunView, progress: ProgressSnapshot, width: int) -> Content:
    done, total = progress.done, progress.total
    said = f"  {figures.done_of(done, total)}" if done != total else f"  {figures.count(done)} samples"
    if total:
        said += f"   {done * 100 // total}%"
    live = view.status.live
    tail = f"   ETA {figures.eta(progress.eta_s)}" if live and progress.eta_s else ""
    full, empty = figures.bar(done, total, max(8, width - 34))
    tone = "$running" if live else "$accent" if done == total else "$dim"
    return line((full, tone), (empty, "$raised" if not live else "$faint"), said, (tail, "$dim"))


def _speed(view: RunView, progress: ProgressSnapshot, width: int) -> Content:
    parts: list[Part] = [_label("rate" if view.status.live else "took")]
    if view.status.live:
        parts.append(figures.rate(progress.rate))
        if progress.history:
            parts.append((f"  {figures.sparkline(progress.history, min(30, width - 56))}", "$running"))
    else:
        started, ended = view.metadata.get("started_at"), view.metadata.get("ended_at")
        known = isinstance(started, (int, float)) and isinstance(ended, (int, float))
        parts.append(figures.seconds(ended - started if known else None))  # type: ignore[operator]
    if progress.latency_p50_s is not None:
        parts += [("   latency ", "$dim"), ("p50 ", "$dim"), figures.seconds(progress.latency_p50_s)]
        parts += [("  p95 ", "$dim"), figures.seconds(progress.latency_p95_s)]
    if progress.waiting:
        parts.append((f"   waiting: {progress.waiting.get('reason')}", "$accent"))
    return line(*parts)


def _metric(name: str, metric: dict[str, Any], width: int) -> Content:
    mean, low, high = metric.get("mean"), metric.get("low"), metric.get("high")
    parts: list[Part] = [_label(name), (f"{figures.score(mean):<6}", "bold")]
    if mean is not None:
        before, drawn, after = figures.interval(mean, low, high, min(DRAWN_INTERVAL, width - 46))
        if drawn:
            parts += [(f"  {before}", "$raised"), (drawn, "$accent"), (after, "$raised")]
        if low is not None and high is not None:
            parts.append((f"  {figures.score(low)} – {figures.score(high)}", "$dim"))
    parts.append((f"   n {figures.count(metric.get('n'))}", "$dim"))
    return line(*parts)


def _errors(progress: ProgressSnapshot) -> Content:
    kinds = sorted(progress.failed.items(), key=lambda each: -each[1])
    said = SEP.join(f"{count:,} {kind}" for kind, count in kinds[:4])
    return line(
        _label("errors"), (f"{sum(progress.failed.values()):<6,}", "bold $bad"), (f"  {said}", "$dim")
    )


def _tokens(view: RunView, progress: ProgressSnapshot) -> Content:
    parts: list[Part] = [_label("tokens"), f"{figures.count(progress.input_tokens)} in"]
    parts += [(SEP, "$faint"), f"{figures.count(progress.output_tokens)} out"]
    if progress.cost is not None:
        parts += [(SEP, "$faint"), f"${progress.cost:.2f}"]
    budget = view.metadata.get("budget") or {}
    for name, most in list(budget.items())[:3]:
        parts += [(SEP, "$faint"), (f"budget {name} {most:g}", "$dim")]
    return line(*parts)


def _executor(view: RunView, progress: ProgressSnapshot) -> Content:
    executor, where = progress.executor, view.metadata.get("where") or {}
    parts: list[Part] = [_label("executor"), str(executor.get("name") or where.get("executor") or "?")]
    if view.status.live:
        if executor.get("running") is not None and executor.get("workers") is not None:
            parts.append(f" {executor['running']} of {executor['workers']} busy")
        if executor.get("queued"):
            parts += [(SEP, "$faint"), f"queue {executor['queued']}"]
    if executor.get("concurrency"):
        said = f"concurrency {executor['concurrency']} ({executor.get('reason') or 'fixed'})"
        parts += [(SEP, "$faint"), (said, "$dim")]
    if where.get("host"):
        parts += [(SEP, "$faint"), (f"on {where['host']}", "$dim")]
    return line(*parts)


def _label(name: str) -> Part:
    return cut(name, LABEL - 2) + "  ", "$dim"
