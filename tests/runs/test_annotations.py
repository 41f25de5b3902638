"""Names, tags and notes: cleaned, bounded, audited, and never lost between two who write."""

from __future__ import annotations

import os
import pwd
import threading
import time
from pathlib import Path

import pytest

from tests.runs.stores import KINDS, make_run, make_store
from themis.backends import LocalStorageBackend
from themis.core.errors import Conflict, RunHeld, RunNotFound, StoreReadonly, UsageError
from themis.evaluation.hold import held
from themis.evaluation.host import user_name
from themis.runs.annotations import (
    MOST_AUDIT,
    MOST_NAME,
    MOST_NOTES,
    MOST_TAGS,
    Said,
    annotate,
    annotations_of,
    change_tags,
    edit,
    editable,
    lock_name_of,
    person,
    set_name,
    set_notes,
    set_pinned,
    tag_runs,
    tags_of,
    take_back,
)
from themis.runs.catalog import Store, list_rows

RUN = "r1"


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    store = make_store(request.param, tmp_path)
    make_run(store)
    return store


def test_everything_is_kept_and_says_who_and_when(store: Store) -> None:
    before = time.time()
    set_name(store, RUN, "  first\n try ")
    change_tags(store, RUN, add=["good", "new", "good"])
    change_tags(store, RUN, add=["later"], remove=["new", "never-there"])
    set_notes(store, RUN, "two\nlines\n")
    set_pinned(store, RUN, True)
    notes = annotations_of(store.backend, RUN)
    audit = notes.pop("audit")
    assert notes == {
        "name": "first try",
        "tags": ["good", "later"],
        "notes": "two\nlines",
        "pinned": True,
    }
    assert [each["did"] for each in audit] == [
        "named it 'first try'",
        "tagged it +good +new",
        "tagged it +later -new",
        "wrote notes",
        "pinned it",
    ]
    assert {each["by"] for each in audit} == {person()}
    assert all(before <= each["at"] <= time.time() for each in audit)
    (row,) = list_rows(store)
    assert row.summary["annotations"]["name"] == "first try"
    assert store.backend.load_run_metadata(RUN)["status"] == "completed"


def test_what_is_empty_is_taken_away_and_what_changes_nothing_leaves_no_line(store: Store) -> None:
    set_name(store, RUN, "x")
    for _ in range(2):
        set_name(store, RUN, " ")
        set_notes(store, RUN, "")
        set_pinned(store, RUN, False)
        change_tags(store, RUN, remove=["x"])
    notes = annotations_of(store.backend, RUN)
    assert [each["did"] for each in notes.pop("audit")] == ["named it 'x'", "took its name away"]
    assert notes == {}


def test_the_audit_does_not_grow_without_end(store: Store) -> None:
    for number in range(MOST_AUDIT + 5):
        set_name(store, RUN, f"name {number}")
    audit = annotations_of(store.backend, RUN)["audit"]
    assert len(audit) == MOST_AUDIT
    assert audit[-1]["did"] == f"named it 'name {MOST_AUDIT + 4}'"


HOSTILE = "\x1b]52;c;cm0gLXJm\x07\u202e\ud800\x00[bold]'\"../../etc"


def test_hostile_texts_are_cleaned_of_what_no_store_holds(store: Store) -> None:
    cleaned = HOSTILE.replace("\ud800", "\ufffd").replace("\x00", "\ufffd")
    set_name(store, RUN, HOSTILE)
    set_notes(store, RUN, HOSTILE)
    change_tags(store, RUN, add=[HOSTILE])
    notes = annotations_of(store.backend, RUN)
    assert (notes["name"], notes["notes"], notes["tags"]) == (cleaned, cleaned, [cleaned])
    change_tags(store, RUN, remove=[HOSTILE])
    assert "tags" not in annotations_of(store.backend, RUN)


@pytest.mark.parametrize("tag", ["", "two words", "tab\there", "line\u2028end", "+plus", "-dash", "x" * 61])
def test_what_cannot_be_a_tag_is_refused_with_the_rule(store: Store, tag: str) -> None:
    with pytest.raises(UsageError, match="1 to 60 characters, no spaces"):
        change_tags(store, RUN, add=[tag])


