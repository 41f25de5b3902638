"""What every screen of ours does alike: its place in the action registry, and its watcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.events import Event, Mount, Resize
from textual.message import Message
from textual.screen import Screen

from themis.core.safe_text import safe_text
from themis_tui.doors import Doors
from themis_tui.text import tell
from themis_tui.watching import Watcher
from themis_tui.widgets.key_line import KeyLine

if TYPE_CHECKING:
    from themis_tui.beside import Beside

MOST_COPIED = 50_000
"""Characters; some terminals take no more than 75 kB."""

T = TypeVar("T")

WIDE, BROAD = 110, 140
"""Cells from which a screen has room for more; the classes of narrower ones go."""


@dataclass
class Answered(Message):
    """What came of work that was done off the loop."""

    group: str
    number: int
    answer: Any
    error: Exception | None
    then: Callable[[Any], None]


class ThemisScreen(Screen[None]):
    """A screen whose keys, help and palette come from the registry."""

    PLACES: ClassVar[tuple[str, ...]] = ()
    """Its places in the registry."""
    TITLE_HELP: ClassVar[str] = ""
    """One sentence for the help."""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide"), (BROAD, "-broad")]  # noqa: RUF012 - Textual's own form
    VERTICAL_BREAKPOINTS = [(0, "-low"), (22, "-tall")]  # noqa: RUF012 - Textual's own form

    watcher: Watcher | None = None

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[str, int] = {}

    @property
    def doors(self) -> Doors:
        """The stores, shared by all screens."""
        doors = getattr(self.app, "doors")  # noqa: B009 - the app's class imports the screens
        assert isinstance(doors, Doors)
        return doors

    @property
    def clock(self) -> Callable[[], float]:
        """The time now, which tests and pictures freeze."""
        clock: Callable[[], float] = getattr(self.app, "clock")  # noqa: B009 - as above
        return clock

    async def on_event(self, event: Event) -> None:
        if isinstance(event, (Mount, Resize)) and (self._closing or self._pruning or not self.children):
            return  # it was left before it was there
        await super().on_event(event)

    def action_do(self, name: str) -> None:
        """Do an action of the registry, or say why it is not possible now."""
        if name != "back" and (self not in self.app.screen_stack or not self.is_mounted):
            return  # chosen, in the palette say, on a screen that was left or is not there yet
        why_not: Callable[[], str | None] | None = getattr(self, f"why_not_{name}", None)
        reason = why_not() if why_not is not None else None
        if reason:
            tell(self.app, reason)
            return
        getattr(self, f"do_{name}")()

    def do_back(self) -> None:
        """Go back, unless this is the first screen."""
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def do_quit(self) -> None:
        """Leave. Runs have processes of their own."""
        self.app.exit()

    def show_here(self, screen: Screen[T], then: Callable[[T | None], None] | None = None) -> None:
        """Show a screen over this one, unless the person went elsewhere while it was being made ready."""
        opaque = (each for each in reversed(self.app.screen_stack) if not each.is_modal)
        if next(opaque, None) is self:
            self.app.push_screen(screen, then)

    def send_to_clipboard(self, text: str, what: str) -> None:
        """Copy through the terminal, which never says whether it did.

        What is pasted must not be obeyed by where it is pasted, so signs stand for control characters.
        """
        if len(text) > MOST_COPIED:
            tell(self.app, f"{what} is too long for a terminal's clipboard.", bad=True)
            return
        self.app.copy_to_clipboard(safe_text(text))
        tell(self.app, f"{what} sent to the terminal's clipboard: {text[:200]}")

    def ask(self, group: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do ``work`` off the loop, then hand its answer to ``then`` on it; a failure is told.

        A newer question of the same group makes the answer to an older one void.
        """
        number = self._asked[group] = self._asked.get(group, 0) + 1

        def asking() -> None:
            try:
                answer = Answered(group, number, work(), None, then)
            except Exception as exc:  # every failure is the person's to see
                answer = Answered(group, number, None, exc, then)
            self.post_message(answer)

        self.run_worker(asking, thread=True, group=group, exclusive=True, exit_on_error=False)

    def ask_each(self, group: str, work: Callable[[], Iterator[T]], then: Callable[[T | None], None]) -> None:
        """As :meth:`ask`, for answers that come one by one; ``None`` is the end of them."""
        number = self._asked[group] = self._asked.get(group, 0) + 1

        def asking() -> None:
            try:
                for answer in work():
                    self.post_message(Answered(group, number, answer, None, then))
                self.post_message(Answered(group, number, None, None, then))
            except Exception as exc:  # as above
                self.post_message(Answered(group, number, None, exc, then))

        self.run_worker(asking, thread=True, group=group, exclusive=True, exit_on_error=False)

    def forget(self, *groups: str) -> bool:
        """Make the answers void that are still to come to such questions; whether there are any."""
        waiting = [group for group in groups if not self._group_free(group)]
        for group in waiting:
            self._asked[group] += 1
        return bool(waiting)

    def _group_free(self, group: str) -> bool:
        """Whether no question of the group is still being answered."""
        return not any(each.group == group and not each.is_finished for each in self.workers)

    def on_answered(self, event: Answered) -> None:
        event.stop()
        if event.number != self._asked.get(event.group):
            return
        if event.error is not None:
            self.failed(event.group, event.error)
        else:
            event.then(event.answer)

    def failed(self, group: str, error: Exception) -> None:
        """A question could not be answered."""
        tell(self.app, str(error) or type(error).__name__, bad=True)

    def do_installation(self) -> None:
        """Look at what this installation, machine and every store can do."""
        from themis_tui.screens.doctor import InstallationScreen

        self.app.push_screen(InstallationScreen())

    def check_store(self, storage: str | None) -> None:
        """Look a store through for what is wrong with it."""
        from themis_tui.screens.doctor import StoreDoctorScreen

        self.app.push_screen(StoreDoctorScreen(storage))

    def work_beside(self, what: str, arguments: Sequence[str], then: Callable[[Beside], object]) -> Beside:
        """See the app's method of this name."""
        start: Callable[..., Beside] = getattr(self.app, "work_beside")  # noqa: B009 - as above
        return start(what, arguments, then)

    def show_works(self, works: Sequence[Beside]) -> None:
        """What processes of their own do for the app got further."""

    def watch_with(self, watcher: Watcher) -> None:
        """Start a watcher that lives as long as this screen."""
        self.watcher = watcher
        if not self.is_seen:
            watcher.rest(True)
        watcher.start()

    @property
    def is_seen(self) -> bool:
        """Whether a person sees it. Textual's ``is_current`` counts the one below, opaque as ours are."""
        return self.app.screen is self or self._covered_by_dialog()

    def on_screen_suspend(self) -> None:
        self._renew_keys()
        if self.watcher is not None and not self.is_seen:
            self.watcher.rest(True)

    def on_screen_resume(self) -> None:
        self._renew_keys()
        if self.watcher is not None:
            self.watcher.rest(False)

    def _renew_keys(self) -> None:
        for each in self.query(KeyLine):
            each.renew()

    def on_unmount(self) -> None:
        if self.watcher is not None:
            self.watcher.stop()

    def _covered_by_dialog(self) -> bool:
        return self.app.screen.is_modal
