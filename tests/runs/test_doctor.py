"""What is wrong with runs is found, and only what is safe is mended."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.runs.stores import KINDS, make_run, make_store
from themis.backends import LocalStorageBackend
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import RunNotFound
from themis.runs import installation
from themis.runs.annotations import annotate
from themis.runs.catalog import Store, store_key
from themis.runs.doctor import Finding, examine_run, examine_store, repair
from themis.runs.installation import Check, examine, extras
from themis.runs.purge_log import purges_path

RUN = "r1"


def generation(name: str, **more: Any) -> GenerationRecord:
    return GenerationRecord(id=name, prompt="?", **{"response": "!", **more})


def kinds(findings: list[Finding]) -> list[str]:
    return sorted(each.kind for each in findings)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    store = make_store(request.param, tmp_path)
    make_run(store)
    return store


def test_a_run_in_order(store: Store) -> None:
    health = examine_run(store, RUN)
    assert (health.status, health.findings) == ("completed", [])
    assert health.counts["generations"] == health.counts["evaluations"] == 2
    assert examine_store(store).findings == []
    with pytest.raises(RunNotFound):
        examine_run(store, "r2")


def test_records_that_do_not_fit_together(store: Store) -> None:
    backend = store.backend
    backend.save_generation_record(RUN, generation("s0", attempt=2, response=None, error={"kind": "server"}))
    backend.save_generation_record(RUN, generation("new"))
    backend.save_evaluation_record(RUN, EvaluationRecord(cache_key="lost", id="lost", scores={}))
    health = examine_run(store, RUN)
    assert kinds(health.findings) == ["orphaned", "report", "stale", "summary", "unscored"]
    wanted = {
        "generations": 3,
        "answers": 2,
        "errors": 1,
        "evaluations": 3,
        "stale": 1,
        "unscored": 1,
        "orphaned": 1,
    }
    assert wanted.items() <= health.counts.items()
    assert {each.level for each in health.findings} == {"problem"}
    assert all(each.repair is None for each in health.findings)
    assert repair(health.findings) == []


def test_runs_that_are_half_there(store: Store) -> None:
    backend = store.backend
    make_run(store, "copy", status="copying", copying={"from": "else:copy"})
    make_run(store, "rescored", rescoring={"metrics": {"M": {}}, "revision": 2, "before": {}})
    backend.save_run_metadata("empty", {"run_id": "empty", "status": "completed", "summary": {"done": 5}})
    make_run(store, "reportless")
    backend.save_report("reportless", ExperimentReport(run_id="reportless", counts={"asked": 77}))
    found = {
        name: kinds(examine_run(store, name).findings) for name in ("copy", "rescored", "empty", "reportless")
    }
    assert found == {
        "copy": ["half-copy"],
        "rescored": ["half-rescored"],
        "empty": ["orphan", "report"],
        "reportless": ["report"],
    }


def test_records_without_metadata(tmp_path: Path) -> None:
    store = make_store("local", tmp_path)
    store.backend.save_generation_record("orphan", generation("a"))
    assert kinds(examine_run(store, "orphan").findings) == ["orphan", "unscored"]


def test_an_unfinished_deletion_is_finished(store: Store) -> None:
    annotate(store, RUN, lambda notes: notes.update(trash={"at": 1.0, "purging": 2.0}) or "began")
    findings = examine_run(store, RUN).findings
    assert kinds(findings) == ["unfinished-delete"]
    assert [why_not for _, why_not in repair(findings)] == [None]
    assert store.backend.list_runs() == []
    assert repair(findings)[0][1] is None


def test_a_protected_store_wants_its_name_for_what_somebody_else_began(store: Store) -> None:
    store.protected = True
    make_run(store)
    annotate(store, RUN, lambda notes: notes.update(trash={"by": "eve@elsewhere", "purging": 2.0}) or "?")
    (finding,) = examine_run(store, RUN).findings
    assert finding.said == "eve@elsewhere began to delete it for good"
    assert (finding.mend, finding.repair) == (f"themis runs purge one:{RUN} --confirm one", None)
    begun(store, uid=f"uid-of-{RUN}")
    (finding,) = examine_run(store, RUN).findings
    assert [why_not for _, why_not in repair([finding])] == [None]
    assert not store.backend.run_exists(RUN)


def begun(store: Store, **more: Any) -> None:
    line = {"at": 1.0, "by": "me", "step": "begun", "store": store_key(store), "run_id": RUN, **more}
    purges_path().parent.mkdir(parents=True, exist_ok=True)
    with purges_path().open("a") as file:
        file.write("torn\n" + json.dumps(line) + "\n")


def test_a_deletion_that_the_log_remembers(store: Store) -> None:
    begun(store, uid="another")
    assert examine_store(store).findings == []
    begun(store, uid=f"uid-of-{RUN}")
    (finding,) = examine_store(store).findings
    assert finding.repair is not None
    repair([finding])
    assert store.backend.list_runs() == []
    assert examine_store(store).findings == []


def test_of_a_run_without_metadata_nobody_but_a_person_knows_whose_it_is(tmp_path: Path) -> None:
    store = make_store("local", tmp_path)
    store.backend.save_generation_record(RUN, generation("a"))
    begun(store, uid="u")
    (finding,) = examine_store(store).findings
    assert finding.repair is None
    assert finding.mend == f"themis runs purge one:{RUN}"


def test_trash_without_an_end(store: Store) -> None:
    annotate(store, RUN, lambda notes: notes.update(trash={"by": "me"}) or "threw it")
    assert [(each.kind, each.level) for each in examine_run(store, RUN).findings] == [("trash", "problem")]
    annotate(store, RUN, lambda notes: notes.update(trash={"at": 5.0}) or "threw it")
    assert [(each.kind, each.level) for each in examine_run(store, RUN).findings] == [("trash", "note")]


@pytest.fixture
def local(tmp_path: Path) -> Store:
    store = make_store("local", tmp_path)
    make_run(store)
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "one" / "runs" / RUN


def test_files_of_a_local_run(local: Store, folder: Path) -> None:
    local.backend.save_generation_record(RUN, generation("s0", attempt=1))
    local.backend.close()
    file = next(folder.glob("gen-*"))
    with file.open("ab") as lines:
        lines.write(b'{"id": "torn')
    stray, young = folder / ".run.json.abc.tmp", folder / ".run.json.def.tmp"
    for path in (stray, young):
        path.write_text("{")
    os.utime(stray, (1, 1))
    (folder / "notes.txt").write_text("mine")
    os.utime(file, (1, 1))
    health = examine_run(local, RUN)
    assert {each.kind: each.level for each in health.findings} == {
        "torn": "note",
        "stray": "problem",
        "unknown": "note",
    }
    assert health.counts["superseded"] == 1
    assert "12 bytes" in next(each.said for each in health.findings if each.kind == "torn")
    before = file.read_bytes()
    assert [(each.kind, why_not) for each, why_not in repair(health.findings)] == [("stray", None)]
    assert not stray.exists()
    assert young.exists()
    assert (folder / "notes.txt").exists()
    assert file.read_bytes() == before


def test_a_readonly_store_is_not_repaired(local: Store, folder: Path) -> None:
    stray = folder / ".run.json.abc.tmp"
    stray.touch()
    os.utime(stray, (1.0, 1.0))
    local.readonly = True
    ((_, why_not),) = repair(examine_run(local, RUN).findings)
    assert "readonly" in str(why_not)
    assert stray.exists()


def test_damage_is_said_and_left_as_it_is(local: Store, folder: Path) -> None:
    file = next(folder.glob("gen-*"))
    file.write_bytes(b"damaged\n" + file.read_bytes())
    assert kinds(examine_run(local, RUN).findings) == ["records"]
    (folder / "run.json").write_text("{")
    (folder / "annotations.json").write_text("7")
    (folder / "report.json").write_text("")
    found = kinds(examine_run(local, RUN).findings)
    assert {"metadata", "annotations", "records"} <= set(found)
    assert repair(examine_run(local, RUN).findings) == []


def test_what_a_killed_deletion_left(local: Store, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one" / ".deleting").mkdir()
    folder.rename(tmp_path / "one" / ".deleting" / f"{RUN}-abc")
    findings = examine_store(local).findings
    assert kinds(findings) == ["unfinished-delete"]
    repair(findings)
    assert list((tmp_path / "one" / ".deleting").iterdir()) == []


def test_an_index_that_lies_is_made_anew(local: Store, folder: Path) -> None:
    old = time.time() - 100
    os.utime(folder, (old, old))
    list(local.backend.list_summaries())
    # Written in place, as no writer of ours does: the folder does not tell.
    text = (folder / "run.json").read_text().replace("completed", "cancelled")
    (folder / "run.json").write_text(text)
    findings = examine_store(local).findings
    assert kinds(findings) == ["index"]
    assert repair(findings)[0][1] is None
    assert examine_store(local).findings == []
    assert [each["status"] for each in local.backend.list_summaries()] == ["cancelled"]


def test_a_live_run_is_in_order_while_its_scores_are_to_come(store: Store) -> None:
    make_run(store, "live", status="running", where={"host": "elsewhere"}, updated_at=time.time())
    store.backend.save_generation_record("live", generation("new"))
    assert [(each.kind, each.level) for each in examine_run(store, "live").findings] == [("unscored", "note")]


# The installation


def checks(group: str, names: list[str] | None = None) -> dict[str, Check]:
    return {each.name: each for each in examine(names) if each.group == group}


def test_the_installation_is_looked_through() -> None:
    found = list(examine())
    assert {each.group for each in found} == {
        "versions",
        "extras",
        "paths",
        "terminal",
        "profiles",
        "stores",
        "leftovers",
    }
    assert all(each.mend for each in found if each.ok is False)


def test_every_extra_is_told_with_its_command() -> None:
    assert {"parquet", "math"} <= set(extras())
    for name, check in checks("extras").items():
        assert check.ok or f"pip install 'themis-tui[{name}]'" == check.mend


def test_stores_that_work_and_that_do_not(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "themis-store.json").write_text('{"layout": 99}')
    found = checks(
        "stores", [str(tmp_path / "ok"), str(tmp_path / "new"), "nowhere", "postgresql://me:pw@h/db"]
    )
    assert [each.ok for each in found.values()] == [True, False, False, False]
    assert "layout 99" in found[str(tmp_path / "new")].said
    assert "pw" not in repr(found).replace("cpw", "")


def test_a_store_that_hangs_does_not_hang_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def hang(self: LocalStorageBackend) -> list[str]:
        go_on.wait(60)
        return []

    monkeypatch.setattr(installation, "STORE_WITHIN_S", 0.5)
    monkeypatch.setattr(LocalStorageBackend, "list_runs", hang)
    found = checks("stores", [str(tmp_path / "hung"), "memory"])
    go_on.set()
    assert found["memory"].ok
    hung = found[str(tmp_path / "hung")]
    assert (hung.ok, "did not answer within 0.5 s" in hung.said) == (False, True)


def test_leftovers_are_counted() -> None:
    from themis.core.directories import state_dir
    from themis.evaluation.hold import held, lock_path

    (state_dir() / "hosts" / "another-boot").mkdir(parents=True)
    launch = state_dir() / "launches" / "old"
    launch.mkdir(parents=True)
    os.utime(launch, (1, 1))
    stale = lock_path("s", "r")
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    with held("s", "other"):
        found = checks("leftovers")
    assert [each.said[:6] for each in found.values()] == ["1 left"] * 3


def test_a_path_that_others_can_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("THEMIS_DATA_DIR", str(shared))
    assert checks("paths")["data"].ok is False
    assert "chmod go-w" in checks("paths")["data"].mend


def test_profiles_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from themis.profiles import profiles_path

    profiles_path().parent.mkdir(parents=True)
    profiles_path().write_text("not toml at all [")
    assert any(each.ok is False for each in checks("profiles").values())


def test_of_half_a_copy_no_resume_is_advised(tmp_path: Path) -> None:
    store = make_store("local", tmp_path)
    make_run(store, copying={"from": "elsewhere"}, summary={"done": 9})
    health = examine_run(store, RUN)
    assert {"half-copy", "summary"} <= {each.kind for each in health.findings}
    assert not [each for each in health.findings if "resume" in each.mend]
