"""Which stores are meant, and one question to all of them."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from tests.runs.store_doubles import Failing, Hanging, memory, opener, summary
from themis import profiles
from themis.backends import LocalStorageBackend
from themis.core.directories import data_dir, profiles_path
from themis.core.errors import (
    AccessDenied,
    InvalidRunId,
    RunNotFound,
    StoreUnreachable,
    UsageError,
)
from themis.runs import stores
from themis.runs.catalog import Store, all_rows, find_run, list_rows, open_store
from themis.runs.query import QueryError
from themis.runs.selection import select, select_from
from themis.runs.stores import ask_stores, only_store_with, wanted_stores


@pytest.fixture
def write():
    """Put profiles into their file."""

    def written(text):
        profiles_path().parent.mkdir(parents=True, exist_ok=True)
        profiles_path().write_text(text)

    return written


@pytest.fixture
def profiled(monkeypatch):
    """Storage profiles by name, as if they stood in profiles.toml."""

    def have(*names):
        monkeypatch.setattr(profiles, "load_profiles", lambda: SimpleNamespace(storages=dict.fromkeys(names)))

    return have


def test_the_built_in_store_stays_in_sight_when_another_is_the_default(write, tmp_path):
    write('[default]\nstorage = "team"\n[storage.team]\ntype = "local"\nroot = "/data/team"\n')
    assert wanted_stores() == ["team"]
    (data_dir() / "store" / "runs" / "r1").mkdir(parents=True)
    assert wanted_stores() == ["team", "local"]
    assert wanted_stores(["team"]) == ["team"]
    write(f'[default]\nstorage = "mine"\n[storage.mine]\ntype = "local"\nroot = "{data_dir()}/store"\n')
    assert wanted_stores() == ["mine"]


def test_profiles_of_one_place_are_one_store_in_lists(write):
    tables = (
        f'[storage.{name}]\ntype = "local"\nroot = "/data/{root}"\n'
        for name, root in (("a", "x"), ("b", "y/../x"), ("c", "y"))
    )
    write("".join(tables) + "".join(f'[storage.m{n}]\ntype = "memory"\n' for n in range(2)))
    assert wanted_stores() == ["local", "a", "c", "m0", "m1"]
    assert wanted_stores(["a", "b"]) == ["a", "b"]


def test_a_store_by_its_path_is_another_once_a_profile_forbids_something_there(write, tmp_path):
    store = open_store(f"{tmp_path}/team")
    assert store.is_current()
    write(f'[storage.team]\ntype = "local"\nroot = "{tmp_path}/team"\nreadonly = true\n')
    assert not store.is_current()
    assert store.is_in_place()
    assert (open_store(f"{tmp_path}/team").readonly, open_store("local").readonly) == (True, False)


def test_the_stores_meant(profiled, monkeypatch):
    assert wanted_stores() == ["local"]
    assert wanted_stores(["b", "a", "b"]) == ["b", "a"]
    profiled("team", "local", "archive")
    assert wanted_stores() == ["local", "team", "archive"]
    assert wanted_stores(["a"]) == ["a"]
    assert wanted_stores(["a"], everything=True) == ["a", "local", "team", "archive"]
    monkeypatch.setenv("THEMIS_STORAGE", "team")
    assert wanted_stores() == ["team", "local", "archive"]


def test_profiles_that_cannot_be_used_are_named_too(monkeypatch):
    problems = {"storage.torn": "…", "endpoint.x": "…", "storage": "…"}
    have = SimpleNamespace(storages={"team": None}, problems=problems)
    monkeypatch.setattr(profiles, "load_profiles", lambda: have)
    assert wanted_stores() == ["local", "team", "torn"]
    problems[""] = "profiles.toml is not TOML"
    with pytest.raises(UsageError, match="is not TOML"):
        wanted_stores()
    assert wanted_stores(["a"]) == ["a"]


def test_the_trash_is_shown_to_whoever_asks():
    backend = memory(
        *(summary(f"r{n}", float(n)) for n in range(3)),
        *(summary(f"t{n}", 10.0 + n, annotations={"trash": {"at": 1.0}}) for n in range(3)),
    )
    store = Store("s", backend)

    def chosen(*given, **options):
        return [row.run_id for row in select(store, *given, **options).rows]

    assert chosen() == ["r2", "r1", "r0"]
    assert chosen("", 2) == ["r2", "r1"]
    assert select(store, "", 2).left_out == 1
    assert chosen(trash=True) == ["t2", "t1", "t0"]
    assert chosen("gsm8k") == ["r2", "r1", "r0"]
    assert chosen("is:trashed") == ["t2", "t1", "t0"]
    assert chosen("is:trashed | r1") == ["t2", "t1", "t0", "r1"]
    assert chosen("gsm8k", trash=True) == ["t2", "t1", "t0"]
    assert [row.run_id for row in list_rows(store)] == ["r2", "r1", "r0"]
    assert len(list(all_rows(store))) == 6


def test_answers_come_in_order_whatever_happens():
    error = AccessDenied("no")
    opened = opener(a=memory(summary("r", 1.0)), b=Failing(error), c=KeyError("c"), d=memory())
    answers = ask_stores("abcd", lambda store: store.backend.run_exists("r"), opener=opened)
    assert [each.name for each in answers] == ["a", "b", "c", "d"]
    assert [each.value for each in answers] == [True, None, None, False]
    assert answers[1].error is error
    assert isinstance(answers[2].error, KeyError)
    assert answers[1].store is not None


def test_a_store_that_hangs_is_unreachable_and_holds_up_no_other(monkeypatch):
    monkeypatch.setattr(stores, "SLOW_AFTER_S", 0.01)
    hanging = {f"h{n}": Hanging() for n in range(2 * stores.MOST_AT_ONCE)}
    opened = opener(**hanging, good=memory(summary("r", 1.0)))
    answers = ask_stores(
        [*hanging, "good"], lambda store: store.backend.run_exists("r"), within_s=1.0, opener=opened
    )
    assert answers[-1].value is True
    assert all(isinstance(each.error, StoreUnreachable) for each in answers[:-1])
    assert "did not answer within 1 s" in answers[0].reason
    for each in hanging.values():
        each.let_go.set()


def test_no_more_than_so_many_are_asked_at_once():
    lock, now, most = threading.Lock(), [0], [0]
    backend = memory()

    def question(store):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        store.backend.run_exists("r")
        with lock:
            now[0] -= 1
        return True

    names = [f"s{n}" for n in range(50)]
    answers = ask_stores(names, question, opener=opener(**dict.fromkeys(names, backend)))
    assert all(each.value for each in answers)
    assert most[0] <= stores.MOST_AT_ONCE


def test_reasons_hold_no_password():
    name = "postgresql://me:s3cret@host/db"
    (answer,) = ask_stores(
        [name], lambda store: None, opener=lambda name: 1 / 0 if name is None else _raise(name)
    )
    assert "s3cret" not in answer.reason


def _raise(name):
    raise StoreUnreachable(f"{name} is away")


def test_a_run_is_found_in_the_only_store_that_has_it():
    opened = opener(a=memory(summary("r1", 1.0)), b=memory(summary("r2", 1.0)), c=Failing(AccessDenied("no")))
    assert only_store_with("r2", ["a", "b"], opener=opened).name == "b"
    assert only_store_with("r1", ["a", "b", "c"], opener=opened).name == "a"
    with pytest.raises(RunNotFound, match=r"There is no run 'r9' in a, b\. 'themis runs list'"):
        only_store_with("r9", ["a", "b"], opener=opened)
    with pytest.raises(StoreUnreachable, match=r"no run 'r9' in a, b, and not every store .* c: no"):
        only_store_with("r9", ["a", "b", "c"], opener=opened)
    with pytest.raises(StoreUnreachable, match=r"'r9' was not found, and not every"):
        only_store_with("r9", ["c"], opener=opened)


def test_of_several_stores_one_must_be_named(tmp_path):
    run = summary("r", 1.0)
    with pytest.raises(UsageError, match=r"'r' is in 2 stores\. Write which one: a:r, b:r"):
        only_store_with("r", ["a", "b"], opener=opener(a=memory(run), b=memory(run)))
    LocalStorageBackend(tmp_path / "s").save_run_metadata("r", run)
    one, same = LocalStorageBackend(tmp_path / "s"), LocalStorageBackend(tmp_path / "s")
    assert only_store_with("r", ["one", "same"], opener=opener(one=one, same=same)).name == "one"


def test_find_run_looks_through_all_stores(tmp_path, profiled):
    folders = {name: str(tmp_path / name) for name in ("a", "b")}
    for name, folder in folders.items():
        LocalStorageBackend(folder).save_run_metadata(f"only-{name}", summary(f"only-{name}", 1.0))
        LocalStorageBackend(folder).save_run_metadata("both", summary("both", 1.0))
    profiled(*folders.values())
    store, run_id = find_run("only-b")
    assert (store.name, run_id) == (folders["b"], "only-b")
    assert find_run(f"{folders['a']}:both")[0].name == folders["a"]
    assert find_run("both", folders["b"])[0].name == folders["b"]
    with pytest.raises(UsageError, match="is in 2 stores"):
        find_run("both")
    with pytest.raises(InvalidRunId):
        find_run("../../etc/passwd")


def test_a_selection_of_several_stores_is_merged_and_counted():
    a = memory(*(summary(f"a{n}", float(2 * n)) for n in range(5)))
    b = memory(*(summary(f"b{n}", float(2 * n + 1), status="failed") for n in range(5)))
    opened = opener(a=a, b=b, c=Failing(AccessDenied("no")))
    chosen = select_from(["a", "b", "c"], "", 3, opener=opened)
    assert [row.address for row in chosen.rows] == ["b:b4", "a:a4", "b:b3"]
    assert (chosen.left_out, chosen.stored) == (7, 10)
    assert [(each.name, each.reason) for each in chosen.failures] == [("c", "no")]
    chosen = select_from(["a", "b"], "status:failed", None, opener=opened)
    assert ([row.store for row in chosen.rows], chosen.left_out, chosen.stored) == (["b"] * 5, 0, 10)
    with pytest.raises(QueryError):
        select_from(["a"], "acc>", opener=opened)


def test_who_waits_for_a_silent_store_is_told_once(monkeypatch):
    monkeypatch.setattr(stores, "SLOW_AFTER_S", 0.05)
    hanging, told = Hanging(), []

    def on_slow(names):
        told.append(names)
        hanging.let_go.set()

    selection = select_from(
        ["quick", "silent"], opener=opener(quick=memory(summary("a")), silent=hanging), on_slow=on_slow
    )
    assert told == [["silent"]]
    assert ([row.run_id for row in selection.rows], selection.failures) == (["a"], [])
