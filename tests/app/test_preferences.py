"""What a person chose is there the next time, whatever became of the file."""

from __future__ import annotations

import pytest

from themis_tui import preferences
from themis_tui.app import ThemisApp
from themis_tui.main import parsed


async def test_the_theme_chosen_by_key_is_there_the_next_time(opened, until):
    async with opened() as pilot:
        assert pilot.app.theme == "themis-dark"
        await pilot.press("f2")
        await until(pilot, lambda: preferences.preferences_path().exists())
    assert preferences.load().theme == "themis-light"
    assert ThemisApp().theme == "themis-light"


async def test_the_theme_asked_for_goes_before_the_one_that_was_kept():
    preferences.save(preferences.Preferences("ansi-light"))
    assert ThemisApp(theme="ansi-dark").theme == "ansi-dark"
    assert preferences.load().theme == "ansi-light"


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b'{"theme": 1}', b'{"theme": "[bold]"}', b"\xff\x00"])
def test_a_damaged_file_is_as_good_as_none(kept):
    path = preferences.preferences_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(kept)
    assert preferences.load() == preferences.Preferences()
    preferences.save(preferences.Preferences("ansi-dark"))
    assert preferences.load().theme == "ansi-dark"
    assert list(path.parent.iterdir()) == [path]


async def test_a_choice_that_cannot_be_kept_is_told(opened, until, read, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("THEMIS_CONFIG_DIR", str(tmp_path / "file"))
    async with opened() as pilot:
        await pilot.press("f2")
        await until(pilot, lambda: "could not be kept" in " ".join(read(pilot).split()))
        assert pilot.app.theme == "themis-light"


def test_options_count_before_a_command_and_after_it():
    before = parsed(["--storage", "here", "--theme", "ansi-dark", "run", "r1"])
    after = parsed(["run", "r1", "--storage", "here", "--theme", "ansi-dark"])
    assert before == after
    assert (before.stores, before.theme, before.run_id) == (["here"], "ansi-dark", "r1")
    assert parsed([]).stores == []
    assert parsed([]).theme is None
