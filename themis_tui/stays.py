"""What was not done to some of several runs, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from textual.app import App

from themis.core.options import redacted
from themis_tui.text import tell

MOST_REASONS = 3
MOST_SAID = 300
"""Characters of a reason."""


class Stays(NamedTuple):
    """One run that stays as it was."""

    address: str
    why: str


def stays_said(stays: Iterable[Stays]) -> list[str]:
    """A line for each reason, of which several runs may have the same."""
    reasons: dict[str, list[str]] = {}
    for each in stays:
        reasons.setdefault(redacted(each.why), []).append(redacted(each.address))
    said = []
    for why, addresses in list(reasons.items())[:MOST_REASONS]:
        one = len(addresses) == 1
        runs = f"{addresses[0]} stays" if one else f"{len(addresses)} runs stay, {addresses[0]} first"
        said.append(f"{runs}: {why[:MOST_SAID]}")
    if len(reasons) > MOST_REASONS:
        rest = sum(len(each) for each in list(reasons.values())[MOST_REASONS:])
        said.append(f"And {rest} more stay, for other reasons.")
    return said


def tell_stays(app: App[Any], stays: Sequence[Stays]) -> None:
    """Say it at the edge of the screen, if there is any."""
    if stays:
        tell(app, "\n".join(stays_said(stays)), bad=True)
