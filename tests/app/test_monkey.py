"""Any key at any time, while a run is going on: nothing breaks, and there is always a way home."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key
from textual.keys import _character_to_key, key_to_character
from textual.widgets import Button

from themis import evaluate
from themis.core.errors import LaunchFailed
from themis.profiles import profiles_path
from themis.runs.delete import Deleted
from themis.runs.launch import Launched, launch
from themis.runs.spec import RunSpec
from themis_tui.app import ThemisApp
from themis_tui.screens import new_run
from themis_tui.screens.base import ThemisScreen
from themis_tui.screens.compare import FLIPS, CompareScreen
from themis_tui.screens.dialogs import ConfirmDialog
from themis_tui.screens.flip import FlipScreen
from themis_tui.screens.help import HelpPage
from themis_tui.screens.new_run import NewRunScreen
from themis_tui.screens.profile_form import LEAVE_TITLE, ProfileFormScreen
from themis_tui.screens.profiles import ProfilesScreen
from themis_tui.screens.run import RunScreen
from themis_tui.screens.runs import RunsScreen
from themis_tui.screens.sample import SampleScreen

LEAVE = {"q", "ctrl+q", "ctrl+c", "ctrl+z"}
"""What ends or stops the app, as it should."""
TYPED = [
    *"abj09 [/]%?:+",
    "tab",
    "shift+tab",
    "enter",
    "escape",
    "up",
    "down",
    "left",
    "right",
    "backspace",
    "end",
]
SIZES = [(80, 24), (60, 20), (200, 50), (20, 5), (110, 30)]
AT_A_TIME = 25
"""Keys after which the monkey is put back to where it was meant to play."""
BURST = 5
PLACES = ("runs", "run", "sample", "new_run", "profiles", "profile_form", "compare", "flip")


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launched]:
    """A run that goes on in a process of its own, and some that have ended."""
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        evaluate(
            "demo", model=f"fake-math-llm?error_rate=0.2&seed={number}", limit=20, run_id=f"ended-{number}"
        )
    spec = RunSpec("demo", "fake-math-llm?latency=300ms", epochs=1_000, max_workers=4, run_id="live-run")
    launched = launch(spec)
    yield launched
    with suppress(ProcessLookupError):
        os.kill(launched.pid, signal.SIGKILL)


@pytest.fixture
def unreal(live: Launched, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What costs processes or runs is only counted; the screens cannot tell."""
    counts = {"launch": 0, "delete": 0, "stop": 0, "leave": 0, "beside": 0}

    def counted(name: str, answer: Any) -> Any:
        def do(*_: Any) -> Any:
            counts[name] += 1
            if name == "launch" and counts[name] % 3 == 0:
                raise LaunchFailed("not this time")
            return answer

        return do

    monkeypatch.setattr(new_run, "start", counted("launch", live))
    monkeypatch.setattr("themis_tui.screens.deleting.delete_runs", counted("delete", Deleted([], {})))
    monkeypatch.setattr(ThemisApp, "work_beside", counted("beside", None))
    monkeypatch.setattr("themis.runs.control.cancel", counted("stop", "told to stop"))
    monkeypatch.setattr("themis.runs.control.pause", counted("stop", "told to pause"))
    # Both are in the palette's list as well as on keys.
    monkeypatch.setattr(ThemisScreen, "do_quit", counted("leave", None))
    monkeypatch.setattr(ThemisApp, "do_suspend", counted("leave", None))
    return counts


async def _home(pilot: Any, until: Any) -> RunsScreen:
    """Escape leads back to the list from wherever that is; what was typed in a form is given up."""
    for _ in range(20):
        # An answer that is still to come may be a question that comes up over the list.
        await until(pilot, lambda: all(each.is_finished for each in pilot.app.workers))
        await pilot.pause(0.01)
        screen = pilot.app.screen
        if isinstance(screen, RunsScreen) and screen.table.has_focus:
            break
        if isinstance(screen, ConfirmDialog) and screen._title == LEAVE_TITLE:
            for answer in screen.query("#yes").results(Button):
                answer.press()
            await pilot.pause(0.01)
        else:
            await _press(pilot, ["escape"])
    screen = pilot.app.screen
    assert isinstance(screen, RunsScreen), f"escape did not lead home from {screen!r}"
    await _press(pilot, ["escape", "escape"])
    await until(pilot, lambda: screen.table.rows.shown)
    return screen


