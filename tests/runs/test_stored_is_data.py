"""What a store says is data: nothing that metadata name is run, read or called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.runs.stores import KINDS, make_run, make_store
from themis.core.errors import ThemisError
from themis.evaluation import plan_rescoring, rescore
from themis.profiles import load_profiles, profiles_path
from themis.runs.annotations import annotations_of, set_name
from themis.runs.catalog import Store, list_rows
from themis.runs.copy import copy_run
from themis.runs.delete import delete, preview, restore
from themis.runs.doctor import examine_run
from themis.runs.purge import purge
from themis.runs.spec import spec_of
from themis.runs.watch import look

RUN = "r1"
STRANGER = "http://stranger.example:9/v1"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key, which nobody is to read."""
    path = tmp_path / "id_ed25519"
    path.write_text("CANARY-KEY")
    path.chmod(0o600)
    return path


@pytest.fixture
def hostile(key: Path) -> dict[str, Any]:
    """Metadata in which every name leads to code, a key, or a stranger."""
    return {
        "asked": {
            "benchmark": "python:os:system",
            "dataset": {"source": f"file:{key}", "fingerprint": "f"},
            "model": {"name": "python:os:system", "base_url": STRANGER, "identity": "os:system"},
            "prompt": {"template": f"@{key}", "hash": "h"},
            "system": f"file:{key}",
            "sampling": {"api_key": f"file:{key}", "base_url": STRANGER},
            "metrics": {
                "python:os:system": {"version": "1", "params": {}},
                "Judge": {
                    "version": "1",
                    "params": {"model": f"openai:x?base_url={STRANGER}&key=file:{key}"},
                },
            },
            "limit": None,
            "epochs": 1,
            "seed": None,
        },
        "where": {
            "storage": f"python:os:system?root={key}",
            "executor": "python:os:system",
            "model": f"openai:x?base_url={STRANGER}&key=file:{key}",
            "host": "elsewhere",
        },
        "uid": f"file:{key}",
        "annotations": {"name": f"file:{key}", "tags": ["python:os:system"]},
    }


@pytest.fixture(autouse=True)
def tripwires(monkeypatch: pytest.MonkeyPatch, key: Path) -> None:
    """Whatever runs the code, or opens the key, fails the test. A connection fails it anyway."""

    def refused(*args: Any) -> None:
        raise AssertionError(f"called with {args}")

    monkeypatch.setattr(os, "system", refused)
    opened = os.open

    def guarded(path: Any, *args: Any, **kwargs: Any) -> int:
        assert os.fspath(path) != str(key), "the key was opened"
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", guarded)
    read_text, read_bytes = Path.read_text, Path.read_bytes

    def text(self: Path, *args: Any, **kwargs: Any) -> str:
        assert self != key, "the key was read"
        return read_text(self, *args, **kwargs)

    def whole(self: Path) -> bytes:
        assert self != key, "the key was read"
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_text", text)
    monkeypatch.setattr(Path, "read_bytes", whole)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, hostile: dict[str, Any]) -> Store:
    store = make_store(request.param, tmp_path)
    make_run(store, **hostile)
    return store


def test_again_and_resume_leave_it_out_and_say_what(store: Store, key: Path) -> None:
    again = spec_of(look(store.backend, RUN).metadata)
    assert (again.spec.benchmark, again.spec.model, again.spec.executor) == ("", "", None)
    assert again.spec.storage is None
    assert not again.spec.metrics or all("os:system" not in each for each in again.spec.metrics)
    assert set(again.unconfirmed) >= {"benchmark", "model", "executor", "metrics"}
    assert again.unconfirmed["model"] == f"openai:x?base_url={STRANGER}&key=file:{key}"
    problems = again.spec.problems()
    assert {"benchmark", "model"} <= set(problems)
    assert "CANARY-KEY" not in repr((again, problems))


def test_an_address_does_not_become_harmless_by_the_name_of_an_endpoint(key: Path) -> None:
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(
        '[endpoint.lab]\nbase_url = "https://lab.example/v1"\nmodel = "m"\nkey = "env:LAB"\n'
    )
    assert "lab" in load_profiles().endpoints
    mine = spec_of({"where": {"model": "lab"}, "asked": {"model": {"base_url": STRANGER}}})
    assert mine.spec.model == "lab"
    for name in (
        f"openai:lab?base_url={STRANGER}",
        f"openai:lab?key=file:{key}",
        f"lit:{STRANGER}",
        "python:lab:x",
    ):
        assert spec_of({"where": {"model": name}}).spec.model == "", name


def test_a_copy_carries_it_as_it_is_and_opens_none_of_it(store: Store, hostile: dict[str, Any]) -> None:
    for kind in KINDS:
        target = make_store(kind, Path.cwd(), f"to {kind}")
        copy_run(store, RUN, target)
        metadata = target.backend.load_run_metadata(RUN)
        assert metadata["asked"] == hostile["asked"]
        assert metadata["where"] == hostile["where"]
        assert annotations_of(target.backend, RUN)["name"] == hostile["annotations"]["name"]


def test_rescoring_runs_only_the_metrics_that_the_person_named(store: Store) -> None:
    plan = plan_rescoring(RUN, metrics=["Includes"], storage_backend=store.backend)
    assert plan.answers == 2
    done = rescore(RUN, metrics=["Includes"], storage_backend=store.backend)
    assert done.finished
    asked = look(store.backend, RUN).metadata["asked"]
    assert set(asked["metrics"]) == {"python:os:system", "Judge", "Includes"}


def test_looking_naming_deleting_and_examining_open_none_of_it(store: Store) -> None:
    assert [row.model for row in list_rows(store)] == ["python:os:system"]
    assert examine_run(store, RUN).status == "completed"
    set_name(store, RUN, "harmless")
    preview(store, RUN)
    delete(store, RUN)
    restore(store, RUN)
    purge(store, RUN)
    assert store.backend.list_runs() == []


def test_evaluating_by_it_is_refused_before_anything_is_done(store: Store) -> None:
    again = spec_of(look(store.backend, RUN).metadata)
    arguments = {**again.spec.arguments(), "storage_backend": store.backend, "run_id": RUN}
    from themis import evaluate

    with pytest.raises((ThemisError, OSError)):
        evaluate(arguments.pop("benchmark"), **arguments)
