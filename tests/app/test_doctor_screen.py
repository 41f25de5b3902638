"""What is wrong with a store, seen and mended by keys."""

from __future__ import annotations

import os

import pytest

from tests.app.test_hostile import FORBIDDEN
from themis.backends import open_storage
from themis.profiles import profiles_path
from themis.runs.installation import Check
from themis_tui.screens.dialogs import ConfirmDialog
from themis_tui.screens.doctor import (
    InstallationScreen,
    StoreDoctorScreen,
    installation_passages,
    store_passages,
    wrong_passages,
)
from themis_tui.screens.profiles import ProfilesScreen


@pytest.fixture
def untidy(world: list[str]) -> list[str]:
    """A temporary file of a writer that was killed."""
    stray = open_storage("local").root / "runs" / "second-run" / ".run.json.1.tmp"
    stray.write_text("{")
    os.utime(stray, (1e9, 1e9))
    return world


async def test_a_store_is_looked_through_and_what_is_safe_is_mended(untidy, opened, until, read):
    async with opened(size=(100, 30)) as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, StoreDoctorScreen))
        await until(pilot, lambda: "1 to mend" in read(pilot), within_s=60)
        text = read(pilot)
        assert "3 runs, 2 in order" in text
        assert "temporary files of killed writers" in text
        assert "(f mends it)" in text
        await pilot.press("f")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("right", "enter")
        await until(pilot, lambda: "✓ mended" in read(pilot), within_s=60)
        assert "all mended" in read(pilot)
        await pilot.press("f")
        await until(pilot, lambda: "mended by a key" in " ".join(read(pilot).split()))
        await pilot.press("r")
        await until(pilot, lambda: "all in order" in read(pilot), within_s=60)


async def test_a_store_that_cannot_be_read_says_why(world, opened, until, read, tmp_path):
    root = tmp_path / "newer"
    root.mkdir()
    (root / "themis-store.json").write_text('{"layout": 99}')
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(
        f'[storage.newer]\ntype = "local"\nroot = "{root}"\n[executor.few]\ntype = "threads"\n'
    )
    async with opened(size=(100, 30)) as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProfilesScreen) and pilot.app.screen.row)
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, StoreDoctorScreen))
        await until(pilot, lambda: "layout 99" in " ".join(read(pilot).split()), within_s=60)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProfilesScreen) and pilot.app.screen.row)
        await until(pilot, lambda: pilot.app.screen.table.has_focus)
        await pilot.press("j")
        await until(pilot, lambda: pilot.app.screen.row.name == "few")
        await pilot.press("i")
        await until(pilot, lambda: "Only a storage holds runs" in read(pilot))


async def test_a_check_that_is_left_ends_quietly(world, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, StoreDoctorScreen) and pilot.app.works)
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.works, within_s=60)
        assert pilot.app.is_running


async def test_the_installation_is_looked_at(world, opened, until, read):
    async with opened(size=(100, 40)) as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        await pilot.press("I")
        await until(pilot, lambda: isinstance(pilot.app.screen, InstallationScreen))
        await until(pilot, lambda: pilot.app.screen.ended, within_s=60)
        assert "versions" in read(pilot)
        assert {check.group for check in pilot.app.screen.checks} >= {"paths", "stores", "terminal"}


def test_hostile_findings_are_no_markup_and_of_very_many_the_first_are_shown():
    bad = "\x1b[31m[bold]" + "x" * 100_000
    found = [{"kind": bad, "level": "problem", "said": bad, "mend": bad, "can_fix": False}]
    answer = {
        "stores": [{"store": bad, "runs": 3, "findings": found}],
        "runs": [{"address": bad, "status": bad, "counts": {bad: 1}, "findings": found}] * 1_000,
        "mended": [],
    }
    passages = list(store_passages(answer))
    assert sum(len(each.text) for each in passages) < 25_000_000
    assert "and 800 more runs" in passages[-1].text
    (row, mend) = installation_passages([Check("stores", bad, False, bad, bad)])
    assert len(row.text) + len(mend.text) < 2_000


def test_what_is_wrong_with_the_installation_stands_first_once_all_is_known():
    checks = [
        Check("versions", "python", True, "3.11"),
        Check("stores", "broken", False, "/x cannot be a store: it is no folder.", "Give another root."),
        Check("stores", "local", True, "fine"),
    ]
    said, mend = wrong_passages(checks)
    assert said.heading == "to mend"
    assert "stores broken: /x cannot be a store: it is no folder." in said.text
    assert "Give another root." in mend.text
    assert not list(wrong_passages(checks[:1]))


async def test_hostile_findings_reach_no_terminal(world, opened, until):
    bad = "\x1b]0;x\x07[/][@click=app.quit]"
    answer = {
        "stores": [],
        "runs": [
            {
                "address": bad,
                "status": bad,
                "counts": {bad: 1},
                "findings": [{"kind": bad, "level": "problem", "said": bad, "mend": bad, "can_fix": True}],
            }
        ],
        "mended": [],
    }
    async with opened() as pilot:
        await until(pilot, lambda: pilot.app.screen.table.rows.all)
        await pilot.press("i")
        await until(
            pilot,
            lambda: isinstance(pilot.app.screen, StoreDoctorScreen) and not pilot.app.works,
            within_s=60,
        )
        screen = pilot.app.screen
        screen.answer = answer
        screen.reader.show(store_passages(answer))
        for key in ("", "f"):
            await pilot.press(*key)
            await pilot.pause()
            for strip in pilot.app.screen._compositor.render_strips():
                for segment in strip:
                    assert not FORBIDDEN & set(segment.text), repr(segment.text)
