"""The form of a profile, made from what its backend says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from themis.backends.settings import checked_settings, missing_settings, settings_of, types_of
from themis.core.errors import ThemisError, UsageError
from themis.core.masking import holds_password
from themis.core.options import redacted
from themis.core.schema import Option
from themis.profiles import load_profiles
from themis.profiles.table import checked_name
from themis.runs import profiles
from themis.runs.profiles import ProfileRow, WrongSettings
from themis_tui.actions import bindings
from themis_tui.glyphs import BACK
from themis_tui.screens.base import ThemisScreen
from themis_tui.screens.profile_line import NOUNS
from themis_tui.text import block, line, lines, spread
from themis_tui.widgets.field import Field
from themis_tui.widgets.key_line import KeyLine

CHECK_AFTER_S = 0.25
"""Seconds without a key after which what is typed is looked at."""
FIRST_TYPES = {"storage": "local", "executor": "threads"}
NAME, TYPE = "profile-name", "profile-type"
"""Fields that are no option of a backend."""
LEAVE_TITLE = "Leave without saving?"
REFERENCES = "env:NAME, file:PATH, command:COMMAND or keyring:SERVICE/NAME; never the secret itself"
_TAKES = {"number": "a number", "seconds": "seconds, or 2m", "flag": "true or false", "path": "a path"}


@dataclass(frozen=True)
class Filled:
    """What the form holds."""

    kind: str
    name: str
    type: str | None
    values: dict[str, Any]
    """Texts as they are typed; what was not touched is as the file has it."""


class Checked(NamedTuple):
    """What is known of what is filled in."""

    type: str | None
    types: list[str]
    options: dict[str, Option] | None
    """The fields of that type; ``None`` where there is no such type."""
    problems: dict[str, str]
    """Field to what is wrong with it."""


class ProfileFormScreen(ThemisScreen):
    """Filled in, checked as it is typed by what the file is checked by, then written."""

    CSS_PATH = "profile_form.tcss"
    AUTO_FOCUS = ""  # a button would have it before there are fields
    PLACES = ("profile_form",)
    TITLE_HELP = (
        "What is left empty is as it is by default; tab and shift+tab go from field to field. A secret is "
        f"given by reference: {REFERENCES}."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("profile_form")]

    options = getters.query_one("#options", Vertical)

    def __init__(
        self, kind: str, row: ProfileRow | None, *, new: bool, saved: Callable[[ProfileRow], None]
    ) -> None:
        """``row``: what the form is filled in like. ``saved``: is told of what was written."""
        super().__init__()
        self.kind = kind
        self.row = row
        self.new = new
        self.checked: Checked | None = None
        self._saved_to = saved
        self._values = {} if row is None else values_of(row)
        self._option_fields: list[Field] = []
        self._drawn_for: tuple[str, ...] | None = None
        """The options that there are fields for."""
        self._found_empty: Field | None = None
        """The field that has the focus, if nothing stood in it when it came."""
        self._timer: Timer | None = None
        self._saving = False
        self._tried = False
        """Whether it was to be saved once: then what is missing is wrong."""
        self._kept: Filled | None = None
        """What was filled in when it was opened, or written last."""

    def compose(self) -> ComposeResult:
        type_ = self.row.type if self.row is not None else FIRST_TYPES.get(self.kind, "")
        yield Static(id="head")
        with VerticalScroll(id="form", can_focus=False):
            with Vertical(id="fields"):
                if self.new:
                    given = f"{self.row.name}-2" if self.row is not None else ""
                    yield Field(NAME, "name", given, "needed · letters, digits and ._-")
                if self.kind != "endpoint":
                    yield Field(TYPE, "type", type_, "needed · a backend")
            yield Vertical(id="options")
            with Horizontal(id="answers"):
                yield Button("Save", id="save", compact=True)
                yield Button("Back", id="back", compact=True)
            yield Static(id="problem")
        yield Static(id="about")
        yield KeyLine()

    def on_mount(self) -> None:
        self._draw_head("")
        if self.row is not None and self.row.problem is not None:
            self._say(redacted(self.row.problem))
        self._kept = self._filled()
        first = next(iter(self.query(Field)), None)
        if first is not None:
            first.query_one(Input).focus()
        self._check()

    def on_resize(self) -> None:
        self._draw_head("")

    # What is typed

    @on(Input.Changed)
    def _typed(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(CHECK_AFTER_S, self._check)

    @on(Input.Submitted)
    def _to_next(self) -> None:
        self.focus_next()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        field = _field_of(event.widget)
        self._found_empty = field if field is not None and not field.value else None
        self._draw_about()

    def _filled(self) -> Filled:
        head = {field.field: field.value.strip() for field in self.query_one("#fields").query(Field)}
        name = head.get(NAME, "") if self.new or self.row is None else self.row.name
        values = {}
        for field in self._option_fields:
            known = self._values.get(field.field)
            text = field.value.strip()
            if text:
                values[field.field] = known if known is not None and text == as_text(known) else text
        if self._drawn_for is None:
            values = dict(self._values)  # no field is there yet
        return Filled(self.kind, name, head.get(TYPE) or None, values)

    def _check(self) -> None:
        filled = self._filled()
        # What a broken profile holds beside what is typed here is not known.
        whole = self.row is None or self.row.problem is None
        new = self.new
        self.ask("check", lambda: check(filled, new=new, whole=whole), self._show_checked)

    def _show_checked(self, checked: Checked) -> None:
        self.checked = checked
        if checked.options is not None and self._make_fields(checked.options):
            self._check()  # what was typed for another type is gone, and what is wrong with it
            gone = checked.problems.keys() - {field.field for field in self._option_fields} - {NAME, TYPE}
            kept = {name: said for name, said in checked.problems.items() if name not in gone}
            checked = self.checked = checked._replace(problems=kept)
        self._offer(checked.types)
        empty = set() if self._tried else self._empty
        self._show_problems({name: said for name, said in checked.problems.items() if name not in empty})
        self._draw_head("")
        self._draw_about()

    @property
    def _empty(self) -> set[str]:
        """The fields in which nothing is typed."""
        shown = [*self.query_one("#fields").query(Field), *self._option_fields]
        return {field.field for field in shown if not field.value.strip()}

    def _make_fields(self, options: Mapping[str, Option]) -> bool:
        """A field for each option, and for what the profile holds beside them; whether others took the place
        of those that were there."""
        names = (*options, *(name for name in self._values if name not in options))
        if names == self._drawn_for:
            return False
        typed = {field.field: field.value for field in self._option_fields}
        fields = []
        for name in names:
            option = options.get(name)
            known = self._values.get(name)
            text = typed.get(name, "" if known is None else as_text(known))
            fields.append(Field(name, name, text, "" if option is None else hint(option), _offered(option)))
        first, before = self._drawn_for is None, self._option_fields
        self._drawn_for, self._option_fields = names, fields
        self.call_later(self._swap, before, fields)
        if first and self.focused is None and fields:
            # Unless the focus has come by itself meanwhile.
            self.call_after_refresh(lambda: self.focus_next() if self.focused is None else None)
        return not first

    async def _swap(self, before: list[Field], fields: list[Field]) -> None:
        """Put fields in the place of others. The focus stays among them: whoever went on from the type at
        once types into the field that now comes next, without losing a key."""
        with self.app.batch_update():
            await self.options.mount(*fields)
            old = _field_of(self.focused)
            if old in before and fields:
                same = next((each for each in fields if each.field == old.field), None)
                new = same or fields[min(before.index(old), len(fields) - 1)]
                typed = new.query_one(Input)
                if same is not None or (old is self._found_empty and not typed.value):
                    typed.value = old.query_one(Input).value
                self.set_focus(typed)
                typed.cursor_position = len(typed.value)
            for each in before:
                each.remove()

    def _offer(self, types: list[str]) -> None:
        for field in self.query_one("#fields").query(Field):
            if field.field == TYPE and types:
                field.offer(types)

    def _show_problems(self, problems: Mapping[str, str]) -> None:
        shown = [*self.query_one("#fields").query(Field), *self._option_fields]
        said = {field.field for field in shown}

        def show() -> None:
            for field in shown:
                if field.is_mounted:
                    field.say(problems.get(field.field))
                    field.mask(field.field in problems and self._gives_away(field))
            if self.focused is not None:
                # What is said above it must not push it out of sight.
                self.focused.scroll_visible(animate=False)

        self.call_after_refresh(show)
        others = [problem for name, problem in problems.items() if name not in said]
        if others:
            self._say("\n".join(others))
        elif self.row is None or self.row.problem is None:
            self._say("")

    def _gives_away(self, field: Field) -> bool:
        """Whether what was refused in a field is a secret itself, which nobody beside should read."""
        options = (self.checked.options if self.checked is not None else None) or {}
        option, typed = options.get(field.field), field.value.strip()
        if option is not None and option.secret:
            return bool(typed) and not any(kind.startswith(typed) for kind in _KINDS)
        return holds_password(typed)

    def _draw_head(self, state: str) -> None:
        said, tone = state, "$running"
        if not state and self.checked is not None:
            empty = self._empty
            wrong = sum(name not in empty for name in self.checked.problems)
            missing = len(self.checked.problems) - wrong
            said, tone = (f"{missing} still needed" if missing else "ready to save"), "$dim"
            if wrong:
                said, tone = f"{wrong} to mend", "$bad"
        article = "an" if NOUNS[self.kind][0] in "ae" else "a"
        word = f"add {article}" if self.new else "edit the"
        name = "" if self.new or self.row is None else f" {self.row.name}"
        left = line((f"{BACK} ", "$accent"), (f"{word} {NOUNS[self.kind]}{name}", "bold"))
        self.query_one("#head", Static).update(spread(left, line((said, tone)), self.size.width - 2))

    def _draw_about(self) -> None:
        field = _field_of(self.app.focused)
        said = self._about(field.field) if field is not None else ()
        self.query_one("#about", Static).update(lines(said))

    def _about(self, name: str) -> Iterator[Content]:
        types = ", ".join(self.checked.types) if self.checked is not None else ""
        options = (self.checked.options if self.checked is not None else None) or {}
        if name == NAME:
            yield line("By this name it is called: ", ("--" + _FLAG[self.kind] + " NAME", "$accent"))
        elif name == TYPE:
            yield line(("one of ", "$faint"), types)
        elif name in options:
            option = options[name]
            yield line((f"{name}   ", "$accent"), (takes(option), "$faint"))
            yield line(_unquoted(option.help))
        else:
            yield line("The file holds this beside what its backend knows; empty, it is taken out.")

    def _say(self, problem: str) -> None:
        shown = self.query_one("#problem", Static)
        shown.display = bool(problem)
        shown.update(block(problem[:4_000], "$bad"))
        if problem:
            shown.scroll_visible(animate=False)

    # What can be done

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_do(event.button.id or "back")

    def why_not_save(self) -> str | None:
        """Why it cannot be written now."""
        return "It is being written." if self._saving else None

    def do_save(self) -> None:
        filled, row, new, was = self._filled(), self.row, self.new, self._values
        self._saving = self._tried = True
        self._draw_head("writing …")
        self.ask(
            "save",
            lambda: save(filled, row if not new else None, was),
            lambda written: self._saved(written, filled),
        )

    def do_back(self) -> None:
        if self._saving or self._kept is None or _typed(self._filled()) == _typed(self._kept):
            super().do_back()
            return
        from themis_tui.screens.dialogs import ConfirmDialog

        facts = ["What you have typed here is not written yet."]
        dialog = ConfirmDialog(LEAVE_TITLE, facts, "Leave", "Keep editing")
        self.show_here(dialog, lambda yes: self._leave() if yes else None)

    def _leave(self) -> None:
        if self.is_active:
            super().do_back()

    def _saved(self, row: ProfileRow, filled: Filled) -> None:
        self._saving, self._kept = False, filled
        self._saved_to(row)
        if self.is_active:
            self.app.pop_screen()
        else:
            self._draw_head("saved")  # the person went elsewhere meanwhile, and comes back here

    def failed(self, group: str, error: Exception) -> None:
        if group not in ("check", "save"):
            super().failed(group, error)
            return
        self._saving = False
        if isinstance(error, WrongSettings) and self.checked is not None:
            self.checked = self.checked._replace(problems=error.problems)
            self._show_problems(error.problems)
        else:
            self._say(redacted(str(error) or type(error).__name__))
        self._draw_head("")


def _field_of(widget: Widget | None) -> Field | None:
    """The field that a widget stands in."""
    return next((each for each in widget.ancestors if isinstance(each, Field)), None) if widget else None


_KINDS = ("env:", "file:", "command:", "keyring:")
_FLAG = {"storage": "storage", "executor": "executor", "endpoint": "model"}


def check(filled: Filled, *, new: bool, whole: bool) -> Checked:
    """What is wrong with what is filled in; loads a backend, so never on the loop.

    ``whole``: whether it is all that the profile holds.
    """
    problems: dict[str, str] = {}
    types = types_of(filled.kind)
    options: dict[str, Option] | None = None
    if new:
        problems |= _name_problem(filled)
    try:
        options = settings_of(filled.kind, filled.type)
        problems |= checked_settings(filled.kind, filled.type, filled.values)[1]
        if whole:
            problems |= missing_settings(filled.kind, filled.type, filled.values)
    except (ThemisError, ImportError) as exc:
        problems[TYPE] = str(exc)
    return Checked(filled.type, types, options, {name: redacted(said) for name, said in problems.items()})


def save(filled: Filled, row: ProfileRow | None, was: Mapping[str, Any]) -> ProfileRow:
    """Write a new profile, or what differs of the one that is there: ``row``, which held ``was``.

    Raises as :func:`themis.runs.profiles.add`.
    """
    if row is None:
        if not filled.name:
            raise UsageError("Give it a name.")
        return profiles.add(filled.kind, filled.name, filled.type, filled.values)
    changes = {name: value for name, value in filled.values.items() if was.get(name) != value}
    changes |= dict.fromkeys(name for name in was if name not in filled.values)
    if filled.type and filled.type != row.type:
        changes["type"] = filled.type
    if not changes:
        return row
    return profiles.edit(row.kind, row.name, changes)


def values_of(row: ProfileRow) -> dict[str, Any]:
    """All that a profile holds but its type."""
    beside = {"readonly": row.readonly, "protected": row.protected, "colour": row.colour}
    return {**row.settings, **{name: value for name, value in beside.items() if value}}


def as_text(value: Any) -> str:
    """A value of the file, as a person types it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def hint(option: Option) -> str:
    """What stands in a field that is empty: what holds then, and what it is."""
    default = "needed" if option.required else "" if option.default is None else as_text(option.default)
    return " · ".join(part for part in (default, _unquoted(option.help)) if part)


