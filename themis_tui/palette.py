"""The command palette, over the action registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from inspect import unwrap

from textual import work
from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider, SearchIcon
from textual.content import Content
from textual.css.query import NoMatches

from themis_tui.actions import ACTIONS, Action
from themis_tui.preferences import THEMES
from themis_tui.screens.base import ThemisScreen
from themis_tui.text import line

_gather: Callable[[CommandPalette, str], Awaitable[None]] = unwrap(CommandPalette._gather_commands)
"""What Textual does in a worker, whose failure would end the app."""


class Palette(CommandPalette):
    """Textual's; it bears keys that come faster than its list, and has no sign that terminals draw wide."""

    def on_mount(self) -> None:
        for sign in self.query(SearchIcon):
            sign.icon = ":"

    def dismiss(self, result: None = None) -> AwaitComplete:
        # Textual would take whatever is on top in its place.
        if not self.is_active:
            return AwaitComplete()
        return super().dismiss(result)

    @work(exclusive=True, group=CommandPalette._GATHER_COMMANDS_GROUP)
    async def _gather_commands(self, search_value: str) -> None:
        with suppress(NoMatches):  # it was left, and its list with it
            await _gather(self, search_value)

    def _action_command_list(self, action: str) -> None:
        with suppress(KeyError, IndexError):  # its list has options, and no lines yet
            super()._action_command_list(action)

    def _action_cursor_down(self) -> None:
        with suppress(KeyError, IndexError):
            super()._action_cursor_down()


class ActionProvider(Provider):
    """What can be done where the palette was opened; what cannot is not left out, it says why."""

    async def discover(self) -> Hits:
        for word, said, do in self._commands():
            yield DiscoveryHit(_shown(word, said), do, text=word)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for word, said, do in self._commands():
            score = matcher.match(f"{word} {said}")
            if score > 0:
                yield Hit(score, _shown(word, said), do, text=word)

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        screen = self.screen
        places = screen.PLACES if isinstance(screen, ThemisScreen) else ()
        for place in places:
            for action in ACTIONS[place]:
                if action.palette and isinstance(screen, ThemisScreen):
                    yield action.word, _said(action), partial(screen.action_do, action.name)
        for action in ACTIONS["app"]:
            if action.palette:
                yield action.word, _said(action), partial(self._do_in_app, action.name)
        for name in THEMES:
            yield f"theme {name}", "", partial(self._use_theme, name)

    def _do_in_app(self, name: str) -> None:
        getattr(self.app, f"do_{name}")()

    def _use_theme(self, name: str) -> None:
        use: Callable[[str], None] = getattr(self.app, "use_theme")  # noqa: B009 - the app imports this
        use(name)


def _said(action: Action) -> str:
    key = action.display or action.keys.partition(",")[0]
    return f"{action.help}  ({key})"


def _shown(word: str, said: str) -> Content:
    return line((word, "bold"), ("   " + said, "$dim"))
