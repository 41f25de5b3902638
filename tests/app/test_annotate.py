"""Names, tags and notes, written by keys."""

from __future__ import annotations

import pytest
from textual.widgets import Input, TextArea

from tests.app.test_hostile import FORBIDDEN, HOSTILE
from tests.runs.file_store import FileStore
from tests.runs.stores import make_run
from themis import evaluate
from themis.backends.storage.foreign import whole
from themis.profiles import profiles_path
from themis.runs.annotations import Said, annotations_of, change_tags, said_in, set_notes
from themis.runs.catalog import Store, open_store
from themis_tui.doors import Doors
from themis_tui.screens.annotate import AnnotateForm, TagForm, WordSuggester, rebased
from themis_tui.screens.run import RunScreen
from themis_tui.screens.runs import RunsScreen


def said(run_id: str, store: str = "local") -> Said:
    return said_in(annotations_of(open_store(store).backend, run_id))


def table(pilot):
    return pilot.app.screen.table


async def listed(pilot, until, count: int = 3) -> None:
    await until(pilot, lambda: len(table(pilot).rows.all) == count and pilot.app.screen._listed.settled)


async def test_a_run_gets_a_name_tags_and_notes_and_z_takes_them_back(world, opened, until, read):
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
        assert "f5 save" in read(pilot)
        await pilot.press(*"best one", "tab", *"good gsm8k", "tab", *"two", "enter", *"lines", "f5")
        await until(pilot, lambda: said("third-run") == Said("best one", ("good", "gsm8k"), "two\nlines"))
        await until(pilot, lambda: "best one" in read(pilot) and "tags good gsm8k" in read(pilot))
        assert "two lines" in read(pilot)
        await pilot.press("z")
        await until(pilot, lambda: said("third-run") == Said())
        await until(pilot, lambda: "best one" not in read(pilot))


async def test_on_its_own_screen_and_undone_from_the_list(world, opened, until, read):
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.view)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
        await pilot.press(*"baseline", "shift+tab", *"the one", "enter")
        await until(pilot, lambda: "‹ the one" in read(pilot))
        assert "baseline" in read(pilot)
        assert "third-run" in read(pilot), "its id is still to be seen"
        await pilot.press("2")
        await until(pilot, lambda: "said of it" in read(pilot))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        await pilot.press("z")
        await until(pilot, lambda: said("third-run") == Said())


