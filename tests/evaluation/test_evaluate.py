"""What a run says and stores when nothing goes wrong."""

from __future__ import annotations

import json
import math
import types
from itertools import pairwise
from typing import Any

import pytest

from tests.evaluation.doubles import RUN, Echo, ask, rows
from themis import evaluate
from themis.backends import LocalStorageBackend, MemoryStorageBackend
from themis.core.entities import ExperimentReport
from themis.core.errors import BenchmarkError, InvalidRunId, UnknownName, UsageError
from themis.evaluation.aggregate import wilson


def test_demo_reports_what_the_fake_model_knows() -> None:
    report = evaluate("demo", model="fake-math-llm", storage_backend=MemoryStorageBackend())
    match = report.metrics["ExactMatch"]
    assert report.status == "completed"
    assert report.counts == {"asked": 120, "answered": 120, "errors": 0, "kept": 0}
    assert match["mean"] == pytest.approx(80 / 120)
    assert match["stderr"] == pytest.approx(math.sqrt((80 / 120) * (40 / 120) / 119))
    assert (match["ci_low"], match["ci_high"], match["ci_method"]) == (*wilson(80 / 120, 120), "wilson")
    assert match["clusters"] is None
    assert match["mean_errors_as_zero"] == match["mean"]
    assert report.by_tag["arithmetic"]["ExactMatch"] == {"count": 50, "mean": 1.0}
    assert sorted(report.by_tag) == ["arithmetic", "facts", "reasoning"]
    assert report.usage["input_tokens"] > report.usage["output_tokens"] > 0
    assert report.failures == {}
    assert report.cost is None
    assert report.evaluation_report.metrics["ExactMatch"].mean == match["mean"]


def test_the_stored_report_is_the_one_returned_and_round_trips() -> None:
    store = MemoryStorageBackend()
    report = evaluate("demo", model="fake-math-llm", limit=10, storage_backend=store)
    assert store.load_report(report.run_id) == report
    assert ExperimentReport(**json.loads(json.dumps(report.__dict__))) == report
    assert store.list_runs() == [report.run_id]


def test_every_answer_is_stored_with_all_that_tells_where_it_came_from() -> None:
    store = MemoryStorageBackend()
    ask([{"id": 7, "question": "q7", "answer": "7", "tags": "easy", "group": 3}], store=store)
    (generation,) = store.load_generation_records(RUN)
    (evaluation,) = store.load_evaluation_records(RUN).values()
    assert (generation.id, generation.sample_id, generation.epoch, generation.attempt) == ("7", "7", 1, 1)
    assert (generation.prompt, generation.response, generation.error) == ("q7", "7", None)
    assert generation.timing is not None
    assert sorted(generation.timing) == ["model_s", "queue_s", "started_at", "wait_s"]
    assert generation.cache_key == evaluation.cache_key
    assert generation.sample_hash == evaluation.sample_hash
    assert evaluation.scores == {"ExactMatch": 1, "Includes": 1}
    assert (evaluation.tags, evaluation.group, evaluation.reference) == (["easy"], "3", "7")
    assert evaluation.metric_versions == {"ExactMatch": "1", "Includes": "2"}
    assert evaluation.latency_s == generation.timing["model_s"]


