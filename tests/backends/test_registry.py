from __future__ import annotations

import subprocess
import sys
import traceback
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from tests.backends import strangers
from themis import backends
from themis.backends import (
    LocalStorageBackend,
    MemoryStorageBackend,
    SequentialExecutionBackend,
    ThreadExecutionBackend,
    open_executor,
    open_storage,
    registry,
)
from themis.backends.registry import check_storage
from themis.core.directories import profiles_path
from themis.core.errors import MissingExtra, SecretUnavailable, UnknownName, UsageError
from themis.core.options import redacted


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch):
    """Entry points as an installed package would have them; nothing of this machine."""

    def install(**places: str) -> None:
        points = EntryPoints(
            EntryPoint(name, place, group)
            for name, place in places.items()
            for group in (registry.STORAGE_GROUP, registry.EXECUTION_GROUP)
        )
        monkeypatch.setattr(registry, "entry_points", lambda **given: points.select(**given))

    install()
    return install


@pytest.fixture
def write():
    """Put profiles into their file."""

    def written(text: str) -> None:
        profiles_path().parent.mkdir(parents=True, exist_ok=True)
        profiles_path().write_text(text)

    return written


# Names


@pytest.mark.parametrize("name", ["{}/store", "{}/with space", "{}/a?b"])
def test_what_holds_a_slash_is_a_path(tmp_path: Path, name: str):
    store = open_storage(name.format(tmp_path))
    assert isinstance(store, LocalStorageBackend)
    assert str(store.root) == name.format(tmp_path)


def test_relative_and_home_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name, root in (
        ("./here", tmp_path / "here"),
        (".", tmp_path),
        ("a/b", tmp_path / "a" / "b"),
        ("~/x", Path.home() / "x"),
        ("local?root=rel", tmp_path / "rel"),
        (f"local?root={tmp_path}/a%20b", tmp_path / "a b"),
    ):
        assert open_storage(name).root == root  # type: ignore[attr-defined]


def test_built_in_names():
    assert type(open_storage("memory")) is MemoryStorageBackend
    assert type(open_storage("local")) is LocalStorageBackend
    assert type(open_executor("sequential")) is SequentialExecutionBackend
    threads = open_executor("threads?max_workers=3")
    assert isinstance(threads, ThreadExecutionBackend)
    assert threads.max_workers == 3
    assert type(open_executor()) is ThreadExecutionBackend


def test_the_default_storage_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THEMIS_DATA_DIR", str(tmp_path / "data"))
    assert open_storage().root == tmp_path / "data" / "store"  # type: ignore[attr-defined]
    monkeypatch.setenv("THEMIS_STORAGE", f"local?root={tmp_path}/chosen")
    assert open_storage().root == tmp_path / "chosen"  # type: ignore[attr-defined]
    monkeypatch.setenv("THEMIS_STORAGE", "memory")
    assert type(open_storage()) is MemoryStorageBackend


# Mistakes


def test_an_unknown_name_lists_the_names_there_are(entry_points):
    entry_points(sqlite="somewhere:Store")
    with pytest.raises(UnknownName, match=r"'locl'.*local, memory, postgres, sqlite") as raised:
        open_storage("locl")
    assert isinstance(raised.value, ValueError)
    with pytest.raises(UnknownName, match=r"'thread'.*sequential, sqlite, threads"):
        open_executor("thread")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("local?rot=/x", r"no option 'rot'.*root"),
        ("memory?root=/x", r"no option 'root'.*none at all"),
        ("local?root=a&root=b", "twice"),
    ],
)
def test_wrong_options_of_a_storage_are_named(name: str, says: str):
    with pytest.raises(UsageError, match=says):
        open_storage(name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("threads?max_workers=many", r"max_workers.*'many' is not int"),
        ("threads?max_workers=0", "max_workers is 0"),
        ("threads?workers=3", r"no option 'workers'.*max_workers"),
    ],
)
def test_wrong_options_of_an_executor_are_named(name: str, says: str):
    with pytest.raises(UsageError, match=says):
        open_executor(name)


def test_a_missing_extra_tells_the_command(monkeypatch: pytest.MonkeyPatch):
    place = registry.BuiltIn("not_installed_at_all.store:Store", extra="s3")
    monkeypatch.setitem(registry.STORAGE, "far", place)
    with pytest.raises(MissingExtra, match=r"not_installed_at_all.*pip install 'themis-tui\[s3\]'") as raised:
        open_storage("far")
    assert isinstance(raised.value, ImportError)


def test_a_broken_built_in_is_not_taken_for_a_missing_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(registry.STORAGE, "broken", registry.BuiltIn("not_installed_at_all:Store"))
    with pytest.raises(ModuleNotFoundError, match="not_installed_at_all"):
        open_storage("broken")


# Secrets


