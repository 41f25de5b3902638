"""``themis runs tag``, ``note`` and ``name``."""

from __future__ import annotations


def test_tags_come_and_go(themis, finished):
    ran = themis("runs", "tag", finished, "+good", "-bad", "+hard")
    assert (ran.code, ran.out) == (0, "local:ten  tags: good hard\n")
    ran = themis("runs", "tag", "-good", finished, "--json", "-hard")
    assert ran.json["annotations"].get("tags") is None
    assert themis("runs", "tag", finished).out == "local:ten  tags: –\n"
    themis("runs", "tag", finished, "+-h")
    assert themis("runs", "tag", finished, "+later", "--json").code == 0


def test_what_is_no_tag_is_refused(themis, finished):
    for words in (["good"], ["+"], ["+two words"], ["+a", "-a"], ["--bad"]):
        ran = themis("runs", "tag", finished, *words)
        assert ran.code == 2, words
    assert "annotations" in themis("runs", "show", finished, "--json").json
    assert themis("runs", "show", finished, "--json").json["annotations"] == {}


def test_names_and_notes_are_shown_and_found(themis, finished):
    assert themis("runs", "name", finished, "the good one").out == "local:ten  name: the good one\n"
    assert themis("runs", "note", finished, "of\nTuesday").out == "local:ten  notes: of⏎Tuesday\n"
    shown = themis("runs", "show", finished).out
    assert "name       the good one" in shown
    assert "notes      of⏎Tuesday" in shown
    assert [run["run_id"] for run in themis("runs", "list", "--json", 'name:"good one"').json["runs"]] == [
        "ten"
    ]
    assert themis("runs", "name", finished, "").out == "local:ten  name: –\n"


def test_a_resume_keeps_them(themis, finished):
    themis("runs", "name", finished, "mine")
    assert themis("eval", "demo", "--model", "fake-math-llm", "--limit", "12", "--run-id", "ten").code == 0
    assert themis("runs", "show", finished, "--json").json["annotations"]["name"] == "mine"


def test_a_run_that_is_not_there(themis):
    for words in (["tag", "x", "+a"], ["note", "x", "y"], ["name", "x", "y"]):
        assert themis("runs", *words).code == 2
