"""A run that is gone on with: nothing answered is asked again, nothing stale is believed."""

from __future__ import annotations

import dataclasses
import random
import time
from collections import Counter
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, Echo, ask, comparable, raising, rows
from themis.backends import LocalStorageBackend, MemoryStorageBackend
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import ModelError, RunConflict, RunExists, RunHeld
from themis.evaluation.plan import asked_hash


def by_id(store: Any) -> dict[str, GenerationRecord]:
    return {record.id: record for record in store.load_generation_records(RUN)}


def scores_by_id(store: Any) -> dict[str, EvaluationRecord]:
    return {record.id: record for record in store.load_evaluation_records(RUN).values()}


def test_a_completed_run_resumed_asks_nothing_and_reports_the_same() -> None:
    store, again = MemoryStorageBackend(), Echo()
    first = ask(rows(20), store=store)
    second = ask(rows(20), again, store)
    assert again.asked == []
    assert second.counts == {"asked": 20, "answered": 20, "errors": 0, "kept": 20}
    assert comparable(second) == comparable(first)
    assert store.load_report(RUN) == second


def test_a_resumed_run_keeps_its_uid_and_creation_and_gets_a_new_start() -> None:
    store = MemoryStorageBackend()
    ask(store=store)
    before = store.load_run_metadata(RUN)
    ask(store=store)
    after = store.load_run_metadata(RUN)
    assert (after["uid"], after["created_at"]) == (before["uid"], before["created_at"])
    assert after["started_at"] >= before["ended_at"]
    assert after["asked_hash"] == before["asked_hash"]


def test_errors_are_redone_with_the_next_attempt_and_answers_are_not() -> None:
    store = MemoryStorageBackend()
    failing = Echo(raising(ModelError("busy", kind="server"), "q1", "q3"))
    first = ask(rows(5), failing, store)
    assert first.failures == {"server": {"count": 2, "sample_ids": ["s1", "s3"]}}
    well = Echo()
    second = ask(rows(5), well, store)
    assert sorted(well.asked) == ["q1", "q3"]
    assert {i: r.attempt for i, r in by_id(store).items()} == {"s0": 1, "s1": 2, "s2": 1, "s3": 2, "s4": 1}
    assert {i: r.attempt for i, r in scores_by_id(store).items()} == {
        "s0": 1,
        "s1": 2,
        "s2": 1,
        "s3": 2,
        "s4": 1,
    }
    assert second.counts == {"asked": 5, "answered": 5, "errors": 0, "kept": 3}
    assert second.failures == {}


def test_an_error_that_stays_counts_its_attempts() -> None:
    store = MemoryStorageBackend()
    for _ in range(3):
        report = ask(rows(2), Echo(raising(RuntimeError("no"), "q1")), store)
    assert by_id(store)["s1"].attempt == 3
    assert report.counts == {"asked": 2, "answered": 1, "errors": 1, "kept": 1}


def stored_by_hand(*, attempt: int = 1) -> tuple[MemoryStorageBackend, dict[str, GenerationRecord]]:
    """A run whose answers are all stored and whose scores are not: killed between the two."""
    whole = MemoryStorageBackend()
    ask(rows(4), store=whole)
    cut = MemoryStorageBackend()
    cut.save_run_metadata(RUN, {**whole.load_run_metadata(RUN), "status": "running"})
    records = [dataclasses.replace(r, attempt=attempt) for r in whole.load_generation_records(RUN)]
    cut.save_generation_records(RUN, records)
    return cut, {record.id: record for record in records}


def test_stored_answers_without_scores_are_scored_and_not_asked() -> None:
    store, before = stored_by_hand()
    model = Echo()
    report = ask(rows(4), model, store)
    assert model.asked == []
    assert by_id(store) == before
    assert {e.id: e.scores for e in scores_by_id(store).values()} == {
        f"s{n}": {"ExactMatch": 1, "Includes": 1} for n in range(4)
    }
    assert report.counts == {"asked": 4, "answered": 4, "errors": 0, "kept": 0}
    assert comparable(report) == comparable(ask(rows(4)))


