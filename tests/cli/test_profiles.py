"""``themis profiles``."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint, EntryPoints

from themis.backends import registry
from themis.cli.main import main
from themis.profiles import profiles_path


def write(text: str) -> None:
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(text)


def test_without_any_it_says_how_to_name_one(themis):
    ran = themis("profiles", "list")
    assert ran.code == 0
    assert str(profiles_path()) in ran.out
    assert "themis profiles add endpoint lab" in ran.out
    assert themis("profiles", "list", "--json").json == []


def test_profiles_of_one_place_are_told(themis):
    write("".join(f'[storage.{name}]\ntype = "local"\nroot = "/data/x"\n' for name in ("a", "b")))
    ran = themis("profiles", "list")
    assert (ran.code, ran.err) == (0, "storage.b is the same place as storage.a; lists show its runs once.\n")


def test_endpoints_are_listed_with_references_of_keys(themis, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "sk-secret")
    write('[endpoint.lab]\nbase_url = "https://h.example.org/v1"\nmodel = "m"\nkey = "env:LAB_KEY"\n')
    ran = themis("profiles", "list")
    assert "endpoint  lab   openai" in ran.out
    assert "base_url=https://h.example.org/v1 model=m key=env:LAB_KEY" in ran.out
    assert "sk-secret" not in ran.out
    settings = themis("profiles", "list", "--json").json[0]["settings"]
    assert settings == {"base_url": "https://h.example.org/v1", "model": "m", "key": "env:LAB_KEY"}


def test_a_broken_file_is_told(themis):
    write("[endpoint.lab]\nurl = 5\n")
    ran = themis("profiles", "list")
    assert ran.code == 2
    assert "[endpoint.lab]: it has no 'url'" in ran.err


def test_a_default_that_names_nothing_is_told_and_taken_out(themis):
    write('[default]\nstorage = "gone"\nexecutor = "nix"\nendpoint = "lab:m"\n')
    for verb in ("list", "default"):
        ran = themis("profiles", verb)
        for kind, name in (("storage", "gone"), ("executor", "nix"), ("endpoint", "lab:m")):
            assert f"{kind} is '{name}', which names nothing there is" in ran.err
            assert f"themis profiles default --unset {kind}" in ran.err
    ran = themis("runs", "list")
    assert "It is the default storage in" in ran.err
    for kind in ("storage", "executor", "endpoint"):
        assert themis("profiles", "default", "--unset", kind).code == 0
    assert themis("profiles", "list").code == 0


def test_defaults_that_are_no_profiles_are_fine(themis):
    write('[default]\nstorage = "local?root=/x"\nexecutor = "threads?max_workers=2"\nendpoint = "openai:m"\n')
    ran = themis("profiles", "list")
    assert (ran.code, ran.err) == (0, "")


def test_a_model_is_tried(themis):
    ran = themis("profiles", "test", "fake-math-llm")
    assert ran.code == 0
    assert ran.out.splitlines()[1].split()[:2] == ["answer", "ok"]
    ran = themis("profiles", "test", "fake-math-llm?error_rate=1", "--json")
    assert ran.code == 5
    assert (ran.json["ok"], ran.json["steps"][-1]["name"]) == (False, "answer")


def test_an_endpoint_that_is_not_there_fails_at_its_step(themis, monkeypatch):
    monkeypatch.delenv("LAB_KEY", raising=False)
    write('[endpoint.lab]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n')
    ran = themis("profiles", "test", "lab", "--json")
    assert ran.code == 5
    assert [(each["name"], each["ok"]) for each in ran.json["steps"]] == [("key", True), ("connect", False)]
    write('[endpoint.lab]\nbase_url = "https://127.0.0.1:9/v1"\nmodel = "m"\nkey = "env:LAB_KEY"\n')
    ran = themis("profiles", "test", "lab")
    assert ran.code == 5
    assert "The environment has no LAB_KEY" in ran.out


# Writing


def test_a_storage_is_added_used_changed_and_removed(themis, tmp_path):
    ran = themis("profiles", "add", "storage", "team", "--type", "local", "--set", "root=team", "--default")
    assert ran.code == 0
    assert f"root     {tmp_path / 'team'}" in ran.out
    assert themis("eval", "demo", "--model", "fake-math-llm", "--limit", "2", "--run-id", "r1").code == 0
    assert (tmp_path / "team" / "runs" / "r1").is_dir()
    assert themis("runs", "list", "--json").json["runs"][0]["address"] == "team:r1"
    assert themis("runs", "show", "team:r1").code == 0
    ran = themis("profiles", "edit", "team", "--set", "readonly=yes", "--set", "colour=green", "--json")
    assert (ran.json["readonly"], ran.json["colour"], ran.json["default"]) == (True, "green", True)
    ran = themis("eval", "demo", "--model", "fake-math-llm", "--run-id", "r2")
    assert ran.code == 2
    assert "--storage: The store team is readonly" in ran.err
    assert not (tmp_path / "team" / "runs" / "r2").exists()
    assert themis("profiles", "remove", "team").code == 2
    assert themis("profiles", "default", "--unset", "storage", "--json").json == {}
    assert themis("profiles", "remove", "team", "--json").json == {"removed": "storage.team"}
    assert (tmp_path / "team" / "runs" / "r1").is_dir()
    assert themis("profiles", "list", "--json").json == []


def test_an_executor_of_ones_own_spreads_a_run(themis, store):
    added = themis(
        "profiles", "add", "executor", "few", "--type", "threads", "--set", "max_workers=2", "--json"
    )
    assert added.json["settings"] == {"max_workers": 2}
    assert themis("eval", "demo", "--model", "fake-math-llm", "--executor", "few", "--run-id", "r1").code == 0
    assert store.load_run_metadata("r1")["where"]["executor"] == "few"


def test_the_default_endpoint_is_asked_where_no_model_is_named(themis):
    ran = themis("eval", "demo")
    assert ran.code == 2
    assert "Name a model: --model NAME" in ran.err
    address = "base_url=http://127.0.0.1:9/v1"
    assert themis("profiles", "add", "endpoint", "lab", "--set", address, "--set", "model=m").code == 0
    assert themis("profiles", "default", "lab", "--json").json == {"endpoint": "lab"}
    named = themis("profiles", "default", "--kind", "endpoint", "fake-math-llm?seed=3", "--json")
    assert named.json == {"endpoint": "fake-math-llm?seed=3"}
    assert themis("eval", "demo", "--limit", "1", "--run-id", "r1").code == 0


def test_a_name_that_several_kinds_have_wants_its_kind(themis):
    assert themis("profiles", "add", "storage", "lab", "--type", "memory").code == 0
    assert themis("profiles", "add", "executor", "lab", "--type", "threads").code == 0
    ran = themis("profiles", "show", "lab")
    assert ran.code == 2
    assert "storage.lab, executor.lab" in ran.err
    assert themis("profiles", "show", "executor.lab", "--json").json["type"] == "threads"
    assert themis("profiles", "show", "storage:lab", "--json").json["type"] == "memory"
    assert "There are: storage.lab, executor.lab" in themis("profiles", "show", "lob").err


def test_a_profile_is_duplicated(themis):
    themis(
        "profiles", "add", "storage", "a", "--type", "local", "--set", "root=/x", "--set", "protected=true"
    )
    ran = themis("profiles", "duplicate", "a", "b", "--json")
    assert (ran.json["name"], ran.json["settings"], ran.json["protected"]) == ("b", {"root": "/x"}, True)
    assert themis("profiles", "duplicate", "a", "b").code == 2


def test_every_mistake_is_told_with_its_field(themis):
    given = ["--set", "rot=/x", "--set", "readonly=perhaps", "--set", "colour=!", "--json"]
    ran = themis("profiles", "add", "storage", "x", "--type", "local", *given)
    assert ran.code == 2
    problems = json.loads(ran.err)["error"]["problems"]
    assert problems.keys() == {"--set rot", "--set readonly", "--set colour"}
    for words, says in (
        (["add", "storage", "x"], "needs a type: one of local, memory"),
        (["add", "storage", "x", "--type", "nowhere"], "no storage backend 'nowhere'"),
        (["add", "endpoint", "x"], "base_url is needed"),
        (["add", "disk", "x"], "invalid choice: 'disk'"),
        (["add", "storage", "x", "--type", "local", "--set", "sk-canary"], "--set takes FIELD=VALUE"),
        (["add", "storage", "x", "--type", "local", "--set", "root=/x", "--set", "root=/y"], "twice"),
        (["edit", "x", "--set", "root=/x"], "no profile 'x'"),
        (["default", "x"], "no profile 'x'"),
        (["default", "--kind", "executor", "thread"], "no execution backend 'thread'"),
    ):
        ran = themis("profiles", *words)
        assert ran.code == 2
        assert says in ran.err
        assert "sk-canary" not in ran.err
    assert not profiles_path().exists()


def test_a_field_that_is_needed_is_not_taken_out(themis):
    themis("profiles", "add", "endpoint", "lab", "--set", "base_url=https://h/v1", "--set", "model=m")
    assert "base_url is needed" in themis("profiles", "edit", "lab", "--unset", "base_url").err
    assert themis("profiles", "edit", "lab", "--unset", "model", "--json").json["settings"].keys() == {
        "base_url"
    }
    assert "Say what to change" in themis("profiles", "edit", "lab").err


def test_another_type_wants_options_of_its_own(themis):
    themis("profiles", "add", "storage", "x", "--type", "local", "--set", "root=/x")
    assert "--set root: There is no 'root'" in themis("profiles", "edit", "x", "--set", "type=memory").err
    ran = themis("profiles", "edit", "x", "--set", "type=memory", "--unset", "root", "--json")
    assert (ran.json["type"], ran.json["settings"]) == ("memory", {})


def test_a_broken_profile_is_listed_beside_the_others_and_mended(themis):
    write('[storage.bad]\nroot = "/x"\n[storage.good]\ntype = "memory"\n')
    ran = themis("profiles", "list")
    assert ran.code == 2
    assert "good" in ran.out
    assert "it needs type" in ran.err
    assert themis("profiles", "edit", "bad", "--set", "type=local").code == 0
    assert themis("profiles", "list").code == 0


def test_fields_are_told(themis):
    ran = themis("profiles", "fields", "storage", "local")
    assert "root" in ran.out
    assert "The folder" in ran.out
    fields = themis("profiles", "fields", "endpoint", "--json").json
    key = next(each for each in fields if each["name"] == "key")
    assert (key["secret"], key["required"]) == (True, False)
    assert "Name the type: local, memory" in themis("profiles", "fields", "storage").err


# Trying


def test_a_storage_is_tried_step_by_step_and_a_readonly_one_only_looked_at(themis, tmp_path):
    themis("profiles", "add", "storage", "team", "--type", "local", "--set", "root=team")
    ran = themis("profiles", "test", "team", "--json")
    assert ran.code == 0
    names = [each["name"] for each in ran.json["steps"]]
    assert names == ["resolve", "open", "connect", "write", "read back", "list", "delete"]
    themis("profiles", "edit", "team", "--set", "readonly=true")
    before = sorted(tmp_path.rglob("*"))
    ran = themis("profiles", "test", "team", "--json")
    assert [each["name"] for each in ran.json["steps"]] == ["resolve", "open", "connect"]
    # Neither does the other way to try a store write to it.
    assert len(themis("backends", "check", "team", "--json").json["steps"]) == 3
    assert sorted(tmp_path.rglob("*")) == before


def test_a_trial_ends_at_the_first_step_that_fails(themis, tmp_path):
    (tmp_path / "file").write_text("")
    themis("profiles", "add", "storage", "x", "--type", "local", "--set", "root=file")
    ran = themis("profiles", "test", "x", "--json")
    assert (ran.code, ran.json["ok"]) == (5, False)
    assert [each["ok"] for each in ran.json["steps"]] == [True, True, False]
    write('[storage.x]\ntype = "nowhere"\n[executor.y]\ntype = "threads"\nmax_workers = 0\n')
    ran = themis("profiles", "test", "x", "--json")
    assert [each["name"] for each in ran.json["steps"]] == ["resolve"]
    ran = themis("profiles", "test", "y", "--json")
    assert [(each["name"], each["ok"]) for each in ran.json["steps"]] == [("resolve", True), ("open", False)]


def test_an_executor_is_tried(themis):
    themis("profiles", "add", "executor", "few", "--type", "threads", "--set", "max_workers=2")
    ran = themis("profiles", "test", "few", "--json")
    assert [each["name"] for each in ran.json["steps"]] == ["resolve", "open", "map", "shut down"]
    assert ran.code == 0


def test_a_backend_is_asked_whether_it_takes_the_settings(themis, monkeypatch):
    points = EntryPoints([EntryPoint("fussy", "tests.backends.strangers:Fussy", registry.STORAGE_GROUP)])
    monkeypatch.setattr(registry, "entry_points", lambda **given: points.select(**given))
    add = ["profiles", "add", "storage", "lab", "--type", "fussy", "--set"]
    ran = themis(*add, "retries=-1")
    assert (ran.code, "retries must not be negative" in ran.err) == (2, True)
    assert themis(*add, "away=true").code == 0
    assert themis("profiles", "edit", "lab", "--set", "retries=-1").code == 2
    ran = themis("runs", "list", "--storage", "lab")
    assert "It was raised by the profile 'lab'" in ran.err


def test_steps_are_told_as_they_are_done(themis, monkeypatch, capsys):
    class Waited:
        """A step that is over once a person has been told that it takes long."""

        def __init__(self, seconds, told, words):
            self.told, self.words = told, words

        def start(self):
            self.told(*self.words)

        def cancel(self):
            shown.append(capsys.readouterr().out)

    shown = []
    monkeypatch.setattr("themis.cli.backends.threading.Timer", Waited)
    write('[storage.x]\ntype = "memory"\n')
    assert main(["profiles", "test", "x"]) == 0
    assert [text.split()[0] for text in shown if text][:4] == ["STEP", "resolve", "open", "connect"]


def test_an_empty_secret_is_not_called_one(themis):
    words = [
        "profiles",
        "add",
        "endpoint",
        "lab",
        "--set",
        "base_url=https://h.example.org/v1",
        "--set",
        "key=",
    ]
    ran = themis(*words)
    assert ran.code == 2
    assert "'key' is empty; leave it out (--unset key) for none." in ran.err
    assert "holds a secret" not in ran.err
