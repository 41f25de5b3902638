"""Profiles by keys: listed, tried, added, changed, removed."""

from __future__ import annotations

import threading

import pytest
from textual.widgets import Input

from tests.app.test_hostile import FORBIDDEN, HOSTILE
from themis.core.check_step import CheckStep
from themis.profiles import load_profiles, profiles_path
from themis.runs import profiles
from themis_tui.screens.dialogs import ConfirmDialog
from themis_tui.screens.kind_menu import KindMenu
from themis_tui.screens.new_run import NewRunScreen
from themis_tui.screens.profile_form import ProfileFormScreen
from themis_tui.screens.profiles import ProfilesScreen, look
from themis_tui.screens.runs import RunsScreen

FILE = """\
# mine
[default]
storage = "team"

[storage.team]
type = "local"
root = "{root}/team"   # here
protected = true
colour = "green"

[storage.archive]
type = "local"
root = "{root}/archive"
readonly = true

[executor.many]
type = "threads"
max_workers = 6

[endpoint.lab]
base_url = "http://127.0.0.1:9/v1"
model = "m"
key = "env:LAB_KEY"
"""


def write(text):
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(text)


@pytest.fixture
def file(tmp_path):
    write(FILE.format(root=tmp_path))
    return profiles_path()


async def to_profiles(pilot, until):
    await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
    await pilot.press("p")
    return await at_profiles(pilot, until)


async def at_profiles(pilot, until):
    await until(pilot, lambda: isinstance(pilot.app.screen, ProfilesScreen) and pilot.app.screen.look)
    return pilot.app.screen


async def to_form(pilot, until):
    await until(
        pilot, lambda: isinstance(pilot.app.screen, ProfileFormScreen) and pilot.app.screen._option_fields
    )
    return pilot.app.screen


async def type_into(pilot, name, text):
    for _ in range(30):
        if _in(pilot.app.focused, name):
            break
        await pilot.press("tab")
    assert _in(pilot.app.focused, name), name
    await pilot.press("end", "ctrl+u", *text)


def _in(widget, name):
    return isinstance(widget, Input) and any(each.has_class(f"field-{name}") for each in widget.ancestors)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_profiles_are_listed_by_kind_with_what_they_are(file, opened, until, read, size):
    async with opened(size=size) as pilot:
        screen = await to_profiles(pilot, until)
        assert screen.row.place == "storage.team", "the cursor passes over the heading"
        text = read(pilot)
        for word in ("Storages", "Executors", "Models", "default protected", "readonly", "max_workers 6"):
            assert word in text, word
        assert "■ green" in text, "a colour has its word beside it"
        assert "not tried" in text
        await pilot.press("G")
        assert screen.row.place == "endpoint.lab"
        await until(pilot, lambda: "env:LAB_KEY" in read(pilot))
        await pilot.press("g")
        assert screen.row.place == "storage.team"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_a_storage_is_tried_step_by_step(file, opened, until, read, size):
    async with opened(size=size) as pilot:
        await to_profiles(pilot, until)
        await pilot.press("t")
        await until(pilot, lambda: "● reachable" in read(pilot))
        for step in ("✓ resolve", "✓ open", "✓ connect", "✓ write", "✓ read back", "✓ list", "✓ delete"):
            assert step in read(pilot), step
        await pilot.press("G", "t")
        await until(pilot, lambda: "✗ key failed" in read(pilot))
        assert "The environment has no LAB_KEY" in " ".join(read(pilot).split())


