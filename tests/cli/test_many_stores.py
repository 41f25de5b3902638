"""``themis runs list`` over several stores."""

from types import SimpleNamespace

import pytest

from themis import profiles


@pytest.fixture
def two(write_run, tmp_path):
    """Two stores of three runs each; one run is in both."""
    for number in range(3):
        write_run(tmp_path / "a", f"a-{number}", created_at=100.0 + 2 * number, status="failed")
        write_run(tmp_path / "b", f"b-{number}", created_at=101.0 + 2 * number)
    write_run(tmp_path / "a", "both", created_at=90.0, uid="1")
    write_run(tmp_path / "b", "both", created_at=90.0, uid="1")
    return ["--storage", "./a", "--storage", "./b"]


@pytest.fixture
def newer(tmp_path):
    """A store that this version cannot read."""
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "themis-store.json").write_text('{"layout": 99}')
    return "./newer"


def ids(ran):
    return [run["address"] for run in ran.json["runs"]]


def test_several_stores_are_one_list_with_their_addresses(themis, two):
    ran = themis("runs", "list", *two)
    header, *rows = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert header.split()[:3] == ["STATUS", "STORE", "RUN"]
    addresses = [row.split()[2] for row in rows]
    assert addresses == [
        *("./b:b-2", "./a:a-2", "./b:b-1", "./a:a-1", "./b:b-0", "./a:a-0", "./a:both", "./b:both"),
    ]
    assert rows[0].split()[1] == "./b"
    assert ids(themis("runs", "list", *two, "--json")) == addresses
    for address in addresses:
        assert themis("runs", "show", address).code == 0


def test_queries_and_limits_hold_for_all_of_them(themis, two):
    ran = themis("runs", "list", *two, "-n", "2")
    assert len(ran.out.splitlines()) == 3
    assert ran.err == "6 older runs left out; --all shows all.\n"
    assert ids(themis("runs", "list", *two, "--json", "store:b", "b-1")) == ["./b:b-1"]
    assert len(ids(themis("runs", "list", *two, "--json", "is:failed"))) == 3
    ran = themis("runs", "list", *two, "nothing")
    assert (ran.code, ran.err) == (0, "None of the 8 runs in ./a, ./b matches.\n")


def test_a_store_that_fails_is_said_beside_the_others(themis, two, newer):
    ran = themis("runs", "list", *two, "--storage", newer, "--storage", "no-such-backend")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 9
    first, second = ran.err.splitlines()
    assert first.startswith("themis: ./newer: ")
    assert "layout 99" in first
    assert second.startswith("themis: no-such-backend: There is no storage backend")
    ran = themis("runs", "list", *two, "--storage", newer, "--json")
    assert ran.code == 0
    assert [(each["store"], each["kind"]) for each in ran.json["errors"]] == [("./newer", "SchemaTooNew")]
    assert len(ran.json["runs"]) == 8


def test_only_where_nothing_could_be_listed_it_fails(themis, newer, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "themis-store.json").write_text("{")
    ran = themis("runs", "list", "--storage", newer, "--storage", "./other")
    assert (ran.code, ran.out) == (5, "")
    assert len(ran.err.splitlines()) == 2
    ran = themis("runs", "list", "--storage", newer, "--storage", "./other", "--json")
    assert ran.code == 5
    assert len(ran.json["errors"]) == 2
    assert themis("runs", "list", "--storage", newer).code == 5


def test_storage_profiles_are_listed_too(themis, two, finished, monkeypatch):
    monkeypatch.setattr(
        profiles, "load_profiles", lambda: SimpleNamespace(storages={"./a": None, "./b": None}, endpoints={})
    )
    assert "local:ten" in themis("runs", "list").out
    assert len(ids(themis("runs", "list", "--json"))) == 9
    assert len(ids(themis("runs", "list", "--json", "--storage", "./a"))) == 4
    assert len(ids(themis("runs", "list", "--json", "--storage", "./a", "--all-stores"))) == 9
    assert themis("runs", "show", "a-1").code == 0
    ran = themis("runs", "show", "both")
    assert ran.code == 2
    assert "./a:both, ./b:both" in ran.err
    assert "is in 2 stores" in themis("runs", "delete", "both", "--yes").err


def test_a_mistake_in_the_query_is_said_once(themis, two):
    ran = themis("runs", "list", *two, "stauts:failed")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("perhaps status: was meant") == 1


def test_no_password_of_a_store_is_shown(themis, two):
    ran = themis("runs", "list", *two, "--storage", "no-such?password=s3cret", "--json")
    assert ran.code == 0
    assert "s3cret" not in ran.out + ran.err
    assert "s3cret" not in themis("runs", "list", *two, "--storage", "no-such?password=s3cret").err


def test_hostile_texts_of_stores_are_not_obeyed(themis, two, assert_harmless):
    ran = themis("runs", "list", *two, "--storage", "./\x1b[2J", "--storage", "\x1b[2J")
    assert ran.code == 0
    assert_harmless(ran.out)
    assert_harmless(ran.err)
