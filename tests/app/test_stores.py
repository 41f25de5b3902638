"""The list over several stores, of which one is broken, by keys."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from themis import evaluate
from themis.backends import open_storage
from themis.core.directories import config_dir
from themis.profiles import profiles_path
from themis.runs.delete import preview
from themis.runs.news import Seen
from themis.runs.places import log_path
from themis.runs.union import Catalog, State, StoreState
from themis.runs.watch import look
from themis_tui.main import parsed
from themis_tui.screens.dialogs import ConfirmDialog
from themis_tui.screens.profiles import ProfilesScreen
from themis_tui.screens.run import RunScreen
from themis_tui.screens.runs import RunsScreen
from themis_tui.screens.runs_head import badges
from themis_tui.screens.text_page import TextPage


def table(pilot):
    return pilot.app.screen.table


def addresses(pilot):
    return [row.address for row in table(pilot).rows.shown]


def settled(pilot):
    return pilot.app.screen._listed.settled


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    root = tmp_path / "archive"
    root.mkdir()
    (root / "themis-store.json").write_text('{"layout": 99}')
    return root


@pytest.fixture
def stores(tmp_path: Path, broken: Path) -> list[str]:
    """Two runs in the default store, one of the same id in the second; the third cannot be read."""
    path = config_dir() / "profiles.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'[storage.team]\ntype = "local"\nroot = "{tmp_path / "team"}"\n\n'
        f'[storage.archive]\ntype = "local"\nroot = "{broken}"\n'
    )
    path.chmod(0o600)
    for storage, run_id in (("local", "same"), ("team", "same"), ("local", "third")):
        evaluate("demo", model="fake-math-llm", limit=4, run_id=run_id, storage=storage)
    return ["local:third", "team:same", "local:same"]


async def test_runs_of_all_stores_are_merged_and_a_broken_one_has_its_badge(stores, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot) == stores and settled(pilot))
        await until(pilot, lambda: "✗ archive failed" in read(pilot))
        text = read(pilot)
        for said in ("3 stores · 3 runs", "● local 2", "● team 1", "STORE"):
            assert said in text
        await until(pilot, lambda: "layout 99" in " ".join(read(pilot).split()))
        assert table(pilot).key == stores[0], "nobody has moved the cursor"


async def test_one_named_store_is_listed_alone_without_a_column_for_it(stores, opened, until, read):
    async with opened(storage="team") as pilot:
        await until(pilot, lambda: addresses(pilot) == ["team:same"])
        assert "STORE" not in read(pilot)
        assert "themis   team · 1 run" in read(pilot)


async def test_several_named_stores_are_listed(stores, opened, until):
    assert parsed(["--storage", "local", "--storage", "team"]).stores == ["local", "team"]
    async with opened(storage="local", stores=["local", "team"]) as pilot:
        await until(pilot, lambda: addresses(pilot) == stores and settled(pilot))
        assert len(pilot.app.screen._listed.stores) == 2


async def test_a_store_that_is_mended_shows_its_runs(stores, broken, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: "✗ archive failed" in read(pilot) and addresses(pilot) == stores)
        await pilot.press("j")
        (broken / "themis-store.json").write_text('{"layout": 1}')
        evaluate("demo", model="fake-math-llm", limit=2, run_id="late", storage="archive")
        await pilot.press("r")
        await until(pilot, lambda: addresses(pilot) == ["archive:late", *stores])
        assert table(pilot).key == stores[1], "the cursor stays on its run"
        assert "failed" not in read(pilot).splitlines()[1]


def profile(name: str, root: Path, more: str = "") -> str:
    return f'[storage.{name}]\ntype = "local"\nroot = "{root}"\n{more}\n'


def rewrite(text: str) -> None:
    """As another program does it: at once, and by another file."""
    path = profiles_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)


async def test_a_store_that_another_program_adds_appears_and_goes_again(world, opened, until, read, tmp_path):
    evaluate("demo", model="fake-math-llm", limit=2, run_id="theirs", storage=str(tmp_path / "team"))
    own = ["local:third-run", "local:second-run", "local:first-run"]
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot) == own and settled(pilot))
        assert "STORE" not in read(pilot)
        await pilot.press("slash", *"-third", "enter", "j")
        assert table(pilot).key == own[2]
        rewrite(profile("team", tmp_path / "team"))
        await until(pilot, lambda: addresses(pilot) == ["team:theirs", *own[1:]] and settled(pilot))
        assert "● team 1" in read(pilot)
        assert "STORE" in read(pilot)
        assert table(pilot).key == own[2], "the cursor stays on its run"
        rewrite("# none any more\n")
        await until(pilot, lambda: addresses(pilot) == own[1:])
        await until(pilot, lambda: "STORE" not in read(pilot))
        assert table(pilot).key == own[2]
        await pilot.press("escape")
        await until(pilot, lambda: addresses(pilot) == own)


async def test_a_profile_that_leads_elsewhere_is_another_store_at_once(world, opened, until, read, tmp_path):
    for name in ("one", "two"):
        evaluate("demo", model="fake-math-llm", limit=2, run_id=name, storage=str(tmp_path / name))
    rewrite(profile("team", tmp_path / "one"))
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot)[:1] == ["team:one"] and settled(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and "all 2" in read(pilot))
        rewrite(profile("team", tmp_path / "two"))
        await pilot.press("r")
        await until(pilot, lambda: "This run is no longer in the store." in read(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: addresses(pilot)[:1] == ["team:two"] and settled(pilot))
        assert pilot.app.doors.open("team").backend.list_runs() == ["two"]


async def test_a_store_that_is_protected_from_now_on_wants_its_name(world, opened, until, read, tmp_path):
    evaluate("demo", model="fake-math-llm", limit=2, run_id="theirs", storage=str(tmp_path / "team"))
    rewrite(profile("team", tmp_path / "team"))
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot)[:1] == ["team:theirs"] and settled(pilot))
        rewrite(profile("team", tmp_path / "team", "protected = true"))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog) and "Type team" in read(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: table(pilot).key == "team:theirs")


async def test_a_file_that_is_half_written_is_told_and_takes_nothing_away(
    world, opened, until, read, tmp_path
):
    async with opened() as pilot:
        await until(pilot, lambda: len(addresses(pilot)) == 3 and settled(pilot))
        rewrite("[storage.team\n")
        await until(pilot, lambda: "! not refreshed" in read(pilot))
        await until(pilot, lambda: "is not TOML" in " ".join(read(pilot).split()))
        assert len(addresses(pilot)) == 3
        rewrite(profile("team", tmp_path / "team"))
        await until(pilot, lambda: "● team 0" in read(pilot))
        assert "! not refreshed" not in read(pilot)


async def test_a_store_whose_folder_cannot_be_has_its_badge_before_anything_is_written(
    world, opened, until, read, tmp_path
):
    (tmp_path / "file").write_text("")
    rewrite(profile("team", tmp_path / "file" / "team") + profile("later", tmp_path / "later"))
    async with opened(size=(120, 30)) as pilot:
        await until(pilot, lambda: settled(pilot) and "✗ team failed" in read(pilot))
        await until(pilot, lambda: "is no folder" in " ".join(read(pilot).split()))
        assert "● later 0" in read(pilot), "one that only has not been made is empty"
        (tmp_path / "file").unlink()
        evaluate("demo", model="fake-math-llm", limit=2, run_id="made", storage="team")
        await pilot.press("r")
        await until(pilot, lambda: "● team 1" in read(pilot))
        (tmp_path / "file").rename(tmp_path / "away")
        await pilot.press("r")
        await until(pilot, lambda: "✗ team 1 failed" in read(pilot))
        await until(pilot, lambda: "Is its disk mounted?" in " ".join(read(pilot).split()))
        assert "team:made" in addresses(pilot), "what was there is still shown"


async def test_opening_and_deleting_act_on_the_store_of_the_row(stores, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot) == stores and settled(pilot))
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        assert pilot.app.screen.target == ("team", "same")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("right", "enter")
        await until(pilot, lambda: addresses(pilot) == ["local:third", "local:same"])
        assert open_storage("local").run_exists("same")


async def test_a_run_is_opened_in_the_one_store_that_has_it(stores, broken, opened, until, read):
    evaluate("demo", model="fake-math-llm", limit=2, run_id="theirs", storage="team")
    async with opened(run_id="theirs") as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and "all 2" in read(pilot))
        assert pilot.app.screen.target == ("team", "theirs")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


@pytest.mark.parametrize(
    ("run_id", "said"), [("same", "team:same, local:same"), ("nobody", "There is no run 'nobody' in ")]
)
async def test_a_run_that_several_stores_have_or_none_is_told(run_id, said, stores, opened, until, read):
    async with opened(size=(120, 30), run_id=run_id) as pilot:
        wanted = sorted(said.split(", "))
        await until(pilot, lambda: all(each in " ".join(read(pilot).split()) for each in wanted))
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_the_log_is_that_of_the_runs_own_store(stores, opened, until, read):
    for name, said in (("local", "from here"), ("team", "from there")):
        stored_in = look(open_storage(name), "same").stored_in
        log = log_path("same", "20260101-000000-abcdef", stored_in)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(said)
    log_path("third", "20260101-000000-abcdef").write_text("from anywhere")
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot) == stores and settled(pilot))
        for said in ("from anywhere", "from there", "from here"):
            await pilot.press("l")
            await until(
                pilot, lambda said=said: isinstance(pilot.app.screen, TextPage) and said in read(pilot)
            )
            assert ("Found by the run's id alone" in read(pilot)) is (said == "from anywhere")
            await pilot.press("escape", "j")


async def test_again_is_filled_in_with_the_store_of_the_row(stores, opened, until):
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot) == stores and settled(pilot))
        await pilot.press("j", "a")
        checked = await until(pilot, lambda: getattr(pilot.app.screen, "checked", None))
        assert checked.spec.storage == "team"


async def test_an_error_in_a_filter_stands_under_the_letter_where_it_is(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: len(table(pilot).rows.all) == 3)
        await pilot.press("slash", *"second acc>x")
        await until(pilot, lambda: "A number is wanted here." in read(pilot))
        lines = read(pilot).splitlines()
        place = next(n for n, each in enumerate(lines) if "A number is wanted" in each)
        assert lines[place].index("▴") == lines[place - 1].index("x")
        await pilot.press("backspace", "1")
        await until(pilot, lambda: "A number is wanted here." not in read(pilot))


async def test_tab_completes_a_word_and_takes_the_next_when_pressed_again(world, opened, until, read):
    async with opened() as pilot:
        await until(pilot, lambda: len(table(pilot).rows.all) == 3)
        await pilot.press("slash", *"stat", "tab")
        bar = pilot.app.screen.filter_bar
        await until(pilot, lambda: bar.words == "status:")
        await pilot.press("tab")
        await until(pilot, lambda: bar.words == "status:completed")
        await pilot.press("space", *"second")
        await until(pilot, lambda: bar.words == "status:completed second")
        await until(pilot, lambda: addresses(pilot) == ["local:second-run"])
        await pilot.press("escape", "slash", "tab", "tab")
        await until(pilot, lambda: bar.words == "model:")


async def test_what_finished_since_the_last_look_is_told_once(world, opened, until, read):
    with Catalog(["local"]) as catalog:
        catalog.look()
        assert catalog.wait(20.0)
        Seen().mark(catalog.rows(), stores=["local"])
    evaluate("demo", model="fake-math-llm", limit=2, run_id="newest")
    async with opened() as pilot:
        await until(pilot, lambda: "since you last looked  1 finished" in read(pilot))
        await pilot.press("slash", *"is:new", "enter")
        await until(pilot, lambda: addresses(pilot) == ["local:newest"])
        await until(pilot, lambda: not Seen().is_new(table(pilot).row))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: "since you last looked" not in read(pilot))
    async with opened() as pilot:
        await until(pilot, lambda: settled(pilot))
        assert "since you last looked" not in read(pilot)


async def test_runs_in_the_trash_are_shown_only_when_asked_for(world, opened, until):
    from themis.runs.catalog import open_store
    from themis.runs.delete import delete

    delete(open_store("local"), "second-run")
    async with opened() as pilot:
        await until(pilot, lambda: addresses(pilot) == ["local:third-run", "local:first-run"])
        await pilot.press("slash", *"is:trashed", "enter")
        await until(pilot, lambda: addresses(pilot) == ["local:second-run"])
        await pilot.press("escape")
        await until(pilot, lambda: len(addresses(pilot)) == 2)


def store(name: str, state: State, rows: int = 1, reason: str | None = None) -> StoreState:
    return StoreState(name, state, reason, None, rows, True, True, None, None)


@pytest.mark.parametrize("width", [1, 20, 40, 78, 200])
def test_badges_fit_any_width_and_never_leave_out_a_failure_before_what_is_ready(width):
    many = [store(f"store-{n}", State.READY) for n in range(9)]
    said = badges([*many, store("gone", State.FAILED, 0, "no such bucket")], width)
    assert said.cell_length <= width
    if width >= 20:
        assert "gone failed" in said.plain
    if width == 78:
        assert "no such bucket" in said.plain
        assert "9 stores ready" in said.plain


def test_a_hostile_name_is_shown_and_its_password_is_not():
    said = badges([store("postgresql://me:secret@host/db\x1b[31m", State.SLOW)], 100).plain
    assert "secret" not in said
    assert "\x1b" not in said


async def test_a_question_that_comes_late_is_not_asked_over_another_screen(world, opened, until, monkeypatch):
    may_go_on, answered = threading.Event(), threading.Event()

    def slow(store, run_id):
        assert may_go_on.wait(20)
        answered.set()
        return preview(store, run_id)

    monkeypatch.setattr("themis_tui.screens.deleting.preview", slow)
    async with opened() as pilot:
        await until(pilot, lambda: len(addresses(pilot)) == 3)
        home = pilot.app.screen
        await pilot.press("D", "p")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProfilesScreen))
        may_go_on.set()
        await until(pilot, lambda: answered.is_set() and all(each.is_finished for each in home.workers))
        await pilot.pause()
        assert isinstance(pilot.app.screen, ProfilesScreen)
        await pilot.press("escape", "D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
