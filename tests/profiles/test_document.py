"""Storages, executors and defaults by name: what the file says, and what is wrong with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from themis import evaluate
from themis.backends import AsyncExecutionBackend, LocalStorageBackend, ThreadExecutionBackend, registry
from themis.backends.registry import (
    default_executor,
    default_storage,
    open_executor,
    open_storage,
    storage_named,
)
from themis.core.errors import StoreReadonly, UnknownName, UsageError
from themis.evaluation.rescoring import rescore
from themis.models import open_model
from themis.profiles import ExecutorProfile, StorageProfile, executor, load_profiles, profiles_path, storage
from themis.runs.catalog import open_store
from themis.runs.launch import launch
from themis.runs.profiles import list_profiles
from themis.runs.spec import RunSpec, spec_of

TEAM = """
[default]
storage = "team"
executor = "many"
endpoint = "lab"

[storage.team]
type = "local"
root = "{0}/team"
protected = true
colour = "green"

[storage.archive]
type = "local"
root = "{0}/archive"
readonly = true

[executor.many]
type = "threads"
max_workers = 3

[endpoint.lab]
base_url = "http://127.0.0.1:9/v1"
model = "m"
"""


@pytest.fixture
def team(write, tmp_path: Path) -> Path:
    write(TEAM.format(tmp_path))
    return tmp_path


def test_everything_is_read(team: Path) -> None:
    said = load_profiles()
    assert said.problems == {}
    assert said.storages["team"] == StorageProfile(
        "team", "local", {"root": f"{team}/team"}, protected=True, colour="green"
    )
    assert said.executors == {"many": ExecutorProfile("many", "threads", {"max_workers": 3})}
    assert said.defaults == {"storage": "team", "executor": "many", "endpoint": "lab"}
    assert said.storage("nowhere") is None


def test_names_open_what_they_stand_for(team: Path) -> None:
    store = open_storage("team")
    assert isinstance(store, LocalStorageBackend)
    assert store.root == team / "team"
    many = open_executor("many")
    assert isinstance(many, ThreadExecutionBackend)
    assert many.max_workers == 3


def test_defaults_are_meant_where_none_is_named(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (default_storage(), default_executor("async")) == ("team", "many")
    assert open_storage().root == team / "team"  # type: ignore[attr-defined]
    assert type(open_executor()) is ThreadExecutionBackend
    monkeypatch.setenv("THEMIS_STORAGE", "archive")
    assert open_storage().root == team / "archive"  # type: ignore[attr-defined]
    assert open_store().name == "archive"


def test_without_a_file_the_built_in_defaults_are_meant() -> None:
    assert (default_storage(), default_executor("async"), default_executor()) == ("local", "async", "threads")
    assert type(open_executor("async")) is AsyncExecutionBackend


def test_a_run_uses_the_defaults_and_says_where_it_is(team: Path) -> None:
    report = evaluate("demo", model="fake-math-llm", limit=1)
    where = open_storage("team").load_run_metadata(report.run_id)["where"]
    assert where["executor"] == "many"
    assert where["storage"] == f"LocalStorageBackend({str(team / 'team')!r})"
    # So that the lock of a run is the same, however its store was named.
    by_path = evaluate("demo", model="fake-math-llm", limit=1, storage=str(team / "team"))
    again = open_storage("team").load_run_metadata(by_path.run_id)["where"]
    assert again["storage"] == where["storage"]


def test_a_store_without_a_name_of_its_own_is_called_by_what_its_profile_stands_for(
    write, monkeypatch
) -> None:
    monkeypatch.setitem(
        registry.STORAGE, "eleven", registry.BuiltIn("tests.backends.strangers:ElevenMethods")
    )
    write('[storage.mine]\ntype = "eleven"\n')
    assert storage_named("mine").canonical == storage_named("eleven").canonical == "eleven"


def test_a_profile_is_meant_only_by_its_bare_name(write, tmp_path: Path) -> None:
    write(f'[storage.local]\ntype = "local"\nroot = "{tmp_path}/mine"\n')
    assert open_storage("local").root == tmp_path / "mine"  # type: ignore[attr-defined]
    assert open_storage().root == tmp_path / "mine"  # type: ignore[attr-defined]
    assert open_storage(f"local?root={tmp_path}/x").root == tmp_path / "x"  # type: ignore[attr-defined]
    with pytest.raises(UnknownName, match="'team'"):
        open_storage("team?root=/x")


def test_names_of_built_in_backends_are_taken_only_for_them() -> None:
    assert set(registry.STORAGE) <= set(storage.BUILT_IN)
    assert set(registry.EXECUTION) <= set(executor.BUILT_IN)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("[storage.x]\nroot = '/x'", "storage.x", "it needs type, such as 'local'"),
        ("[storage.x]\ntype = 5", "storage.x", "it needs type"),
        ("[storage.local]\ntype = 'memory'", "storage.local", "its type is 'memory'"),
        ("[executor.threads]\ntype = 'async'", "executor.threads", "its type is 'async'"),
        ("[storage.'a b']\ntype = 'local'", "storage.a b", "cannot name a storage"),
        (f"[storage.{'a' * 81}]\ntype = 'local'", f"storage.{'a' * 81}", "at most 80"),
        ("[storage.x]\ntype = 'local'\nreadonly = 'yes'", "storage.x", "readonly is not true or false"),
        ("[storage.x]\ntype = 'local'\ncolour = 5", "storage.x", "colour has to be a name"),
        ("[storage.x]\ntype = 'local'\nroot = ['/x']", "storage.x", "'root' is a list"),
        ('[storage.x]\ntype = "local"\nroot = "a\\u0000b"', "storage.x", "control character"),
        ("storage = 5", "storage", r"write \[storage.NAME\]"),
        ("[storage]\nx = 5", "storage.x", "not a table with a type"),
        ("[stores.x]\ntype = 'local'", "stores", "it has no 'stores'"),
        ("[default]\nstore = 'x'", "default.store", "it has no 'store'"),
        ("[default]\nstorage = 5", "default.storage", "storage is not a name"),
        ("default = 5", "default", r"write \[default\]"),
    ],
)
def test_what_is_wrong_has_its_place_and_hides_nothing_else(write, text: str, place: str, says: str) -> None:
    good = "[storage.good]\ntype = 'memory'\n"
    # A key at the top has to come before the first table.
    write(f"{text}\n{good}" if "storage = 5" not in text or text.startswith("[") else text)
    said = load_profiles()
    assert list(said.problems) == [place]
    with pytest.raises(UsageError, match=says):
        raise UsageError(said.problems[place])
    assert str(profiles_path()) in said.problems[place]
    assert ("good" in said.storages) == (place != "storage")


SECRETS = [
    ("[storage.x]\ntype = 'local'\npassword = 'sk-canary'", "storage.x"),
    ("[storage.x]\ntype = 'local'\nsecret_access_key = 'sk-canary'", "storage.x"),
    ("[storage.x]\ntype = 'local'\napi_token = 'sk-canary'", "storage.x"),
    ("[storage.x]\ntype = 'local'\npassword = 5", "storage.x"),
    ("[storage.x]\ntype = 'local'\nconnection_string = 'postgresql://u:sk-canary@h/d'", "storage.x"),
    ("[storage.x]\ntype = 'local'\nconnection_string = 'host=h password=sk-canary'", "storage.x"),
    ("[storage.x]\ntype = 'local'\naddress = 'redis://:sk-canary@h'", "storage.x"),
    ("[executor.x]\ntype = 'threads'\ntoken = 'sk-canary'", "executor.x"),
    ("[endpoint.x]\nbase_url = 'https://u:sk-canary@h/v1'", "endpoint.x"),
    ("[endpoint.x]\nbase_url = 'https://h/v1?api_key=sk-canary'", "endpoint.x"),
    ("[endpoint.x]\nbase_url = 'https://h/v1?code=sk-canary'", "endpoint.x"),
    ("[endpoint.x]\nbase_url = 'https://sk-canary@h/v1'", "endpoint.x"),
    ("[default]\nstorage = 'postgresql://u:sk-canary@h/d'", "default.storage"),
]


@pytest.mark.parametrize(("text", "place"), SECRETS)
def test_a_secret_in_the_file_is_refused_and_not_quoted(write, text: str, place: str) -> None:
    write(text)
    problems = load_profiles().problems
    assert list(problems) == [place]
    assert "env:NAME" in problems[place]
    assert "sk-canary" not in problems[place]


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "1" * 5_000,
        "[executor.x]\ntype = 'threads'\nmax_workers = 0x" + "f" * 9_000,
        "[executor.x]\ntype = 'threads'\nmax_workers = nan",
        "[endpoint.x]\nbase_url = 'https://h'\ntimeout = 0x" + "f" * 9_000,
        "[endpoint.x]\nbase_url = 'https://[h'",
        "[storage.x]\ntype = 'local'\nroot = " + "[" * 5_000,
    ],
)
def test_a_file_made_to_trip_is_a_problem_like_others(write, text: str) -> None:
    write(text)
    assert len(load_profiles().problems) == 1
    assert len(list_profiles()) <= 1


@pytest.mark.parametrize("value", ["env:PG", "service=themis", "postgresql:///d", "command:pass show pg"])
def test_an_address_without_a_password_is_no_secret(write, value: str) -> None:
    write(f"[storage.x]\ntype = 'postgres'\nconnection_string = '{value}'\n")
    assert load_profiles().problems == {}


def test_using_what_is_broken_raises(write) -> None:
    write("[default]\nexecutor = 5\n[storage.bad]\n[storage.good]\ntype = 'memory'\n")
    with pytest.raises(UsageError, match=r"\[storage.bad\]: it needs type"):
        open_storage("bad")
    with pytest.raises(UsageError, match="executor is not a name"):
        open_executor()
    open_storage("good")
    write("[storage.")
    with pytest.raises(UsageError, match="is not TOML"):
        # Perhaps [storage.local] was to lead elsewhere.
        open_storage()
    open_storage("./x")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_problem(write) -> None:
    write("")
    profiles_path().chmod(0)
    assert "cannot be read" in load_profiles().problems[""]


def test_a_folder_in_place_of_the_file_is_a_problem() -> None:
    profiles_path().mkdir(parents=True)
    assert "cannot be read" in load_profiles().problems[""]


@pytest.mark.parametrize("text", ["\x00", "a" * 100_000, "a=" + "[" * 20_000, "\ufeff", "x = '\ud800'"])
def test_any_text_is_survived(text: str) -> None:
    profiles_path().parent.mkdir(parents=True)
    profiles_path().write_bytes(text.encode("utf-8", "surrogatepass"))
    assert load_profiles().problems[""]


def test_a_relative_path_in_a_profile_is_refused(write) -> None:
    write('[storage.x]\ntype = "local"\nroot = "here"\n')
    with pytest.raises(UsageError, match="depends on where it is opened"):
        open_storage("x")


def test_options_that_a_backend_does_not_have_are_told(write) -> None:
    write('[storage.x]\ntype = "local"\nrot = "/x"\n[executor.y]\ntype = "threads"\nmax_workers = "many"\n')
    with pytest.raises(UsageError, match=r"profile 'x'.*no option 'rot'"):
        open_storage("x")
    with pytest.raises(UsageError, match="max_workers 'many' has to be a number"):
        open_executor("y")


# Readonly and protected


def test_an_opened_store_knows_what_may_be_done_in_it(team: Path) -> None:
    assert (open_store("team").readonly, open_store("team").protected) == (False, True)
    archive = open_store("archive")
    assert (archive.readonly, archive.protected) == (True, False)
    with pytest.raises(StoreReadonly):
        archive.check_writable("deleting runs")


def test_nothing_is_done_in_a_readonly_store(team: Path) -> None:
    asked: list[object] = []

    def model(prompt: object) -> str:
        asked.append(prompt)
        return "1"

    with pytest.raises(StoreReadonly, match="archive is readonly in your profiles, so evaluating"):
        evaluate("demo", model=model, storage="archive")
    with pytest.raises(StoreReadonly, match="rescoring is refused"):
        rescore("r1", metrics="ExactMatch", storage="archive")
    spec = RunSpec("demo", "fake-math-llm", storage="archive")
    with pytest.raises(StoreReadonly):
        launch(spec)
    assert "readonly" in spec.problems()["storage"]
    assert not asked
    assert not (team / "archive").exists()


# What a store says is data


def test_a_stored_executor_is_taken_over_only_from_the_users_profiles(team: Path) -> None:
    def again(executor: str) -> dict[str, str]:
        metadata = {"asked": {"benchmark": "demo", "model": {"name": "fake-math-llm"}}}
        return spec_of({**metadata, "where": {"executor": executor}}).unconfirmed

    assert again("many") == {}
    assert again("many?max_workers=9") == {"executor": "many?max_workers=9"}
    assert again("cluster") == {"executor": "cluster"}


def test_the_default_endpoint_is_a_model(team: Path) -> None:
    assert open_model("lab").identity == "openai:m@lab"


def test_without_a_file_nothing_of_profiles_is_loaded() -> None:
    code = (
        "import sys; from themis.backends import open_storage; open_storage('memory');"
        "print([m for m in sys.modules if m.startswith(('themis.profiles', 'tomllib'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