def takes(option: Option) -> str:
    """What can be typed, and what holds where nothing is."""
    if option.secret:
        said = REFERENCES
    elif option.choices:
        said = "one of " + ", ".join(option.choices)
    else:
        said = _TAKES.get(option.kind, "a text")
    default = "" if option.default in (None, "") else f" · by default {as_text(option.default)}"
    return said + (" · needed" if option.required else default)


def _typed(filled: Filled) -> tuple[object, ...]:
    """What of it a person would have to type again."""
    texts = {name: text for name, value in filled.values.items() if (text := as_text(value).strip())}
    return filled.name, filled.type, texts


def _name_problem(filled: Filled) -> dict[str, str]:
    if not filled.name:
        return {NAME: "Give it a name."}
    try:
        checked_name(filled.name, "a profile")
    except UsageError as exc:
        return {NAME: str(exc)}
    said = load_profiles()
    if filled.name in said.of_kind(filled.kind) or f"{filled.kind}.{filled.name}" in said.problems:
        return {NAME: f"There is a profile {filled.kind}.{filled.name} already."}
    return {}


def _offered(option: Option | None) -> list[str]:
    if option is None:
        return []
    if option.secret:
        return list(_KINDS)
    return ["true", "false"] if option.kind == "flag" else list(option.choices)


def _unquoted(text: str) -> str:
    return text.replace("``", "")
