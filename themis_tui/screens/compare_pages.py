"""The pages of a comparison that are read: all figures, the settings that differ, what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from themis.compare import figures as said
from themis.compare.comparison import Comparison, MetricComparison, PairComparison
from themis.compare.error_clusters import ErrorCluster
from themis.compare.guard import Unlike
from themis_tui import figures
from themis_tui.glyphs import DOT
from themis_tui.screens.compare_line import Labels, ends, p_said
from themis_tui.text import plain_block
from themis_tui.widgets.reader import Passage
from themis_tui.word_diff import differing

MOST_SETTING = 4_000
"""Characters of one setting."""
MOST_SETTINGS = 500
SEP = f" {DOT} "


def figures_page(comparison: Comparison, pair: PairComparison, labels: Labels) -> Iterator[Passage]:
    """Every figure of a pair, and how it was made; then each run by itself."""
    for metric in pair.metrics:
        yield Passage(metric.verdict.text, metric.metric, metric.verdict.word)
        yield Passage("\n".join(_metric(metric)), tone="dim", indent=2)
    rows = said.resource_rows(pair)
    if rows:
        wide = max(len(row[0]) for row in rows)
        text = "\n".join(
            f"{name:<{wide}}   {one} to {other}   {change}   ({interval}){SEP}n {n}"
            for name, one, other, change, interval, n in rows
        )
        yield Passage(text, "spent on a sample", "baseline to candidate")
    yield Passage(said.pairing_line(pair), "paired")
    for what, ids in _left_out(pair):
        yield Passage(f"{what}: {', '.join(ids)}", tone="dim", indent=2)
    for run in comparison.runs:
        facts = [f"{figures.count(run.samples)} samples", f"{figures.count(run.errors)} errors"]
        facts += [f"median {figures.seconds(run.latency_p50_s)}"] if run.latency_p50_s is not None else []
        facts += [f"{run.output_tokens:,.0f} tokens out"] if run.output_tokens is not None else []
        facts += [f"cost {run.cost:.4g}"] if run.cost is not None else []
        yield Passage(SEP.join(facts), labels[run.address], run.model or "")
        for name, treated in run.metrics.items():
            one = treated[comparison.errors]
            about = (
                f"{figures.score(one.low)} to {figures.score(one.high)}"
                if one.low is not None
                else "no interval"
            )
            made = f"{one.method or 'no method'}{SEP}n {one.n:,}"
            text = f"{name}   {figures.score(one.mean)}   ({about}){SEP}{made}"
            yield Passage(text, tone="dim", indent=2)
    yield Passage(said.footing(comparison), "all of this")


def _metric(metric: MetricComparison) -> Iterator[str]:
    yield (
        f"baseline {figures.score(metric.baseline_mean)}{SEP}"
        f"candidate {figures.score(metric.candidate_mean)}{SEP}"
        f"difference {figures.signed(metric.difference)} ({ends(metric.low, metric.high)}){SEP}n {metric.n:,}"
    )
    alone = f"p {p_said(metric.p)} by itself{SEP}" if metric.p != metric.p_holm else ""
    yield f"{alone}p {p_said(metric.p_holm)} as it counts{SEP}{said.power_line(metric)}"
    if metric.correlation is not None:
        yield f"correlation of the pairs {metric.correlation:.2f}"
    if metric.other is not None:
        yield said.other_line(metric, metric.other)
    if metric.left_out or metric.unscored:
        yield f"{metric.left_out:,} pairs left out for an error{SEP}{metric.unscored:,} without a score"
    yield from metric.notes


def _left_out(pair: PairComparison) -> Iterator[tuple[str, Sequence[str]]]:
    pairing = pair.pairing
    for what, count, ids in (
        ("set aside", pairing.set_aside, pairing.set_aside_ids),
        ("in the baseline only", pairing.only_baseline, pairing.only_baseline_ids),
        ("in the candidate only", pairing.only_candidate, pairing.only_candidate_ids),
    ):
        if count:
            yield what, [*ids, *([f"and {count - len(ids):,} more"] if count > len(ids) else [])]


def config_page(settings: Sequence[Unlike], guard_same: Sequence[str]) -> Iterator[Passage]:
    """Each setting that differs, with the words in which it does."""
    for unlike in settings[:MOST_SETTINGS]:
        one, other = (_setting(each) for each in (unlike.baseline, unlike.candidate))
        first, second = differing(one, other)
        yield Passage("baseline", unlike.what, tone="dim")
        yield Passage(one, marks=tuple(first))
        yield Passage("candidate", tone="dim")
        yield Passage(other, marks=tuple(second))
    if len(settings) > MOST_SETTINGS:
        yield Passage(f"and {len(settings) - MOST_SETTINGS:,} more settings", tone="dim")
    if not settings:
        yield Passage("No setting differs, or the runs do not say what was asked.", tone="dim")
    if guard_same:
        yield Passage(", ".join(guard_same), "the same in both")


def _setting(value: object) -> str:
    text = value if isinstance(value, str) else said.value(value)
    return plain_block(f"{text[:MOST_SETTING]}…" if len(text) > MOST_SETTING else text)


def errors_page(
    clusters: Sequence[ErrorCluster], comparison: Comparison, labels: Labels
) -> Iterator[Passage]:
    """What went wrong, the most frequent first; how often in each run."""
    for cluster in clusters:
        yield Passage(
            cluster.message or "(it said nothing)", cluster.kind, f"{sum(cluster.counts.values()):,}"
        )
        counted = SEP.join(
            f"{labels[run.address]} {cluster.counts.get(run.address, 0):,}" for run in comparison.runs
        )
        yield Passage(counted, tone="dim")
        if cluster.example and cluster.example != cluster.message:
            yield Passage(f"such as: {cluster.example}", tone="dim", indent=2)
        ids = [f"{labels[address]} {', '.join(listed[:5])}" for address, listed in cluster.sample_ids.items()]
        yield Passage(f"in {SEP.join(ids)}", tone="faint", indent=2)
    if not clusters:
        yield Passage("No answer of these runs ended in an error.", tone="dim")
