"""Every key that works where the person is, from the key map itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from textual.screen import Screen

from themis_tui.screens.text_page import TextPage
from themis_tui.widgets.reader import Passage

_NAMES = {
    "escape": "esc",
    "question_mark": "?",
    "slash": "/",
    "plus": "+",
    "asterisk": "*",
    "colon": ":",
    "ctrl+backslash": "ctrl+\\",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}


KEYS = 14
"""Cells for the keys."""


class KeyHelp(NamedTuple):
    """One thing that can be done, and by which keys."""

    keys: list[str]
    word: str
    help: str


def keys_of(screen: Screen[Any]) -> dict[str, list[KeyHelp]]:
    """Group to keys, for where the focus is now."""
    groups: dict[str, dict[str, KeyHelp]] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if binding.system or not binding.description:
            continue
        group = (binding.id or "other.").partition(".")[0]
        found = groups.setdefault(group, {}).setdefault(
            binding.action, KeyHelp([], binding.description, binding.tooltip)
        )
        found.keys.append(_NAMES.get(key, key))
    return {group: list(actions.values()) for group, actions in groups.items()}


class HelpPage(TextPage):
    """The help of one screen."""

    def __init__(self, screen: Screen[Any], about: str) -> None:
        super().__init__("help", list(_passages(keys_of(screen), about)))


_TITLES = {
    "table": "moving",
    "reader": "moving",
    "marks": "marking",
    "runs": "this screen",
    "run": "this screen",
    "sample": "this screen",
    "compare": "this screen",
    "flip": "this screen",
    "new_run": "this screen",
    "profiles": "this screen",
    "profile_form": "this screen",
    "doctor": "this screen",
    "text": "this screen",
    "dialog": "this question",
    "copy": "this question",
    "menu": "this question",
    "annotate": "this question",
    "filter": "filter",
    "app": "everywhere",
    "other": "typing and the rest",
}
_ORDER = ("this screen", "this question", "moving", "marking", "filter", "everywhere", "typing and the rest")


def _passages(groups: dict[str, list[KeyHelp]], about: str) -> Iterable[Passage]:
    if about:
        yield Passage(about, tone="dim")
    titled: dict[str, list[KeyHelp]] = {}
    for group, helps in groups.items():
        titled.setdefault(_TITLES.get(group, group), []).extend(helps)
    for title in sorted(titled, key=lambda each: _ORDER.index(each) if each in _ORDER else len(_ORDER)):
        yield Passage("\n".join(_line(each) for each in titled[title]), title, indent=KEYS + 3)


def _line(each: KeyHelp) -> str:
    said = each.help or each.word
    return f"  {' '.join(sorted(each.keys, key=len)):<{KEYS}} {said}"
