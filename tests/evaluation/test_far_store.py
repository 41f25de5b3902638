"""A run over a remote store that goes away and comes back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.backends.far import FarStorage
from tests.backends.test_journalled import killed_writer, wait_for
from themis import evaluate
from themis.core.errors import StoreUnreachable
from themis.evaluation import session

RUN = "run-1"
QUESTIONS = [{"id": f"q{n}", "question": f"{n}", "answer": f"{n}"} for n in range(40)]


@pytest.fixture
def store(tmp_path: Path):
    backend = FarStorage(tmp_path / "far" / "store", patience_s=20.0)
    yield backend
    if backend.line.exists():
        backend.mend()
    backend.close()


def answer(prompt: str) -> str:
    return prompt


def test_a_run_goes_on_while_its_store_is_away_and_says_so(store: FarStorage):
    told: list[str] = []
    asked = 0
    lock = threading.Lock()

    def cutting(prompt: str) -> str:
        nonlocal asked
        with lock:
            asked += 1
            if asked == 5:
                store.cut("no route to the far store")
        return prompt

    def on_progress(snapshot) -> None:
        if snapshot.waiting:
            told.append(snapshot.waiting["reason"])
        if snapshot.waiting and store.line.exists():
            store.mend()

    report = evaluate(
        QUESTIONS,
        model=cutting,
        run_id=RUN,
        storage_backend=store,
        max_workers=1,
        on_progress=on_progress,
        model_id="cutting",
        prompt="{question}",
    )
    assert report.counts["answered"] == 40
    assert len(store.far.load_generation_records(RUN)) == 40
    assert store.far.load_run_metadata(RUN)["status"] == "completed"


def test_a_store_that_does_not_come_back_leaves_the_run_to_be_resumed(tmp_path: Path):
    store = FarStorage(tmp_path / "far" / "store", patience_s=0.2)
    asked: list[str] = []

    def cutting(prompt: str) -> str:
        asked.append(prompt)
        if len(asked) == 5:
            store.cut("no route to the far store")
        return prompt

    options = {"run_id": RUN, "storage_backend": store, "max_workers": 1, "model_id": "m"}
    options["prompt"] = "{question}"
    with pytest.raises(StoreUnreachable, match="no route"):
        evaluate(QUESTIONS, model=cutting, **options)
    store._forget(RUN)  # as the end of the process would
    store.mend()
    asked.clear()
    report = evaluate(QUESTIONS, model=cutting, **options)
    assert report.counts["answered"] == 40
    assert asked == []  # what was answered had only to be sent
    store.close()


def test_a_resume_finds_what_a_killed_runner_had_not_sent(store: FarStorage):
    evaluate(
        QUESTIONS[:3], model=answer, run_id=RUN, storage_backend=store, model_id="m", prompt="{question}"
    )
    killed_writer(store.root)
    assert len(store.far.load_generation_records(RUN)) == 3
    evaluate(
        QUESTIONS[:3], model=answer, run_id=RUN, storage_backend=store, model_id="m", prompt="{question}"
    )
    assert len(store.far.load_generation_records(RUN)) == 8


def test_a_run_whose_journal_is_full_goes_on_telling_and_obeys_its_signal(tmp_path: Path):
    store = FarStorage(tmp_path / "far" / "store", patience_s=0.2, journal_mb=1)
    cancel = threading.Event()

    def cutting(prompt: str) -> str:
        if prompt == "1":
            store.cut("no route to the far store")
        return prompt + "x" * 200_000

    def cancel_once_full() -> None:
        wait_for(lambda: not store.has_room(RUN))
        cancel.set()

    threading.Thread(target=cancel_once_full, daemon=True).start()
    with pytest.raises(StoreUnreachable, match="No more can be kept"):
        evaluate(
            QUESTIONS,
            model=cutting,
            run_id=RUN,
            storage_backend=store,
            max_workers=1,
            model_id="m",
            prompt="{question}",
            cancel=cancel,
        )
    store.mend()
    store.flush()
    assert store.far.load_generation_records(RUN)
    assert wait_for(lambda: store.trouble() is None)
    store.close()


def saves_of_progress(store: FarStorage, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a run saves its metadata when only its store keeps it from doing so at each tick."""
    saved: list[str] = []
    save = store.save_run_metadata
    monkeypatch.setattr(session, "METADATA_EVERY_S", 0.0)
    monkeypatch.setattr(
        store, "save_run_metadata", lambda run_id, it: (saved.append(run_id), save(run_id, it))
    )
    evaluate(
        QUESTIONS, model=answer, storage_backend=store, max_workers=1, model_id="it", prompt="{question}"
    )
    return len(saved)


def test_progress_is_saved_only_as_often_as_the_store_wants(
    store: FarStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sparing = FarStorage(tmp_path / "sparing" / "store")
    sparing.metadata_every_s = 1e6
    few = saves_of_progress(sparing, monkeypatch)
    assert few == 2  # at the start and at the end
    assert saves_of_progress(store, monkeypatch) > few
    sparing.close()