def test_too_long_and_too_many_are_refused_and_nothing_is_changed(store: Store) -> None:
    with pytest.raises(UsageError, match=f"at most {MOST_NAME} characters"):
        set_name(store, RUN, "x" * 10_000_000)
    with pytest.raises(UsageError, match="at most 20,000 characters"):
        set_notes(store, RUN, "x" * (MOST_NOTES + 1))
    with pytest.raises(UsageError, match=f"at most {MOST_TAGS} tags"):
        change_tags(store, RUN, add=[f"t{number}" for number in range(MOST_TAGS + 1)])
    with pytest.raises(UsageError, match="which is it"):
        change_tags(store, RUN, add=["a"], remove=["a"])
    assert annotations_of(store.backend, RUN) == {}


def test_what_a_stranger_stored_there_breaks_nothing(store: Store) -> None:
    store.backend.save_run_metadata("odd", {"run_id": "odd", "annotations": ["not", "an", "object"]})
    assert annotations_of(store.backend, "odd") == {}
    store.backend.save_run_metadata("odd", {"run_id": "odd", "annotations": {"tags": "x", "audit": 7}})
    change_tags(store, "odd", add=["mine"])
    assert tags_of(annotations_of(store.backend, "odd")) == ["mine"]
    assert len(annotations_of(store.backend, "odd")["audit"]) == 1


def test_a_run_that_is_not_there(store: Store) -> None:
    with pytest.raises(RunNotFound):
        set_name(store, "r2", "x")
    assert store.backend.list_runs() == [RUN]


def test_a_readonly_store_is_not_written_to(store: Store) -> None:
    store.readonly = True
    with pytest.raises(StoreReadonly, match="annotating runs"):
        set_name(store, RUN, "x")
    assert annotations_of(store.backend, RUN) == {}


def test_threads_lose_nothing(store: Store) -> None:
    refused: list[BaseException] = []

    def work(name: str) -> None:
        for number in range(10):
            while True:
                try:
                    change_tags(store, RUN, add=[f"{name}{number}"])
                    break
                except RunHeld:  # where the metadata hold them, one at a time
                    continue
                except BaseException as exc:
                    refused.append(exc)
                    return

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert len(tags_of(annotations_of(store.backend, RUN))) == 30


def live(store: Store) -> None:
    metadata = store.backend.load_run_metadata(RUN)
    store.backend.save_run_metadata(
        RUN, {**metadata, "status": "running", "where": {"host": "elsewhere"}, "updated_at": time.time()}
    )


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_a_live_run_can_be_annotated_where_the_store_keeps_it_apart(kind: str, tmp_path: Path) -> None:
    store = make_store(kind, tmp_path)
    make_run(store)
    live(store)
    set_name(store, RUN, "running")
    live(store)
    assert annotations_of(store.backend, RUN)["name"] == "running"


def test_elsewhere_a_live_run_is_refused_with_the_reason(tmp_path: Path) -> None:
    store = make_store("eleven methods", tmp_path)
    make_run(store)
    with held(lock_name_of(store), RUN), pytest.raises(RunHeld, match="is being run by process"):
        set_name(store, RUN, "x")
    live(store)
    with pytest.raises(RunHeld, match="keeps annotations in the metadata, which only its runner may write"):
        set_name(store, RUN, "x")


def test_annotations_in_the_metadata_count_until_some_are_saved_apart(tmp_path: Path) -> None:
    store = make_store("local", tmp_path)
    make_run(store, annotations={"name": "old", "tags": ["a"]})
    assert annotations_of(store.backend, RUN)["name"] == "old"
    set_name(store, RUN, "new")
    assert annotations_of(store.backend, RUN)["tags"] == ["a"]
    make_run(store, annotations={"name": "older"})
    assert annotations_of(store.backend, RUN)["name"] == "new"


def test_a_run_whose_metadata_are_damaged_can_be_annotated(tmp_path: Path) -> None:
    store = make_store("local", tmp_path)
    make_run(store)
    (tmp_path / "one" / "runs" / RUN / "run.json").write_text("{")
    set_name(store, RUN, "damaged")
    assert [row.summary["annotations"]["name"] for row in list_rows(store)] == ["damaged"]