async def test_nothing_typed_is_lost_by_one_key_and_nothing_is_written_without_save(
    world, opened, until, read
):
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
        await pilot.press("x", "escape")
        await until(pilot, lambda: "esc again leaves" in read(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        assert said("third-run") == Said()
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_where_another_was_faster_both_are_seen_and_nothing_is_lost(world, opened, until, read):
    async with opened(size=(100, 30)) as pilot:
        await listed(pilot, until)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
        set_notes(open_store("local"), "third-run", "by another")
        change_tags(open_store("local"), "third-run", add=["theirs"])
        await pilot.press("tab", *"mine", "tab", *"my own", "f5")
        await until(pilot, lambda: "The notes is now: by another" in read(pilot))
        assert "changed the notes of third-run meanwhile" in " ".join(read(pilot).split())
        assert pilot.app.screen.query_one(TextArea).text == "my own"
        assert [each.value for each in pilot.app.screen.query(Input)] == ["", "theirs mine"]
        await pilot.press("f5")
        await until(pilot, lambda: said("third-run") == Said("", ("theirs", "mine"), "my own"))


async def test_marked_runs_are_tagged_together_and_z_takes_it_back(world, opened, until, read):
    change_tags(open_store("local"), "third-run", add=["old"])
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("space", "space", "e")
        await until(pilot, lambda: isinstance(pilot.app.screen, TagForm))
        assert "of 2 runs" in read(pilot)
        assert "They have    old" in read(pilot)
        await pilot.press(*"new two", "tab", *"old", "enter")
        await until(pilot, lambda: said("second-run").tags == ("new", "two"))
        await until(pilot, lambda: said("third-run").tags == ("new", "two"))
        assert said("first-run").tags == ()
        await until(pilot, lambda: "2 runs tagged" in read(pilot))
        await pilot.press("z")
        await until(pilot, lambda: said("third-run").tags == ("old",) and said("second-run").tags == ())


async def test_what_can_be_no_tag_is_said_where_it_was_typed(world, opened, until, read):
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
        await pilot.press(*"-dash", "enter")
        await until(pilot, lambda: "cannot be a tag" in read(pilot))
        assert isinstance(pilot.app.screen, AnnotateForm)


async def test_a_readonly_store_refuses_before_anything_is_typed(world, opened, until, read):
    root = open_store("local").backend.root
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(f'[storage.kept]\ntype = "local"\nroot = "{root}"\nreadonly = true\n')
    async with opened(storage="kept") as pilot:
        await listed(pilot, until)
        await pilot.press("e")
        await until(pilot, lambda: "readonly in your profiles" in " ".join(read(pilot).split()))
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_a_live_run_whose_store_keeps_it_in_the_metadata_is_refused(tmp_path, opened, until, read):
    store = Store("eleven", whole(FileStore(str(tmp_path / "eleven"))))
    make_run(store, "running-run", status="running", where={"host": "elsewhere"}, updated_at=1e12)

    class Given(Doors):
        def open(self, name: str) -> Store:
            return store

        def to(self, name):
            door = super().to(name)
            door._store = store
            return door

    async with opened(storage="eleven", doors=Given()) as pilot:
        await listed(pilot, until, 1)
        await pilot.press("e")
        await until(pilot, lambda: "keeps annotations in the metadata" in " ".join(read(pilot).split()))


HUGE = "\x1b[31m[bold]" + "x" * 10_000_000


@pytest.fixture
def hostile(world):
    store = open_store("local")
    for number, run_id in enumerate(world):
        _, version = store.backend.load_annotations(run_id)
        texts = [HUGE, "[/]\x1b]0;owned\x07 [@click=app.quit]x[/]", "".join(HOSTILE)]
        text = texts[number].replace("\x00", "").encode("utf-8", "ignore").decode()
        store.backend.save_annotations(run_id, {"name": text, "tags": [text, "fine"], "notes": text}, version)
    return world


async def test_hostile_names_tags_and_notes_are_shown_harmless_and_at_once(hostile, opened, until):
    def harmless(pilot) -> None:
        for strip in pilot.app.screen._compositor.render_strips():
            for segment in strip:
                assert not FORBIDDEN & set(segment.text), repr(segment.text)
                assert not (segment.style and segment.style.meta.get("@click")), segment

    for size in ((80, 24), (150, 40)):
        async with opened(size=size) as pilot:
            await listed(pilot, until)
            for _ in hostile:
                harmless(pilot)
                await pilot.press("e")
                await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
                await pilot.pause()
                harmless(pilot)
                await pilot.press("escape")
                await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
                await pilot.press("enter")
                await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.view)
                await pilot.pause()
                harmless(pilot)
                await pilot.press("2")
                await pilot.pause()
                harmless(pilot)
                await pilot.press("escape", "escape", "j")
                await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_what_is_too_long_to_edit_is_left_as_it_is(hostile, opened, until, read):
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
        await until(pilot, lambda: "10,000,011 characters, too long to be edited" in read(pilot))
        await pilot.press("end", "space", *"mine", "f5")
        await until(pilot, lambda: said("third-run").tags == (HUGE, "fine", "mine"))
        assert said("third-run").notes == HUGE


async def test_notes_longer_than_can_be_stored_are_not_taken(world, opened, until):
    from textual.events import Paste

    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("e", "tab", "tab")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
        area = pilot.app.screen.query_one(TextArea)
        area.focus()
        await pilot.pause()
        pilot.app.post_message(Paste("\x1b[31my " * 10_000))
        await until(pilot, lambda: area.text)
        assert len(area.text) <= 20_000
        assert "\x1b" not in area.text


async def test_a_tag_is_completed_to_one_that_is_in_use():
    suggester = WordSuggester(["baseline", "gsm8k", "good"])
    assert await suggester.get_suggestion("gsm8k ba") == "gsm8k baseline"
    assert await suggester.get_suggestion("baseline ba") is None
    assert await suggester.get_suggestion("") is None


def test_what_was_typed_is_put_upon_what_another_made_of_it():
    before, now = Said("a", ("x", "y"), "n"), Said("b", ("x", "theirs"), "n")
    assert rebased(before, Said("a", ("y", "mine"), "m"), now) == Said("b", ("theirs", "mine"), "m")


async def test_the_same_run_in_another_store_is_marked_quietly(tmp_path, opened, until, read):
    from themis.runs.copy import copy_run

    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(f'[storage.team]\ntype = "local"\nroot = "{tmp_path / "team"}"\n')
    evaluate("demo", model="fake-math-llm", limit=3, run_id="one", storage="local")
    copy_run(open_store("local"), "one", open_store("team"))
    async with opened(size=(100, 28)) as pilot:
        await listed(pilot, until, 2)
        await until(pilot, lambda: "local +1" in read(pilot) and "team +1" in read(pilot))
        assert "also in" in read(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and "also in" in read(pilot))


async def test_a_strangers_tags_are_no_reason_to_ask_before_leaving(world, opened, until):
    store = open_store("local")
    _, version = store.backend.load_annotations("third-run")
    tags = ["-dash", "+plus", "a b", "\x1b[31m", 7, "x" * 100]
    store.backend.save_annotations("third-run", {"tags": tags, "notes": " a\r\nb\x0bc\u2028d "}, version)
    async with opened() as pilot:
        await listed(pilot, until)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, AnnotateForm))
        assert not pilot.app.screen.is_changed
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
