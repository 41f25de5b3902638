"""Text from strangers is shown, never obeyed."""

from __future__ import annotations

import re
import time

import pytest
import tomlkit
from textual.events import Paste

from themis.backends import open_storage
from themis.core.check_step import CheckStep
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.profiles import profiles_path
from themis.runs.profiles import ProfileRow
from themis_tui import text
from themis_tui.app import ThemisApp
from themis_tui.screens.compare import CompareScreen
from themis_tui.screens.dialogs import ConfirmDialog
from themis_tui.screens.flip import FlipScreen
from themis_tui.screens.profile_form import ProfileFormScreen
from themis_tui.screens.profiles import ProfilesScreen
from themis_tui.screens.run import RunScreen
from themis_tui.screens.sample import SampleScreen
from themis_tui.widgets.reader import Reader, wrapped

HOSTILE = (
    "[/]",
    "[@click=app.quit]press me[/]",
    "[bold",
    '[x="',
    "a[/foo]b",
    "\x1b[31mred\x1b]52;c;aGk=\x07",
    "\x9b31m\x85",
    "‮back‬⁦",
    "\ud800 \udfff",
    "tab\tnew\nline\r\x00",
    "❤️👩‍👩‍👧🇩🇪",
    "漢字" * 40,
    "e" + "\u0301" * 50,
    "$bad {field} %s",
)
FORBIDDEN = {*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), *map(chr, range(0xD800, 0xE000))}


def storable(value: str) -> str:
    return value.replace("\x00", "").encode("utf-8", "replace").decode()


@pytest.fixture
def hostile_world() -> None:
    store = open_storage()
    everything = " ".join(HOSTILE)
    document = storable(everything)
    store.save_run_metadata(
        "hostile-run",
        {
            "run_id": "hostile-run",
            "schema_version": 1,
            "status": "paused",
            "status_reason": document,
            "created_at": time.time(),
            "asked": {"benchmark": document, "model": {"name": document}},
            "where": {"executor": document, "host": document, "model": document},
            "summary": {"headline": document, "metrics": {document: {"mean": 0.5, "stderr": 0.1, "n": 3}}},
            "progress": {
                "run_id": "hostile-run",
                "done": 3,
                "failed": {document: 2},
                "metrics": {document: {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}},
                "executor": {"name": document, "concurrency": 3, "reason": document},
            },
            "annotations": {"name": document, "tags": [document]},
        },
    )
    for number, said in enumerate((*HOSTILE, everything)):
        error = {"kind": said, "stage": said, "message": said} if number % 3 == 0 else None
        sample_id = f"{number} {said}"
        store.save_generation_record(
            "hostile-run", GenerationRecord(sample_id, said, None if error else said, error=error)
        )
        store.save_evaluation_record(
            "hostile-run",
            EvaluationRecord(
                sample_id, sample_id, {said: 0}, reference=said, details={said: said}, error=error
            ),
        )
    store.close()


def harmless(pilot) -> None:
    for strip in pilot.app.screen._compositor.render_strips():
        for segment in strip:
            assert not FORBIDDEN & set(segment.text), repr(segment.text)
            assert not (segment.style and segment.style.meta.get("@click")), segment


async def test_hostile_texts_reach_no_terminal_by_any_screen(hostile_world, opened, until, read):
    async with opened(size=(120, 40)) as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        harmless(pilot)
        await pilot.press("D")
        await until(pilot, lambda: pilot.app.screen.is_modal)
        harmless(pilot)
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        run = pilot.app.screen
        await until(pilot, lambda: len(run.table.rows.all) == len(HOSTILE) + 1)
        harmless(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SampleScreen))
        for number in range(len(HOSTILE) + 1):
            await until(
                pilot,
                lambda n=number: (
                    pilot.app.screen.place == n and pilot.app.screen.query_one(Reader).plain_text
                ),
            )
            harmless(pilot)
            await pilot.press("r", "r", "j")
            harmless(pilot)
        assert pilot.app.is_running


def make_twin() -> None:
    """The same samples in another run, answered otherwise."""
    store = open_storage()
    store.save_run_metadata("twin-run", {**store.load_run_metadata("hostile-run"), "run_id": "twin-run"})
    for record in list(store.iter_generation_records("hostile-run")):
        record.response = None if record.error else f"{record.response} {HOSTILE[0]} {HOSTILE[5]}"
        store.save_generation_record("twin-run", record)
    for evaluation in list(store.iter_evaluation_records("hostile-run")):
        evaluation.scores = {HOSTILE[0]: 1, **dict.fromkeys(evaluation.scores, 1)}
        store.save_evaluation_record("twin-run", evaluation)
    store.close()