def test_scores_of_an_older_attempt_are_ignored_and_made_again() -> None:
    store, before = stored_by_hand(attempt=2)
    stale = [
        EvaluationRecord(str(r.cache_key), r.id, {"ExactMatch": 0, "Includes": 0}, attempt=1)
        for r in before.values()
    ]
    store.save_evaluation_records(RUN, stale)
    model = Echo()
    report = ask(rows(4), model, store)
    assert model.asked == []
    assert report.metrics["ExactMatch"]["mean"] == 1.0
    assert {e.attempt for e in scores_by_id(store).values()} == {2}
    assert ask(rows(4), model, store).counts["kept"] == 4


def test_scores_that_lack_a_metric_are_made_again() -> None:
    store, before = stored_by_hand()
    for record in before.values():
        store.save_evaluation_record(
            RUN, EvaluationRecord(str(record.cache_key), record.id, {"ExactMatch": 0})
        )
    assert ask(rows(4), store=store).metrics["ExactMatch"]["mean"] == 1.0


def test_records_of_a_stranger_without_metadata_are_kept_by_id() -> None:
    store, model = MemoryStorageBackend(), Echo()
    store.save_generation_record(RUN, GenerationRecord(id="s1", prompt="other", response="1"))
    report = ask(rows(3), model, store)
    assert sorted(model.asked) == ["q0", "q2"]
    assert report.counts["answered"] == 3
    assert by_id(store)["s1"].prompt == "other"
    assert scores_by_id(store)["s1"].cache_key == "s1"


def test_annotations_in_the_metadata_are_carried_along() -> None:
    store = MemoryStorageBackend()
    ask(store=store)
    store.save_run_metadata(RUN, {**store.load_run_metadata(RUN), "annotations": {"name": "mine"}})
    ask(store=store)
    assert store.load_run_metadata(RUN)["annotations"] == {"name": "mine"}


# Growing


def test_limit_and_epochs_grow_and_ask_only_what_is_new() -> None:
    store = MemoryStorageBackend()
    ask(rows(10), store=store, limit=3)
    wider, deeper, all_of_it = Echo(), Echo(), Echo()
    assert ask(rows(10), wider, store, limit=5).counts["kept"] == 3
    assert sorted(wider.asked) == ["q3", "q4"]
    report = ask(rows(10), deeper, store, limit=5, epochs=2)
    assert sorted(deeper.asked) == ["q0", "q1", "q2", "q3", "q4"]
    assert report.metrics["ExactMatch"]["clusters"] == 5
    assert report.metrics["ExactMatch"]["count"] == 10
    ask(rows(10), all_of_it, store, epochs=2)
    assert all_of_it.counts == dict.fromkeys(("q5", "q6", "q7", "q8", "q9"), 2)
    assert comparable(ask(rows(10), store=store, epochs=2)) == comparable(ask(rows(10), epochs=2))


@pytest.mark.parametrize(
    ("first", "then", "named"),
    [
        ({"limit": 5}, {"limit": 4}, "limit: was 5, is 4"),
        ({}, {"limit": 4}, "limit: was all, is 4"),
        ({"epochs": 3}, {"epochs": 2}, "epochs: was 3, is 2"),
    ],
)
def test_limit_and_epochs_do_not_shrink(first: Any, then: Any, named: str) -> None:
    store = MemoryStorageBackend()
    ask(store=store, **first)
    with pytest.raises(RunConflict, match=f"{named}, and may only grow"):
        ask(store=store, **then)


# Conflicts


def shout(response: str, reference: Any) -> int:
    return int(response.isupper())


