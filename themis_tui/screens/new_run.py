"""The form that launches a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Button, Input, Static

from themis.benchmarks import benchmark_names, described
from themis.core.check_step import CheckStep
from themis.core.errors import ThemisError, UsageError
from themis.metrics import metric_names
from themis.models import model_names, open_model
from themis.runs.launch import Launched, launch
from themis.runs.preview import Preview, first_prompts
from themis.runs.profiles import names_of
from themis.runs.spec import RunSpec
from themis_tui import figures
from themis_tui.actions import bindings
from themis_tui.draft import Draft
from themis_tui.glyphs import BACK, VERDICT
from themis_tui.screens.base import WIDE, ThemisScreen
from themis_tui.screens.sample_line import as_text
from themis_tui.text import block, line, lines, spread, tell
from themis_tui.widgets.field import Field
from themis_tui.widgets.key_line import KeyLine

CHECK_AFTER_S = 0.25
"""Seconds without a key after which what is typed is looked at."""
PROMPTS = 3
UNREAD = "Only the stored run names this; enter in the benchmark's field reads it."

FIELDS = (
    ("benchmark", "benchmark", "demo, gsm8k, mmlu?subject=anatomy, or a file: .jsonl .csv .parquet"),
    ("model", "model", "an endpoint of your profiles, openai:NAME?base_url=…"),
    ("prompt", "prompt", "the benchmark's own; or {question} Answer shortly."),
    ("sampling", "sampling", "the model's own; or temperature=0, max_tokens=256"),
    ("metrics", "metrics", "the benchmark's own; or ExactMatch, Includes"),
    ("limit", "limit", "all samples"),
    ("epochs", "epochs", "1"),
    ("storage", "storage", "the default store"),
    ("executor", "executor", "async for endpoints, else threads"),
    ("max_workers", "max workers", "the executor's own"),
    ("timeout", "timeout", "none; seconds for one sample"),
    ("run_id", "run id", "made from time, benchmark and model"),
)


class Checked(NamedTuple):
    """What is known of a draft."""

    spec: RunSpec
    problems: dict[str, str]
    preview: Preview | None


class NewRunScreen(ThemisScreen):
    """Filled in, checked as it is typed by what the runner itself uses, then launched."""

    CSS_PATH = "new_run.tcss"
    PLACES = ("new_run",)
    TITLE_HELP = "Fill in what differs from the defaults; tab and shift+tab go from field to field."
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("new_run")]

    form = getters.query_one("#form", VerticalScroll)

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft
        self.checked: Checked | None = None
        self._timer: Timer | None = None
        self._launching = False
        self._tested = ""
        """The model that was tried last."""
        self._steps: list[CheckStep] = []

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        with Horizontal(id="body"):
            with VerticalScroll(id="form", can_focus=False):
                for name, title, hint in FIELDS:
                    yield Field(name, title, getattr(self.draft, name), hint, _offered(name))
                    if name == "model":
                        yield Static(id="tested")
                with Horizontal(id="answers"):
                    yield Button("Launch", id="launch", compact=True)
                    yield Button("Test model", id="test", compact=True)
                    yield Button("Back", id="back", compact=True)
                yield Static(id="problem")
                yield Static(id="command")
                yield Static(id="below")
            with Vertical(id="aside"):
                yield Static(id="beside")
        yield KeyLine()

    def on_mount(self) -> None:
        self._draw_head("")
        if self.draft.note:
            self._say(self.draft.note)
        first = "model" if not self.draft.model else "benchmark"
        self._field(first).query_one(Input).focus()
        self.ask("names", _profiled, self._offer)
        self._check()

    def on_resize(self) -> None:
        if self.checked is not None:
            self._draw_head("")
            self._draw_prompts(self.checked)

    # What is typed

    @on(Input.Changed)
    def _typed(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(CHECK_AFTER_S, self._check)

    @on(Input.Submitted)
    def _to_next(self, event: Input.Submitted) -> None:
        if event.input in self._field("benchmark").query(Input) and self._current().is_unread:
            self.draft.unread = ""  # the exact value stands before the person who confirms it
            self._check()
        self.focus_next()

    def _offer(self, names: dict[str, list[str]]) -> None:
        for field, offered in names.items():
            self._field(field).offer(offered)

    def _current(self) -> Draft:
        typed: dict[str, Any] = {field.field: field.value for field in self.query(Field)}
        return replace(self.draft, **typed)

    def _check(self) -> None:
        draft = self._current()
        if draft.model.strip() != self._tested:
            self._show_steps("", [])
        self.ask("check", lambda: check(draft), self._show_checked)

    def _show_checked(self, checked: Checked) -> None:
        self.checked = checked
        for field in self.query(Field):
            field.say(checked.problems.get(field.field))
        focused = self.app.focused
        if focused is not None:
            # What is said above it must not push it out of sight.
            self.call_after_refresh(focused.scroll_visible, animate=False)
        others = [
            said for name, said in checked.problems.items() if not any(name == each[0] for each in FIELDS)
        ]
        if others:
            self._say(others[0])
        elif not self._launching and not self.draft.note:
            self._say("")
        self._draw_head("")
        self.query_one("#command", Static).update(
            lines(
                [
                    line(("the same from a shell", "$faint")),
                    line(("$ ", "$faint"), (checked.spec.command(), "$dim")),
                ]
            )
        )
        self._draw_prompts(checked)

    def _draw_prompts(self, checked: Checked) -> None:
        aside = self.size.width >= WIDE
        preview = checked.preview
        said = _benchmarks() if preview is None else _previewed(preview, wide=aside)
        self.query_one("#beside" if aside else "#below", Static).update(lines(said))

    def _draw_head(self, state: str) -> None:
        checked = self.checked
        said, tone = state, "$running"
        if not state and checked is not None:
            wrong = len(checked.problems)
            if wrong:
                said, tone = f"{wrong} to mend", "$bad"
            else:
                count = checked.preview.total if checked.preview is not None else None
                said = f"{figures.count(count)} sample{'' if count == 1 else 's'} to ask"
                tone = "$dim"
        left = line((f"{BACK} ", "$accent"), ("new run", "bold"))
        self.query_one("#head", Static).update(spread(left, line((said, tone)), self.size.width - 2))

    def _say(self, problem: str) -> None:
        shown = self.query_one("#problem", Static)
        shown.display = bool(problem)
        shown.update(block(problem, "$bad"))
        if problem:
            shown.scroll_visible(animate=False)

    def _field(self, name: str) -> Field:
        return next(field for field in self.query(Field) if field.field == name)

    # What can be done

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_do(event.button.id or "back")

    def why_not_launch(self) -> str | None:
        """Why the run cannot be started now."""
        if self._current().is_unread:
            return UNREAD
        return "It is being launched." if self._launching else None

    def do_launch(self) -> None:
        draft = self._current()
        self._launching = True
        self._say("")
        self._draw_head("launching …")
        self.ask("launch", lambda: start(draft), lambda launched: self._launched(launched, draft))

    def why_not_test(self) -> str | None:
        """Why the model cannot be tried now."""
        return None if self._current().model.strip() else "There is no model to try; name one."

    def do_test(self) -> None:
        model = self._current().model.strip()
        self._show_steps(model, [])
        self.query_one("#tested", Static).update(line(("trying …", "$running")))
        self.ask_each("test", lambda: tried(model), lambda step: self._stepped(model, step))

    def _stepped(self, model: str, step: CheckStep | None) -> None:
        if self._tested == model and step is not None:
            self._show_steps(model, [*self._steps, step])

    def _show_steps(self, model: str, steps: list[CheckStep]) -> None:
        self._tested, self._steps = model, steps
        shown = self.query_one("#tested", Static)
        shown.display = bool(model)
        shown.update(lines([_step_line(step) for step in steps]))

    def _launched(self, launched: Launched, draft: Draft) -> None:
        from themis_tui.screens.run import RunScreen

        tell(self.app, f"Launched; it goes on without the app. Log: {launched.log}")
        if not self.is_active:
            self._launching = False  # the person went elsewhere meanwhile, and stays there
            return
        storage, below = draft.storage.strip() or None, self.app.screen_stack[-2]
        if isinstance(below, RunScreen) and (below.storage, below.run_id) == (storage, launched.run_id):
            self.app.pop_screen()
            below.do_reload()
        else:
            self.app.switch_screen(RunScreen(storage, launched.run_id))

    def failed(self, group: str, error: Exception) -> None:
        if group == "launch":
            self._launching = False
            self._draw_head("")
            self._say(str(error) or type(error).__name__)
        elif group == "check":
            self._say(str(error) or type(error).__name__)
        elif group == "test":
            self._stepped(self._tested, CheckStep("open", False, 0.0, str(error)))
        else:
            super().failed(group, error)

    def do_copy_command(self) -> None:
        self.send_to_clipboard(self._current().spec()[0].command(), "Command")


def check(draft: Draft) -> Checked:
    """What is wrong with a draft, and what it would ask first; opens names, so never on the loop."""
    spec, wrong = draft.spec()
    # What only a stored run says is not read, not even to see whether it is there.
    looked = replace(spec, benchmark="demo", prompt=None) if draft.is_unread else spec
    problems = {**looked.problems(), **wrong}
    if draft.is_unread:
        problems["benchmark"] = UNREAD
    for name in ("benchmark", "model"):
        if not getattr(spec, name):
            problems[name] = f"Name a {name}."
    if "storage" not in problems:
        try:
            looked.detachable()
        except UsageError as exc:
            problems["storage"] = str(exc)
    preview: Preview | None = None
    if not problems.keys() & {"benchmark", "prompt"}:
        try:
            preview = first_prompts(spec, PROMPTS)
        except ThemisError as exc:
            problems["benchmark"] = str(exc)
    return Checked(spec, problems, preview)


def tried(model: str) -> Iterator[CheckStep]:
    """The steps of trying a model, as they are done."""
    with closing(open_model(model)) as opened:
        yield from opened.check()


def start(draft: Draft) -> Launched:
    """Launch what a draft means. Raises :class:`UsageError` for a number that is none."""
    spec, wrong = draft.spec()
    if wrong:
        raise UsageError("; ".join(f"{name}: {said}" for name, said in wrong.items()))
    return launch(spec)


def _profiled() -> dict[str, list[str]]:
    """What is offered by the user's profiles too; reads them, so never on the loop."""
    models = [re.split("NAME|PROVIDER|module", each)[0] for each in model_names()]
    return {"model": models, **{kind: names_of(kind) for kind in ("storage", "executor")}}