async def test_what_a_trial_showed_is_kept_while_its_profile_says_the_same(file, opened, until, read):
    moment = [1_000.0]
    async with opened(clock=lambda: moment[0]) as pilot:
        await to_profiles(pilot, until)
        await pilot.press("t")
        await until(pilot, lambda: "● reachable" in read(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        moment[0] += 300
        profiles.add("storage", "another", "memory", {})
        await to_profiles(pilot, until)
        await until(pilot, lambda: "● reachable  5m ago" in read(pilot))
        assert "another" in read(pilot)
        profiles.edit("storage", "team", {"root": "/tmp/elsewhere"})
        await pilot.press("r")
        await until(pilot, lambda: "○ not tried" in read(pilot))


async def test_a_trial_that_was_left_is_not_said_to_go_on(file, opened, until, read, monkeypatch):
    may_go_on = threading.Event()

    def slow(kind, name):
        assert may_go_on.wait(20)
        yield CheckStep("first", True, 0.004, "")

    monkeypatch.setattr("themis.runs.profiles.steps", slow)
    async with opened() as pilot:
        await to_profiles(pilot, until)
        await pilot.press("t")
        await until(pilot, lambda: "trying …" in read(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        may_go_on.set()
        await to_profiles(pilot, until)
        await until(pilot, lambda: "not tried" in read(pilot))


async def test_steps_are_seen_as_they_are_done(file, opened, until, read, monkeypatch):
    may_go_on = threading.Event()

    def slow(kind, name):
        yield CheckStep("first", True, 0.004, "")
        assert may_go_on.wait(20)
        yield CheckStep("second", False, 1.2, "[bold]no\x1b[31m")

    monkeypatch.setattr("themis.runs.profiles.steps", slow)
    async with opened() as pilot:
        await to_profiles(pilot, until)
        await pilot.press("t")
        await until(pilot, lambda: "✓ first 4ms" in read(pilot))
        assert "trying …" in read(pilot)
        assert "second" not in read(pilot)
        may_go_on.set()
        await until(pilot, lambda: "✗ second 1.2s" in read(pilot))
        assert "[bold]no␛[31m" in read(pilot)
        assert "trying …" not in read(pilot)


async def test_a_profile_is_added_by_keys_and_can_be_launched_on(opened, until, read, tmp_path):
    async with opened() as pilot:
        await to_profiles(pilot, until)
        await until(pilot, lambda: "No profiles yet." in read(pilot))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, KindMenu) and pilot.app.focused)
        await pilot.press("enter")
        screen = await to_form(pilot, until)
        assert "The folder" in read(pilot), "help stands in the field"
        await type_into(pilot, "profile-name", "two words")
        await until(pilot, lambda: "cannot name a profile" in " ".join(read(pilot).split()))
        await type_into(pilot, "profile-name", "second")
        await type_into(pilot, "root", str(tmp_path / "second"))
        await type_into(pilot, "protected", "maybe")
        await until(pilot, lambda: "has to be true or false" in read(pilot))
        await pilot.press("f5")
        await until(pilot, lambda: not screen._saving)
        assert not profiles_path().exists()
        await type_into(pilot, "protected", "true")
        await until(pilot, lambda: "ready to save" in read(pilot))
        await pilot.press("f5")
        back = await at_profiles(pilot, until)
        await until(pilot, lambda: back.row is not None and back.row.place == "storage.second")
        saved = load_profiles().storages["second"]
        assert (saved.options, saved.protected) == ({"root": str(tmp_path / "second")}, True)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen) and "● second 0" in read(pilot))
        await pilot.press("plus")
        await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen))
        storage = pilot.app.screen._field("storage").query_one(Input)
        await until(pilot, lambda: storage.suggester is not None)
        await type_into(pilot, "storage", "sec")
        await until(pilot, lambda: "second" in read(pilot))


async def test_the_fields_follow_the_type(opened, until, read):
    async with opened(size=(100, 30)) as pilot:
        await to_profiles(pilot, until)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, KindMenu) and pilot.app.focused)
        await pilot.press("j", "enter")
        screen = await to_form(pilot, until)
        assert "add an executor" in read(pilot)
        assert "max_workers" in read(pilot)
        await type_into(pilot, "profile-type", "async")
        await until(pilot, lambda: "max_concurrent" in read(pilot))
        assert "max_workers" not in read(pilot)
        await type_into(pilot, "profile-type", "nobody")
        await until(pilot, lambda: "profile-type" in screen.checked.problems)
        await until(pilot, lambda: "There is no execution backend 'nobody'" in read(pilot))


@pytest.mark.parametrize("typed", ["", "postgresql://"])
async def test_who_goes_on_from_the_type_at_once_types_into_its_first_field(
    opened, until, read, monkeypatch, typed
):
    # As if the check came only now: all keys are faster than it.
    monkeypatch.setattr("themis_tui.screens.profile_form.CHECK_AFTER_S", 1e6)
    async with opened(size=(100, 30)) as pilot:
        await to_profiles(pilot, until)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, KindMenu) and pilot.app.focused)
        await pilot.press("enter")
        screen = await to_form(pilot, until)
        await until(pilot, lambda: _in(pilot.app.focused, "profile-name"))
        await type_into(pilot, "profile-type", "postgres")
        await pilot.press("tab", *typed)
        screen._check()
        await until(pilot, lambda: _in(pilot.app.focused, "connection_string"))
        await pilot.press(*"rest")
        assert pilot.app.focused.value == f"{typed}rest"
        head = {field.field: field.value for field in screen.query_one("#fields").query("Field")}
        assert head == {"profile-name": "", "profile-type": "postgres"}


async def test_what_was_typed_for_another_type_is_not_told_as_wrong(opened, until, read):
    async with opened(size=(100, 40)) as pilot:
        await to_profiles(pilot, until)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, KindMenu) and pilot.app.focused)
        await pilot.press("enter")
        screen = await to_form(pilot, until)
        await type_into(pilot, "root", "/x")
        await pilot.press("shift+tab")
        await type_into(pilot, "profile-type", "postgres")
        await until(
            pilot, lambda: screen.checked.type == "postgres" and "root" not in screen.checked.problems
        )
        await until(pilot, lambda: "connection_st" in read(pilot))
        assert "There is no 'root'" not in " ".join(read(pilot).split())
        assert not screen.query_one("#problem").display