ASKED: dict[str, Any] = {
    "benchmark": rows(5),
    "model_id": "m",
    "prompt": "{question}",
    "system": None,
    "sampling": {"temperature": 0.0},
    "metrics": ["ExactMatch"],
    "seed": 1,
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"benchmark": rows(6)}, "dataset: was '"),
        ({"model_id": "other"}, "model: was 'm', is 'other'"),
        ({"prompt": "{question} "}, "prompt: was '"),
        ({"prompt": [{"role": "user", "content": "{question}"}]}, "prompt: was '"),
        ({"system": "Be brief."}, "system: was None, is 'Be brief.'"),
        ({"sampling": {"temperature": 0.5}}, "sampling: was {'temperature': 0.0}, is {'temperature': 0.5}"),
        ({"sampling": None}, "sampling: was {'temperature': 0.0}, is {}"),
        ({"metrics": ["Includes"]}, "metrics: was {'ExactMatch'"),
        ({"metrics": ["ExactMatch", "Includes"]}, "metrics: was {'ExactMatch'"),
        ({"metrics": [shout]}, "metrics: was {'ExactMatch'"),
        ({"seed": 2}, "seed: was 1, is 2"),
        ({"seed": None}, "seed: was 1, is None"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else "",
)
def test_what_decides_the_answers_must_be_the_same_and_is_named(change: Any, named: str) -> None:
    store, model = MemoryStorageBackend(), Echo()
    ask(store=store, **ASKED)
    before = store.load_run_metadata(RUN)
    with pytest.raises(RunConflict) as raised:
        ask(model=model, store=store, **{**ASKED, **change})
    assert named in str(raised.value)
    others = {"dataset", "model", "prompt", "system", "sampling", "metrics", "seed"} - {named.split(":")[0]}
    assert not any(f"{other}: was" in str(raised.value) for other in others)
    assert model.asked == []
    assert store.load_run_metadata(RUN) == before


def test_all_that_differs_is_named_at_once() -> None:
    store = MemoryStorageBackend()
    ask(store=store, **ASKED)
    with pytest.raises(RunConflict) as raised:
        ask(store=store, **{**ASKED, "seed": 9, "system": "x", "limit": 1, "model_id": "n"})
    for name in ("model", "system", "seed", "limit"):
        assert f"{name}: was" in str(raised.value)


def test_what_does_not_decide_the_answers_may_change() -> None:
    store = MemoryStorageBackend()
    ask(store=store, **ASKED)
    report = ask(
        store=store,
        **ASKED,
        timeout=9,
        max_workers=2,
        executor="sequential",
        budget={"tokens": 5},
        on_progress=lambda snapshot: None,
    )
    assert report.counts["kept"] == 5


def test_asked_hash_covers_what_decides_and_nothing_else() -> None:
    base: dict[str, Any] = {
        "benchmark": "b",
        "dataset": {"source": "s", "fingerprint": "f"},
        "model": {"name": "n", "base_url": None, "identity": "i"},
        "prompt": {"template": "{q}", "hash": "h"},
        "system": None,
        "sampling": {},
        "metrics": {"ExactMatch": {"version": "1", "params": {}}},
        "limit": None,
        "epochs": 1,
        "seed": None,
    }
    decide = [
        {"dataset": {"source": "s", "fingerprint": "other"}},
        {"model": {"name": "n", "base_url": None, "identity": "other"}},
        {"prompt": {"template": "{q}", "hash": "other"}},
        {"system": "x"},
        {"sampling": {"temperature": 1}},
        {"metrics": {"ExactMatch": {"version": "2", "params": {}}}},
        {"seed": 0},
    ]
    others = [
        {"benchmark": "other"},
        {"dataset": {"source": "other", "fingerprint": "f"}},
        {"model": {"name": "other", "base_url": "http://x", "identity": "i"}},
        {"prompt": {"template": "other", "hash": "h"}},
        {"limit": 5},
        {"epochs": 5},
    ]
    assert len({asked_hash({**base, **each}) for each in decide}) == len(decide)
    assert all(asked_hash({**base, **each}) != asked_hash(base) for each in decide)
    assert all(asked_hash({**base, **each}) == asked_hash(base) for each in others)
    assert len(asked_hash(base)) == 32


def test_resume_false_on_an_existing_run_is_refused() -> None:
    store, model = MemoryStorageBackend(), Echo()
    ask(store=store)
    with pytest.raises(RunExists, match="resume=True"):
        ask(model=model, store=store, resume=False)
    with pytest.raises(FileExistsError):
        ask(model=model, store=store, resume=False)
    assert model.asked == []
    assert ask(store=MemoryStorageBackend(), resume=False).status == "completed"


