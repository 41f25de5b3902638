"""Questions over a screen, by keys."""

from __future__ import annotations

import pytest
from textual.widgets import Button, Input

from themis.backends import open_storage
from themis.profiles import profiles_path
from themis_tui.screens.copying import CopyDialog
from themis_tui.screens.dialog import Dialog
from themis_tui.screens.dialogs import ConfirmDialog
from themis_tui.screens.help import HelpPage
from themis_tui.screens.runs import RunsScreen
from themis_tui.screens.sort_menu import SortMenu


def table(pilot):
    return pilot.app.screen.table


@pytest.fixture
def protected(world):
    """The three runs, in a store that wants its name typed."""
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    root = open_storage("local").root
    profiles_path().write_text(f'[storage.Team]\ntype = "local"\nroot = "{root}"\nprotected = true\n')
    return world


async def test_the_name_of_a_protected_store_is_typed_at_once_and_enter_deletes(
    protected, opened, until, read
):
    async with opened(storage="Team") as pilot:
        await until(pilot, lambda: table(pilot).key == f"Team:{protected[0]}")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await until(pilot, lambda: isinstance(pilot.app.focused, Input))
        await pilot.press("enter")
        await until(pilot, lambda: "Nothing is typed yet." in read(pilot))
        await pilot.press(*"tame", "enter")
        await until(pilot, lambda: "tame is not Team." in read(pilot))
        assert isinstance(pilot.app.focused, Input)
        await pilot.press(*["backspace"] * 4, *"team")
        await until(pilot, lambda: "is not Team" not in read(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: [row.run_id for row in table(pilot).rows.all] == protected[1:])


async def test_escape_keeps_what_a_protected_store_holds_whatever_was_typed(protected, opened, until, read):
    async with opened(storage="Team") as pilot:
        await until(pilot, lambda: table(pilot).key == f"Team:{protected[0]}")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.focused, Input))
        await pilot.press(*"Team", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        assert len(table(pilot).rows.all) == 3


@pytest.mark.parametrize(
    ("key", "dialog", "said"),
    [("D", ConfirmDialog, "Change nothing"), ("C", CopyDialog, "Copy nothing"), ("S", SortMenu, "nothing")],
)
@pytest.mark.parametrize("help_key", ["f1", "question_mark"])
async def test_a_question_has_its_own_keys_and_help(key, dialog, said, help_key, world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        assert "/ filter" in read(pilot).splitlines()[-1]
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
        await until(pilot, lambda: "/ filter" not in read(pilot), within_s=5)
        await pilot.press(help_key)
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpPage) and said in read(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, Dialog))
        await pilot.press("escape")
        await until(pilot, lambda: "/ filter" in read(pilot).splitlines()[-1])


async def test_keys_that_would_be_typed_are_not_offered_while_one_types(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(pilot.app.focused, Input))
        await until(pilot, lambda: "esc clear" in read(pilot).splitlines()[-1])
        keys = read(pilot).splitlines()[-1]
        assert "f1 help" in keys
        assert "tab complete" in keys
        for key in ("+ new run", "D delete", "? help", "space"):
            assert key not in keys


async def test_the_answers_of_a_question_are_gone_through_by_arrows(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: table(pilot).key == f"local:{world[0]}")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.focused, Button) and pilot.app.focused.id == "no")
        await pilot.press("right")
        assert pilot.app.focused.id == "yes"