def _offered(name: str) -> list[str]:
    if name == "benchmark":
        return benchmark_names()
    return metric_names() if name == "metrics" else []


def _benchmarks() -> list[Content]:
    """What there is to choose from."""
    wide = max(map(len, benchmark_names()))
    return [
        line(("benchmarks", "$accent")),
        line(),
        *(line((f"{name:<{wide}}   ", ""), (about, "$dim")) for name, about in described().items()),
    ]


def _previewed(preview: Preview, *, wide: bool) -> list[Content]:
    scored = ("scored by " + ", ".join(preview.metrics), "$dim")
    said = [line(("first prompts", "$accent"), "   ", scored)]
    if wide and preview.about:
        said = [line((preview.about, "$foreground")), line(), *said]
    for number, first in enumerate(preview.prompts):
        if number or wide:
            said.append(line())
        said.append(line((first.sample_id, "$dim"), ("   wanted ", "$faint"), as_text(first.reference)[:80]))
        said.append(block(_prompt_text(first.prompt)[:2_000], "$foreground"))
    if not preview.prompts:
        said.append(line(("none to show", "$faint")))
    return said


def _step_line(step: CheckStep) -> Content:
    sign, tone = (VERDICT["right"], "$dim") if step.ok else (VERDICT["wrong"], "$bad")
    took = figures.seconds(step.seconds) if step.seconds else ""
    return line((f"{sign} {step.name:<12}", tone), (f"{took:>6}  ", "$faint"), (step.message, tone))


def _prompt_text(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"{each.get('role')}: {as_text(each.get('content'))}" for each in prompt)
