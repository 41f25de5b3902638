"""The app: themes, screens, and what can be done everywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segments
from rich.text import Text
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.events import Event, Key, Paste
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input

from themis.core.safe_text import safe_text
from themis_tui import preferences, terminal
from themis_tui.actions import bindings
from themis_tui.doors import Doors, FirstLook
from themis_tui.glyphs import ascii_wanted
from themis_tui.screens.base import ThemisScreen
from themis_tui.screens.runs import RunsScreen
from themis_tui.text import tell
from themis_tui.theme import OURS, own_variables
from themis_tui.widgets.typed import Typed

if TYPE_CHECKING:
    from textual.command import Provider

    from themis_tui.beside import Beside, BesideMoved
    from themis_tui.draft import Draft
    from themis_tui.screens.profile_line import Trial
    from themis_tui.screens.run_actions import Undo

HERE = Path(__file__).parent
AWAITED_AT_MOST_S = 0.05
"""Seconds that keys wait for the one before them to be acted on, should it never come back."""


def _actions() -> type[Provider]:
    from themis_tui.palette import ActionProvider

    return ActionProvider


class ThemisApp(App[None]):
    """Observes runs and asks for them; closing it ends none."""

    TITLE = "themis"
    # The first screen's looks are read with the app's: another file would have all of them read anew.
    CSS_PATH = [HERE / "app.tcss", HERE / "screens" / "runs.tcss"]  # noqa: RUF012 - Textual's own form
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {_actions}  # noqa: RUF012 - Textual's own form
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("app"),
        Binding(
            "ctrl+q", "quit", "quit", show=False, priority=True, tooltip="Leave; runs go on", id="app.quit"
        ),
    ]

    def __init__(
        self,
        storage: str | None = None,
        *,
        stores: Sequence[str] = (),
        run_id: str | None = None,
        draft: Draft | None = None,
        compared: Sequence[str] = (),
        first_look: FirstLook | None = None,
        doors: Doors | None = None,
        theme: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``storage``: where runs are launched and looked for, the default store if not given.

        ``stores``: whose runs are listed; if not given, those of ``storage``, else of all there are.
        ``run_id``: open this run first, in ``storage`` or else in the one store that has it.
        ``draft``: open the form first, filled in. ``compared``: compare these runs first, ids or
        ``STORE:ID``; the first is the baseline.
        """
        super().__init__()
        self.storage = storage
        self.stores = stores or ([storage] if storage is not None else [])
        self.doors = doors or Doors()
        self.works: list[Beside] = []
        """What processes of their own are doing for it."""
        self.trials: dict[str, Trial] = {}
        """What trying profiles has shown."""
        self._first_look = first_look
        self.clock = clock
        self.undo: Undo | None = None
        """Takes the last change back, and says so."""
        self._awaited: Key | None = None
        self._awaited_until: Timer | None = None
        self._held: list[Key | Paste] = []
        self._first_run = run_id
        self._first_draft = draft
        self._first_compared = compared
        for each in OURS:
            self.register_theme(each)
        asked = theme or os.environ.get("TEXTUAL_THEME")
        self.theme = asked if asked in self.available_themes else preferences.load().theme
        self.set_class(ascii_wanted(), "-ascii")

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return own_variables(self.current_theme)

    def get_default_screen(self) -> Screen[None]:
        return RunsScreen(self.storage, self.stores, self._first_look)

    def on_mount(self) -> None:
        if not self.is_headless:
            terminal.obey_signals(self)
            terminal.follow_size(self)
            self.app_resume_signal.subscribe(self, terminal.follow_size)
            self.call_after_refresh(terminal.free_garbage)
        if self._first_run is not None:
            self._open_first(self._first_run)
        if self._first_draft is not None:
            from themis_tui.screens.new_run import NewRunScreen

            self.push_screen(NewRunScreen(self._first_draft))

        if self._first_compared:
            self._compare_first(self._first_compared)

    def _compare_first(self, runs: Sequence[str]) -> None:
        from themis.runs.catalog import split_address
        from themis_tui.screens.compare import CompareScreen
        from themis_tui.screens.comparing import Request, Wanted

        alone = self.stores[0] if len(self.stores) == 1 else None
        found = [(store or alone, run_id) for store, run_id in map(split_address, runs)]
        self.push_screen(CompareScreen(Request(tuple(Wanted(*each) for each in found)), self.stores))

    def _open_first(self, run_id: str) -> None:
        from themis_tui.screens.run import RunScreen

        home = self.screen
        if isinstance(home, RunsScreen) and len(self.stores) != 1:
            home.open_run(run_id)
        else:
            self.push_screen(RunScreen(self.storage, run_id))

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Paste):
            # A field draws what stands in it: what is pasted is made harmless before it is in one.
            event.text = safe_text(event.text)
        focused = self.focused if self.screen_stack else None
        if isinstance(event, (Key, Paste)) and event.is_forwarded and isinstance(focused, Input):
            # A field takes its keys itself. One that comes by here was typed ahead of a focus that has moved.
            if isinstance(event, Paste):
                focused.insert_text_at_cursor(event.text.partition("\n")[0])
                return
            if event.is_printable and event.character:
                focused.insert_text_at_cursor(event.character)
                return
        if event is self._awaited:
            await super().on_event(event)
            await self._let_go()
            return
        if isinstance(event, (Key, Paste)) and not event.is_forwarded:
            if self._awaited is not None:
                self._held.append(event)
                return
            if isinstance(event, Key) and not event.is_printable and isinstance(focused, Typed):
                # It comes by here twice: on its way to the field, and back to be acted on, maybe by moving
                # the focus. What is typed meanwhile comes after it.
                self._awaited = event
                self._awaited_until = self.set_timer(AWAITED_AT_MOST_S, self._let_go)
        await super().on_event(event)

    async def _let_go(self) -> None:
        held, self._held, self._awaited = self._held, [], None
        if self._awaited_until is not None:
            self._awaited_until.stop()
        for event in held:
            await self.on_event(event)

    def action_do(self, name: str) -> None:
        """Do an action of the registry."""
        getattr(self, f"do_{name}")()

    def action_command_palette(self) -> None:
        from themis_tui.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette())  # without an id: the one before may still be on its way out

    def work_beside(self, what: str, arguments: Sequence[str], then: Callable[[Beside], object]) -> Beside:
        """Have ``themis`` do something long in a process of its own; ``then`` is called when it has ended."""
        from themis_tui.beside import Beside

        work = Beside(what, arguments, self.post_message, then)
        self.works.append(work)
        self._show_works()
        work.start()
        return work

    def on_beside_moved(self, event: BesideMoved) -> None:
        work = event.work
        if work.ended and work in self.works:
            self.works.remove(work)
            work.then(work)
            for screen in self.screen_stack:
                if isinstance(screen, ThemisScreen) and screen.watcher is not None:
                    screen.watcher.look_now()
        self._show_works()

    def _show_works(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, ThemisScreen):
                with suppress(NoMatches):  # it is on its way out, with the app say, piece by piece
                    screen.show_works(self.works)

    def do_help(self) -> None:
        from themis_tui.screens.help import HelpPage

        screen = self.screen
        if not isinstance(screen, HelpPage):
            about = screen.TITLE_HELP if isinstance(screen, ThemisScreen) else ""
            self.push_screen(HelpPage(screen, about))

    def do_theme(self) -> None:
        themes = preferences.THEMES
        at = themes.index(self.theme) if self.theme in themes else -1
        self.use_theme(themes[(at + 1) % len(themes)])

    def use_theme(self, name: str) -> None:
        """Take other colours, and keep the choice."""
        self.theme = name

        def work() -> None:
            try:
                preferences.save(preferences.Preferences(name))
            except OSError as exc:
                self.call_from_thread(tell, self, f"The choice could not be kept: {exc}", bad=True)

        self.run_worker(work, thread=True, group="preferences", exit_on_error=False)

    def do_suspend(self) -> None:
        self.action_suspend_process()

    def action_help_quit(self) -> None:
        tell(self, "Press q or ctrl+q to leave; runs go on without the app.")

    def get_system_commands(self, screen: Screen[object]) -> list[SystemCommand]:
        return []

    def _handle_exception(self, error: Exception) -> None:
        if self._exit:
            # Left while something was still being drawn or looked for: it is written down, and that is all.
            terminal.write_crash(error)
        else:
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # Textual's own prints the values of local variables, of which one may be a key.
        error = self._exception
        if error is None:
            return
        path = terminal.write_crash(error)
        kept = f"What happened is in {path}" if path is not None else "It could not be written down."
        told = f"themis-tui ended by a fault of its own ({type(error).__name__}). Runs go on. {kept}"
        self._exit_renderables.append(Segments(self.console.render(Text(told), self.console.options)))
        self._close_messages_no_wait()
