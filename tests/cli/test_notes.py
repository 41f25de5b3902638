"""``themis runs tag``, ``note`` and ``name``."""

from __future__ import annotations


def test_tags_come_and_go(themis, finished):
    ran = themis("runs", "tag", finished, "+good", "-bad", "+hard")
    assert (ran.code, ran.out) == (0, "local:ten  tags: good hard\n")
    ran = themis("runs", "tag", "-good", finished, "--json", "-hard")
    assert ran.json["annotations"].get("tags") is None
    assert themis("runs", "tag", finished).out == "local:ten  tags: –\n"
    assert themis("runs", "tag", finished, "--json", "+z", "-z2").json["annotations"]["tags"] == ["z"]
    themis("runs", "tag", finished, "-z")
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


def test_a_run_is_pinned_and_let_go(themis, finished):
    assert themis("runs", "pin", finished).out == "local:ten  pinned: yes\n"
    assert themis("runs", "list", "is:pinned").out.splitlines()[1].endswith("(pinned)")
    assert "pinned     yes" in themis("runs", "show", finished).out
    assert themis("runs", "unpin", finished).out == "local:ten  pinned: no\n"
    assert themis("runs", "list", "is:pinned", "--json").json["runs"] == []


def test_the_list_shows_what_people_call_a_run(themis, finished):
    assert "NAME" not in themis("runs", "list").out
    themis("runs", "name", finished, "the good one")
    themis("runs", "tag", finished, "+base")
    header, row = themis("runs", "list").out.splitlines()
    assert header.endswith("NAME")
    assert row.endswith("the good one +base")


def test_a_name_means_its_run_where_only_one_has_it(themis, finished):
    themis("runs", "name", finished, "exp: the good one")
    for address in ("exp: the good one", "local:exp: the good one"):
        assert themis("runs", "show", address, "--json").json["address"] == "local:ten"
    assert themis("runs", "show", "the good one").code == 2
    assert themis("eval", "demo", "--model", "fake-math-llm", "--limit", "1", "--run-id", "two").code == 0
    themis("runs", "name", "two", "exp: the good one")
    ran = themis("runs", "delete", "exp: the good one", "--yes")
    assert ran.code == 2
    assert "is the name of 2 runs. Write which one: local:t" in ran.err


def test_who_changed_what_is_shown(themis, finished, monkeypatch):
    assert themis("runs", "show", finished, "--audit").err == "Nobody changed anything in local:ten.\n"
    monkeypatch.setenv("USER", "ada")
    themis("runs", "name", finished, "x")
    header, line = themis("runs", "show", finished, "--audit").out.splitlines()
    assert header.split() == ["WHEN", "WHO", "WHAT"]
    assert "ada@" in line
    assert line.endswith("named it 'x'")
    assert themis("runs", "show", finished, "--audit", "--json").json[0]["did"] == "named it 'x'"
