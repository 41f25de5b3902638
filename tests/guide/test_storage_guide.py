"""What the first guide printed about storage works as printed, over backends of its eleven methods."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from my_backends import S3KnownByMetadata, S3StorageBackend

from themis import evaluate
from themis.backends import LocalStorageBackend, MemoryStorageBackend, StorageBackend
from themis.backends.storage.foreign import whole
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import RunNotFound
from themis.runs.catalog import Store, list_rows

ELEVEN = {
    "save_run_metadata",
    "load_run_metadata",
    "save_generation_record",
    "load_generation_records",
    "save_evaluation_record",
    "load_evaluation_records",
    "save_report",
    "load_report",
    "list_runs",
    "run_exists",
    "delete_run",
}


@pytest.fixture(params=["memory", "local", "s3", "s3 known by metadata"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> StorageBackend:
    if request.param == "memory":
        return MemoryStorageBackend()
    if request.param == "local":
        return LocalStorageBackend(tmp_path / "store")
    bucket = request.getfixturevalue("bucket")
    if request.param == "s3":
        return S3StorageBackend(bucket)
    # Alone it misses a run that has records only; the library saves metadata first.
    return whole(S3KnownByMetadata(bucket))


def test_storage_backend(backend: StorageBackend):
    run_id = "test-run-123"

    record = GenerationRecord(
        id="sample-1",
        prompt="What is 2+2?",
        response="4",
        metadata={},
    )

    backend.save_generation_record(run_id, record)
    loaded = backend.load_generation_records(run_id)

    assert len(loaded) == 1
    assert loaded[0].id == record.id

    runs = backend.list_runs()
    assert run_id in runs

    assert backend.run_exists(run_id)
    assert not backend.run_exists("nonexistent-run")


@pytest.mark.usefixtures("bucket")
def test_full_evaluation_with_custom_backend():
    from my_backends import S3StorageBackend

    from themis import evaluate

    backend = S3StorageBackend(bucket="my-test-bucket")

    result = evaluate(
        benchmark="demo",
        model="fake-math-llm",
        limit=10,
        storage_backend=backend,
    )

    assert result.evaluation_report.metrics["ExactMatch"].mean > 0

    assert backend.run_exists(result.run_id)


@pytest.mark.parametrize("kind", [S3StorageBackend, S3KnownByMetadata])
def test_all_of_an_evaluation_is_in_the_bucket(kind: type[S3StorageBackend], bucket: str):
    backend = kind(bucket)
    result = evaluate("demo", model="fake-math-llm", limit=10, storage_backend=backend)

    generations = backend.load_generation_records(result.run_id)
    assert len({each.id for each in generations}) == 10
    assert len(backend.load_evaluation_records(result.run_id)) == 10
    assert backend.load_report(result.run_id) == result
    assert backend.load_run_metadata(result.run_id)["status"] == "completed"


@pytest.mark.parametrize("kind", [S3StorageBackend, S3KnownByMetadata])
def test_a_run_in_the_bucket_is_resumed(kind: type[S3StorageBackend], bucket: str):
    backend = kind(bucket)
    evaluate("demo", model="fake-math-llm", limit=4, storage_backend=backend, run_id="grows")
    result = evaluate("demo", model="fake-math-llm", limit=10, storage_backend=backend, run_id="grows")

    assert result.counts == {"asked": 10, "answered": 10, "errors": 0, "kept": 4}
    ids = [each.id for each in backend.load_generation_records("grows")]
    assert len(ids) == len(set(ids)) == 10


@pytest.mark.parametrize("kind", [S3StorageBackend, S3KnownByMetadata])
def test_a_plain_file_not_found_means_that_there_is_no_such_thing(kind: type[S3StorageBackend], bucket: str):
    backend = kind(bucket)
    backend.save_generation_record("bare", GenerationRecord(id="a", prompt="p", response="r", metadata={}))
    store = Store("theirs", whole(backend))

    assert [(row.run_id, row.status.word) for row in list_rows(store)] == [("bare", "unknown")]
    for load in (store.backend.load_run_metadata, store.backend.load_report):
        with pytest.raises(RunNotFound, match="nobody"):
            load("nobody")


def test_the_base_wants_eleven_methods_of_the_guides_names():
    assert StorageBackend.__abstractmethods__ == ELEVEN
    parameters = {name: list(inspect.signature(getattr(StorageBackend, name)).parameters) for name in ELEVEN}
    assert parameters == {
        "save_run_metadata": ["self", "run_id", "metadata"],
        "load_run_metadata": ["self", "run_id"],
        "save_generation_record": ["self", "run_id", "record"],
        "load_generation_records": ["self", "run_id"],
        "save_evaluation_record": ["self", "run_id", "record"],
        "load_evaluation_records": ["self", "run_id"],
        "save_report": ["self", "run_id", "report"],
        "load_report": ["self", "run_id"],
        "list_runs": ["self"],
        "run_exists": ["self", "run_id"],
        "delete_run": ["self", "run_id"],
    }


@pytest.mark.parametrize(
    "record",
    [
        GenerationRecord(id="a", prompt="p", response="r", metadata={}),
        GenerationRecord(
            id="a", prompt=[{"role": "user", "content": "\x00\ud800"}], response=None, attempt=2
        ),
        EvaluationRecord(cache_key="k", id="a", scores={"ExactMatch": 1.0, "Judge": None}),
        ExperimentReport(run_id="run", metrics={"ExactMatch": {"mean": 0.5, "count": 2}}),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_records_dict_makes_the_round_trip_through_json(record: object):
    assert type(record)(**json.loads(json.dumps(record.__dict__))) == record


@pytest.mark.parametrize("load", ["load_run_metadata", "load_report"])
def test_what_is_not_there_is_a_file_not_found(load: str, tmp_path: Path):
    for backend in (MemoryStorageBackend(), LocalStorageBackend(tmp_path)):
        with pytest.raises(FileNotFoundError) as caught:
            getattr(backend, load)("nobody")
        assert isinstance(caught.value, RunNotFound)
        assert "nobody" in str(caught.value)


def test_records_of_an_unknown_run_are_none_at_all(tmp_path: Path):
    for backend in (MemoryStorageBackend(), LocalStorageBackend(tmp_path)):
        assert backend.load_generation_records("nobody") == []
        assert backend.load_evaluation_records("nobody") == {}


def test_an_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="storage_backed"):
        evaluate(
            benchmark="demo",
            model="fake-math-llm",
            storage_backed=MemoryStorageBackend(),  # type: ignore[call-arg]
        )
