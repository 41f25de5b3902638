"""Stored answers scored anew: nothing is asked, and what is half done says so and can be gone on with."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backends.strangers import Crowd, Eager, ElevenMethods
from tests.evaluation.doubles import RUN, Echo, Held, Watched, ask, comparable, raising, rows
from themis.backends import AsyncExecutionBackend, LocalStorageBackend, MemoryStorageBackend, StorageBackend
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import (
    ModelError,
    RecordRefused,
    RunConflict,
    RunHeld,
    RunNotFound,
    StoreFull,
    UnknownName,
    UsageError,
)
from themis.evaluation import Rescored, plan_rescoring, rescore
from themis.evaluation.rescoring_task import AwaitedRescoringTask, RescoringTask, Scored
from themis.evaluation.stop import StopSignal
from themis.metrics import JudgingMetric, Metric, Score, open_metrics, registry


class Length(Metric):
    """As long as the answer; notes what it scored, and raises ``error`` from the answer ``at`` on."""

    name = "Length"

    def __init__(self, version: str = "1", meanwhile: Callable[[str], None] | None = None) -> None:
        self.version = version
        self.scored: list[str] = []
        self.meanwhile = meanwhile

    def score(self, response: str, reference: Any) -> Score:
        self.scored.append(response)
        if self.meanwhile is not None:
            self.meanwhile(response)
        return Score(len(response), f"seen by {self.version}")


class Exactly(Metric):
    """Another ExactMatch, of a later version and another opinion."""

    name = "ExactMatch"
    version = "2"

    def score(self, response: str, reference: Any) -> Score:
        return Score(int(response == reference and response != "3"))


class Judge(JudgingMetric):
    """A judge that takes its time; knows how many answers it had before it at once."""

    name = "Judge"
    timeout = 5.0

    def __init__(self, takes_s: float = 0.01) -> None:
        self.takes_s = takes_s
        self.inside = self.most = 0
        self.prompts: list[str] = []
        self.closed = False
        self._lock = threading.Lock()

    def _enters(self, change: int) -> None:
        with self._lock:
            self.inside += change
            self.most = max(self.most, self.inside)

    def judge(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        self._enters(1)
        time.sleep(self.takes_s)
        self._enters(-1)
        self.prompts.append(str(prompt))
        return Score(1.0 if response == reference else 0.0, "because")

    async def judge_awaited(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        self._enters(1)
        await asyncio.sleep(self.takes_s)
        self._enters(-1)
        return Score(0.5)

    def close(self) -> None:
        self.closed = True


def evaluations(store: StorageBackend) -> dict[str, EvaluationRecord]:
    return {each.id: each for each in store.load_evaluation_records(RUN).values()}


def again(store: StorageBackend, *metrics: Any, **options: Any) -> Rescored:
    return rescore(RUN, metrics=metrics, storage_backend=store, **options)


@pytest.fixture
def store() -> MemoryStorageBackend:
    """A completed run of six samples, one of them an error, scored by ExactMatch."""
    made = MemoryStorageBackend()
    model = Echo(raising(ModelError("busy", kind="server"), "q4"))
    ask(rows(6), model, made, metrics=["ExactMatch"])
    return made


# What changes, and what does not


def test_a_new_metric_stands_beside_the_others(store: MemoryStorageBackend) -> None:
    before, metadata = evaluations(store), store.load_run_metadata(RUN)
    generations = store.load_generation_records(RUN)
    length = Length()
    rescored = again(store, length, "Includes")
    assert sorted(length.scored) == ["0", "1", "2", "3", "5"]
    assert store.load_generation_records(RUN) == generations
    after = evaluations(store)
    for sample, evaluation in after.items():
        error = sample == "s4"
        assert evaluation.scores == (
            {"ExactMatch": None, "Length": None, "Includes": None}
            if error
            else {"ExactMatch": 1, "Length": 1, "Includes": 1}
        )
        assert evaluation.details == ({} if error else {"Length": "seen by 1"})
        assert evaluation.metric_versions == {"ExactMatch": "1", "Length": "1", "Includes": "2"}
        assert (evaluation.revision, evaluation.error) == (2, before[sample].error)
        same = {"scores", "details", "metric_versions", "revision", "scored_at"}
        assert {**before[sample].__dict__, **dict.fromkeys(same)} == {
            **evaluation.__dict__,
            **dict.fromkeys(same),
        }
    assert rescored.finished
    assert rescored.before == {"ExactMatch": {"mean": 1.0, "stderr": 0.0, "n": 5}}
    assert rescored.report == store.load_report(RUN)
    assert {name: each["count"] for name, each in rescored.report.metrics.items()} == {
        "ExactMatch": 5,
        "Length": 5,
        "Includes": 5,
    }
    assert rescored.report.counts == {"asked": 6, "answered": 5, "errors": 1, "kept": 0}
    later = store.load_run_metadata(RUN)
    assert list(later["summary"]["metrics"]) == ["ExactMatch", "Length", "Includes"]
    assert later["summary"]["headline"] == "ExactMatch"
    changed = {name for name in {*metadata, *later} if metadata.get(name) != later.get(name)}
    assert changed == {"asked", "asked_hash", "summary", "progress", "heartbeat", "updated_at"}


def test_a_named_metric_is_replaced_and_the_others_are_carried_over(store: MemoryStorageBackend) -> None:
    again(store, Length())
    rescored = again(store, Exactly())
    assert rescored.plan.metrics == {"ExactMatch": ("1", "2")}
    assert rescored.before["ExactMatch"]["mean"] == 1.0
    assert rescored.report.metrics["ExactMatch"]["mean"] == 0.8
    assert rescored.report.metrics["ExactMatch"]["version"] == "2"
    assert rescored.report.metrics["Length"]["mean"] == 1.0
    three = evaluations(store)["s3"]
    assert three.scores == {"ExactMatch": 0, "Length": 1}
    assert three.details == {"Length": "seen by 1"}
    assert three.metric_versions == {"ExactMatch": "2", "Length": "1"}
    assert three.revision == 3


def test_a_detail_that_is_no_longer_said_goes(store: MemoryStorageBackend) -> None:
    again(store, Length())

    def Length_(response: str, reference: Any) -> int:
        return 7

    Length_.__name__ = "Length"
    again(store, Length_)
    assert evaluations(store)["s0"].details == {}
    assert evaluations(store)["s0"].scores["Length"] == 7


def test_the_report_is_that_of_a_run_scored_so_from_the_start(tmp_path: Path) -> None:
    questions = [{**row, "tags": [f"t{n % 5}"], "group": f"g{n % 7}"} for n, row in enumerate(rows(200))]
    store = LocalStorageBackend(tmp_path)
    failing = raising(ModelError("no", kind="server"), "q7", "q9")
    ask(questions, Echo(failing), store, metrics=["Includes"], epochs=2)
    rescored = again(store, Length(), "ExactMatch")
    straight = ask(questions, Echo(failing), metrics=["Includes", Length(), "ExactMatch"], epochs=2)
    assert comparable(rescored.report) == comparable(straight)
    store.close()
    assert LocalStorageBackend(tmp_path).load_report(RUN) == rescored.report


def test_the_references_are_those_of_the_records(store: MemoryStorageBackend) -> None:
    records = evaluations(store)
    store.save_evaluation_record(RUN, dataclasses.replace(records["s0"], reference="mended"))
    assert again(store, "ExactMatch").report.metrics["ExactMatch"]["mean"] == 0.8


def test_a_metric_that_raises_gives_no_score_and_the_reason(store: MemoryStorageBackend) -> None:
    def raises(response: str, reference: Any) -> float:
        if response in "12":
            raise ValueError(f"not {response}")
        return float("inf") if response == "3" else 1.0

    rescored = again(store, raises)
    assert evaluations(store)["s1"].scores == {"ExactMatch": 1, "raises": None}
    assert evaluations(store)["s1"].details == {"raises": "ValueError: not 1"}
    assert rescored.report.metrics["raises"]["count"] == 2
    assert rescored.unscored["raises"][0] == 3
    assert "not 1" in rescored.unscored["raises"][1]


def test_texts_of_every_kind_go_through(tmp_path: Path) -> None:
    odd = ["\x00", "\ud800", "", "x" * 1_000_000, "\U0010ffff\r\n\x1b[2J"]
    questions = [{"id": f"{text[:9]}{n}", "question": text, "answer": text} for n, text in enumerate(odd)]

    def says(response: str, reference: Any) -> int:
        return len(response)

    class Tells(Length):
        name = "Téll\x1b"

        def score(self, response: str, reference: Any) -> Score:
            return Score(len(response), {"said": response})

    for store in (LocalStorageBackend(tmp_path), MemoryStorageBackend()):
        ask(questions, lambda prompt: prompt, store, prompt="{question}")
        rescored = again(store, Tells(), says)
        assert rescored.report.metrics["Téll\x1b"]["count"] == 5
        assert {e.details["Téll\x1b"]["said"] for e in evaluations(store).values()} == set(odd)
        assert {e.reference for e in evaluations(store).values()} == set(odd)


# Resuming afterwards


def test_a_resume_that_names_the_new_metrics_finds_everything_done(store: MemoryStorageBackend) -> None:
    rescored, length = again(store, Length()), Length()
    model = Echo()
    report = ask(rows(6), model, store, metrics=["ExactMatch", length])
    assert model.asked == ["q4"]
    assert length.scored == ["4"]
    assert report.counts["kept"] == 5
    assert report.asked == rescored.report.asked


def test_a_resume_that_names_the_old_metrics_is_a_conflict_that_says_so(store: MemoryStorageBackend) -> None:
    again(store, Length())
    before = store.load_run_metadata(RUN)
    with pytest.raises(RunConflict, match=r"metrics: was \{'ExactMatch'.*'Length'.*rescore"):
        ask(rows(6), store=store, metrics=["ExactMatch"])
    assert store.load_run_metadata(RUN) == before


def test_a_rescored_run_grows_and_is_rescored_again(store: MemoryStorageBackend) -> None:
    grown = MemoryStorageBackend()
    ask(rows(9), store=grown, metrics=["ExactMatch"], limit=4)
    again(grown, Length())
    model = Echo()
    report = ask(rows(9), model, grown, metrics=["ExactMatch", Length()], limit=7)
    assert sorted(model.asked) == ["q4", "q5", "q6"]
    assert report.metrics["Length"]["count"] == 7
    assert {each.revision for each in evaluations(grown).values()} == {1, 2}
    rescored = again(grown, "Includes")
    assert {each.revision for each in evaluations(grown).values()} == {3}
    assert rescored.report.asked["limit"] == 7
    assert rescored.report.metrics["Includes"]["count"] == 7


def test_what_a_resume_scores_outranks_rescored_scores_that_lack_a_metric(
    store: MemoryStorageBackend,
) -> None:
    again(store, Length())
    record = evaluations(store)["s0"]
    lacking = dataclasses.replace(record, scores={"Length": 1}, revision=7)
    store.save_evaluation_record(RUN, lacking)
    ask(rows(6), store=store, metrics=["ExactMatch", Length()])
    assert evaluations(store)["s0"].scores == {"ExactMatch": 1, "Length": 1}
    assert evaluations(store)["s0"].revision == 8


# Records that are not as they should be


def test_answers_that_were_never_scored_are_left_to_a_resume(store: MemoryStorageBackend) -> None:
    store.save_generation_record(RUN, GenerationRecord(id="never", prompt="?", response="!"))
    stale = next(g for g in store.load_generation_records(RUN) if g.id == "s4")
    answered = dataclasses.replace(stale, attempt=2, response="4", error=None)
    store.save_generation_record(RUN, answered)
    length = Length()
    rescored = again(store, length)
    assert (rescored.plan.answers, rescored.plan.errors, rescored.plan.unknown) == (5, 0, 2)
    assert sorted(length.scored) == ["0", "1", "2", "3", "5"]
    assert rescored.report.counts["asked"] == 5
    assert evaluations(store)["s4"].attempt == 1
    report = ask(rows(6), Echo(), store, metrics=["ExactMatch", length])
    assert report.counts == {"asked": 6, "answered": 6, "errors": 0, "kept": 5}
    assert evaluations(store)["s4"].scores == {"ExactMatch": 1, "Length": 1}


def test_errors_that_failed_again_and_refused_scores_stay_errors(store: MemoryStorageBackend) -> None:
    error = next(g for g in store.load_generation_records(RUN) if g.id == "s4")
    failed = dataclasses.replace(error, attempt=2, error={"kind": "timeout", "stage": "call"})
    store.save_generation_record(RUN, failed)
    one = dataclasses.replace(
        evaluations(store)["s1"],
        attempt=1,
        revision=2,
        scores={"ExactMatch": None},
        error={"kind": "refused_by_store", "stage": "store"},
    )
    refused = MemoryStorageBackend()
    refused.save_run_metadata(RUN, store.load_run_metadata(RUN))
    refused.save_generation_records(RUN, store.load_generation_records(RUN))
    kept = [each for each in evaluations(store).values() if each.id != "s1"]
    refused.save_evaluation_records(RUN, [*kept, one])
    rescored = again(refused, Length())
    assert rescored.report.failures == {
        "refused_by_store": {"count": 1, "sample_ids": ["s1"]},
        "timeout": {"count": 1, "sample_ids": ["s4"]},
    }
    after = evaluations(refused)
    assert (after["s4"].attempt, after["s4"].error) == (2, {"kind": "timeout", "stage": "call"})
    assert after["s1"].scores == after["s4"].scores == {"ExactMatch": None, "Length": None}


def test_a_run_of_which_nothing_was_scored_is_refused_and_left_as_it_is() -> None:
    store = Watched()
    ask(rows(2), store=store)
    metadata = store.load_run_metadata(RUN)
    bare = Watched()
    bare.save_run_metadata(RUN, metadata)
    bare.save_generation_records(RUN, store.load_generation_records(RUN))
    calls = list(bare.calls)
    with pytest.raises(UsageError, match=r"its 2 answers by\. Resume it"):
        again(bare, Length())
    assert bare.calls == calls


def test_a_run_that_does_not_say_what_it_asked_is_refused(store: MemoryStorageBackend) -> None:
    store.save_run_metadata(RUN, {"run_id": RUN})
    with pytest.raises(RunConflict, match="do not say what was asked"):
        again(store, Length())
    records_only = MemoryStorageBackend()
    records_only.save_generation_record(RUN, GenerationRecord(id="a", prompt="?", response="!"))
    with pytest.raises(RunConflict, match="do not say what was asked"):
        again(records_only, Length())


def test_odd_metadata_of_a_stranger_are_borne(store: MemoryStorageBackend) -> None:
    metadata = store.load_run_metadata(RUN)
    metadata["asked"] |= {"metrics": {"ExactMatch": None}, "epochs": "many"}
    metadata |= {"summary": [1], "where": 5, "rescoring": "x", "started_at": None, "heartbeat": []}
    store.save_run_metadata(RUN, metadata)
    rescored = again(store, Length())
    assert rescored.plan.metrics == {"Length": (None, "1")}
    assert rescored.report.metrics["ExactMatch"]["version"] == "unknown"
    assert store.load_run_metadata(RUN)["where"] == 5


@pytest.mark.parametrize(
    ("metrics", "error"),
    [([], UsageError), (["None"], UnknownName), (["Includes", "Includes"], UsageError), ([3], UsageError)],
)
def test_metrics_that_cannot_be_meant_are_refused_before_the_run_is_looked_at(
    metrics: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        rescore("../nowhere", metrics=metrics, storage_backend=Watched())
    with pytest.raises(UsageError):
        rescore(RUN, metrics=["Includes"], storage_backend=Watched(), max_workers=0)


def test_an_unknown_run_is_not_made(tmp_path: Path) -> None:
    store = LocalStorageBackend(tmp_path)
    with pytest.raises(RunNotFound):
        again(store, "Includes")
    assert store.list_runs() == []


def test_a_plan_writes_nothing(store: MemoryStorageBackend) -> None:
    watched = Watched()
    watched._runs = store._runs
    length = Length()
    plan = plan_rescoring(RUN, metrics=[length, "ExactMatch"], storage_backend=watched)
    assert plan.metrics == {"Length": (None, "1"), "ExactMatch": ("1", "1")}
    assert (plan.answers, plan.errors, plan.kept, plan.unknown) == (5, 1, 0, 0)
    assert (length.scored, watched.calls) == ([], [])


# Which status it has


@pytest.mark.parametrize("status", ["completed", "paused", "cancelled", "failed"])
def test_a_run_keeps_the_status_it_had(status: str, store: MemoryStorageBackend) -> None:
    before = {**store.load_run_metadata(RUN), "status": status, "status_reason": "some reason"}
    store.save_run_metadata(RUN, before)
    seen: list[dict[str, Any]] = []
    rescored = again(store, Length(meanwhile=lambda response: seen.append(store.load_run_metadata(RUN))))
    assert (seen[0]["status"], seen[0]["status_reason"]) == ("running", "rescoring by Length")
    assert seen[0]["asked"] == before["asked"]
    assert seen[0]["summary"] == before["summary"]  # what was answered is still there
    after = store.load_run_metadata(RUN)
    for name in ("status", "status_reason", "started_at", "ended_at", "created_at", "where", "uid"):
        assert after[name] == before[name]
    assert "rescoring" not in after
    assert after["progress"]["status"] == rescored.report.status == status


def test_a_crashed_run_is_paused_afterwards_and_can_be_resumed(store: MemoryStorageBackend) -> None:
    before = store.load_run_metadata(RUN)
    before["where"] |= {"pid": 2**22 + 1, "pid_started": 1}
    before |= {"status": "running", "ended_at": None}
    store.save_run_metadata(RUN, before)
    again(store, Length())
    after = store.load_run_metadata(RUN)
    assert (after["status"], after["ended_at"]) == ("paused", before["heartbeat"]["at"])
    assert "ended without a word" in after["status_reason"]
    assert ask(rows(6), store=store, metrics=["ExactMatch", Length()]).status == "completed"


def test_a_paused_run_keeps_its_total() -> None:
    store, stop = MemoryStorageBackend(), StopSignal()

    def model(prompt: str) -> str:
        if prompt == "q20":
            stop.pause("a person")
        return prompt[1:]

    ask(rows(40), model, store, cancel=stop, executor="sequential")
    assert store.load_run_metadata(RUN)["summary"]["done"] == 21
    assert again(store, Length()).finished
    after = store.load_run_metadata(RUN)
    assert (after["summary"]["done"], after["summary"]["total"]) == (21, 40)
    assert (after["progress"]["done"], after["progress"]["total"]) == (21, 40)
    assert (after["status"], after["status_reason"]) == ("paused", "a person")


# One runner at a time


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_a_live_run_is_refused_and_so_are_two_rescorings_at_once(kind: str, tmp_path: Path) -> None:
    store: StorageBackend = LocalStorageBackend(tmp_path) if kind == "local" else MemoryStorageBackend()
    model = Held(free=2)
    run = threading.Thread(target=lambda: ask(rows(3), model, store, metrics=["ExactMatch"]))
    run.start()
    assert model.holding.acquire(timeout=10)
    with pytest.raises(RunHeld, match="is being run by process"):
        again(store, Length())
    model.release.set()
    run.join(10)

    inside, free = threading.Event(), threading.Event()

    def wait(response: str) -> None:
        inside.set()
        assert free.wait(10)

    first = threading.Thread(target=lambda: again(store, Length(meanwhile=wait)))
    first.start()
    assert inside.wait(10)
    second = Length()
    with pytest.raises(RunHeld):
        again(store, second)
    with pytest.raises(RunHeld):
        ask(rows(3), store=store, metrics=["ExactMatch"])
    assert second.scored == []
    free.set()
    first.join(10)
    assert {each.revision for each in evaluations(store).values()} == {2}
    assert again(store, second).finished


def test_a_run_that_beats_elsewhere_or_is_queued_is_refused(store: MemoryStorageBackend) -> None:
    metadata = store.load_run_metadata(RUN)
    elsewhere = {**metadata, "status": "running", "heartbeat": {"seq": 1, "at": time.time(), "every_s": 10}}
    elsewhere["where"] = {**metadata["where"], "host": "another", "pid": 77}
    store.save_run_metadata(RUN, elsewhere)
    with pytest.raises(RunHeld, match="process 77 on another"):
        again(store, Length())
    with pytest.raises(RunHeld, match="process 77 on another"):
        plan_rescoring(RUN, metrics=[Length()], storage_backend=store)
    store.save_run_metadata(RUN, {**metadata, "status": "queued"})
    with pytest.raises(RunHeld, match="queued"):
        again(store, Length())


def test_a_run_deleted_meanwhile_stays_deleted(tmp_path: Path) -> None:
    store, other = LocalStorageBackend(tmp_path), LocalStorageBackend(tmp_path)
    ask(rows(300), store=store)

    def delete(response: str) -> None:
        if response == "299":
            other.delete_run(RUN)

    with pytest.raises(RunNotFound):
        again(store, Length(meanwhile=delete))
    store.flush()
    assert not other.run_exists(RUN)
    assert list((tmp_path / "runs").iterdir()) == []


# Cut short


def half(store: StorageBackend, stop_at: str = "2", **options: Any) -> Rescored:
    """A rescoring by Length that a person ends when it comes to an answer."""
    stop = StopSignal()

    def meanwhile(response: str) -> None:
        if response == stop_at:
            stop.pause("a person")

    return again(store, Length(meanwhile=meanwhile), cancel=stop, executor="sequential", **options)


def test_ended_early_a_run_is_paused_and_says_what_is_missing(store: MemoryStorageBackend) -> None:
    report = store.load_report(RUN)
    rescored = half(store)
    assert not rescored.finished
    metadata = store.load_run_metadata(RUN)
    assert metadata["status"] == rescored.report.status == "paused"
    assert metadata["status_reason"] == "rescoring by Length: a person"
    assert list(metadata["asked"]["metrics"]) == ["ExactMatch"]
    assert metadata["summary"]["done"] == 6
    assert {e.id for e in evaluations(store).values() if e.revision == 2} == {"s0", "s1", "s2"}
    assert store.load_report(RUN) == report


def test_half_rescored_it_is_not_resumed_and_the_same_rescoring_goes_on(store: MemoryStorageBackend) -> None:
    before = store.load_run_metadata(RUN)
    half(store)
    model = Echo()
    for metrics in (["ExactMatch"], ["ExactMatch", Length()]):
        with pytest.raises(
            RunConflict, match=r"half rescored by Length.*themis runs rescore run --metric=Len"
        ):
            ask(rows(6), model, store, metrics=metrics)
    assert model.asked == []
    length = Length()
    rescored = again(store, length)
    assert sorted(length.scored) == ["3", "5"]
    assert rescored.finished
    assert (rescored.plan.answers, rescored.plan.errors, rescored.plan.kept) == (2, 1, 3)
    assert rescored.before == before["summary"]["metrics"]
    assert {each.revision for each in evaluations(store).values()} == {2}
    after = store.load_run_metadata(RUN)
    assert (after["status"], after["where"]) == ("completed", before["where"])
    whole = MemoryStorageBackend()
    ask(rows(6), Echo(raising(ModelError("busy", kind="server"), "q4")), whole, metrics=["ExactMatch"])
    assert comparable(again(whole, Length()).report) == comparable(rescored.report)


@pytest.mark.parametrize("metrics", [[Length("2")], [Length(), "Includes"]])
def test_another_version_or_a_further_metric_begins_anew(metrics: Any, store: MemoryStorageBackend) -> None:
    half(store)
    rescored = again(store, *metrics)
    assert (rescored.finished, rescored.plan.kept) == (True, 0)
    assert {each.revision for each in evaluations(store).values()} == {3}
    assert {e.details["Length"] for e in evaluations(store).values() if e.error is None} == {
        f"seen by {metrics[0].version}"
    }


def test_a_rescoring_that_leaves_out_the_half_done_metric_is_refused(store: MemoryStorageBackend) -> None:
    half(store)
    for refused in (again, lambda store, name: plan_rescoring(RUN, metrics=[name], storage_backend=store)):
        with pytest.raises(RunConflict, match="half rescored by Length"):
            refused(store, "Includes")


def test_a_cancel_pauses_too_and_one_that_comes_too_late_changes_nothing(store: MemoryStorageBackend) -> None:
    cancel = threading.Event()
    cancel.set()
    rescored = again(store, Length(), cancel=cancel)
    assert (rescored.finished, rescored.report.status) == (False, "paused")
    assert store.load_run_metadata(RUN)["status_reason"] == "rescoring by Length: cancelled"
    assert half(store, stop_at="5").finished or again(store, Length()).finished
    assert store.load_run_metadata(RUN)["status"] == "completed"


def test_whichever_write_is_the_last_the_run_is_whole_or_says_that_it_is_not() -> None:
    """As if killed after each write: the store takes none any more from the n-th on."""
    number = 0
    while True:
        store, writes = Watched(), iter(range(10_000))
        ask(rows(600), store=store, metrics=["ExactMatch"])
        wanted = store.load_report(RUN)

        def cut(_: int, writes: Any = writes, number: int = number) -> BaseException | None:
            return StoreFull("no room left") if next(writes) >= number else None

        store.trouble = dict.fromkeys(("metadata", "evaluations", "report", "flush"), cut)
        try:
            again(store, Length())
        except StoreFull:
            finished = False
        else:
            finished = True
        store.trouble.clear()
        metadata = store.load_run_metadata(RUN)
        new = sum(each.revision == 2 for each in evaluations(store).values())
        if metadata["status"] == "completed":
            assert new == (600 if number else 0)
            assert ("Length" in metadata["asked"]["metrics"]) == bool(new)
        else:
            assert "rescoring" in metadata
            assert "Length" not in metadata["asked"]["metrics"]
            with pytest.raises(RunConflict):
                ask(rows(600), store=store, metrics=["ExactMatch"])
        rescored = again(store, Length())
        assert {each.scores["Length"] for each in evaluations(store).values()} == {1, 2, 3}
        assert rescored.report.metrics["ExactMatch"] == wanted.metrics["ExactMatch"]
        assert store.load_run_metadata(RUN)["status"] == "completed"
        if finished:
            break
        number += 1
    assert number >= 7


def test_a_full_store_pauses_the_run_and_the_same_rescoring_goes_on() -> None:
    store = Watched()
    ask(rows(2_000), store=store, metrics=["ExactMatch"])
    seen = store.calls.count("evaluations")
    store.trouble["evaluations"] = lambda number: StoreFull("no room") if number > seen else None
    with pytest.raises(StoreFull, match="no room"):
        again(store, Length())
    metadata = store.load_run_metadata(RUN)
    assert metadata["status_reason"] == "rescoring by Length: disk full"
    kept = sum(each.revision == 2 for each in evaluations(store).values())
    assert 0 < kept < 2_000
    assert metadata["summary"]["done"] == 2_000
    store.trouble.clear()
    length = Length()
    assert again(store, length).plan.kept == kept
    assert len(length.scored) == 2_000 - kept


# Strangers


@pytest.mark.parametrize("executor", [None, Eager(), Crowd()], ids=["threads", "eager", "crowd"])
def test_a_stranger_of_eleven_methods_is_served_from_one_thread(executor: Any) -> None:
    store = ElevenMethods()
    ask(rows(30), store=store, metrics=["ExactMatch"])
    rescored = again(store, Length(), execution_backend=executor, max_workers=8)
    assert rescored.report.metrics["Length"]["count"] == 30
    assert store.threads == {threading.get_ident()}
    assert "OVERLAP" not in store.calls
    assert {each.revision for each in evaluations(store).values()} == {2}
    assert half(store, stop_at="3").finished is False
    length = Length()
    again(store, length)
    assert len(length.scored) == 26


def test_what_a_store_refuses_of_a_detail_leaves_the_score() -> None:
    store = ElevenMethods()
    ask(rows(5), store=store, metrics=["ExactMatch"])

    class Nul(Length):
        def score(self, response: str, reference: Any) -> Score:
            return Score(7, "\x00" if response == "3" else "fine")

    again(store, Nul())
    after = evaluations(store)
    assert {each.scores["Length"] for each in after.values()} == {7}
    assert after["s3"].details == {"Length": "the store refused what the metric says of it"}
    assert after["s3"].reference == "3"
    assert after["s2"].details == {"Length": "fine"}


def test_a_store_that_refuses_everything_ends_the_rescoring() -> None:
    store = Watched()
    ask(rows(5), store=store, metrics=["ExactMatch"])
    store.trouble["evaluations"] = lambda number: RecordRefused("never")
    with pytest.raises(Exception, match="cannot save records"):
        again(store, Length())
    assert store.load_run_metadata(RUN)["status"] == "paused"


# Judges


def test_judges_are_asked_many_at_once_and_see_the_prompt() -> None:
    store = MemoryStorageBackend()
    ask(rows(60), store=store, metrics=["ExactMatch"])
    judge = Judge(0.02)
    rescored = again(store, judge, executor="threads", max_workers=20)
    assert rescored.report.metrics["Judge"]["mean"] == 1.0
    assert judge.most > 5
    assert sorted(judge.prompts) == sorted(f"q{n}" for n in range(60))
    assert not judge.closed, "it is the caller's"
    assert evaluations(store)["s0"].details == {"Judge": "because"}


def test_judges_are_awaited_where_the_executor_can() -> None:
    store = MemoryStorageBackend()
    ask(rows(200), store=store, metrics=["ExactMatch"])
    executor, judge = AsyncExecutionBackend(50), Judge(0.02)
    rescored = again(store, judge, "Includes", execution_backend=executor)
    executor.shutdown()
    assert rescored.report.metrics["Judge"]["mean"] == 0.5
    assert (judge.most, judge.prompts) == (50, [])
    assert list(rescored.report.metrics) == ["ExactMatch", "Judge", "Includes"]


def test_a_judge_opened_by_name_is_awaited_by_default_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Judge] = []
    store = MemoryStorageBackend()
    ask(rows(5), store=store, metrics=["ExactMatch"])

    class Named(Judge):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(registry, "_built_in", lambda base, known: Named)
    monkeypatch.setitem(registry.BUILT_IN, "Judge", registry.BuiltIn("nowhere:Judge"))
    assert again(store, "Judge").report.metrics["Judge"]["mean"] == 0.5
    assert [judge.closed for judge in made] == [True]


def test_a_judge_that_hangs_is_given_up_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from themis.evaluation import rescoring

    monkeypatch.setattr(rescoring, "GRACE_S", 0.0)
    store, free = MemoryStorageBackend(), threading.Event()
    ask(rows(5), store=store, metrics=["ExactMatch"])

    class Hangs(Judge):
        timeout = 0.2

        def judge(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
            if response == "3":
                free.wait(30)
            return Score(1)

    rescored = again(store, Hangs(), executor="threads", max_workers=2)
    free.set()
    assert rescored.report.metrics["Judge"]["count"] == 4
    assert evaluations(store)["s3"].scores == {"ExactMatch": 1, "Judge": None}
    assert evaluations(store)["s3"].details == {"Judge": "timeout: no result within 0.2 s"}
    assert rescored.report.counts["errors"] == 0


def test_the_task_and_its_work_travel_to_another_process(store: MemoryStorageBackend) -> None:
    metrics = open_metrics(["ExactMatch", "Includes"])
    (first, *_) = store.load_generation_records(RUN)
    work = Scored(first.id, first, evaluations(store)[first.id])
    for cls in (RescoringTask, AwaitedRescoringTask):
        task = cls(metrics, revision=2, token="elsewhere")
        there, sent = pickle.loads(pickle.dumps((task, work)))
        made, straight = there(sent).evaluation, task(work).evaluation
        assert made is not None
        assert straight is not None
        assert dataclasses.replace(made, scored_at=None) == dataclasses.replace(straight, scored_at=None)


def test_progress_is_told_to_the_end(store: MemoryStorageBackend) -> None:
    snapshots: list[Any] = []
    begun: list[dict[str, Any]] = []
    again(store, Length(), on_progress=snapshots.append, on_start=lambda m: begun.append(dict(m)))
    assert begun[0]["rescoring"]["metrics"] == {"Length": {"version": "1", "params": {}}}
    assert (snapshots[-1].status, snapshots[-1].done, snapshots[-1].total) == ("completed", 6, 6)
    assert set(snapshots[-1].metrics) == {"ExactMatch", "Length"}
