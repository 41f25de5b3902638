"""What a person says of runs: name, tags and notes of one, tags of several."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import ClassVar, NamedTuple

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Paste
from textual.suggester import Suggester
from textual.widgets import Button, Input, Static, TextArea

from themis.core.errors import UsageError
from themis.core.options import redacted
from themis.runs.annotations import MOST_NAME, MOST_NOTES, MOST_TAG, MOST_TAGS, Said, checked_tag
from themis_tui.actions import bindings
from themis_tui.screens.dialog import Dialog
from themis_tui.text import block, line, lines, plain, plain_block
from themis_tui.widgets.field import Field
from themis_tui.widgets.key_line import KeyLine

NAME, TAGS, ADD, REMOVE = "run-name", "tags", "add", "remove"
"""Fields of one line."""
MOST_TOLD = 300
"""Characters of what another wrote that are shown."""


class Retag(NamedTuple):
    """What several runs get, and what is taken from them."""

    add: tuple[str, ...]
    remove: tuple[str, ...]


class Form(Dialog[Said | Retag | None]):
    """A question with fields; what was typed is not lost by one key."""

    CSS_PATH = "annotate.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("annotate", direct=True)]
    _warned = False

    def __init__(self, title: str, about: str, problem: str, known: Sequence[str]) -> None:
        """``problem``: why the last try came to nothing. ``known``: tags to complete to."""
        super().__init__()
        self._title = title
        self._about = about
        self._problem = problem
        self._known = known

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(line((self._title, "bold"), ("   " + self._about, "$dim")), id="dialog-title")
            yield from self.fields()
            yield Static(id="dialog-problem")
            with Horizontal(id="dialog-answers"):
                yield Button(line("Cancel"), id="leave", compact=True)
                yield Button(line("Save"), id="save", compact=True)
            yield KeyLine()

    def fields(self) -> ComposeResult:
        """What can be filled in."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.say(self._problem)
        for field in self.query(Field):
            if field.field in (TAGS, ADD, REMOVE):
                for typed in field.query(Input):
                    typed.suggester = WordSuggester(self._known)

    def say(self, problem: str) -> None:
        """Show what is wrong, or that nothing is."""
        shown = self.query_one("#dialog-problem", Static)
        shown.display = bool(problem)
        shown.update(block(problem[:2_000], "$bad"))

    def field(self, name: str) -> Field:
        """One of the fields."""
        return next(each for each in self.query(Field) if each.field == name)

    def words(self, name: str, there: Container[str] = ()) -> list[str]:
        """The tags in a field. Raises :class:`UsageError`, and says so below it, for what can be none.

        ``there``: what stood in it, whatever a stranger's tags look like.
        """
        field = self.field(name)
        field.say(None)
        try:
            return [each if each in there else checked_tag(each) for each in field.value.split()]
        except UsageError as exc:
            field.say(str(exc))
            raise

    def answer(self) -> Said | Retag | None:
        """What is filled in, ``None`` for nothing to do. Raises :class:`UsageError`."""
        raise NotImplementedError

    @property
    def is_changed(self) -> bool:
        """Whether anything would be lost by leaving."""
        try:
            return self.answer() is not None
        except UsageError:
            return True

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "save":
            self.action_save()
        else:
            self._leave(None)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_save()

    def action_save(self) -> None:
        try:
            said = self.answer()
        except UsageError as exc:
            if not any(field.has_class("-wrong") for field in self.query(Field)):
                self.say(str(exc))
            return
        self._leave(said)

    def action_leave(self) -> None:
        if self.is_changed and not self._warned:
            self._warned = True
            self.say("esc again leaves without what was typed; f5 saves it.")
            return
        self._leave(None)

    def _leave(self, answer: Said | Retag | None) -> None:
        if self.is_active:
            self.dismiss(answer)