def test_a_secret_of_a_backend_may_be_a_reference(
    entry_points, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    entry_points(chatty="tests.profiles.canaries:Chatterbox")
    monkeypatch.setenv("PG_PASSWORD", "sk-of-the-environment")
    store = open_storage(f"chatty?root={tmp_path}&password=env:PG_PASSWORD")
    assert store.said.strip() == "sk-of-the-environment"  # type: ignore[attr-defined]
    # On a command line it may stand itself, and is masked from then on.
    store = open_storage(f"chatty?root={tmp_path}&password=sk-plain&pin=sk-pinned")
    assert store.said.split() == ["sk-plain", "sk-pinned"]  # type: ignore[attr-defined]
    assert redacted(repr(store)) == f"Chatterbox({str(tmp_path)!r}, '***  ***')"
    with pytest.raises(SecretUnavailable, match="has no NOT_THERE"):
        open_storage(f"chatty?root={tmp_path}&password=env:NOT_THERE")


def test_what_a_constructor_quotes_is_masked(entry_points, monkeypatch: pytest.MonkeyPatch):
    entry_points(chatty="tests.profiles.canaries:Chatterbox")
    name = "chatty?root=/x&password=sk-" + "canary&fails=at%20once"
    with pytest.raises(UsageError, match=r"cannot be made: ValueError: invalid dsn: \*\*\*") as raised:
        open_storage(name)
    assert "sk-canary" not in "".join(traceback.format_exception(raised.value))


def test_checking_a_name_runs_no_command(entry_points, tmp_path: Path):
    entry_points(chatty="tests.profiles.canaries:Chatterbox")
    name = f"chatty?root={tmp_path}&password=command:touch%20{Path.home()}/ran"
    check_storage(name)
    with pytest.raises(UsageError, match="option rot"):
        check_storage(f"{name}&rot=x")
    assert list(Path.home().iterdir()) == []
    with pytest.raises(SecretUnavailable):
        open_storage(name)
    assert [each.name for each in Path.home().iterdir()] == ["ran"]


# Entry points


def test_an_installed_backend_is_opened_by_its_name(entry_points):
    entry_points(mine="tests.backends.strangers:ElevenMethods", eager="tests.backends.strangers:Eager")
    assert type(open_storage("mine")) is strangers.ElevenMethods
    assert type(open_executor("eager")) is strangers.Eager
    assert {"local", "memory", "mine"} <= set(registry.storage_names())
    assert {"threads", "sequential", "eager"} <= set(registry.executor_names())


def test_a_built_in_name_cannot_be_taken_by_an_entry_point(entry_points):
    entry_points(memory="tests.backends.strangers:ElevenMethods")
    assert type(open_storage("memory")) is MemoryStorageBackend
    assert registry.storage_names().count("memory") == 1


def test_entry_points_are_not_read_for_built_in_names(monkeypatch: pytest.MonkeyPatch):
    def unwanted(**given: str) -> None:
        raise AssertionError("entry points were read")

    monkeypatch.setattr(registry, "entry_points", unwanted)
    open_storage("memory")
    open_executor("threads")


def test_an_entry_point_that_is_no_backend_is_refused(entry_points):
    entry_points(odd="json:dumps", eager="tests.backends.strangers:Eager")
    with pytest.raises(UsageError, match=r"'odd'.*not a StorageBackend"):
        open_storage("odd")
    with pytest.raises(UsageError, match=r"'eager'.*not a StorageBackend"):
        open_storage("eager")


# What is exported and loaded


def test_every_exported_name_is_there_and_no_other():
    for name in backends.__all__:
        assert getattr(backends, name).__name__ == name
    assert set(dir(backends)) == set(backends.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        backends.nothing_of_the_kind


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import themis.backends", "themis.backends.storage.local"),
        ("from themis.backends import StorageBackend, ExecutionBackend", "themis.backends.storage.local"),
        ("from themis.backends import StorageBackend", "sqlite3"),
        ("from themis.backends import open_storage; open_storage('memory')", "sqlite3"),
        ("import themis.testing", "themis.backends"),
    ],
)
def test_nothing_is_loaded_before_it_is_needed(statement: str, unwanted: str):
    script = f"import sys; {statement}; print({unwanted!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# Profiles


def test_an_unknown_name_tells_of_the_users_profiles_and_what_is_near(entry_points, write):
    write(
        '[storage.team]\ntype = "local"\n[storage.broken]\nroot = 5\n'
        '[executor.many]\ntype = "threads"\n[storage.x]\ntype = "ghost"\n'
    )
    with pytest.raises(UnknownName) as caught:
        open_storage("teem")
    assert str(caught.value) == (
        "There is no storage backend 'teem', nor a profile of that name. Perhaps 'team' was meant. There "
        "are: local, memory; of your profiles: team, x, broken. For a folder, write ./teem."
    )
    with pytest.raises(UnknownName, match=r"Perhaps 'many' was meant.*of your profiles: many\.$"):
        open_executor("mani")
    with pytest.raises(UnknownName, match=r"It is the type of your profile x\.$"):
        open_storage("x")


def test_a_package_that_cannot_be_loaded_is_named_with_the_profile_that_wants_it(entry_points, write):
    entry_points(ghost="no_such_module_at_all:Store", fussy="tests.backends.strangers:Fussy")
    write('[storage.g]\ntype = "ghost"\n[storage.lab]\ntype = "fussy"\nretries = -1\n')
    with pytest.raises(UsageError, match=r"'ghost', cannot be loaded: ModuleNotFoundError.*your profile g"):
        open_storage("g")
    with pytest.raises(UsageError) as caught:
        open_storage("lab")
    assert str(caught.value) == (
        "The profile 'lab', whose storage backend is 'fussy', cannot be made: ValueError: retries must not "
        "be negative. Change the profile: themis profiles edit storage.lab"
    )
    with pytest.raises(UsageError, match="The storage backend 'fussy' cannot be made: ValueError"):
        open_storage("fussy?retries=-1")
    write('[storage.lab]\ntype = "fussy"\naway = true\n')
    with pytest.raises(ConnectionRefusedError) as away:
        open_storage("lab")
    assert "profile 'lab'" in away.value.__notes__[0]