async def test_a_change_touches_only_what_was_changed(file, opened, until, read, tmp_path):
    before = file.read_text()
    async with opened() as pilot:
        screen = await to_profiles(pilot, until)
        await pilot.press("enter")
        await to_form(pilot, until)
        await type_into(pilot, "colour", "red")
        await type_into(pilot, "protected", "")
        await pilot.press("f5")
        await at_profiles(pilot, until)
        await until(pilot, lambda: screen.row.colour == "red")
    wanted = before.replace("protected = true\n", "", 1).replace('"green"', '"red"')
    assert file.read_text() == wanted


async def test_a_secret_itself_is_refused_and_not_said(file, opened, until, read):
    async with opened(size=(100, 30)) as pilot:
        await to_profiles(pilot, until)
        await pilot.press("G", "e")
        screen = await to_form(pilot, until)
        await type_into(pilot, "key", "sk-verysecret123")
        await until(pilot, lambda: "key" in screen.checked.problems)
        assert "verysecret" not in str(screen.checked.problems)
        await pilot.press("f5")
        await until(pilot, lambda: not screen._saving)
        assert isinstance(pilot.app.screen, ProfileFormScreen)
        assert "verysecret" not in file.read_text()


async def test_a_secret_typed_by_mistake_is_not_shown(file, opened, until, read):
    async with opened() as pilot:
        await to_profiles(pilot, until)
        await pilot.press("G", "e")
        screen = await to_form(pilot, until)
        await type_into(pilot, "key", "sk-abcdef0123456789")
        await until(pilot, lambda: "never the secret: env:NAME" in " ".join(read(pilot).split()))
        await until(pilot, lambda: "sk-abc" not in read(pilot))
        await pilot.press("ctrl+u", *"env:")
        assert "1 to mend" in read(pilot)
        await pilot.press(*"LAB_KEY")
        await until(pilot, lambda: not screen.checked.problems)
        await until(pilot, lambda: "env:LAB_KEY" in read(pilot))
        await type_into(pilot, "base_url", "http://me:geheim@127.0.0.1/v1")
        await until(pilot, lambda: "geheim" not in read(pilot))


async def test_a_new_form_says_what_it_still_needs_and_blames_nobody(opened, until, read):
    async with opened() as pilot:
        await to_profiles(pilot, until)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, KindMenu) and pilot.app.focused)
        await pilot.press("enter")
        screen = await to_form(pilot, until)
        await until(pilot, lambda: "1 still needed" in read(pilot))
        assert "Give it a name." not in read(pilot)
        await until(pilot, lambda: "data directory if not g…" in read(pilot))
        await pilot.press("f5")
        await until(pilot, lambda: "Give it a name." in read(pilot))
        await type_into(pilot, "profile-name", "no good")
        await until(pilot, lambda: "1 to mend" in read(pilot))
        assert screen.checked.problems


async def test_a_form_is_left_at_once_unless_something_was_typed(file, opened, until, read):
    before = file.read_text()
    async with opened() as pilot:
        await to_profiles(pilot, until)
        for key in ("e", "d"):
            await pilot.press(key)
            form = await to_form(pilot, until)
            await until(pilot, lambda form=form: form.checked)
            await pilot.press("tab", "escape")
            await at_profiles(pilot, until)
        await pilot.press("e")
        form = await to_form(pilot, until)
        await type_into(pilot, "colour", "red")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog) and pilot.app.focused)
        assert "Leave without saving?" in read(pilot)
        assert "Keep editing" in str(pilot.app.focused.label)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is form)
        assert _in(pilot.app.focused, "colour")
        await type_into(pilot, "colour", "green")
        await pilot.press("escape")
        await at_profiles(pilot, until)
        await pilot.press("e")
        await to_form(pilot, until)
        await type_into(pilot, "profile-type", "memory")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog) and pilot.app.focused)
        await pilot.press("right", "enter")
        await at_profiles(pilot, until)
    assert file.read_text() == before


async def test_keys_before_the_file_is_read_do_nothing(opened, until, monkeypatch):
    may_go_on = threading.Event()

    def slow():
        assert may_go_on.wait(20)
        return look()

    monkeypatch.setattr("themis_tui.screens.profiles.look", slow)
    async with opened() as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProfilesScreen))
        await pilot.press("j", "k", "G", "g", "e", "t", "D", "enter")
        may_go_on.set()
        await at_profiles(pilot, until)