class AnnotateForm(Form):
    """Name, tags and notes of one run."""

    notes = getters.query_one(TextArea)

    def __init__(
        self,
        address: str,
        said: Said,
        *,
        typed: Said | None = None,
        problem: str = "",
        known: Sequence[str] = (),
        first: str = NAME,
    ) -> None:
        """``said``: of the run now. ``typed``: what a try before this wanted. ``first``: where to begin."""
        super().__init__("Name, tags, notes", redacted(address), problem, known)
        self._said = said
        self._typed = typed or said
        self._first = first
        self._tags = _shown_tags(self._typed.tags)
        self._text = plain_block(self._typed.notes) if len(self._typed.notes) <= MOST_NOTES else ""

    def fields(self) -> ComposeResult:
        yield Field(NAME, "Name", self._typed.name, "for people; the id stays as it is")
        yield Field(TAGS, "Tags", " ".join(self._tags), "words with spaces between them")
        with Horizontal(id="notes"):
            yield Static(line("Notes"), classes="field-name")
            yield NotesArea(self._text)
        yield Static(lines(self._about_notes()), id="notes-about")

    def on_mount(self) -> None:
        super().on_mount()
        self.notes.read_only = len(self._typed.notes) > MOST_NOTES
        self.query_one("#notes-about").display = self._text != self._typed.notes
        self._text = self.notes.text
        self.set_focus(self.field(self._first).query_one(Input))

    def _about_notes(self) -> Iterator[Content]:
        if len(self._typed.notes) > MOST_NOTES:
            yield line(f"{len(self._typed.notes):,} characters, too long to be edited here.")
        elif self._text != self._typed.notes:
            yield line("Some of it cannot be shown here; changed, it becomes what you see.")

    def answer(self) -> Said | None:
        words, name, text = self.words(TAGS, self._tags), self.field(NAME).value, self.notes.text
        gone = {tag for word, tag in self._tags.items() if word not in words}
        tags = [tag for tag in self._typed.tags if tag not in gone]
        tags += [word for word in dict.fromkeys(words) if word not in self._tags]
        said = Said(
            name if name == self._typed.name else name.strip(),
            tuple(tags),
            self._typed.notes if text == self._text else text.strip(),
        )
        _check_length(said, self._said)
        return None if said == self._said else said


class TagForm(Form):
    """Tags that several runs get, and that are taken from them."""

    def __init__(self, count: int, carried: Sequence[str], known: Sequence[str] = ()) -> None:
        """``carried``: the tags that any of them has."""
        super().__init__("Tags", f"of {count} runs", "", known)
        self._carried = carried

    def fields(self) -> ComposeResult:
        yield Field(ADD, "Add", "", "words with spaces between them")
        yield Field(REMOVE, "Take away", "", "words with spaces between them")
        with Vertical(id="carried"):
            tags = " ".join(_shown_tags(self._carried)) or "none"
            yield Static(line(("They have    ", "$dim"), tags[:MOST_TOLD]))

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self.field(ADD).query_one(Input))

    def answer(self) -> Retag | None:
        add, shown = self.words(ADD), _shown_tags(self._carried)
        remove = [shown.get(word, word) for word in self.field(REMOVE).value.split()]
        both = sorted(set(add).intersection(remove))
        if both:
            raise UsageError(f"The tag {both[0]} is to be added and to be taken away; which is it?")
        return Retag(tuple(add), tuple(remove)) if add or remove else None


class NotesArea(TextArea):
    """Notes of any number of lines, up to what can be stored."""

    def __init__(self, text: str) -> None:
        super().__init__(text, compact=True, highlight_cursor_line=False)

    async def _on_paste(self, event: Paste) -> None:
        # Textual then hands it on to the class above.
        event.text = event.text[: max(0, MOST_NOTES - len(self.text))]


class WordSuggester(Suggester):
    """Completes the last word."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._words = [plain(word, MOST_TAG) for word in words]

    async def get_suggestion(self, value: str) -> str | None:
        before, space, word = value.rpartition(" ")
        taken = before.split()
        for each in self._words if word else ():
            if each.startswith(word) and each != word and each not in taken:
                return before + space + each
        return None


def rebased(before: Said, typed: Said, now: Said) -> Said:
    """What was typed over ``before``, where another made ``now`` of it meanwhile."""
    tags = [tag for tag in now.tags if tag in typed.tags or tag not in before.tags]
    tags += [tag for tag in typed.tags if tag not in before.tags and tag not in tags]
    name = now.name if typed.name == before.name else typed.name
    return Said(name, tuple(tags), now.notes if typed.notes == before.notes else typed.notes)


def now_said(before: Said, now: Said, typed: Said) -> str:
    """What another made of the fields that were changed here too."""
    return "".join(
        f"\nThe {name} is now: {getattr(now, name)[:MOST_TOLD] or '(empty)'}"
        for name in ("name", "notes")
        if getattr(now, name) != getattr(before, name) and getattr(typed, name) != getattr(before, name)
    )


def _shown_tags(tags: Sequence[str]) -> dict[str, str]:
    """Words of a field to the tags that they stand for; a stranger's that can be no word are left alone."""
    shown = {plain(tag, MOST_TAG): tag for tag in tags if len(tag) <= MOST_TAG and tag.split() == [tag]}
    return dict(list(shown.items())[:MOST_TAGS])


def _check_length(said: Said, before: Said) -> None:
    for name, most in (("name", MOST_NAME), ("notes", MOST_NOTES)):
        text = getattr(said, name)
        if text != getattr(before, name) and len(text) > most:
            raise UsageError(f"The {name} can have {most:,} characters; there are {len(text):,}.")