def write_profiles() -> None:
    """What the monkey changed is as it was again."""
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(
        '[storage.here]\ntype = "local"\n[executor.few]\ntype = "threads"\nmax_workers = 2\n'
        '[endpoint.away]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n[storage.broken]\n'
    )


async def _to(pilot: Any, until: Any, place: str) -> None:
    screen = await _home(pilot, until)
    if place == "new_run":
        await _press(pilot, ["plus"])
        await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen))
    elif place in ("profiles", "profile_form"):
        write_profiles()
        await _press(pilot, ["p"])
        await until(pilot, lambda: isinstance(pilot.app.screen, ProfilesScreen) and pilot.app.screen.row)
        if place == "profile_form":
            await _press(pilot, ["e"])
            await until(pilot, lambda: isinstance(pilot.app.screen, ProfileFormScreen))
    elif place in ("compare", "flip"):
        await _press(pilot, ["ctrl+backslash"])
        for run_id in ("ended-0", "ended-1", "ended-2"):
            await until(pilot, lambda run_id=run_id: screen.table.go_to_key(f"local:{run_id}"))
            await _press(pilot, ["space"])
        await _press(pilot, ["c"])
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen.made)
        if place == "flip":
            await _press(pilot, ["enter"])
            await until(pilot, lambda: pilot.app.screen.page == FLIPS)
            await _press(pilot, ["f", "f", "f"])
            await until(pilot, lambda: pilot.app.screen.table.rows.shown)
            await _press(pilot, ["enter"])
            await until(pilot, lambda: isinstance(pilot.app.screen, FlipScreen))
    elif place != "runs":
        await until(pilot, lambda: screen.table.go_to_key("local:live-run"))
        await _press(pilot, ["enter"])
        await until(
            pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.table.rows.shown
        )
    if place == "sample":
        await _press(pilot, ["enter"])
        await until(pilot, lambda: isinstance(pilot.app.screen, SampleScreen))


def _burst(pilot: Any, dice: random.Random) -> list[str]:
    """A few keys, pressed faster than the screen follows."""
    known = [*sorted(set(pilot.app.screen.active_bindings) - LEAVE), *TYPED]
    return dice.choices(known, k=BURST)


async def _press(pilot: Any, keys: list[str]) -> None:
    """As Pilot does, but without its wait for a CPU at rest, which a live run never gives."""
    for key in keys:
        name = _character_to_key(key) if len(key) == 1 else key
        pilot.app.post_message(Key(name, key_to_character(name)))
    await pilot.pause(0.01)


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("keys", [125, pytest.param(5_000, marks=pytest.mark.long)])
async def test_any_key_at_any_time(place, keys, unreal, opened, until):
    seed = int(os.environ.get("THEMIS_MONKEY_SEED", "1"))
    dice, pressed = random.Random(f"{seed} {place}"), []
    async with opened() as pilot:
        try:
            for number in range(0, keys, BURST):
                if number % AT_A_TIME == 0:
                    pressed.clear()
                    await _to(pilot, until, place)
                if dice.random() < 0.05:
                    await pilot.resize_terminal(*dice.choice(SIZES))
                burst = _burst(pilot, dice)
                pressed += burst
                await _press(pilot, burst)
                assert pilot.app.is_running
            await pilot.resize_terminal(80, 24)
            await _home(pilot, until)
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(pilot.app.screen, HelpPage))
        except BaseException as exc:
            exc.add_note(f"keys before: {' '.join(pressed)}")
            raise
    assert pilot.app.return_code in (0, None)
