"""``themis profiles``."""

from __future__ import annotations

from themis.profiles import profiles_path


def write(text: str) -> None:
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(text)


def test_without_any_it_says_how_to_name_one(themis):
    ran = themis("profiles", "list")
    assert ran.code == 0
    assert str(profiles_path()) in ran.out
    assert "[endpoint.lab]" in ran.out
    assert themis("profiles", "list", "--json").json == []


def test_endpoints_are_listed_with_references_of_keys(themis, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "sk-secret")
    write('[endpoint.lab]\nbase_url = "https://h.example.org/v1"\nmodel = "m"\nkey = "env:LAB_KEY"\n')
    ran = themis("profiles", "list")
    assert "endpoint  lab   m      https://h.example.org/v1  env:LAB_KEY" in ran.out
    assert "sk-secret" not in ran.out
    assert themis("profiles", "list", "--json").json[0]["base_url"] == "https://h.example.org/v1"


def test_a_broken_file_is_told(themis):
    write("[endpoint.lab]\nurl = 5\n")
    ran = themis("profiles", "list")
    assert ran.code == 2
    assert "[endpoint.lab]: it has no 'url'" in ran.err


def test_a_model_is_tried(themis):
    ran = themis("profiles", "test", "fake-math-llm")
    assert ran.code == 0
    assert "answer  ok" in ran.out
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
