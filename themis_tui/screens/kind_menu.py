"""Which kind of profile a new one is to be."""

from __future__ import annotations

from themis_tui.screens.menu import Menu
from themis_tui.screens.profile_line import NOUNS
from themis_tui.text import line

_ABOUT = {"storage": "where runs are kept", "executor": "how work is spread", "endpoint": "who answers"}


class KindMenu(Menu[str]):
    """One line for each kind."""

    def __init__(self, kind: str) -> None:
        """``kind``: the one under the cursor at first."""
        kinds = [(each, line(f"{noun:<16}", (_ABOUT[each], "dim"))) for each, noun in NOUNS.items()]
        super().__init__(line(("Add a profile", "bold")), kinds, kind)