def test_an_unknown_keyword_is_a_type_error_and_stores_nothing() -> None:
    store = MemoryStorageBackend()
    with pytest.raises(TypeError, match="storage_backed"):
        evaluate("demo", model="fake-math-llm", storage_backend=store, storage_backed=store)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        evaluate("demo", "fake-math-llm")  # type: ignore[misc]
    assert store.list_runs() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": True},
        {"limit": 2.0},
        {"epochs": 0},
        {"epochs": None},
        {"max_workers": 0},
        {"timeout": 0},
        {"timeout": -1.0},
        {"timeout": math.nan},
        {"seed": "7"},
        {"seed": 1.5},
        {"seed": True},
        {"budget": {"dollars": 1}},
        {"budget": {"tokens": 0}},
        {"budget": {"tokens": math.nan}},
        {"budget": {"seconds": math.inf}},
        {"budget": {"cost": True}},
        {"budget": {"cost": "1"}},
        {"sampling": {"stop": {"a", "b"}}},
        {"sampling": {"temperature": math.nan}},
        {"sampling": {"logit_bias": {5: 1}}},
        {"prompt": "{question"},
        {"prompt": "{}"},
        {"prompt": "{question.upper}"},
        {"prompt": "{question!r}"},
        {"prompt": "{question:>10}"},
        {"prompt": 5},
        {"prompt": []},
        {"prompt": {"role": "user", "content": "{question}"}},
        {"prompt": [{"role": "user"}]},
        {"prompt": [{"content": "{question}"}]},
        {"prompt": [{"role": "user", "content": [{"type": "text"}]}]},
        {"prompt": [{"role": "user", "content": "{question}", "extra": {1, 2}}]},
        {"system": 5},
        {"metrics": ["Nonsense"]},
        {"metrics": [7]},
        {"metrics": ["ExactMatch", "ExactMatch"]},
        {"model": "nonsense"},
        {"model": 7},
        {"model": "fake-math-llm?latencyy=1"},
        {"model": "python:no_such_module:f"},
        {"benchmark": "nonsense"},
        {"benchmark": "no/such/file.jsonl"},
        {"benchmark": {"question": "q"}},
        {"benchmark": 7},
        {"benchmark": iter([])},
        {"run_id": "../up"},
        {"run_id": ""},
        {"run_id": "a" * 81},
        {"storage": "memory"},
        {"executor": "nonsense"},
        {"executor": "threads", "execution_backend": object()},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_what_cannot_be_meant_is_refused_before_anything_is_stored(wrong: dict[str, Any]) -> None:
    store = MemoryStorageBackend()
    options = {"model": Echo(), "model_id": "m", "storage_backend": store, **wrong}
    with pytest.raises(UsageError):
        evaluate(options.pop("benchmark", rows(3)), **options)
    assert store.list_runs() == []


def test_refusals_name_what_there_is() -> None:
    with pytest.raises(UnknownName, match="demo"):
        ask("nonsense")
    with pytest.raises(UnknownName, match="fake-math-llm"):
        ask(model="nonsense")
    with pytest.raises(UnknownName, match="ExactMatch, Includes"):
        ask(metrics=["nonsense"])
    with pytest.raises(InvalidRunId, match="1 to 80"):
        ask(run_id="a/b")
    with pytest.raises(UsageError, match="storage_backend= or storage="):
        evaluate("demo", model="fake-math-llm", storage_backend=MemoryStorageBackend(), storage="local")


# Ids


def test_epochs_have_ids_of_their_own_and_ask_every_sample_again() -> None:
    store, model = MemoryStorageBackend(), Echo()
    report = ask(rows(2), model, store, epochs=3)
    ids = sorted(record.id for record in store.load_generation_records(RUN))
    assert ids == ["s0", "s0#2", "s0#3", "s1", "s1#2", "s1#3"]
    assert {(r.sample_id, r.epoch) for r in store.load_generation_records(RUN)} == {
        (sample, epoch) for sample in ("s0", "s1") for epoch in (1, 2, 3)
    }
    assert len({r.cache_key for r in store.load_generation_records(RUN)}) == 6
    assert model.counts == {"q0": 3, "q1": 3}
    assert report.counts["asked"] == 6


def test_epochs_of_a_source_that_comes_once_are_asked_sample_by_sample() -> None:
    model = Echo()
    report = ask(iter(rows(3)), model, epochs=2, executor="sequential")
    assert model.asked == ["q0", "q0", "q1", "q1", "q2", "q2"]
    assert report.status == "completed"


def test_samples_without_ids_get_content_hashes_and_repeats_are_told_apart() -> None:
    store = MemoryStorageBackend()
    question = {"question": "q1", "answer": "1"}
    ask([question, {"question": "q2", "answer": "2"}, question, dict(question)], store=store)
    ids = [record.id for record in store.load_generation_records(RUN)]
    first = next(i for i in ids if i + "-2" in ids)
    assert len(first) == 16
    assert sorted(i for i in ids if i.startswith(first)) == [first, f"{first}-2", f"{first}-3"]
    assert len(ids) == 4


def test_a_made_run_id_keeps_the_rule_and_differs() -> None:
    store = MemoryStorageBackend()
    first, second = (evaluate(rows(1), model=Echo(), storage_backend=store).run_id for _ in range(2))
    assert first != second
    assert store.list_runs() == sorted([first, second])


# What is asked