def test_whoever_is_always_slower_is_told(tmp_path: Path) -> None:
    class Slower(LocalStorageBackend):
        def save_annotations(self, run_id: str, annotations: dict, version: str) -> str:
            raise Conflict("another was faster")

    store = Store("slow", Slower(tmp_path / "one"))
    make_run(store)
    with pytest.raises(Conflict, match="others were faster 50 times"):
        annotate(store, RUN, lambda notes: "nothing")


def test_a_form_changes_what_was_changed_in_it_and_takes_it_back(store: Store) -> None:
    change_tags(store, RUN, add=["old", "kept"])
    before = editable(store, RUN)
    assert before == Said("", ("old", "kept"), "")
    change_tags(store, RUN, add=["by-another"])
    after = edit(store, RUN, before, Said(" a  name ", ("kept", "new"), "two\nlines\n"))
    assert after == Said("a name", ("kept", "by-another", "new"), "two\nlines")
    assert annotations_of(store.backend, RUN)["audit"][-1]["did"] == (
        "changed its name, changed its notes, tagged it +new -old"
    )
    assert edit(store, RUN, Said(after.name, ("kept", "new"), after.notes), before) == Said(
        "", ("kept", "by-another", "old"), ""
    )


def test_a_form_that_says_what_was_said_leaves_no_line(store: Store) -> None:
    before = editable(store, RUN)
    assert edit(store, RUN, before, before) == before
    assert "audit" not in annotations_of(store.backend, RUN)


def test_what_another_said_meanwhile_is_not_overwritten(store: Store) -> None:
    before = editable(store, RUN)
    set_notes(store, RUN, "by another")
    with pytest.raises(Conflict, match="changed the notes of r1 meanwhile") as caught:
        edit(store, RUN, before, before._replace(name="mine", notes="mine"))
    assert person() in str(caught.value)
    assert annotations_of(store.backend, RUN).get("name") is None, "all of it or nothing"
    assert edit(store, RUN, before, before._replace(notes="by another")).notes == "by another"


@pytest.mark.parametrize(
    "after",
    [
        Said(name="x" * (MOST_NAME + 1)),
        Said(tags=("two words",)),
        Said(tags=tuple(f"t{n}" for n in range(MOST_TAGS + 1))),
        Said(notes="x" * 10_000_000),
    ],
)
def test_a_form_with_what_cannot_be_is_refused(store: Store, after: Said) -> None:
    with pytest.raises(UsageError):
        edit(store, RUN, Said(), after)
    assert annotations_of(store.backend, RUN) == {}


def test_what_cannot_be_edited_is_said_before_anything_is_typed(tmp_path: Path) -> None:
    eleven = make_store("eleven methods", tmp_path)
    make_run(eleven)
    live(eleven)
    with pytest.raises(RunHeld, match="keeps annotations in the metadata"):
        editable(eleven, RUN)
    eleven.readonly = True
    with pytest.raises(StoreReadonly):
        editable(eleven, RUN)


def test_many_runs_are_tagged_one_that_is_refused_keeps_no_other_and_it_is_taken_back(store: Store) -> None:
    make_run(store, "r2")
    change_tags(store, "r2", add=["here", "gone"])
    done = tag_runs(store, [RUN, "r2", "never"], add=["here"], remove=["gone"])
    assert [each.run_id for each in done.edited] == [RUN, "r2"]
    assert list(done.refused) == ["never"]
    assert isinstance(done.refused["never"], RunNotFound)
    assert tags_of(annotations_of(store.backend, RUN)) == tags_of(annotations_of(store.backend, "r2"))
    assert not take_back(store, done.edited).refused
    assert tags_of(annotations_of(store.backend, RUN)) == []
    assert sorted(tags_of(annotations_of(store.backend, "r2"))) == ["gone", "here"]


def test_who_has_no_name_in_the_environment_is_named_by_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    assert user_name() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    assert user_name() == str(os.getuid())
