"""The last line: the keys that matter here."""

from __future__ import annotations

from collections.abc import Callable

from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, TextArea

from themis_tui.text import Part, line
from themis_tui.widgets.steady import Steady

_NAMES = {"escape": "esc", "question_mark": "?", "slash": "/", "plus": "+", "colon": ":", "asterisk": "*"}


class KeyLine(Steady):
    """Made from the key map that holds where the focus is; help stands at the end, and always fits."""

    DEFAULT_CSS = """
    KeyLine {
        dock: bottom;
        height: 1;
        padding: 0 1;
        color: $dim;
    }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._renewed)

    def on_resize(self) -> None:
        self.renew()

    def renew(self) -> None:
        """What can be done has changed."""
        self._renewed(self.screen)

    def _renewed(self, screen: Screen[object]) -> None:
        if self.is_attached and self.size.width:
            if self.app.screen is not screen and self.app.screen.is_modal:
                self.draw(line())  # the keys are those of the dialog above
            else:
                self.draw(_line(screen, self.size.width - 2))


def _line(screen: Screen[object], width: int) -> Content:
    pairs: dict[str, tuple[str, str]] = {}
    typing = isinstance(screen.focused, Input | TextArea)
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if typing and (key == "space" or len(_NAMES.get(key, key)) == 1):
            continue  # it would be typed
        if (
            binding.show
            and binding.description
            and binding.action not in pairs
            and _possible(screen, binding)
        ):
            shown = binding.key_display
            if shown is None or (typing and len(shown) == 1):
                shown = _NAMES.get(key, key)
            pairs[binding.action] = (shown, _word(screen, binding))
    chosen = list(pairs.values())
    last = [pair for pair in chosen if pair[1] == "help"]
    rest = [pair for pair in chosen if pair[1] != "help"]
    room = width - sum(_width(pair) for pair in last)
    kept = []
    for pair in rest:
        if room - _width(pair) < 0:
            break
        room -= _width(pair)
        kept.append(pair)
    parts: list[Part] = []
    for key, word in kept + last:
        parts += [(key, "$accent"), f" {word}   "]
    return line(*parts)


def _possible(screen: Screen[object], binding: Binding) -> bool:
    """What cannot be done now is not worth the room; pressed all the same, its key says why."""
    why_not: Callable[[], str | None] | None = getattr(screen, f"why_not_{_name(binding)}", None)
    return why_not is None or why_not() is None


def _word(screen: Screen[object], binding: Binding) -> str:
    """What the key does now, where that depends on what it is pressed on."""
    word: Callable[[], str] | None = getattr(screen, f"word_{_name(binding)}", None)
    return binding.description if word is None else word()


def _name(binding: Binding) -> str:
    return binding.action.removeprefix("do('").removesuffix("')")


def _width(pair: tuple[str, str]) -> int:
    return len(pair[0]) + len(pair[1]) + 4
