"""Help, footer and palette say what the keys really do."""

from __future__ import annotations

import pytest
from textual.command import CommandPalette

from themis_tui.actions import ACTIONS
from themis_tui.screens.doctor import InstallationScreen, StoreDoctorScreen
from themis_tui.screens.help import HelpPage
from themis_tui.screens.new_run import NewRunScreen
from themis_tui.screens.profile_form import ProfileFormScreen
from themis_tui.screens.profiles import ProfilesScreen
from themis_tui.screens.run import RunScreen
from themis_tui.screens.runs import RunsScreen
from themis_tui.screens.sample import SampleScreen
from themis_tui.widgets.reader import Reader


async def test_help_lists_every_key_of_the_screen(world, opened, until):
    async with opened(size=(100, 60)) as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpPage))
        await until(pilot, lambda: pilot.app.screen.query_one(Reader).plain_text)
        text = pilot.app.screen.query_one(Reader).plain_text
        for place in ("runs", "marks", "table", "app"):
            for action in ACTIONS[place]:
                assert action.help in text, action
        for key in ("j down", ": ctrl+p", "ctrl+\\", "space"):
            assert key in text
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_what_is_wrapped_in_the_help_stays_beside_its_key(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpPage))
        await until(pilot, lambda: "marked in" in read(pilot))
        wrapped = [row for row in read(pilot).splitlines()[6:-1] if row[1:3] != "──" and row.strip()]
        assert any(row.startswith(" " * 18) for row in wrapped)
        assert all(row.startswith("   ") for row in wrapped)


@pytest.mark.parametrize(
    ("screen", "place"),
    [
        (RunsScreen, "runs"),
        (RunsScreen, "marks"),
        (RunScreen, "run"),
        (SampleScreen, "sample"),
        (NewRunScreen, "new_run"),
        (ProfilesScreen, "profiles"),
        (ProfileFormScreen, "profile_form"),
        (StoreDoctorScreen, "doctor"),
        (InstallationScreen, "doctor"),
    ],
)
def test_every_action_of_the_registry_can_be_done(screen, place):
    for action in ACTIONS[place]:
        name, _, parameters = action.name.partition("(")
        assert hasattr(screen, f"action_{name}" if parameters else f"do_{name}"), action


def test_no_key_means_two_things_on_a_screen():
    for places in (
        ("runs", "marks", "table"),
        ("run", "table"),
        ("sample", "reader"),
        ("text", "reader"),
        ("profiles", "table"),
        ("profile_form",),
        ("doctor", "reader"),
    ):
        keys = [
            key for place in (*places, "app") for action in ACTIONS[place] for key in action.keys.split(",")
        ]
        assert len(keys) == len(set(keys)), places


def test_nothing_depends_on_a_key_that_terminals_eat():
    for actions in ACTIONS.values():
        for action in actions:
            assert set(action.keys.split(",")) - {"ctrl+s", "ctrl+q", "ctrl+a", "ctrl+b"}, action


async def test_the_palette_does_what_the_key_does(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        await pilot.press(*"copy id")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.clipboard == "third-run", within_s=10)


async def test_the_footer_always_ends_with_help(world, opened, until, read):
    for width in (40, 80, 200):
        async with opened(size=(width, 24)) as pilot:
            await until(pilot, lambda: pilot.app.screen.table.rows.all)
            await until(pilot, lambda: read(pilot).rstrip().endswith("? help"))


async def test_every_theme_draws(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        seen = set()
        for _ in range(4):
            await pilot.press("f2")
            await pilot.pause()
            seen.add(pilot.app.theme)
            assert "third-run" in read(pilot)
        assert seen == {"themis-dark", "themis-light", "ansi-dark", "ansi-light"}