@pytest.mark.parametrize("resume", [True, False])
def test_ids_are_unique_ignoring_case(resume: bool, tmp_path: Any) -> None:
    for store in (MemoryStorageBackend(), LocalStorageBackend(tmp_path)):
        ask(store=store, run_id="Run-A")
        with pytest.raises(RunExists, match="'Run-A'"):
            ask(store=store, run_id="run-a", resume=resume)
        assert store.list_runs() == ["Run-A"]


# Sources that come once


def test_an_iterator_is_compared_sample_by_sample() -> None:
    store, model = MemoryStorageBackend(), Echo()
    ask(iter(rows(4)), store=store, limit=3)
    assert ask(iter(rows(4)), model, store).counts["kept"] == 3
    assert model.asked == ["q3"]
    assert store.load_run_metadata(RUN)["asked"]["dataset"] == {"source": "iterator", "fingerprint": None}


def test_an_iterator_whose_sample_changed_is_a_conflict() -> None:
    store, model = MemoryStorageBackend(), Echo()
    ask(iter(rows(4)), store=store)
    changed = [*rows(2), {"id": "s2", "question": "q2", "answer": "mended"}, rows(1, 3)[0]]
    with pytest.raises(RunConflict, match="'s2'"):
        ask(iter(changed), model, store)
    assert model.asked == []


def test_a_list_in_place_of_the_iterator_is_another_dataset() -> None:
    store = MemoryStorageBackend()
    ask(iter(rows(4)), store=store)
    with pytest.raises(RunConflict, match="dataset: was None"):
        ask(rows(4), store=store)


# Disturbed and undisturbed


def halves(response: str, reference: Any) -> float:
    """A score that no float holds exactly."""
    return 1 / (3 + int(response) % 11)


@pytest.mark.parametrize("seed", range(6))
def test_a_run_in_pieces_reports_what_an_undisturbed_one_does(seed: int, tmp_path: Any) -> None:
    chance = random.Random(seed)
    questions = [
        {**row, "tags": [f"t{n % 5}", f"u{n}"], "group": None if n % 3 else f"g{n % 7}"}
        for n, row in enumerate(rows(300))
    ]
    options = {"metrics": [halves, "ExactMatch"], "epochs": 2}
    whole = ask(questions, store=LocalStorageBackend(tmp_path / "whole"), **options)
    store = LocalStorageBackend(tmp_path / "pieces")
    asked: Counter[str] = Counter()
    for limit in sorted(chance.sample(range(1, 300), 3)):
        broken = {f"q{n}" for n in chance.sample(range(300), 20)}
        model = Echo(raising(ModelError("no", kind="server"), *broken))
        ask(questions, model, store, limit=limit, max_workers=chance.randint(1, 9), **options)
        asked.update(model.asked)
    last = Echo()
    report = ask(questions, last, store, **options)
    assert comparable(report) == comparable(whole)
    assert len(report.by_tag) == 200
    assert len(by_id(store)) == 600


def beating(store: MemoryStorageBackend, seconds_ago: float, **where: Any) -> None:
    """Leave the run as if a process elsewhere had it."""
    metadata = store.load_run_metadata(RUN)
    metadata["status"] = "running"
    metadata["heartbeat"]["at"] = time.time() - seconds_ago
    metadata["where"] |= where
    store.save_run_metadata(RUN, metadata)


def test_a_run_that_beats_elsewhere_is_not_run_here() -> None:
    store = MemoryStorageBackend()
    ask(rows(5), store=store)
    beating(store, 3, host="another", pid=77)
    with pytest.raises(RunHeld, match="process 77 on another"):
        ask(rows(5), store=store)
    beating(store, 46)
    assert ask(rows(5), store=store).counts["kept"] == 5


def test_a_run_whose_process_is_gone_is_resumed_at_once() -> None:
    store = MemoryStorageBackend()
    ask(rows(5), store=store)
    beating(store, 0, pid=2**22 + 1, pid_started=1)
    assert ask(rows(5), store=store).status == "completed"


def test_answers_of_a_run_that_does_not_say_what_it_asked_are_not_mixed_with_others() -> None:
    store = MemoryStorageBackend()
    ask(rows(5), store=store)
    store.save_run_metadata(RUN, {"run_id": RUN})
    with pytest.raises(RunConflict, match="do not say what was asked"):
        ask(rows(5), store=store, model_id="another")