def test_chat_messages_and_system_prompt_reach_the_model_filled_in() -> None:
    seen: list[Any] = []

    def model(prompt: Any) -> str:
        seen.append(prompt)
        return "0"

    ask(
        rows(1),
        model,
        prompt=[{"role": "user", "content": "{{Q}}: {question}", "name": "x"}],
        system="Be {brief}.",
    )
    ask(rows(1), model, prompt="{question}!", system="Be brief.")
    ask(rows(1), model, prompt="{question}!")
    assert seen == [
        [
            {"role": "system", "content": "Be {brief}."},
            {"role": "user", "content": "{Q}: q0", "name": "x"},
        ],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q0!"}],
        "q0!",
    ]


def test_a_sample_that_lacks_a_field_is_an_error_of_its_own_and_never_asked() -> None:
    store, model = MemoryStorageBackend(), Echo()
    questions = [*rows(2), {"id": "odd", "text": "no question here"}]
    report = ask(questions, model, store, prompt="{question}")
    assert report.status == "completed"
    assert report.failures == {"template": {"count": 1, "sample_ids": ["odd"]}}
    assert sorted(model.asked) == ["q0", "q1"]
    odd = next(r for r in store.load_generation_records(RUN) if r.id == "odd")
    assert odd.error is not None
    assert (odd.error["kind"], odd.error["stage"], odd.response) == ("template", "render", None)
    assert "{question}" in odd.error["message"]
    assert "text" in odd.error["message"]
    evaluation = next(e for e in store.load_evaluation_records(RUN).values() if e.id == "odd")
    assert evaluation.error == {"kind": "template", "stage": "render"}
    assert evaluation.latency_s is None  # unknown, never 0
    assert report.metrics["ExactMatch"]["mean"] == 1.0
    assert report.metrics["ExactMatch"]["mean_errors_as_zero"] == pytest.approx(2 / 3)


def test_limit_asks_the_first_so_many() -> None:
    model = Echo()
    assert ask(rows(9), model, limit=4).counts["asked"] == 4
    assert sorted(model.asked) == ["q0", "q1", "q2", "q3"]
    assert ask(rows(3), limit=100).counts["asked"] == 3


def test_nothing_to_ask_is_a_completed_run_without_figures() -> None:
    report = ask([], prompt="{question}")
    assert report.status == "completed"
    assert report.metrics["ExactMatch"]["mean"] is None
    assert report.metrics["ExactMatch"]["ci_method"] is None


def test_a_mapping_that_is_no_dict_is_a_row_too() -> None:
    assert ask([types.MappingProxyType(row) for row in rows(3)]).counts["answered"] == 3


