"""``themis backends``."""

from importlib.metadata import EntryPoint

from themis.backends.registry import STORAGE, BuiltIn


def test_every_name_with_where_it_comes_from(themis):
    ran = themis("backends")
    assert ran.code == 0
    assert "storage   local       built in  ready" in ran.out
    names = {(each["kind"], each["name"]) for each in themis("backends", "--json").json}
    assert {("storage", "memory"), ("executor", "threads"), ("executor", "sequential")} <= names


def test_a_missing_extra_names_its_command(themis, monkeypatch):
    monkeypatch.setitem(STORAGE, "moon", BuiltIn("not_installed_here:Moon", "moon"))
    assert "needs not_installed_here: pip install 'themis-tui[moon]'" in themis("backends").out


def test_a_strangers_broken_backend_is_named_and_harmless(themis, monkeypatch, assert_harmless):
    point = EntryPoint("strange\x1b[2J", "not_installed_here:X", "themis.storage_backends")
    monkeypatch.setattr(
        "themis.cli.backends.entry_points", lambda group: [point] if group == point.group else []
    )
    ran = themis("backends")
    assert ran.code == 0
    assert "cannot be imported" in ran.out
    assert_harmless(ran.out)


def test_a_store_is_tried_step_by_step(themis):
    ran = themis("backends", "check", "local", "--json")
    assert ran.code == 0
    names = ["resolve", "open", "connect", "write", "read back", "list", "delete"]
    assert [step["name"] for step in ran.json["steps"]] == names
    assert all(step["ok"] and step["seconds"] >= 0 for step in ran.json["steps"])
    assert "ms" in themis("backends", "check", "memory").out


def test_an_executor_is_tried_too(themis):
    assert themis("backends", "check", "threads?max_workers=2").code == 0


def test_a_store_that_fails_its_check_is_code_5(themis, tmp_path):
    (tmp_path / "file").write_text("")
    ran = themis("backends", "check", "./file", "--json")
    assert (ran.code, ran.json["ok"]) == (5, False)


def test_an_unknown_name_lists_those_there_are(themis):
    ran = themis("backends", "check", "nowhere")
    assert ran.code == 2
    assert "local, memory" in ran.err