async def test_a_profile_is_written_once_more(file, opened, until):
    async with opened() as pilot:
        screen = await to_profiles(pilot, until)
        await pilot.press("d")
        form = await to_form(pilot, until)
        await until(pilot, lambda: form.checked and not form.checked.problems)
        await pilot.press("f5")
        await at_profiles(pilot, until)
        await until(pilot, lambda: screen.row.place == "storage.team-2")
        team, copy = (load_profiles().storages[name] for name in ("team", "team-2"))
        assert (copy.options, copy.protected, copy.colour) == (team.options, True, "green")


async def test_the_default_and_what_may_be_removed(file, opened, until, read):
    async with opened(size=(110, 30)) as pilot:
        screen = await to_profiles(pilot, until)
        await pilot.press("D")
        await until(pilot, lambda: "team is the default;" in read(pilot))
        assert isinstance(pilot.app.screen, ProfilesScreen)
        await pilot.press("j", "asterisk")
        await until(pilot, lambda: load_profiles().defaults == {"storage": "archive"} and screen.row.default)
        await until(pilot, lambda: "* no default" in read(pilot))
        await pilot.press("asterisk")
        await until(pilot, lambda: load_profiles().defaults == {} and not screen.row.default)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        assert pilot.app.focused.id == "no"
        await pilot.press("enter")
        await at_profiles(pilot, until)
        assert "archive" in load_profiles().storages
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("right", "enter")
        await until(pilot, lambda: "archive" not in load_profiles().storages)
        await until(
            pilot,
            lambda: isinstance(pilot.app.screen, ProfilesScreen) and "archive is removed" in read(pilot),
        )
        assert "team" in load_profiles().storages
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen) and "● team 0" in read(pilot))
        await until(pilot, lambda: "archive" not in read(pilot).splitlines()[1])


async def test_a_broken_profile_is_told_and_mended_and_hides_no_other(file, opened, until, read):
    file.write_text(
        file.read_text().replace('type = "threads"', "type = 3").replace("[default]", "[default]\nextra = 1")
    )
    async with opened(size=(100, 30)) as pilot:
        screen = await to_profiles(pilot, until)
        await until(pilot, lambda: "to mend" in read(pilot))
        await pilot.press("j", "j")
        assert screen.row.place == "executor.many"
        await until(pilot, lambda: "! broken" in read(pilot))
        await pilot.press("t")
        await until(pilot, lambda: "It is broken" in read(pilot))
        await pilot.press("e")
        await until(
            pilot, lambda: isinstance(pilot.app.screen, ProfileFormScreen) and pilot.app.screen.checked
        )
        await type_into(pilot, "profile-type", "threads")
        await to_form(pilot, until)
        await pilot.press("f5")
        await at_profiles(pilot, until)
        await until(pilot, lambda: screen.row.problem is None)
        assert load_profiles().executors["many"].options == {"max_workers": 6}


async def test_a_file_that_is_no_toml_is_told_and_read_again(opened, until, read, tmp_path):
    write("[storage.team\n")
    async with opened() as pilot:
        await to_profiles(pilot, until)
        await until(pilot, lambda: "1 to mend" in read(pilot))
        await until(pilot, lambda: "Mend the file by hand" in read(pilot))
        for key in ("e", "t", "d", "D", "asterisk", "enter"):
            await pilot.press(key)
        assert isinstance(pilot.app.screen, ProfilesScreen)
        write(FILE.format(root=tmp_path))
        await pilot.press("r")
        await until(pilot, lambda: "default protected" in read(pilot))


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (20, 5)])
async def test_text_of_the_file_is_shown_and_not_obeyed(opened, until, read, size):
    import tomlkit

    names = [each.encode("utf-8", "replace").decode() for each in HOSTILE]
    document = {
        "storage": {
            "a": {"type": "local", "root": "/x " + names[0] + names[2]},
            **{name: {"type": name} for name in names},
        },
        "executor": {"e": {"type": names[1], names[3]: names[2], "long": "x" * 200_000}},
        "endpoint": {"m": {"base_url": "http://[/]", "model": names[1], "colour": "auto"}},
        "default": {"storage": names[1]},
    }
    write(tomlkit.dumps(document))
    async with opened(size=size) as pilot:
        screen = await to_profiles(pilot, until)
        await until(pilot, lambda: len(screen.table.rows.all) > 5)
        for _ in range(len(screen.table.rows.all)):
            await pilot.press("t", "j")
            assert not FORBIDDEN & set(read(pilot).replace("\n", ""))
        for _ in range(len(screen.table.rows.all)):
            await pilot.press("k", "e")
            await until(
                pilot, lambda: isinstance(pilot.app.screen, ProfileFormScreen) and pilot.app.screen.checked
            )
            assert not FORBIDDEN & set(read(pilot).replace("\n", ""))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, ProfilesScreen))
    assert pilot.app.return_code in (0, None)