@pytest.mark.parametrize("size", [(80, 24), (150, 40)])
async def test_hostile_texts_reach_no_terminal_by_a_comparison(size, hostile_world, opened, until):
    make_twin()
    async with opened(size=size) as pilot:
        await until(pilot, lambda: len(pilot.app.screen.table.rows.all) == 2)
        await pilot.press("space", "space", "c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen.flipped)
        screen = pilot.app.screen
        for _ in range(len(screen.comparison.metrics)):
            await until(pilot, lambda: screen.flipped is not None and not screen._choosing)
            for key in ("2", "3", "4", "5", "1", "f", "f", "f", "f", "f", "f"):
                await pilot.press(key)
                await until(pilot, lambda: all(each.is_finished for each in pilot.app.workers))
                harmless(pilot)
            if screen.table.rows.shown:
                await pilot.press("enter")
                await until(
                    pilot, lambda: isinstance(pilot.app.screen, FlipScreen) and pilot.app.screen._shown
                )
                harmless(pilot)
                await pilot.press("escape")
            await pilot.press("m")
        assert pilot.app.is_running


async def test_again_from_a_hostile_run_fills_a_harmless_form(hostile_world, opened, until):
    async with opened(size=(120, 40)) as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        await pilot.press("a")
        await until(pilot, lambda: getattr(pilot.app.screen, "checked", None))
        await pilot.pause()
        harmless(pilot)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_hostile_profiles_and_what_trying_them_says_are_harmless(size, opened, until, monkeypatch):
    everything = storable(" ".join(HOSTILE))
    names = [storable(each) for each in HOSTILE]
    spoken = "".join(each for each in everything if each >= " " and each != "\x7f")
    tables = {
        "storage": {"here": {"type": "local", "root": spoken}, **{name: {"type": name} for name in names}},
        "executor": {everything: {"type": everything}, "sound": {"type": "threads"}},
        "endpoint": {"m": {"base_url": f"http://127.0.0.1:9/{re.sub('[?#@]', '', spoken)}", "model": spoken}},
    }
    profiles_path().parent.mkdir(parents=True)
    profiles_path().write_text(tomlkit.dumps(tables), encoding="utf-8")

    def hostile_steps(kind, name):
        yield CheckStep(everything, True, 0.1, everything)
        for said in HOSTILE:
            yield CheckStep(said, True, 0.1, said)
        yield CheckStep(everything, False, 0.1, everything)

    monkeypatch.setattr("themis.runs.profiles.steps", hostile_steps)
    async with opened(size=size) as pilot:
        await until(pilot, lambda: pilot.app.screen._listed.settled)
        harmless(pilot)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProfilesScreen) and pilot.app.screen.row)
        screen = pilot.app.screen
        for row in [row for row in screen.table.rows.all if isinstance(row, ProfileRow)]:
            screen.table.go_to_key(row.place)
            await pilot.press("t")
            trial = screen.trials.get(row.place)
            if row.problem is None:
                await until(pilot, lambda trial=trial: trial.failed)
            harmless(pilot)
            await pilot.press("e")
            await until(
                pilot, lambda: isinstance(pilot.app.screen, ProfileFormScreen) and pilot.app.screen.checked
            )
            await pilot.pause()
            harmless(pilot)
            await pilot.press("escape", "D")
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
            harmless(pilot)
            await pilot.press("escape")
            await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.table.go_to_key("executor.sound"), "only what can be used is written once more"
        await pilot.press("d")
        await until(
            pilot, lambda: isinstance(pilot.app.screen, ProfileFormScreen) and pilot.app.screen.checked
        )
        for each in HOSTILE:
            pilot.app.post_message(Paste(each))
            await pilot.press("tab")
        await pilot.press("f5")
        await until(pilot, lambda: not pilot.app.screen._saving)
        harmless(pilot)
        assert pilot.app.is_running


@pytest.mark.parametrize("said", HOSTILE)
def test_lines_hold_no_markup_and_no_control_characters(said):
    made = text.line((said, "$bad"), said)
    assert not FORBIDDEN & set(made.plain)
    assert len(made.spans) == 1


@pytest.mark.parametrize("width", [1, 2, 7, 40])
@pytest.mark.parametrize("said", [*HOSTILE, "a" * 500, "words of some length " * 30, ""])
def test_wrapping_loses_nothing_and_ends(said, width):
    safe = text.plain(said)
    parts = list(wrapped(safe, width))
    assert "".join(parts) == safe
    assert len(parts) <= len(safe) + 1


def test_a_megabyte_on_one_line_is_cut_and_wrapped_at_once():
    started = time.perf_counter()
    parts = list(wrapped(text.plain_block("x" * 1_000_000), 80))
    assert len(parts) < 1_000
    assert time.perf_counter() - started < 1.0


def test_a_crash_prints_no_values_of_variables(capsys, tmp_path):
    class Faulty(ThemisApp):
        def on_mount(self) -> None:
            secret = "sk-very-secret"
            raise RuntimeError(f"no {len(secret)}")

    app = Faulty()
    app.run(headless=True)
    assert app.return_code == 1
    printed = "".join(capsys.readouterr())
    assert "sk-very-secret" not in printed
    assert "a fault of its own (RuntimeError)" in " ".join(printed.split())
    from themis.core.directories import state_dir

    (log,) = (state_dir() / "logs").glob("crash-*.log")
    assert log.stat().st_mode & 0o777 == 0o600
    assert "RuntimeError: no 14" in log.read_text()
    assert "Faulty" not in printed
