"""The form: typed, checked, launched."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from textual.widgets import Button, Input

from themis.backends import open_storage
from themis.benchmarks import is_built_in
from themis.runs import spec as spec_module
from themis.runs.launch import Launched
from themis.runs.spec import RunSpec, spec_of
from themis_tui.draft import Draft
from themis_tui.screens.dialogs import ConfirmDialog
from themis_tui.screens.new_run import NewRunScreen
from themis_tui.screens.run import RunScreen
from themis_tui.screens.runs import RunsScreen


async def to_form(pilot, until):
    await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
    await pilot.press("plus")
    await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen))
    return await checked(pilot, until)


async def checked(pilot, until):
    await until(pilot, lambda: pilot.app.screen.checked is not None)
    return pilot.app.screen


async def type_into(pilot, name, text):
    """By keys: tab to the field, empty it, type."""
    for _ in range(30):
        if _in(pilot.app.focused, name):
            break
        await pilot.press("tab")
    assert _in(pilot.app.focused, name)
    await pilot.press("end", "ctrl+u", *text)


def _in(widget, name):
    return isinstance(widget, Input) and any(each.has_class(f"field-{name}") for each in widget.ancestors)


async def test_the_form_shows_prompts_and_the_command(opened, until, read):
    async with opened() as pilot:
        await to_form(pilot, until)
        text = read(pilot)
        assert "120 samples to ask" in text
        assert "$ themis eval demo --model fake-math-llm" in text
        assert "What is 47 + 38?" in text


async def test_what_cannot_be_meant_is_said_below_its_field(opened, until, read):
    async with opened() as pilot:
        screen = await to_form(pilot, until)
        await type_into(pilot, "model", "nobody")
        await until(pilot, lambda: "model" in screen.checked.problems)
        await until(pilot, lambda: "There is no model 'nobody'." in read(pilot))
        await type_into(pilot, "limit", "ten")
        await until(pilot, lambda: "limit" in screen.checked.problems)
        await until(pilot, lambda: "'ten' is not a whole number" in read(pilot))
        assert "2 to mend" in read(pilot)
        await type_into(pilot, "limit", "7")
        await until(pilot, lambda: "limit" not in screen.checked.problems)


async def test_a_file_is_previewed_with_its_own_prompt(opened, until, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.jsonl").write_text(json.dumps({"question": "Which way?", "answer": "up"}) + "\n")
    async with opened(size=(140, 40)) as pilot:
        await to_form(pilot, until)
        await type_into(pilot, "benchmark", "mine.jsonl")
        await type_into(pilot, "prompt", "Say: {question}")
        await until(pilot, lambda: "Say: Which way?" in read(pilot))
        assert "1 sample to ask" in read(pilot)


# The runner outlives the object that started it; that is what it is for.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
async def test_a_detached_run_is_launched_by_keys_and_seen_to_finish(opened, until, read):
    async with opened() as pilot:
        await to_form(pilot, until)
        await type_into(pilot, "model", "fake-math-llm?latency=60ms")
        await type_into(pilot, "limit", "60")
        await type_into(pilot, "max_workers", "2")
        await pilot.press("f5")
        screen = await until(
            pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen, within_s=60
        )
        live = set()

        def finished():
            if screen.view is not None:
                live.add((screen.view.status.word, screen.progress.done if screen.progress else None))
            return screen.view is not None and screen.view.status.word == "completed"

        await until(pilot, finished, within_s=60)
        assert any(word == "running" for word, _ in live), "it was seen while it ran"
        assert len(live) > 3, "and seen to move"
        await until(pilot, lambda: "all 60" in read(pilot))
        assert open_storage().load_report(screen.run_id).counts["asked"] == 60
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        await until(pilot, lambda: pilot.app.screen.table.rows.place(f"local:{screen.run_id}") is not None)


async def test_the_memory_store_is_refused_with_the_reason(opened, until, read):
    async with opened() as pilot:
        screen = await to_form(pilot, until)
        await type_into(pilot, "storage", "memory")
        await until(pilot, lambda: "storage" in screen.checked.problems)
        await until(pilot, lambda: "cannot use the memory store" in " ".join(read(pilot).split()))
        await pilot.press("f5")
        await until(pilot, lambda: not screen._launching)
        await until(pilot, lambda: screen.query_one("#problem").display)
        assert isinstance(pilot.app.screen, NewRunScreen)


async def test_the_launch_button_works_too_and_a_failure_is_told_in_place(opened, until, read, tmp_path):
    async with opened(size=(100, 40)) as pilot:
        screen = await to_form(pilot, until)
        await type_into(pilot, "model", "python:nothing_here:at_all")
        for _ in range(30):
            if isinstance(pilot.app.focused, Button):
                break
            await pilot.press("tab")
        await pilot.press("enter")
        await until(pilot, lambda: screen.query_one("#problem").display, within_s=60)
        assert "nothing_here" in read(pilot)
        assert not screen._launching


async def test_the_form_starts_filled_in(opened, until, read):
    async with opened(
        draft=Draft(benchmark="demo", limit="5", executor="sequential"), size=(100, 30)
    ) as pilot:
        await checked(pilot, until)
        assert "--limit 5 --executor sequential" in read(pilot)


async def test_again_fills_the_form_like_the_run(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.key == "local:third-run")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen))
        screen = await checked(pilot, until)
        assert screen.checked.spec.model == "fake-math-llm?accuracy=0.5"
        assert screen.checked.spec.limit == 40
        assert screen.checked.spec.run_id is None


@pytest.mark.parametrize("named", ["trap.jsonl", "demo?shots_from=trap.jsonl&shots=1"])
async def test_a_data_set_that_only_a_stored_run_names_is_read_once_a_person_confirms_it(
    named, opened, until, read, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    opened_names = []
    real = spec_module.open_benchmark
    monkeypatch.setattr(spec_module, "open_benchmark", lambda name: opened_names.append(name) or real(name))
    monkeypatch.setattr("themis.runs.preview.open_benchmark", spec_module.open_benchmark)
    (tmp_path / "trap.jsonl").write_text('{"question": "Who reads this?", "answer": "you"}\n' * 3)
    metadata = {"asked": {"benchmark": named, "dataset": {"source": named}}}
    metadata["where"] = {"model": "fake-math-llm"}
    async with opened(draft=Draft.from_stored(*spec_of(metadata))) as pilot:
        screen = await checked(pilot, until)
        await until(pilot, lambda: "enter in the benchmark's field reads it" in " ".join(read(pilot).split()))
        await pilot.press("f5")
        await pilot.pause()
        assert not screen._launching
        assert named not in opened_names
        assert "Who reads this?" not in read(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: screen.checked.preview is not None)
        assert named in opened_names
        assert screen.checked.problems == {}


def test_what_themis_brings_is_known_from_what_leads_elsewhere():
    for name in ("demo", "mmlu?subject=anatomy", "gsm8k?shots=4"):
        assert is_built_in(name), name
    for name in (
        "demo?shots_from=x",
        "mmlu?path=/etc",
        "./demo",
        "/etc/x.jsonl",
        "file:/etc/passwd",
        "?",
        "",
    ):
        assert not is_built_in(name), name
    assert not is_built_in("mmlu?subject=../../etc")


def test_code_and_addresses_named_only_by_a_store_are_not_taken_over():
    for model in ("python:os:system", "openai:x?base_url=http://elsewhere"):
        draft = Draft.from_stored(*spec_of({"asked": {"benchmark": "demo"}, "where": {"model": model}}))
        assert draft.model == ""
        assert model in draft.note


def test_a_draft_means_the_spec_it_was_made_from():
    spec = RunSpec(
        "demo",
        "fake-math-llm?seed=2",
        prompt="Say\n{question}",
        system="Be short.",
        metrics=["ExactMatch"],
        sampling={"temperature": 0},
        limit=7,
        epochs=3,
        storage="local",
        executor="threads",
        timeout=1.5,
        max_workers=4,
        seed=11,
        budget={"usd": 1.0},
        model_id="m",
    )
    again, wrong = Draft.from_spec(spec).spec()
    assert not wrong
    assert again == spec
    assert Draft.from_spec(spec).sampling == "temperature=0"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", {}),
        ("temperature=0, max_tokens = 256", {"temperature": 0, "max_tokens": 256}),
        ("stop=x,seed=null", {"stop": "x", "seed": None}),
        ('{"stop": ["a", "b"]}', {"stop": ["a", "b"]}),
    ],
)
def test_sampling_is_typed_as_pairs_or_json(typed, meant):
    spec, wrong = Draft(sampling=typed).spec()
    assert (spec.sampling, wrong) == (meant, {})
    assert Draft.from_spec(spec).spec()[0].sampling == meant


@pytest.mark.parametrize(
    ("typed", "says"),
    [("hot", "'hot' is not of the form name=value"), ("{", "no JSON object"), ("=1", "form")],
)
def test_sampling_that_is_none_is_told(typed, says):
    assert says in Draft(sampling=typed).spec()[1]["sampling"]


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
async def test_a_live_run_is_cancelled_after_a_question_and_resumed_from_the_form(opened, until, read):
    draft = Draft(model="fake-math-llm?latency=400ms", limit="60", max_workers="2", run_id="long-run")
    async with opened(draft=draft) as pilot:
        await checked(pilot, until)
        await pilot.press("f5")
        run = await until(
            pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen, within_s=60
        )
        await until(pilot, lambda: run.view is not None and run.progress is not None and run.progress.done)
        assert "P pause" in read(pilot)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        assert pilot.app.focused.id == "no"
        await pilot.press("right", "enter")
        await until(pilot, lambda: run.view.status.word == "cancelled", within_s=30)
        await until(pilot, lambda: "P resume" in read(pilot))
        await pilot.press("P")
        await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen))
        form = await checked(pilot, until)
        assert form.checked.spec.run_id == "long-run"
        await pilot.press("f5")
        await until(pilot, lambda: pilot.app.screen is run, within_s=60)
        assert len(pilot.app.screen_stack) == 2, "the same run is not opened twice"
        await until(pilot, lambda: run.view.status.word == "completed", within_s=60)
        report = open_storage().load_report("long-run")
        assert report.counts["asked"] == 60
        assert report.counts["kept"] > 0


async def test_what_was_chosen_on_a_form_that_is_left_is_not_done(world, opened, until):
    async with opened() as pilot:
        await pilot.press("plus")
        await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen) and pilot.app.screen.checked)
        form = pilot.app.screen
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen) and not form.is_attached)
        form.action_do("launch")
        form.action_do("copy_command")
        await pilot.pause()
        assert pilot.app.is_running
        assert not form._launching


async def test_a_run_launched_from_a_form_that_was_left_shows_no_other_screen(
    world, opened, until, read, monkeypatch
):
    may_answer = threading.Event()

    def slow(draft):
        may_answer.wait(20)
        return Launched("run-x", 1, Path("run-x.log"))

    monkeypatch.setattr("themis_tui.screens.new_run.start", slow)
    async with opened() as pilot:
        await pilot.press("plus")
        await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen) and pilot.app.screen.checked)
        form = pilot.app.screen
        await pilot.press("f5")
        await until(pilot, lambda: form._launching)
        await pilot.press("f1")
        await until(pilot, lambda: pilot.app.screen is not form)
        help_page = pilot.app.screen
        may_answer.set()
        await until(pilot, lambda: not form._launching)
        assert pilot.app.screen is help_page


async def test_a_model_is_tried_from_the_form(opened, until, read):
    async with opened(size=(120, 40)) as pilot:
        screen = await to_form(pilot, until)
        await pilot.press("f4")
        await until(pilot, lambda: "✓ answer" in read(pilot))
        await type_into(pilot, "model", "openai:m?base_url=http://127.0.0.1:9/v1")
        await until(pilot, lambda: screen._tested == "")
        assert "✓ answer" not in read(pilot)
        await pilot.press("f4")
        await until(pilot, lambda: "✗ connect" in read(pilot))
        assert "✓ key" in read(pilot)
        await type_into(pilot, "model", "nobody")
        await pilot.press("f4")
        await until(pilot, lambda: "✗ open" in read(pilot))
        await type_into(pilot, "model", "")
        await pilot.press("f4")
        await until(pilot, lambda: screen._tested == "")


async def test_benchmarks_are_named_with_what_they_are(opened, until, read):
    async with opened(size=(140, 40)) as pilot:
        screen = await to_form(pilot, until)
        await until(pilot, lambda: "120 short questions" in read(pilot))
        assert "scored by ExactMatch, Includes" in read(pilot)
        await type_into(pilot, "benchmark", "")
        await until(pilot, lambda: screen.checked.preview is None)
        await until(pilot, lambda: "GSM8K: grade-school word problems" in read(pilot))


async def test_an_endpoint_of_the_profiles_is_offered(opened, until, read):
    from themis.profiles import profiles_path

    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text('[endpoint.lab]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n')
    async with opened() as pilot:
        screen = await to_form(pilot, until)
        await type_into(pilot, "model", "la")
        await until(pilot, lambda: "lab" in read(pilot))
        await pilot.press("right")
        await until(
            pilot, lambda: screen.checked.spec.model == "lab" and "model" not in screen.checked.problems
        )
