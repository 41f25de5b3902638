"""``themis runs delete``, ``restore``, ``purge`` and ``gc``."""

from __future__ import annotations

import importlib
import io
import json
import re
import sys
import time

import pytest

from themis.core.directories import data_dir
from themis.runs import catalog
from themis.runs.catalog import Store


@pytest.fixture
def many(write_run, tmp_path):
    """A store of four runs, two of them failed, the first a month old."""
    for number, status in enumerate(("failed", "completed", "failed", "completed")):
        age = 40 * 86_400 if number == 0 else 60
        write_run(tmp_path / "many", f"run-{number}", status=status, created_at=time.time() - age)
    return "./many"


class Person(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def typing(monkeypatch):
    """A person at a terminal, who types that."""
    return lambda text: monkeypatch.setattr(sys, "stdin", Person(text))


_TAKERS = ("runs.stores", "runs.union", "cli.copy", "cli.deletion", "cli.doctor", "cli.recover", "cli.runs")


@pytest.fixture
def protected(monkeypatch):
    """Every store that is opened is protected, or readonly."""

    def protect(**how):
        # Whatever takes the name from there takes it now: imported while it is replaced, it would keep that.
        for each in (
            "cli.deletion",
            "runs.stores",
            "runs.union",
            "cli.copy",
            "cli.doctor",
            "cli.recover",
            "cli.runs",
        ):
            importlib.import_module(f"themis.{each}")
        opened = catalog.open_store

        def open_store(name=None):
            store = opened(name)
            return Store(store.name, store.backend, **how)

        for place in ("themis.runs.catalog", "themis.cli.deletion"):
            monkeypatch.setattr(f"{place}.open_store", open_store)

    return protect


def ids(ran):
    return sorted(run["run_id"] for run in ran.json["runs"])


def test_delete_says_how_to_undo_and_that_undoes_it(themis, many):
    ran = themis("runs", "delete", "run-0", "run-1", "--yes", "--storage", many)
    assert ran.code == 0
    assert ran.out == "deleted ./many:run-0\ndeleted ./many:run-1\n"
    undo, said = ran.err.splitlines()
    assert said == "In the trash until somebody runs 'themis runs gc', which takes it after 30 d."
    undo = undo.removeprefix("Undo: ")
    assert undo == "themis runs restore ./many:run-0 ./many:run-1"
    again = themis("runs", "delete", "run-0", "--yes", "--storage", many)
    assert (again.code, again.out) == (0, "was in the trash: ./many:run-0\n")
    assert ids(themis("runs", "list", "--json", "--storage", many)) == ["run-2", "run-3"]
    assert ids(themis("runs", "list", "--json", "--trash", "--storage", many)) == ["run-0", "run-1"]
    assert (
        "gc may take it in 30 d; themis runs restore ./many:run-0 brings it back"
        in themis("runs", "show", "run-0", "--storage", many).out
    )
    ran = themis(*undo.split()[1:])
    assert ran.out == "restored ./many:run-0\nrestored ./many:run-1\n"
    assert len(themis("runs", "list", "--json", "--storage", many).json["runs"]) == 4
    ran = themis("runs", "restore", "run-0", "--storage", many)
    assert (ran.code, ran.out, ran.err) == (0, "", "./many:run-0 is not in the trash.\n")


def test_a_query_given_for_a_run_is_pointed_to_its_option(themis, many):
    for words in (["delete", "--yes"], ["restore"], ["purge", "--yes"]):
        ran = themis("runs", *words, "store:many run", "--storage", many)
        assert ran.code != 0
        assert "A query is given by its option: --query 'store:many run'" in ran.err
    assert "--query" not in themis("runs", "delete", "nobody", "--yes", "--storage", many).err


def test_bulk_by_query(themis, many):
    words = ["--query", "status:failed age>30d", "--storage", many]
    seen = themis("runs", "delete", *words, "--dry-run", "--json").json["would_delete"]
    assert [each["address"] for each in seen] == ["./many:run-0"]
    assert themis("runs", "delete", *words, "--yes", "--json").json["deleted"] == ["./many:run-0"]
    ran = themis("runs", "delete", *words, "--yes")
    assert (ran.code, ran.err) == (0, "No run in ./many matches.\n")
    assert themis("runs", "restore", *words, "--json").json == {
        "restored": ["./many:run-0"],
        "not_in_trash": [],
    }
    # Without more words a purge by query takes what is in the trash, and --purge what is not.
    assert themis("runs", "purge", *words, "--yes", "--json").json == {"purged": []}
    assert themis("runs", "delete", "--purge", *words, "--yes", "--json").json == {"purged": ["./many:run-0"]}
    assert ids(themis("runs", "list", "--json", "--storage", many)) == ["run-1", "run-2", "run-3"]


@pytest.mark.parametrize("verb", ["delete", "restore", "purge"])
def test_what_is_meant_must_be_said(themis, many, verb):
    for words in ([], ["run-0", "--query", "x"], ["--query", " "]):
        ran = themis("runs", verb, *words, "--storage", many)
        assert ran.code == 2
    ran = themis("runs", verb, "--query", "stauts:failed", "--storage", many)
    assert ran.code == 2
    for empty in ("model:", '""', 'run status:""', "model!=", "x | -tag:"):
        ran = themis("runs", verb, "--query", empty, "--storage", many)
        assert (ran.code, "it would mean every run" in ran.err) == (2, True), empty


def test_purge_is_for_good(themis, many, typing):
    typing("y\n")
    ran = themis("runs", "purge", "run-0", "--storage", many)
    assert (ran.code, ran.out) == (0, "purged  ./many:run-0, nothing is left\n")
    assert "Delete 1 run for good? This cannot be undone. Type y to delete: " in ran.err
    assert themis("runs", "show", "run-0", "--storage", many).code == 2
    typing("\n")
    assert themis("runs", "purge", "run-1", "--storage", many).code == 1
    assert themis("runs", "show", "run-1", "--storage", many).code == 0
    said = themis("runs", "purge", "run-1", "--dry-run", "--storage", many).out
    assert re.search(r"1 run, 0 samples, \d+ B, in ./many\n$", said)


def test_a_half_finished_purge_is_found_by_its_id(themis, many, tmp_path):
    (tmp_path / "many" / ".deleting").mkdir()
    (tmp_path / "many/runs/run-0").rename(tmp_path / "many/.deleting/run-0-abc")
    assert "half deleted" in themis("runs", "purge", "run-0", "--dry-run", "--storage", many).out
    assert themis("runs", "doctor", "--storage", many).code == 1
    assert themis("runs", "purge", "run-0", "--yes", "--storage", many).code == 0
    assert themis("runs", "purge", "run-0", "--yes", "--storage", many).code == 2


def test_gc_takes_what_has_expired(themis, many, write_run, tmp_path):
    ran = themis("runs", "gc", "--yes", "--storage", many)
    assert (ran.code, ran.out, ran.err) == (0, "", "Nothing in the trash of ./many has expired.\n")
    assert themis("runs", "gc", "--json", "--storage", many).json == {"purged": [], "refused": {}}
    write_run(tmp_path / "many", "old", annotations={"trash": {"at": 1.0, "by": "me", "until": 2.0}})
    themis("runs", "delete", "run-0", "--yes", "--storage", many)
    assert "./many:old" in themis("runs", "gc", "--dry-run", "--storage", many).out
    assert themis("runs", "gc", "--storage", many).code == 2
    ran = themis("runs", "gc", "--yes", "--json", "--progress", "json", "--storage", many)
    progress, said = ran.out.split("\n", 1)
    assert json.loads(progress) == {"progress": {"what": "purging", "done": 1, "total": 1}}
    assert json.loads(said) == {"purged": ["./many:old"]}
    assert ids(themis("runs", "list", "--json", "--trash", "--storage", many)) == ["run-0"]


@pytest.mark.parametrize("verb", ["delete", "purge"])
def test_a_protected_store_wants_its_name(themis, many, protected, typing, verb):
    protected(protected=True)
    words = ["runs", verb, "run-0", "--storage", many]
    for more in (["--yes"], ["--yes", "--confirm", "many"], ["--confirm", "x", "--yes"]):
        ran = themis(*words, *more)
        assert ran.code == 2
        assert "protected" in ran.err
    for typed in ("y\n", "\n", "many\n"):
        typing(typed)
        ran = themis(*words)
        assert ran.code == 1
        assert "./many is protected; type its name: " in ran.err
    typing("./many\n")
    assert themis(*words).code == 0
    assert themis("runs", verb, "run-1", "--yes", "--confirm", "./many", "--storage", many).code == 0
    assert ids(themis("runs", "list", "--json", "--storage", many)) == ["run-2", "run-3"]


def test_a_readonly_store_refuses_before_it_asks(themis, many, protected):
    protected(readonly=True)
    for words in (["delete", "run-0", "--yes"], ["purge", "run-0", "--yes"], ["gc", "--yes"]):
        ran = themis("runs", *words, "--storage", many)
        assert ran.code == 2
        assert "readonly" in ran.err
    ran = themis("runs", "delete", "run-0", "--dry-run", "--storage", many)
    assert (ran.code, ran.err) == (0, "./many is readonly, so it would be refused.\n")
    ran = themis("runs", "delete", "run-0", "--dry-run", "--json", "--storage", many)
    assert ran.json["readonly"] == ["./many"]


def test_live_runs_are_refused_and_a_dry_run_says_so(themis, write_run, tmp_path, many):
    write_run(
        tmp_path / "many", "live", status="running", where={"host": "elsewhere"}, updated_at=time.time()
    )
    ran = themis("runs", "delete", "run-0", "live", "--dry-run", "--storage", many)
    assert ran.code == 0
    assert ran.out.endswith("; 1 of them live, which would be refused\n")
    assert themis("runs", "purge", "live", "--yes", "--storage", many).code == 1
    assert themis("runs", "delete", "--purge", "live", "--yes", "--storage", many).code == 1


def test_hostile_names_are_shown_and_not_obeyed(themis, hostile, assert_harmless):
    for words in (
        ["runs", "name", "hostile", "\x1b]0;title\x07\u202e"],
        ["runs", "note", "hostile", "\x1b[2J" * 100],
        ["runs", "tag", "hostile", "+\x1b[2J"],
        ["runs", "list"],
        ["runs", "show", "hostile"],
        ["runs", "doctor"],
        ["runs", "doctor", "--json"],
        ["runs", "copy", "hostile", "--to", "./to"],
        ["runs", "delete", "hostile", "--yes"],
        ["runs", "restore", "hostile"],
        ["runs", "purge", "hostile", "--yes"],
    ):
        ran = themis(*words)
        assert ran.code in (0, 1), ran
        assert_harmless(ran.out)
        assert_harmless(ran.err)


def test_the_trash_says_since_when_by_whom_and_for_how_long(themis, many, write_run, tmp_path):
    trash = {"at": time.time() - 20 * 86_400, "by": "ada@gpu", "until": time.time() + 10 * 86_400 + 60}
    write_run(tmp_path / "many", "old", annotations={"trash": trash})
    write_run(tmp_path / "many", "due", annotations={"trash": {**trash, "until": 2.0}})
    header, *rows = themis("runs", "list", "--trash", "--storage", many).out.splitlines()
    assert header.endswith("AGE  DELETED  BY       KEPT")
    assert sorted(row[header.index("DELETED") :].strip() for row in rows) == [
        "20 d  ada@gpu  gc may take it in 10 d",
        "20 d  ada@gpu  gc takes it",
    ]
    assert "DELETED" not in themis("runs", "list", "--storage", many).out


# Several stores


@pytest.fixture
def stores(write_run, write_profiles, tmp_path):
    """Two storage profiles of two runs each, beside a run in the built-in store."""
    for name in ("team", "lab"):
        for number, status in enumerate(("failed", "completed")):
            write_run(tmp_path / name, f"{name}-{number}", status=status)
    write_run(data_dir() / "store", "local-0", status="failed")
    table = '[storage.{0}]\ntype = "local"\nroot = "{1}/{0}"\n'
    write_profiles("".join(table.format(name, tmp_path) for name in ("team", "lab")))


def test_a_query_means_what_list_shows_for_it_in_all_stores(themis, stores):
    for query in ("status:failed", "store:team", "team-", "-store:team | completed"):
        shown = [run["address"] for run in themis("runs", "list", query, "--json").json["runs"]]
        ran = themis("runs", "delete", "--query", query, "--dry-run", "--json")
        assert sorted(each["address"] for each in ran.json["would_delete"]) == sorted(shown)
        assert shown
    ran = themis("runs", "delete", "--query", "status:failed", "--dry-run")
    assert ran.out.endswith("3 runs, 0 samples, 183 B, in local, team, lab\n")
    ran = themis("runs", "delete", "--query", "status:failed", "--storage", "lab", "--yes")
    assert ran.out == "deleted lab:lab-0\n"
    assert themis("runs", "delete", "--query", "status:failed", "--yes").code == 0
    ran = themis("runs", "restore", "--query", "is:trashed", "--json")
    assert sorted(ran.json["restored"]) == ["lab:lab-0", "local:local-0", "team:team-0"]
    ran = themis("runs", "delete", "--query", "nothing", "--yes")
    assert (ran.code, ran.err) == (0, "No run in local, team, lab matches.\n")


@pytest.mark.parametrize("verb", ["delete", "restore", "purge"])
def test_a_store_that_cannot_be_asked_makes_a_query_a_refusal(themis, stores, tmp_path, verb):
    (tmp_path / "team" / "themis-store.json").write_text('{"layout": 99}')
    for more in (["--dry-run"], []):
        ran = themis("runs", verb, "--query", "failed", *more)
        assert ran.code == 5
        first, second = ran.err.splitlines()
        assert first.startswith("themis: team: ")
        assert "may mean runs of team too" in second
        assert "--storage local or lab" in second
    ran = themis("runs", verb, "--query", "failed", "--storage", "lab", "--dry-run")
    assert (ran.code, ran.err) == (0, "No run in lab matches.\n" if verb != "delete" else "")


def test_marks_of_a_profile_hold_for_its_place_by_any_name(themis, stores, tmp_path):
    assert themis("profiles", "edit", "team", "--set", "readonly=true").code == 0
    (tmp_path / "link").symlink_to(tmp_path / "team")
    places = ("./team", f"local?root={tmp_path}/team", "./link", f"{tmp_path}/lab/../team/")
    for place in places:
        ran = themis("runs", "delete", "--storage", place, "team-0", "--yes")
        assert ran.code == 2
        assert "is readonly in your profiles, as team" in ran.err
        ran = themis("eval", "demo", "--model", "fake-math-llm", "--limit", "1", "--storage", place)
        assert ran.code == 2
        assert "as team" in ran.err
    assert themis("profiles", "edit", "team", "--unset", "readonly", "--set", "protected=true").code == 0
    for place in places:
        words = ["runs", "delete", "--storage", place, "team-0", "--yes"]
        assert "is protected in your profiles, as team" in themis(*words).err
    assert themis(*words, "--confirm", place).code == 0
    assert themis("runs", "delete", "--storage", "./lab", "lab-0", "--yes").code == 0
