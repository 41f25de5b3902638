"""How a comparison reads: its verdict, what differs, its figures; a line for each pair, sample and tag."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.cells import cell_len
from textual.content import Content

from themis.compare import figures as said
from themis.compare.comparison import Comparison, MetricComparison, PairComparison
from themis.compare.flips import BOTH_RIGHT, BOTH_WRONG, BROKEN, FIXED, Flip, TagFlips
from themis.compare.guard import Unlike
from themis.compare.verdict import BETTER, CANNOT_TELL, NOT_COMPARABLE, SAME, WORSE, Verdict, p_value
from themis_tui import figures
from themis_tui.glyphs import DOT, NONE, STATUS, TO
from themis_tui.text import Part, cut, line, plain
from themis_tui.widgets.columns import Cell, Column, cell
from themis_tui.widgets.reader import wrapped

LABEL = 9
"""Cells of the word that says what a line is."""
TONES = {BETTER: "running", WORSE: "bad", SAME: "plain", CANNOT_TELL: "accent", NOT_COMPARABLE: "bad"}
KIND_TONES = {FIXED: "running", BROKEN: "bad", BOTH_RIGHT: "dim", BOTH_WRONG: "plain"}
KIND_SIGNS = {FIXED: STATUS["completed"], BROKEN: STATUS["failed"], BOTH_RIGHT: DOT, BOTH_WRONG: DOT}
DRAWN = 31
"""Cells that a drawn interval takes at most."""
DRAWN_IN_LIST = 21
MOST_SAID = 2_000
MOST_VALUE = 300
GAP = "  "

Labels = Mapping[str, str]
"""Address to what a run is called here."""


def verdict_lines(verdict: Verdict, width: int, most: int) -> list[Content]:
    """The verdict in words; its first one stands out."""
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


def many_guard_line(comparison: Comparison, width: int) -> Iterator[Content]:
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
    name = max(8, min(24 if width >= 110 else 14, max(cell_len(plain(each.metric)) for each in metrics)))
    counted = any(each.n != pair.pairing.pairs for each in metrics) and width >= 88
    fixed = 2 + name + 9 + 10 + 7 + 16 + 7 + (8 if counted else 0) + 2 * (6 if counted else 5)
    drawn = min(DRAWN, width - fixed - 2)
    heads = [(_pad("METRIC", name), 0), ("BASELINE", 9), ("CANDIDATE", 10)]
    heads += [(" " * drawn, drawn)] if drawn >= 7 else []
    heads += [("DIFF", 7), ("INTERVAL", 16), ("P (HOLM)" if width >= 84 else "P", 7)]
    heads += [("N", 8)] if counted else []
    yield line(
        "  ", (GAP.join(text if not wide else _pad(text, wide, right=True) for text, wide in heads), "$faint")
    )
    for metric in metrics:
        yield _metric_line(
            metric, metric.metric == chosen, name, drawn, counted, _reach(pair.metrics, metric)
        )
    hidden = len(pair.metrics) - len(metrics)
    if hidden:
        yield line("  ", (f"and {hidden} more metric{'' if hidden == 1 else 's'}   (3 shows all)", "$dim"))


def _metric_line(
    metric: MetricComparison, chosen: bool, name: int, drawn: int, counted: bool, reach: float
) -> Content:
    tone = _style(TONES.get(metric.verdict.word, "plain"))
    parts: list[Part] = ["  ", (_pad(metric.metric, name), "bold" if chosen else "$foreground")]
    parts.append(GAP + _pad(figures.score(metric.baseline_mean), 9, right=True))
    parts.append(GAP + _pad(figures.score(metric.candidate_mean), 10, right=True))
    if drawn >= 7:
        before, within, after = figures.difference(metric.difference, metric.low, metric.high, reach, drawn)
        blank = drawn - len(before + within + after)
        parts += [GAP, (before, "$faint"), (within, tone), (after + " " * blank, "$faint")]
    parts.append((GAP + _pad(figures.signed(metric.difference), 7, right=True), f"bold {tone}"))
    parts.append((GAP + _pad(ends(metric.low, metric.high), 16, right=True), "$dim"))
    parts.append(GAP + _pad(p_said(metric.p_holm), 7, right=True))
    if counted:
        parts.append((GAP + _pad(figures.count(metric.n), 8, right=True), "$dim"))
    return line(*parts)


def power_lines(pair: PairComparison, chosen: str | None, width: int, most: int) -> Iterator[Content]:
    """What these samples can show by the chosen metric, and what the other treatment of errors gives."""
    metric = next((each for each in pair.metrics if each.metric == chosen), None)
    if metric is None:
        return
    yield from _labelled("shown", said.power_line(metric), width, most, "$dim")
    if metric.other is not None and said.has_other(metric):
        yield from _labelled("", said.other_line(metric, metric.other), width, 1, "$dim")


def spent_line(pair: PairComparison, width: int) -> Iterator[Content]:
    """What a sample took in each run."""
    rows = said.resource_rows(pair)
    if rows:
        parts: list[Part] = [_label("spent")]
        for number, (name, baseline, candidate, change, _, _) in enumerate(rows):
            parts += [(f" {DOT} ", "$faint")] if number else []
            parts += [(f"{name} ", "$dim"), f"{baseline} {TO} {candidate}", (f" ({change})", "$dim")]
        parts.append((" a sample", "$dim"))
        yield line(*parts).truncate(width, ellipsis=True)


def ends(low: float | None, high: float | None) -> str:
    """``+.016 to +.054``."""
    return NONE if low is None or high is None else f"{figures.signed(low)} to {figures.signed(high)}"


def p_said(p: float | None) -> str:
    """``.034``."""
    return NONE if p is None else p_value(p).removeprefix("p ")


def pair_columns(
    comparison: Callable[[], Comparison | None],
    metric: Callable[[], str | None],
    labels: Callable[[], Labels],
) -> list[Column[int]]:
    """The columns of the list of pairs, whose rows are places in it."""

    def pair_at(place: int) -> PairComparison:
        made = comparison()
        assert made is not None
        return made.pairs[place]

    def figure(place: int) -> MetricComparison | None:
        return next((each for each in pair_at(place).metrics if each.metric == metric()), None)

    def of(place: int, shown: Callable[[MetricComparison], Cell]) -> Cell:
        found = figure(place)
        return cell(NONE, "faint") if found is None else shown(found)

    def verdict(place: int) -> Cell:
        return of(place, lambda m: cell(m.verdict.word, TONES.get(m.verdict.word, "plain")))

    def drawn(place: int) -> Cell:
        made, found = comparison(), figure(place)
        assert made is not None
        if found is None:
            return cell("")
        alike = [each for pair in made.pairs for each in pair.metrics if each.metric == found.metric]
        before, within, after = figures.difference(
            found.difference, found.low, found.high, _reach(alike, found), DRAWN_IN_LIST
        )
        tone = TONES.get(found.verdict.word, "plain")
        return ((before, "faint"), (within, tone), (after, "faint"))

    return [
        Column(
            "CANDIDATE", lambda p: cell(labels()[pair_at(p).candidate]), 10, grow=True, most=30, tail=True
        ),
        Column(
            "BASELINE",
            lambda p: cell(labels()[pair_at(p).baseline], "dim"),
            10,
            grow=True,
            most=30,
            tail=True,
        ),
        Column("VERDICT", verdict, 14),
        Column(
            "MEAN", lambda p: of(p, lambda m: cell(figures.score(m.candidate_mean))), 5, right=True, rank=3
        ),
        Column("DIFF", lambda p: of(p, lambda m: cell(figures.signed(m.difference))), 6, right=True),
        Column("", drawn, DRAWN_IN_LIST, rank=1),
        Column(
            "INTERVAL", lambda p: of(p, lambda m: cell(ends(m.low, m.high), "dim")), 15, right=True, rank=4
        ),
        Column("P", lambda p: of(p, lambda m: cell(p_said(m.p_holm))), 7, right=True),
        Column(
            "PAIRS", lambda p: cell(figures.count(pair_at(p).pairing.pairs), "dim"), 7, right=True, rank=2
        ),
        Column("DIFFERS", lambda p: cell(_what(pair_at(p)), "dim"), 10, grow=True, most=60, rank=5),
    ]


def flip_columns(flip: Callable[[int], Flip], groups: bool = True) -> list[Column[int]]:
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
