"""The palette, opened and left at any moment."""

from __future__ import annotations

from textual.command import CommandList

from themis_tui.palette import Palette
from themis_tui.screens.runs import RunsScreen
from themis_tui.screens.sort_menu import SortMenu


async def test_a_menu_below_another_screen_does_not_take_that_one_away(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.shown)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(pilot.app.screen, SortMenu))
        menu = pilot.app.screen
        pilot.app.action_command_palette()
        await until(pilot, lambda: isinstance(pilot.app.screen, Palette))
        palette = pilot.app.screen
        menu.action_leave()
        assert pilot.app.screen is palette
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is menu)
        palette.dismiss()
        assert pilot.app.screen is menu
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_a_palette_that_is_left_while_it_searches_ends_nothing(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.shown)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(pilot.app.screen, Palette))
        palette = pilot.app.screen
        await palette.query_one(CommandList).remove()
        await palette._gather_commands("theme").wait()
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        assert pilot.app.is_running
