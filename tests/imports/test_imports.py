"""Logs of other tools become ordinary runs, with the scores that those tools report."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.backends.strangers import ElevenMethods
from themis.backends import LocalStorageBackend, MemoryStorageBackend
from themis.compare import compare_runs
from themis.core.errors import RunConflict, ThemisError
from themis.imports import archive
from themis.imports.entry import import_file, outside_runs
from themis.imports.outside_run import NotImportable

LOGS = Path(__file__).parent / "logs"
(RESULTS,) = LOGS.glob("results_*.json")
GENERATED, CHOSEN = (next(LOGS.glob(f"samples_{task}_*.jsonl")) for task in ("demo_gen", "demo_choice"))


@pytest.fixture
def store():
    return MemoryStorageBackend()


@pytest.mark.parametrize("name", ["inspect.eval", "inspect.json"])
@pytest.mark.parametrize("kind", ["memory", "local", "eleven methods"])
def test_a_log_of_inspect(name, kind, tmp_path):
    store = {
        "memory": MemoryStorageBackend,
        "local": lambda: LocalStorageBackend(tmp_path / "s"),
        "eleven methods": ElevenMethods,
    }[kind]()
    (imported,) = import_file(store, LOGS / name)
    assert (imported.tool, imported.tool_version, imported.errors) == ("inspect_ai", "0.3.285", 0)
    assert imported.reported == pytest.approx(imported.metrics)
    assert set(imported.metrics) == {"match", "includes"}
    metadata = store.load_run_metadata(imported.run_id)
    assert metadata["status"] == "completed"
    assert metadata["imported"]["files"] == [name]
    assert metadata["asked"]["sampling"] == {"max_tokens": 16, "temperature": 0.0}
    assert store.load_report(imported.run_id).counts["answered"] == imported.samples
    first = next(each for each in store.iter_generation_records(imported.run_id) if each.id == "demo-002#2")
    assert (first.sample_id, first.epoch, first.response) == ("demo-002", 2, "6")
    assert first.prompt == "How many sides does a hexagon have?"
    assert first.usage == {"input_tokens": 11, "output_tokens": 2}


def test_results_of_lm_eval(store):
    imported = {each.run_id: each for each in import_file(store, RESULTS)}
    assert len(imported) == 2
    for each in imported.values():
        assert (each.tool, each.tool_version, each.samples) == ("lm_eval", "0.4.13", 8)
        assert each.reported == pytest.approx(each.metrics)
    generated = next(run_id for run_id in imported if "demo_gen" in run_id)
    assert set(imported[generated].metrics) == {"exact_match,strict", "exact_match,number"}
    generations = {each.id: each for each in store.iter_generation_records(generated)}
    assert generations["demo-002"].response == "It is 6"
    evaluations = {each.id: each for each in store.iter_evaluation_records(generated)}
    assert evaluations["demo-002"].reference == "6"
    chosen = next(run_id for run_id in imported if "demo_choice" in run_id)
    choice = next(each for each in store.iter_evaluation_records(chosen) if each.id == "demo-001")
    assert choice.reference == "85"


def test_samples_alone_find_their_results(store):
    (one,) = import_file(store, CHOSEN)
    assert one.run_id in {each.run_id for each in import_file(store, RESULTS)}


def test_importing_twice_changes_nothing(store):
    for path in (LOGS / "inspect.eval", RESULTS):
        first = import_file(store, path)
        before = [store.load_run_metadata(each.run_id) for each in first]
        again = import_file(store, path)
        assert [each.already for each in first + again] == [False] * len(first) + [True] * len(first)
        assert [store.load_run_metadata(each.run_id) for each in again] == before
    assert len(store.list_runs()) == 3


def test_an_import_that_was_killed_is_done_again(store):
    (first,) = import_file(store, LOGS / "inspect.eval")
    metadata = store.load_run_metadata(first.run_id)
    store.save_run_metadata(first.run_id, {**metadata, "status": "failed"})
    (again,) = import_file(store, LOGS / "inspect.eval")
    assert not again.already
    assert len(store.load_generation_records(first.run_id)) == first.samples


def test_a_run_of_ours_is_never_written_over(store):
    (first,) = import_file(store, LOGS / "inspect.eval")
    store.save_run_metadata(first.run_id, {"run_id": first.run_id, "status": "completed"})
    with pytest.raises(RunConflict, match="was not imported"):
        import_file(store, LOGS / "inspect.eval")


def test_two_tools_over_the_same_questions_are_paired_by_id(store):
    (inspect,) = import_file(store, LOGS / "inspect.eval")
    lm_eval = next(each for each in import_file(store, RESULTS) if "demo_gen" in each.run_id)
    comparison = compare_runs([(store, inspect.run_id), (store, lm_eval.run_id)])
    pairing = comparison.pairs[0].pairing
    assert (pairing.pairs, pairing.set_aside, pairing.unverified) == (8, 0, 8)
    assert comparison.verdict == "not comparable: the runs have no metric in common"


def changed(tmp_path, change):
    document = json.loads((LOGS / "inspect.json").read_text())
    change(document)
    path = tmp_path / "log.json"
    path.write_text(json.dumps(document))
    return path


def test_errors_letters_and_numbers(store, tmp_path):
    def change(document):
        one, two, three, four, *_ = document["samples"]
        one["error"] = {"message": "gone\x00", "traceback": "…"}
        two["scores"]["match"]["value"] = "P"
        three["scores"]["match"]["value"] = float("nan")
        four["scores"]["match"]["value"] = {"a": 0.25, "b": "no"}

    (imported,) = import_file(store, changed(tmp_path, change))
    evaluations = list(store.iter_evaluation_records(imported.run_id))
    assert imported.errors == 1
    assert evaluations[0].error == {"kind": "model", "stage": "call"}
    assert evaluations[1].scores["match"] == 0.5
    assert evaluations[2].scores["match"] is None
    assert (evaluations[3].scores["match.a"], evaluations[3].scores["match.b"]) == (0.25, 0)


def test_a_log_that_did_not_end(store, tmp_path):
    def change(document):
        document["status"] = "error"

    (imported,) = import_file(store, changed(tmp_path, change))
    metadata = store.load_run_metadata(imported.run_id)
    assert (metadata["status"], metadata["status_reason"]) == ("failed", "inspect_ai says: error")


def test_what_is_no_log(tmp_path):
    for name, text in (
        ("a.json", "{}"),
        ("b.json", "[" * 100_000),
        ("c.json", "nothing"),
        ("d.eval", "PK\x03\x04 and no more"),
        ("e.json", '{"eval": {"task": 1}, "plan": {}, "samples": [{"x": 1}]}'),
        ("samples_x_2026-01-01T00-00-00.1.jsonl", "{}"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(NotImportable, match=name):
            import_file(MemoryStorageBackend(), path)
    alone = tmp_path / RESULTS.name
    shutil.copy(RESULTS, alone)
    with pytest.raises(NotImportable, match="--log_samples"):
        outside_runs(alone)


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data, **options)
    return path


HEADER = json.dumps({"eval": {"task": "t", "eval_id": "e"}, "plan": {}, "status": "success"})


def test_a_bomb_is_not_unpacked(tmp_path, store):
    bomb = zipped(tmp_path / "x.eval", [("header.json", HEADER), ("samples/a.json", b"0" * 50_000_000)])
    assert bomb.stat().st_size < 100_000
    with pytest.raises(NotImportable, match="times its size"):
        import_file(store, bomb)


def test_bounds(tmp_path, store, monkeypatch):
    path = zipped(tmp_path / "x.eval", [("header.json", HEADER), ("samples/a.json", json.dumps("a" * 900))])
    monkeypatch.setattr(archive, "MOST_MEMBER", 500)
    with pytest.raises(NotImportable, match="more than 500 bytes"):
        import_file(store, path)
    monkeypatch.setattr(archive, "MOST_MEMBERS", 1)
    with pytest.raises(NotImportable, match="2 members"):
        import_file(store, path)


def test_names_of_members_lead_nowhere(tmp_path, store):
    sample = json.dumps({"id": "../../../evil", "epoch": 1, "input": "q", "target": "t", "scores": {}})
    names = ["samples/../../../../evil.json", "/samples/evil.json", "samples/a.json", "samples\\b.json"]
    path = zipped(tmp_path / "x.eval", [("header.json", HEADER), *((name, sample) for name in names)])
    before = sorted(tmp_path.rglob("*"))
    (imported,) = import_file(store, path)
    assert imported.samples == 1  # only the one that is where samples are
    assert sorted(tmp_path.rglob("*")) == before
    assert "/" not in imported.run_id


def test_a_member_that_lies_about_itself(tmp_path):
    data = bytearray((LOGS / "inspect.eval").read_bytes())
    place = data.index(b"samples/") + 60
    data[place : place + 40] = b"\xff" * 40
    path = tmp_path / "broken.eval"
    path.write_bytes(data)
    with pytest.raises(NotImportable, match=r"broken\.eval"):
        import_file(MemoryStorageBackend(), path)


def test_the_run_id_keeps_the_rule_whatever_the_log_says(store, tmp_path):
    def change(document):
        document["eval"]["task"] = "../\x1b[2J" + "x" * 200
        document["eval"]["model"] = "\ud800/…"
        document["eval"]["created"] = 10**40
        document["eval"]["config"]["epochs"] = -1
        document["samples"][0].update(started_at="yesterday", epoch=10**40, total_time="long", output=[])

    (imported,) = import_file(store, changed(tmp_path, change))
    assert len(imported.run_id) <= 80
    assert store.run_exists(imported.run_id)


JUNK = (
    None,
    True,
    -1,
    10**40,
    1.5,
    "",
    "x",
    "attachment://x",
    [],
    [1],
    {},
    {"a": None},
    [[[]]],
    "\ud800",
    "\x00",
)


def spoiled(value, chance):
    """The same with a few values replaced by others."""
    if chance.random() < 0.01:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {key: spoiled(each, chance) for key, each in value.items() if chance.random() > 0.005}
    if isinstance(value, list):
        return [spoiled(each, chance) for each in value]
    return value


@pytest.mark.parametrize("seed", range(40))
def test_a_log_with_anything_in_it_is_imported_or_refused(seed, tmp_path):
    chance = random.Random(seed)
    document = json.loads((LOGS / "inspect.json").read_text())
    for sample in document["samples"]:
        sample.pop("events")
    (tmp_path / "log.json").write_text(json.dumps(spoiled(document, chance)))
    (tmp_path / RESULTS.name).write_text(json.dumps(spoiled(json.loads(RESULTS.read_text()), chance)))
    for samples in (GENERATED, CHOSEN):
        lines = [json.dumps(spoiled(json.loads(line), chance)) for line in samples.read_text().splitlines()]
        (tmp_path / samples.name).write_text("\n".join(lines))
    for name in ("log.json", RESULTS.name):
        with suppress(ThemisError):
            import_file(MemoryStorageBackend(), tmp_path / name)
