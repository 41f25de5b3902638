"""How a comparison reads: its verdict, what differs, its figures; a line for each pair, sample and tag."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from textual.content import Content

from themis.compare import figures as said
from themis.compare.comparison import Comparison, MetricComparison, PairComparison
from themis.compare.flips import BOTH_RIGHT, BOTH_WRONG, BROKEN, FIXED, Flip, TagFlips
from themis.compare.guard import Unlike
from themis.compare.verdict import (
    BETTER,
    CANNOT_TELL,
    NOT_COMPARABLE,
    SAME,
    WORSE,
    Verdict,
    amount,
    p_value,
    rounded,
)
from themis_tui import figures
from themis_tui.glyphs import DOT, NONE, STATUS, TO
from themis_tui.text import Part, cut, line, plain
from themis_tui.widgets.columns import Cell, Column, cell
from themis_tui.widgets.reader import wrapped

LABEL = 10
"""Cells of the word that says what a line is."""
TONES = {BETTER: "running", WORSE: "bad", SAME: "plain", CANNOT_TELL: "accent", NOT_COMPARABLE: "bad"}
KIND_TONES = {FIXED: "running", BROKEN: "bad", BOTH_RIGHT: "dim", BOTH_WRONG: "plain"}
KIND_SIGNS = {FIXED: STATUS["completed"], BROKEN: STATUS["failed"], BOTH_RIGHT: DOT, BOTH_WRONG: DOT}
DRAWN = 31
"""Cells that a drawn interval takes at most."""
LEAST_DRAWN = 9
DRAWN_IN_LIST = 17
MOST_SAID = 2_000
MOST_VALUE = 300
GAP = "  "

Labels = Mapping[str, str]
"""Address to what a run is called here."""


def verdict_lines(verdict: Verdict, width: int, most: int) -> list[Content]:
    """The verdict in words; its own word stands out."""
    tone = TONES.get(verdict.word, "plain")
    text = plain(verdict.text, MOST_SAID)
    word = verdict.word if text.startswith(verdict.word) else ""
    made = []
    rows = _rows(text, width - LABEL, most)
    for number, row in enumerate(rows):
        parts: list[Part] = [_label("verdict" if number == 0 else "")]
        if number == 0 and word:
            parts += [(row[: len(word)], f"bold {_style(tone)}"), (row[len(word) :], "bold")]
        else:
            parts.append((row, "bold"))
        made.append(line(*parts))
    return made


def guard_lines(pair: PairComparison, *, forced: bool, width: int, most: int) -> Iterator[Content]:
    """What differs between the runs, in at most so many lines, and what is not compared for it."""
    blocking = pair.guard.blocking
    if blocking and not forced:
        what = ", ".join(dict.fromkeys(str(each.metric) for each in blocking))
        why = " and ".join(dict.fromkeys(each.what for each in blocking))
        text = f"{what}: {why} differs. F compares all the same, and says so."
        yield from _labelled("blocked", text, width, 2, "$bad")
    elif blocking:
        text = f"over different versions: {', '.join(each.what for each in blocking)}"
        yield from _labelled("FORCED", text, width, 2, "$bad")
    differing = sorted(pair.guard.differs, key=lambda each: each.metric is None)
    room = most if len(differing) <= most else most - 1
    for number, unlike in enumerate(differing[:room]):
        yield _unlike(unlike, "differs" if number == 0 else "", width)
    if len(differing) > room:
        rest = ", ".join(each.what for each in differing[room:])
        yield from _labelled("", f"and {rest}   (4 shows all)", width, 1, "$dim")
    if not differing:
        yield line(_label("differs"), ("in nothing that was asked", "$dim"))
    if pair.guard.unknown:
        yield from _labelled("unknown", ", ".join(pair.guard.unknown), width, 1, "$dim")


def pairing_lines(pair: PairComparison, errors: str, width: int) -> list[Content]:
    """How many pairs there are, and what is left out."""
    text = f"{said.pairing_line(pair)}; {said.treatment(errors)}"
    return list(_labelled("paired", text, width, 2, "$dim"))


def whole_verdict(comparison: Comparison, labels: Labels) -> Verdict:
    """That on all pairs, with the runs as they are called here."""
    text = comparison.verdict
    for address in sorted(labels, key=len, reverse=True):
        text = text.replace(address, labels[address])
    return Verdict("", text)


def many_guard_lines(comparison: Comparison, width: int) -> Iterator[Content]:
    """In how many pairs what differs, where there are several pairs."""
    counts: dict[str, int] = {}
    for pair in comparison.pairs:
        for what in dict.fromkeys(each.what for each in pair.guard.differs):
            counts[what] = counts.get(what, 0) + 1
    total = len(comparison.pairs)
    text = ", ".join(
        what if count == total else f"{what} ({count} of {total})" for what, count in counts.items()
    )
    yield from _labelled(
        "differs", text or "in nothing that was asked", width, 2, "$foreground" if text else "$dim"
    )
    blocked = sum(bool(pair.guard.blocked) for pair in comparison.pairs)
    if blocked and not comparison.forced:
        text = f"{blocked} of {total} pairs, by metrics of different versions. F compares all the same."
        yield from _labelled("blocked", text, width, 2, "$bad")
    elif blocked:
        yield from _labelled("FORCED", "over metrics of different versions", width, 1, "$bad")


def metric_lines(pair: PairComparison, chosen: str | None, width: int, most: int) -> Iterator[Content]:
    """A table of the metrics, with the interval of each difference drawn; the chosen one is among them."""
    metrics = _around(pair.metrics, chosen, most)
    if not metrics:
        yield line(_label(""), ("The runs have no metric in common.", "$bad"))
        return
    room = max(cell_len(plain(each.metric)) for each in metrics)
    name = max(8, min(24 if width >= 110 else 12, room))
    means = (("BASELINE", "CANDIDATE") if width >= 90 else ("BASE", "CAND")), (9 if width >= 90 else 5)
    counted = width >= 90 and any(each.n != pair.pairing.pairs for each in metrics)
    fixed = 2 + name + 2 * (2 + means[1]) + 2 + 6 + 2 + 14 + 2 + 7 + (2 + 7 if counted else 0)
    drawn = min(DRAWN, width - fixed - 2)
    drawn = drawn if drawn >= LEAST_DRAWN else 0
    heads = [_pad("METRIC", name), *(_pad(each, means[1], right=True) for each in means[0])]
    heads += [" " * drawn] if drawn else []
    heads += [_pad("DIFF", 6, right=True), _pad("INTERVAL", 14), _pad("P", 7, right=True)]
    heads += [_pad("N", 7, right=True)] if counted else []
    yield line("  ", (GAP.join(heads), "$faint"))
    for metric in metrics:
        reach = _reach(pair.metrics, metric)
        yield _metric_line(
            metric, (name, means[1], drawn), reach, chosen=metric.metric == chosen, counted=counted
        )
    hidden = len(pair.metrics) - len(metrics)
    if hidden:
        yield line("  ", (f"and {hidden} more metric{'' if hidden == 1 else 's'}   (3 shows all)", "$dim"))


def _metric_line(
    metric: MetricComparison, widths: tuple[int, int, int], reach: float, *, chosen: bool, counted: bool
) -> Content:
    name, mean, drawn = widths
    tone = _style(TONES.get(metric.verdict.word, "plain"))
    parts: list[Part] = ["  ", (_pad(metric.metric, name), "bold" if chosen else "$foreground")]
    means = (metric.baseline_mean, metric.candidate_mean)
    parts += [GAP + _pad(figures.score(each), mean, right=True) for each in means]
    if drawn:
        before, within, after = figures.difference(metric.difference, metric.low, metric.high, reach, drawn)
        blank = drawn - len(before + within + after)
        parts += [GAP, (before, "$faint"), (within, tone), (after + " " * blank, "$faint")]
    parts.append((GAP + _pad(figures.signed(metric.difference), 6, right=True), f"bold {tone}"))
    parts.append((GAP + _pad(ends(metric.low, metric.high), 14), "$dim"))
    parts.append(GAP + _pad(p_said(metric.p_holm), 7, right=True))
    if counted:
        parts.append((GAP + _pad(figures.count(metric.n), 7, right=True), "$dim"))
    return line(*parts)


def power_lines(pair: PairComparison, chosen: str | None, width: int, most: int) -> Iterator[Content]:
    """What these samples can show by the chosen metric, and what the other treatment of errors gives."""
    metric = next((each for each in pair.metrics if each.metric == chosen), None)
    if metric is None:
        return
    yield from _labelled("power", "; ".join(_power(metric)), width, most, "$dim")
    if metric.other is not None and said.has_other(metric):
        yield from _labelled("", said.other_line(metric, metric.other), width, 1, "$dim")


def _power(metric: MetricComparison) -> Iterator[str]:
    """As :func:`said.power_line`, what matters most first: its end may be cut off."""
    if metric.detectable is not None:
        yield f"can show {amount(metric.detectable, metric.points).removeprefix('+')} or more"
    if metric.needed is not None:
        yield f"about {rounded(metric.needed)} samples needed to tell"
    if metric.effect is not None:
        yield f"{metric.effect_name} {metric.effect:.2f}"
    yield f"by {metric.test}" if metric.test else "not tested"
    if metric.interval:
        yield f"interval by {metric.interval}"
    if metric.groups is not None:
        yield f"{metric.groups:,} groups"


def spent_line(pair: PairComparison, width: int) -> Iterator[Content]:
    """What a sample took in each run."""
    rows = said.resource_rows(pair)
    if rows:
        parts: list[Part] = [_label("a sample")]
        for number, (name, baseline, candidate, change, _, _) in enumerate(rows):
            parts += [(f" {DOT} ", "$faint")] if number else []
            parts += [(f"{name} ", "$dim"), f"{baseline} {TO} {candidate}", (f" ({change})", "$dim")]
        yield line(*parts).truncate(width, ellipsis=True)


def ends(low: float | None, high: float | None) -> str:
    """``+.016 to +.054``."""
    return NONE if low is None or high is None else f"{figures.signed(low)} to {figures.signed(high)}"


def p_said(p: float | None) -> str:
    """``.034``."""
    return NONE if p is None else p_value(p).removeprefix("p ")


class PairRow(NamedTuple):
    """A pair of runs by one metric."""

    place: int
    """Among the pairs of the comparison."""
    pair: PairComparison
    candidate: str
    baseline: str
    """What they are called."""
    metric: MetricComparison | None
    reach: float
    """Of the scale that all drawn differences share."""


def pair_rows(comparison: Comparison, metric: str | None, labels: Labels) -> list[PairRow]:
    """A row for each pair."""
    found = [next((m for m in pair.metrics if m.metric == metric), None) for pair in comparison.pairs]
    alike = [each for each in found if each is not None]
    return [
        PairRow(
            place,
            pair,
            labels[pair.candidate],
            labels[pair.baseline],
            each,
            _reach(alike, each) if each is not None else 0.0,
        )
        for place, (pair, each) in enumerate(zip(comparison.pairs, found, strict=True))
    ]


def pair_columns(*, all_pairs: bool) -> list[Column[PairRow]]:
    """The columns of the list of pairs; one baseline for all is named above it."""
    baseline = Column[PairRow](
        "BASELINE", lambda row: cell(row.baseline, "dim"), 10, grow=True, most=30, tail=True
    )
    return [
        Column("CANDIDATE", lambda row: cell(row.candidate), 10, grow=True, most=30, tail=True),
        *([baseline] if all_pairs else []),
        Column("VERDICT", _verdict, 14),
        Column("MEAN", _mean, 5, right=True, rank=2),
        Column("DIFF", _difference, 6, right=True),
        Column("", _drawn, DRAWN_IN_LIST, rank=1),
        Column("INTERVAL", _ends, 14, rank=4),
        Column("P", _p, 7, right=True),
        Column(
            "PAIRS", lambda row: cell(figures.count(row.pair.pairing.pairs), "dim"), 7, right=True, rank=3
        ),
        Column("DIFFERS", lambda row: cell(_what(row.pair), "dim"), 10, grow=True, most=60, rank=5),
    ]


def _verdict(row: PairRow) -> Cell:
    verdict = row.pair.verdict if row.metric is None else row.metric.verdict
    return cell(verdict.word, TONES.get(verdict.word, "plain"))


def _mean(row: PairRow) -> Cell:
    return cell(figures.score(None if row.metric is None else row.metric.candidate_mean))


def _difference(row: PairRow) -> Cell:
    return cell(figures.signed(None if row.metric is None else row.metric.difference))


def _drawn(row: PairRow) -> Cell:
    metric = row.metric
    if metric is None:
        return cell("")
    before, within, after = figures.difference(
        metric.difference, metric.low, metric.high, row.reach, DRAWN_IN_LIST
    )
    return ((before, "faint"), (within, TONES.get(metric.verdict.word, "plain")), (after, "faint"))


def _ends(row: PairRow) -> Cell:
    return cell(NONE if row.metric is None else ends(row.metric.low, row.metric.high), "dim")


def _p(row: PairRow) -> Cell:
    return cell(p_said(None if row.metric is None else row.metric.p_holm))


def flip_columns(flip: Callable[[int], Flip]) -> list[Column[int]]:
    """The columns of the list of samples, whose rows are places of ``flip``."""
    return [
        Column("SAMPLE", lambda place: cell(flip(place).sample_id, "dim"), 14, grow=True, most=40, tail=True),
        Column("WHAT", lambda place: _kind(flip(place).kind), 12),
        Column("BASELINE", lambda place: cell(f"{flip(place).baseline:.4g}"), 8, right=True),
        Column("CANDIDATE", lambda place: cell(f"{flip(place).candidate:.4g}"), 9, right=True),
        Column("TAGS", lambda place: cell(" ".join(flip(place).tags), "dim"), 12, grow=True, most=60, rank=1),
    ]


def tag_columns() -> list[Column[TagFlips]]:
    """The columns of the list of tags."""
    return [
        Column("TAG", lambda row: cell(row.tag), 12, grow=True, most=40, tail=True),
        Column("N", lambda row: cell(figures.count(row.n), "dim"), 7, right=True),
        Column("BASELINE", lambda row: cell(figures.score(row.baseline_mean)), 8, right=True),
        Column("CANDIDATE", lambda row: cell(figures.score(row.candidate_mean)), 9, right=True),
        Column("DIFF", lambda row: cell(figures.signed(row.difference)), 7, right=True),
        Column("FIXED", lambda row: cell(figures.count(row.fixed), KIND_TONES[FIXED]), 7, right=True),
        Column("BROKEN", lambda row: cell(figures.count(row.broken), KIND_TONES[BROKEN]), 7, right=True),
    ]


def _kind(kind: str) -> Cell:
    return cell(f"{KIND_SIGNS[kind]} {kind}", KIND_TONES[kind])


def _what(pair: PairComparison) -> str:
    return ", ".join(dict.fromkeys(each.what for each in pair.guard.differs)) or "nothing"


def _around(metrics: Sequence[MetricComparison], chosen: str | None, most: int) -> list[MetricComparison]:
    kept = list(metrics[:most])
    wanted = next((each for each in metrics if each.metric == chosen), None)
    if wanted is not None and wanted not in kept and kept:
        kept[-1] = wanted
    return kept


def _reach(metrics: Sequence[MetricComparison], metric: MetricComparison) -> float:
    """How far the scale of a drawn difference goes: scores from 0 to 1 share one."""
    alike = [each for each in metrics if each.points] if metric.points else [metric]
    return max((abs(end) for each in alike for end in (each.low, each.high) if end is not None), default=0.0)


def _unlike(unlike: Unlike, label: str, width: int) -> Content:
    head: list[Part] = [
        _label(label),
        (unlike.what, "$foreground" if unlike.metric is None else "$bad"),
        "  ",
    ]
    room = max(
        12, width - sum(cell_len(plain(each if isinstance(each, str) else each[0])) for each in head) - 3
    )
    one, other = (plain(said.value(each), MOST_VALUE) for each in (unlike.baseline, unlike.candidate))
    one, other = _apart(one, other, room // 2)
    return line(*head, (one, "$dim"), (f" {TO} ", "$faint"), (other, "$dim")).truncate(width, ellipsis=True)


def _apart(one: str, other: str, room: int) -> tuple[str, str]:
    """Two values, cut so that where they begin to differ can be seen."""
    if max(len(one), len(other)) > room:
        same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        start = max(0, min(same - room // 3, max(len(one), len(other)) - room + 1))
        if start:
            one, other = (f"…{each[start:]}" for each in (one, other))
    return _fit(one, room), _fit(other, room)


def _fit(text: str, room: int) -> str:
    return cut(text, room).rstrip() if cell_len(text) > room else text


def _labelled(label: str, text: str, width: int, most: int, style: str) -> Iterator[Content]:
    for number, row in enumerate(_rows(plain(text, MOST_SAID), width - LABEL, most)):
        yield line(_label(label if number == 0 else ""), (row, style))


def _rows(text: str, width: int, most: int) -> list[str]:
    rows = [row.rstrip() for row in wrapped(text, max(10, width))]
    if len(rows) > most:
        rows = [*rows[: most - 1], cut(" ".join(rows[most - 1 :]), max(10, width)).rstrip()]
    return rows


def _label(word: str) -> Part:
    return f"{word:<{LABEL}}", "$dim"


def _pad(text: str, width: int, *, right: bool = False) -> str:
    safe = plain(text)
    if cell_len(safe) > width:
        return cut(safe, width)
    space = " " * (width - cell_len(safe))
    return space + safe if right else safe + space


def _style(tone: str) -> str:
    return "$foreground" if tone == "plain" else f"${tone}"
