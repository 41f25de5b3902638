"""The lines above the list of runs: what there is, how its stores do, and what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from themis.core.options import redacted
from themis_tui import figures
from themis_tui.screens.run_line import SEP, tone_of
from themis_tui.text import Part, line, spread

if TYPE_CHECKING:
    from themis.runs.news import News
    from themis.runs.union import StoreState
    from themis_tui.beside import Beside

SIGNS = {"ready": "●", "looking": "○", "slow": "◌", "failed": "✗"}
TONES = {"ready": "$running", "looking": "$dim", "slow": "$accent", "failed": "$bad"}
APART = "   "
TELLS = "  I tells all"
LEAST_REASON = 12
"""Cells below which a reason says nothing."""


def head(
    where: str,
    words: Mapping[str, int],
    total: int,
    shown: int,
    marked: int,
    width: int,
    *,
    stale: str | None = None,
) -> Content:
    """The first line: where we are, and how much there is.

    ``words``: how many have which status. ``stale``: why it may be out of date.
    """
    parts: list[Part] = [("themis", "bold $accent"), APART, (where, "bold")]
    for word in ("running", "queued", "stalled", "no signal", "crashed"):
        if words.get(word):
            parts += [(SEP, "$faint"), (f"{words[word]} {word}", f"${tone_of(word)}")]
    parts += [(SEP, "$faint"), (_runs(total), "$dim")]
    right: list[Part] = []
    if marked:
        right.append((f"{marked} marked   ", "$accent"))
    if shown != total:
        right.append((f"{figures.count(shown)} of {figures.count(total)}", "$dim"))
    if stale is not None and total:
        right.append((f"{APART}{stale}", "$bad" if stale.startswith("!") else "$faint"))
    return spread(line(*parts), line(*right), width)


def badges(stores: Sequence[StoreState], width: int) -> Content:
    """Each store with how it does; why one failed, as far as there is room.

    Where there is little, the stores that are ready say less, then only how many they are.
    """
    ready = [each for each in stores if each.state == "ready"]
    rest = [each for each in stores if each.state != "ready"]
    together: list[Part] = [(SIGNS["ready"], TONES["ready"]), f" {len(ready)} stores ready"]
    wordy = [_badge(each, True) for each in stores]
    brief = [_badge(each, each.state != "ready") for each in stores]
    folded = [*(_badge(each, True) for each in rest), *([together] if ready else [])]
    chosen = next((each for each in (wordy, brief) if _length(each) <= width), folded)
    failed = [each for each in (rest if chosen is folded else stores) if each.state == "failed"]
    room = (width - _length(chosen)) // max(1, len(failed))
    if room >= LEAST_REASON:
        shown = rest if chosen is folded else list(stores)
        for place, each in enumerate(shown):
            if each.state == "failed" and each.reason:
                chosen[place] += _reason(f": {each.reason}", room)
    parts = [part for place, badge in enumerate(chosen) for part in ([APART] if place else []) + badge]
    return line(*parts).truncate(width, ellipsis=True)


def news_line(news: News, width: int) -> Content:
    """What is not as it was when the person last looked."""
    kinds = (
        (len(news.finished), "finished", "$running"),
        (len(news.failed), "failed", "$bad"),
        (len(news.stalled), "stalled", "$accent"),
        (len(news.started_elsewhere), "started elsewhere", "$running"),
    )
    parts: list[Part] = [("since you last looked  ", "$dim")]
    for count, word, style in (each for each in kinds if each[0]):
        parts += [(SEP, "$faint")] if len(parts) > 1 else []
        parts.append((f"{figures.count(count)} {word}", style))
    return spread(line(*parts), line(("/is:new", "$accent"), (" shows them", "$dim")), width)


def work_line(work: Beside, width: int) -> Content:
    """How far a process beside the app is."""
    said, done, total = (work.progress.get(each) for each in ("what", "done", "total"))
    parts: list[Part] = [(work.what, "$running")]
    if isinstance(work.progress.get("runs"), int) and work.progress["runs"] > 1:
        parts += [(SEP, "$faint"), (f"{work.progress.get('run')} of {work.progress['runs']}", "$dim")]
    if isinstance(said, str):
        parts += [(SEP, "$faint"), (said, "$dim")]
        if isinstance(done, int):
            of = f" of {figures.count(total)}" if isinstance(total, int) else ""
            parts.append((f" {figures.count(done)}{of}", "$dim"))
    return line(*parts).truncate(width, ellipsis=True)


def _badge(store: StoreState, word: bool) -> list[Part]:
    parts: list[Part] = [(SIGNS[store.state], TONES[store.state]), f" {redacted(store.name)}"]
    if store.rows or store.state == "ready":
        parts.append((f" {figures.count(store.rows)}", "$dim"))
    if word:
        parts.append((f" {store.state}", TONES[store.state]))
    return parts


def _length(badges: Sequence[Sequence[Part]]) -> int:
    parts = [part for badge in badges for part in badge]
    return line(*parts).cell_length + len(APART) * (len(badges) - 1)


def _reason(said: str, room: int) -> list[Part]:
    """Why it failed; where there is no room for all of it, the key that tells it."""
    left = room - len(TELLS)
    if line(said).cell_length <= room or left < 0:
        return [(_cut(said, room), "$dim")]
    began: list[Part] = [(_cut(said, left), "$dim")] if left >= LEAST_REASON else []
    return [*began, (TELLS[:3], "$accent"), (TELLS[3:], "$dim")]


def _cut(text: str, width: int) -> str:
    return line(text).truncate(width, ellipsis=True).plain


def _runs(count: int) -> str:
    return f"{figures.count(count)} run{'' if count == 1 else 's'}"