def test_a_file_and_a_list_of_the_same_rows_ask_the_same(tmp_path: Any) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n\n".join(json.dumps(row) for row in rows(4)) + "\n")
    stores = MemoryStorageBackend(), MemoryStorageBackend()
    assert ask(path, store=stores[0]).status == "completed"
    assert ask(str(path), store=stores[1]).counts["asked"] == 4
    keys = [sorted(store.load_evaluation_records(RUN)) for store in stores]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"id": "s0", "question": "again"}, "repeats the id 's0'"),
        ({"id": "x#2", "question": "q"}, "mark epochs"),
        ({"id": "", "question": "q"}, "empty"),
        ({"id": 1.5, "question": "q"}, "neither text nor a whole number"),
        ({"id": "x"}, "no input field"),
        ({"id": "x", "question": "q", "tags": [1]}, "not a list of texts"),
        ("text", "not a dict"),
        ({"id": "x", "question": (1, 2)}, "tuple"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_a_row_that_cannot_be_used_fails_the_run_and_keeps_what_was_answered(bad: Any, why: str) -> None:
    store = MemoryStorageBackend()
    with pytest.raises(BenchmarkError, match=why) as raised:
        ask(iter([*rows(3), bad]), store=store)
    assert "Row 4" in str(raised.value)
    metadata = store.load_run_metadata(RUN)
    assert metadata["status"] == "failed"
    assert metadata["status_reason"] == str(raised.value)
    assert sorted(r.id for r in store.load_generation_records(RUN)) == ["s0", "s1", "s2"]
    assert len(store.load_evaluation_records(RUN)) == 3


@pytest.mark.parametrize("value", [{1, 2}, b"x", math.nan, object()], ids=lambda value: type(value).__name__)
def test_rows_that_json_does_not_know_are_refused_with_their_number(value: Any) -> None:
    store = MemoryStorageBackend()
    with pytest.raises(BenchmarkError, match="Row 2 "):
        ask([*rows(1), {"question": value}], store=store)
    assert store.list_runs() == []


# Where it is stored


def test_metadata_tell_all_that_was_asked(tmp_path: Any) -> None:
    store = LocalStorageBackend(tmp_path / "store")
    report = ask(
        "demo",
        "fake-math-llm?seed=3",
        store,
        model_id=None,
        limit=3,
        epochs=2,
        sampling={"temperature": 0},
        system="Be brief.",
        seed=5,
        budget={"tokens": 10**9},
    )
    metadata = store.load_run_metadata(RUN)
    assert set(metadata) >= {
        *("run_id", "schema_version", "uid", "status", "status_reason", "created_at", "started_at"),
        *("ended_at", "updated_at", "asked", "asked_hash", "where", "lease_epoch", "heartbeat"),
        *("progress", "summary", "budget", "audit"),
    }
    assert (metadata["run_id"], metadata["schema_version"]) == (RUN, 1)
    assert (metadata["status"], metadata["status_reason"]) == ("completed", None)
    assert metadata["created_at"] <= metadata["started_at"] <= metadata["ended_at"]
    asked = metadata["asked"]
    assert set(asked) == {
        *("benchmark", "dataset", "model", "prompt", "system", "sampling", "metrics", "limit"),
        *("epochs", "seed"),
    }
    assert set(asked["dataset"]) == {"source", "fingerprint"}
    assert asked["model"] == {"name": "fake-math-llm", "base_url": None, "identity": "fake-math-llm?seed=3"}
    assert set(asked["prompt"]) == {"template", "hash"}
    assert asked["metrics"]["ExactMatch"] == {"version": "1", "params": {}}
    assert (asked["limit"], asked["epochs"], asked["seed"]) == (3, 2, 5)
    assert report.asked == asked
    assert set(metadata["where"]) >= {
        *("storage", "executor", "host", "boot_id", "pid", "user", "python", "themis", "git_commit")
    }
    assert set(metadata["heartbeat"]) == {"seq", "at", "every_s"}
    assert "history" not in metadata["progress"]
    assert metadata["progress"]["done"] == metadata["summary"]["done"] == 6
    assert metadata["summary"]["headline"] == "ExactMatch"
    assert set(metadata["summary"]["metrics"]["ExactMatch"]) == {"mean", "stderr", "n"}
    assert metadata["budget"] == {"tokens": 10**9}


def test_hostile_texts_are_stored_exactly_and_metadata_stay_writable(tmp_path: Any) -> None:
    nasty = "\x00\ud800\x1b[2J‮" + "😀"
    store = LocalStorageBackend(tmp_path / "store")
    questions = [{"id": nasty, "question": nasty, "answer": nasty, "tags": [nasty], "group": nasty}]
    report = ask(questions, lambda prompt: prompt[-1]["content"], store, prompt="{question}", system=nasty)
    assert report.status == "completed"
    assert list(report.by_tag) == [nasty]
    (generation,) = store.load_generation_records(RUN)
    assert (generation.id, generation.response) == (nasty, nasty)
    assert store.load_report(RUN) == report
    assert store.load_run_metadata(RUN)["asked"]["system"] == "��\x1b[2J‮😀"


def test_order_of_writing_is_generation_then_evaluation_then_report_then_completed() -> None:
    order: list[str] = []

    class Noted(MemoryStorageBackend):
        def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
            order.append(f"metadata {metadata['status']}")
            super().save_run_metadata(run_id, metadata)

        def save_generation_records(self, run_id: str, records: Any) -> None:
            order.append("generations")
            super().save_generation_records(run_id, records)

        def save_evaluation_records(self, run_id: str, records: Any) -> None:
            order.append("evaluations")
            super().save_evaluation_records(run_id, records)

        def flush(self) -> None:
            order.append("flush")

        def save_report(self, run_id: str, report: ExperimentReport) -> None:
            order.append("report")
            super().save_report(run_id, report)

    ask(rows(600), store=Noted())
    assert order[0] == "metadata running"
    assert order[-4:] == ["flush", "report", "metadata completed", "flush"]
    records = [each for each in order if each in ("generations", "evaluations")]
    assert records == ["generations", "evaluations"] * (len(records) // 2)
    assert all(a != b for a, b in pairwise(records))
