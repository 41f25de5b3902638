"""Runs in a bucket of a real server keep every promise."""

from __future__ import annotations

import json
import os
import pickle
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.backends.s3_proxy import S3Proxy, once, proxied
from tests.backends.s3_server import ACCESS_KEY, READER_KEY, READER_SECRET, SECRET_KEY, S3Server
from themis.backends import S3StorageBackend, open_storage
from themis.backends.settings import settings_of
from themis.backends.storage import s3 as s3_module
from themis.backends.storage import s3_bucket, s3_client, s3_segments
from themis.backends.storage.s3_bucket import Bucket
from themis.core.entities import ExperimentReport, GenerationRecord
from themis.core.errors import (
    AccessDenied,
    Conflict,
    RunNotFound,
    StorageError,
    StoreFull,
    StoreUnreachable,
    UsageError,
)
from themis.testing import StorageBackendSuite
from themis.testing.storage.examples import evaluation, generation
from themis.testing.storage.place import helper
from themis.testing.storage.workers import save_at_once
from themis.testing.storage.writers import in_threads


class TestS3(StorageBackendSuite):
    runs_listed = 110  # more than four pages of the size that is asked for here

    @pytest.fixture(autouse=True)
    def server(self, s3: S3Server, s3_keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(s3_bucket, "PAGE", 25)
        # In one bucket: the first write to a new one takes this server a second.
        self.at, self.bucket, self.prefix = s3.url, s3.bucket, secrets.token_hex(6)

    def make(self) -> S3StorageBackend:
        return S3StorageBackend(self.bucket, self.prefix, endpoint_url=self.at)


@pytest.mark.long  # each save is a request of its own; tests/backends/far.py stands for it every day
class TestS3WithoutJournal(TestS3):
    runs_listed = 60

    def make(self) -> S3StorageBackend:
        return S3StorageBackend(self.bucket, self.prefix, endpoint_url=self.at, journal=False)


RUN = "run-1"


@pytest.fixture
def bucket(s3: S3Server, s3_keys: None) -> str:
    """An empty one."""
    for key in keys(s3, s3.bucket):
        s3.client().delete_object(Bucket=s3.bucket, Key=key)
    return s3.bucket


@pytest.fixture
def store(s3: S3Server, bucket: str) -> Iterator[S3StorageBackend]:
    backend = S3StorageBackend(bucket, endpoint_url=s3.url)
    yield backend
    backend.close()


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[S3Proxy]:
    with proxied(s3.url) as made:
        yield made


@pytest.fixture
def behind(proxy: S3Proxy, bucket: str) -> Iterator[S3StorageBackend]:
    """The same bucket through the proxy."""
    backend = S3StorageBackend(bucket, endpoint_url=proxy.url)
    yield backend
    proxy.rule = lambda method, path: None
    backend.close()


def asked_of(backend: S3StorageBackend) -> Counter[str]:
    """What a backend asks of its server from here on, by operation."""
    asked: Counter[str] = Counter()
    backend._connection.get().meta.events.register(
        "before-call.s3", lambda model, **_: asked.update([model.name])
    )
    return asked


def keys(s3: S3Server, bucket: str, prefix: str = "") -> list[str]:
    pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [each["Key"] for page in pages for each in page.get("Contents", ())]


def ids(backend: S3StorageBackend, run_id: str = RUN) -> list[str]:
    return [each.id for each in backend.load_generation_records(run_id)]


# Writers


def test_two_processes_of_eight_threads_lose_nothing(store: S3StorageBackend):
    store.save_run_metadata(RUN, {"run_id": RUN})
    with (
        helper(save_at_once, store, RUN, "one", 8, 25) as one,
        helper(save_at_once, store, RUN, "two", 8, 25) as two,
    ):
        assert one.says() == two.says() == "ready"
        one.pipe.send("go")
        two.pipe.send("go")
        saved = one.says() + two.says()
    assert len(saved) == 400
    assert sorted(ids(store)) == sorted(saved)
    assert sorted(store.load_evaluation_records(RUN)) == sorted(saved)


def test_a_segment_is_sent_once_whatever_becomes_of_the_answer(
    s3: S3Server, bucket: str, proxy: S3Proxy, behind: S3StorageBackend
):
    behind.save_run_metadata(RUN, {"run_id": RUN})
    proxy.rule = once("lost", "PUT", "/data/")
    behind.save_generation_record(RUN, generation("a"))
    behind.flush()
    assert len(keys(s3, bucket, "themis-experiments/data/")) == 1
    assert ids(behind) == ["a"]


def test_a_server_that_says_it_has_what_it_has_not_is_not_believed(proxy: S3Proxy, behind: S3StorageBackend):
    behind.save_run_metadata(RUN, {"run_id": RUN})
    proxy.rule = once("412 PreconditionFailed", "PUT", "/data/", times=2)
    behind.save_generation_record(RUN, generation("a"))
    behind.flush()
    assert ids(behind) == ["a"]


def test_few_requests_carry_ten_thousand_records(store: S3StorageBackend):
    store.save_run_metadata(RUN, {"run_id": RUN})
    asked = asked_of(store)
    for n in range(10_000):
        store.save_generation_record(RUN, generation(f"s-{n}"))
        store.save_evaluation_record(RUN, evaluation(f"s-{n}"))
    store.flush()
    assert asked["PutObject"] <= 100
    assert asked["ListObjectsV2"] == 0
    assert len(ids(store)) == 10_000


def test_a_server_killed_and_started_again_has_everything(
    s3: S3Server, s3_keys: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
    server = S3Server(s3.executable)
    try:
        server.start()
        store = S3StorageBackend(server.make_bucket(), endpoint_url=server.url, connect_timeout=2)
        store.save_run_metadata(RUN, {"run_id": RUN})
        for n in range(50):
            store.save_generation_record(RUN, generation(f"before-{n}"))
        store.flush()
        server.stop()
        store.save_generation_record(RUN, generation("while it was away"))
        store.patience_s = 2.0
        with pytest.raises(StoreUnreachable, match="cannot be reached"):
            store.flush()
        with pytest.raises(StoreUnreachable):
            store.run_exists(RUN)
        server.start()
        store.patience_s = 60
        store.close()
        assert sorted(ids(store)) == sorted([*(f"before-{n}" for n in range(50)), "while it was away"])
        store.close()
    finally:
        server.remove()


def test_late_records_of_a_deleted_run_never_come_into_a_new_one(s3: S3Server, bucket: str):
    late, deleter = (S3StorageBackend(bucket, endpoint_url=s3.url) for _ in range(2))
    late.save_generation_record(RUN, generation("old"))
    late.flush()
    opening = late._openings[RUN]
    deleter.delete_run(RUN)
    deleter.save_run_metadata(RUN, {"run_id": RUN})
    # As if it had been killed between sending and looking whether the run is still there.
    late._bucket.put(f"{late._layout.data(RUN)}000009-aaaaaaaa-g000001.jsonl", b"{}\n", "x", run=opening.run)
    deleter.save_generation_record(RUN, generation("new"))
    assert ids(deleter) == ["new"]
    assert [each.id for each in deleter.iter_generation_records(RUN)] == ["new"]
    late.save_generation_record(RUN, generation("too late"))
    with pytest.raises(RunNotFound):
        late.flush()
    assert ids(deleter) == ["new"]
    deleter.delete_run(RUN)
    assert keys(s3, bucket, "themis-experiments/data/") == []
    for each in (late, deleter):
        each.close()


@pytest.fixture
def other(s3: S3Server, bucket: str) -> Iterator[S3StorageBackend]:
    """Another opening of the same store."""
    backend = S3StorageBackend(bucket, endpoint_url=s3.url)
    yield backend
    backend.close()


def test_an_old_runner_never_takes_a_new_run_for_its_own(store: S3StorageBackend, other: S3StorageBackend):
    store.save_generation_record(RUN, generation("old"))
    store.flush()
    other.delete_run(RUN)
    other.save_generation_record(RUN, generation("new"))
    other.flush()
    with pytest.raises(RunNotFound):
        store.update_run_metadata(RUN, {"run_id": RUN, "of": "the old one"})
    with pytest.raises(RunNotFound):
        other.load_run_metadata(RUN)
    other.update_run_metadata(RUN, {"run_id": RUN, "of": "the new one"})
    with pytest.raises(RunNotFound):
        store.update_run_metadata(RUN, {"run_id": RUN, "of": "the old one"})
    assert other.load_run_metadata(RUN)["of"] == "the new one"
    other.save_generation_record(RUN, generation("newer"))
    assert ids(other) == ["new", "newer"]


def test_runs_of_one_id_and_the_same_bytes_are_not_taken_for_one(
    store: S3StorageBackend, other: S3StorageBackend
):
    """What is known of the old one, by its ETag, says nothing of the new one, whose records stay."""
    for metadata in ({}, {"run_id": RUN}):
        if metadata:
            store.save_run_metadata(RUN, metadata)
        store.save_generation_record(RUN, generation("old"))
        store.flush()
        other.delete_run(RUN)
        if metadata:
            other.save_run_metadata(RUN, metadata)
        other.save_generation_record(RUN, generation("new"))
        other.flush()
        store.save_run_metadata(RUN, {"run_id": RUN, "n": 1})
        other.save_generation_record(RUN, generation("newer"))
        other.flush()
        assert ids(other) == ids(store) == ["new", "newer"]
        store.delete_run(RUN)
        other.delete_run(RUN)


def test_an_old_runners_report_leaves_that_of_a_new_run(
    s3: S3Server, bucket: str, store: S3StorageBackend, other: S3StorageBackend
):
    store.save_run_metadata(RUN, {"run_id": RUN})
    other.delete_run(RUN)
    other.save_run_metadata(RUN, {"run_id": RUN})
    other.save_report(RUN, ExperimentReport(run_id=RUN, status="of the new one"))
    with pytest.raises(RunNotFound):
        store.save_report(RUN, ExperimentReport(run_id=RUN, status="of the old one"))
    assert other.load_report(RUN).status == "of the new one"
    other.save_report(RUN, ExperimentReport(run_id=RUN, status="again"))
    assert other.load_report(RUN).status == "again"


def test_what_comes_too_late_is_taken_back_only_if_it_is_ones_own(
    store: S3StorageBackend, other: S3StorageBackend, monkeypatch: pytest.MonkeyPatch
):
    """The run is deleted and made anew between the old runner's write and its look."""
    store.save_run_metadata(RUN, {"run_id": RUN})
    put = store._bucket.put

    def then_made_again(*args: Any, **wanted: Any) -> str:
        etag = put(*args, **wanted)
        other.delete_run(RUN)
        other.save_run_metadata(RUN, {"run_id": RUN})
        other.save_report(RUN, ExperimentReport(run_id=RUN, status="of the new one"))
        return etag

    monkeypatch.setattr(store._bucket, "put", then_made_again)
    with pytest.raises(RunNotFound):
        store.save_report(RUN, ExperimentReport(run_id=RUN, status="of the old one"))
    assert other.load_report(RUN).status == "of the new one"


def test_saving_progress_asks_one_thing_of_the_server(store: S3StorageBackend):
    store.save_run_metadata(RUN, {"run_id": RUN})
    store.update_run_metadata(RUN, {"run_id": RUN, "n": -1})
    asked = asked_of(store)
    for n in range(10):
        store.update_run_metadata(RUN, {"run_id": RUN, "n": n})
    assert asked == {"PutObject": 10}


def test_progress_is_refused_while_a_deletion_that_was_cut_short_hides_the_run(
    store: S3StorageBackend, other: S3StorageBackend, monkeypatch: pytest.MonkeyPatch
):
    store.save_run_metadata(RUN, {"run_id": RUN})
    assert deletion_killed_at(other, 8, monkeypatch)
    assert other.unswept() == [RUN]
    monkeypatch.setattr(s3_module, "LOOK_EVERY_S", 0.0)
    with pytest.raises(RunNotFound):
        store.update_run_metadata(RUN, {"run_id": RUN})


# The index


def put_metadata(s3: S3Server, bucket: str, count: int, status: str = "completed") -> None:
    client = s3.client()
    for n in range(count):
        body = json.dumps({"run_id": f"run-{n:04d}", "created_at": float(n), "status": status}).encode()
        client.put_object(Bucket=bucket, Key=f"themis-experiments/meta/run-{n:04d}", Body=body)


def listed(backend: S3StorageBackend) -> list[tuple[str, str | None]]:
    return [(each["run_id"], each.get("status")) for each in backend.list_summaries()]


def expected(count: int, status: str = "completed") -> list[tuple[str, str | None]]:
    return [(f"run-{n:04d}", status) for n in reversed(range(count))]


def test_what_one_listing_read_no_other_reads_again(s3: S3Server, bucket: str, store: S3StorageBackend):
    put_metadata(s3, bucket, 40)
    assert listed(store) == expected(40)
    other = S3StorageBackend(bucket, endpoint_url=s3.url)
    asked = asked_of(other)
    assert listed(other) == expected(40)
    assert asked == {"ListObjectsV2": 1, "GetObject": 1}
    asked.clear()
    assert listed(other) == expected(40)
    assert asked == {"ListObjectsV2": 1}
    other.close()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b'{"run-0001": 7}',
        b"\xff\xfe",
        b'{"run-0001": ["x", null, {}]}',
        b'{"\xed\xa0\x80": 1}',
    ],
    ids=ascii,
)
def test_a_damaged_index_is_as_good_as_none(
    s3: S3Server, bucket: str, store: S3StorageBackend, damage: bytes
):
    put_metadata(s3, bucket, 10)
    s3.client().put_object(Bucket=bucket, Key="themis-experiments/index.json", Body=damage)
    assert listed(store) == expected(10)
    other = S3StorageBackend(bucket, endpoint_url=s3.url)
    asked = asked_of(other)
    assert listed(other) == expected(10)
    assert asked["GetObject"] == 1  # it was written anew
    other.close()


def test_a_line_of_the_index_counts_only_for_the_run_as_it_is(
    s3: S3Server, bucket: str, store: S3StorageBackend
):
    put_metadata(s3, bucket, 10)
    assert listed(store) == expected(10)
    put_metadata(s3, bucket, 10, status="failed")
    s3.client().delete_object(Bucket=bucket, Key="themis-experiments/meta/run-0009")
    other = S3StorageBackend(bucket, endpoint_url=s3.url)
    assert listed(other) == listed(store) == expected(9, "failed")
    other.close()


def test_a_run_that_changes_while_it_is_listed_is_known_by_what_was_read(
    s3: S3Server, bucket: str, store: S3StorageBackend, monkeypatch: pytest.MonkeyPatch
):
    """The ETag that was listed may come back, with the bytes that it stands for."""
    put_metadata(s3, bucket, 1)
    asked = store._bucket.listed

    def then_changed(*args: Any, **wanted: Any) -> Any:
        found = list(asked(*args, **wanted))
        put_metadata(s3, bucket, 1, status="failed")
        return iter(found)

    with monkeypatch.context() as patched:
        patched.setattr(store._bucket, "listed", then_changed)
        assert listed(store) == expected(1, "failed")
    put_metadata(s3, bucket, 1)
    assert listed(store) == expected(1)


def test_a_line_that_is_no_summary_is_read_from_the_run(s3: S3Server, bucket: str, store: S3StorageBackend):
    put_metadata(s3, bucket, 1)
    etag = s3.client().head_object(Bucket=bucket, Key="themis-experiments/meta/run-0000")["ETag"].strip('"')
    for summary in ("7", '"text"', "[]", "null"):
        body = f'{{"run-0000": ["{etag}", null, {summary}]}}'.encode()
        s3.client().put_object(Bucket=bucket, Key="themis-experiments/index.json", Body=body)
        reader = S3StorageBackend(bucket, endpoint_url=s3.url)
        assert listed(reader) == expected(1)
        reader.close()


def test_two_who_write_the_index_at_once_do_each_other_no_harm(s3: S3Server, bucket: str):
    stores = [S3StorageBackend(bucket, endpoint_url=s3.url) for _ in range(2)]
    put_metadata(s3, bucket, 40)
    in_threads(*(lambda each=each: listed(each) for each in stores))
    put_metadata(s3, bucket, 40, status="failed")
    in_threads(*(lambda each=each: listed(each) for each in stores))
    for each in stores:
        assert listed(each) == expected(40, "failed")
        each.close()


def test_whoever_may_only_read_lists_and_loads(
    s3: S3Server, bucket: str, store: S3StorageBackend, monkeypatch: pytest.MonkeyPatch
):
    put_metadata(s3, bucket, 40)
    store.save_generation_record(RUN, generation("a"))
    store.flush()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER_SECRET)
    reader = S3StorageBackend(bucket, endpoint_url=s3.url)
    assert len(listed(reader)) == 41
    assert ids(reader) == ["a"]
    with pytest.raises(AccessDenied, match=r"may not do that.*docs/s3\.md"):
        reader.save_run_metadata("another", {"run_id": "another"})
    reader.close()


def test_only_what_changed_is_made_anew(s3: S3Server, bucket: str, store: S3StorageBackend):
    put_metadata(s3, bucket, 5)
    first = store.changed_since({}, lambda summary: summary)
    assert len(list(first)) == 5
    store.save_run_metadata("run-0003", {"run_id": "run-0003", "status": "again"})
    second = store.changed_since(first.stamps, json_of)
    assert [each["status"] for each in second] == ["again"]
    assert list(store.changed_since(second.stamps, json_of)) == []


def json_of(summary: bytes | dict[str, Any]) -> dict[str, Any]:
    return summary if isinstance(summary, dict) else json.loads(summary)


# Deleting


class Killed(BaseException):
    """In place of a kill."""


def deletion_killed_at(backend: S3StorageBackend, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Delete the run, killed at the request of that number; whether it came so far."""
    asked = backend._bucket._asked
    left = [step]

    def counted(operation: str, **wanted: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return asked(operation, **wanted)

    with monkeypatch.context() as patched:
        patched.setattr(backend._bucket, "_asked", counted)
        try:
            backend.delete_run(RUN)
        except Killed:
            return True
    return False


def test_a_deletion_killed_anywhere_is_resumed(
    s3: S3Server, bucket: str, store: S3StorageBackend, monkeypatch: pytest.MonkeyPatch
):
    store.save_generation_record(f"{RUN}0", generation("neighbour"))
    step, killed = 0, True
    while killed:
        store.save_run_metadata(RUN, {"run_id": RUN})
        store.save_annotations(RUN, {"n": 1}, "")
        store.save_generation_record(RUN, generation("a"))
        store.flush()
        killed = deletion_killed_at(store, step, monkeypatch)
        if store.unswept() == [RUN]:
            assert not store.run_exists(RUN)
            assert store.list_runs() == [f"{RUN}0"]
            assert [each["run_id"] for each in store.list_summaries()] == [f"{RUN}0"]
            assert store.load_generation_records(RUN) == []
            with pytest.raises(RunNotFound, match="being deleted"):
                store.save_generation_record(RUN, generation("b"))
            for load in (store.load_run_metadata, store.load_report, store.load_annotations):
                with pytest.raises(RunNotFound):
                    load(RUN)
        store.delete_run(RUN)
        assert store.left_of(RUN) == []
        assert store.unswept() == []
        assert [each for each in keys(s3, bucket) if f"{RUN}/" in each or each.endswith(RUN)] == []
        step += 1
    assert step > 10
    assert ids(store, f"{RUN}0") == ["neighbour"]


def test_a_run_of_more_objects_than_one_request_deletes(s3: S3Server, bucket: str, store: S3StorageBackend):
    store.save_run_metadata(RUN, {"run_id": RUN})
    client = s3.client()
    with ThreadPoolExecutor(8) as pool:
        names = [f"themis-experiments/data/{RUN}/000001-aaaaaaaa-g{n:06d}.jsonl" for n in range(1_100)]
        list(pool.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=b""), names))
    assert store.size_of(RUN) > 0
    store.delete_run(RUN)
    assert keys(s3, bucket, "themis-experiments/data/") == []
    assert store.size_of(RUN) == 0


def test_errors_in_an_answer_of_success_are_read(store: S3StorageBackend, monkeypatch: pytest.MonkeyPatch):
    for n in range(2):
        store.save_generation_record(RUN, generation(f"{n}"))
        store.flush()
    asked = store._bucket._asked

    def refused(operation: str, **wanted: Any) -> Any:
        if operation == "delete_objects":
            denied = [{"Key": each["Key"], "Code": "AccessDenied"} for each in wanted["Delete"]["Objects"]]
            return {"Errors": denied}
        return asked(operation, **wanted)

    with monkeypatch.context() as patched:
        patched.setattr(store._bucket, "_asked", refused)
        with pytest.raises(AccessDenied, match=r"2 objects, the first .*data/run-1/"):
            store.delete_run(RUN)
    assert store.unswept() == [RUN]
    store.delete_run(RUN)
    assert store.unswept() == []


def test_a_server_that_deletes_only_one_by_one(
    s3: S3Server, bucket: str, proxy: S3Proxy, behind: S3StorageBackend
):
    for n in range(3):
        behind.save_generation_record(RUN, generation(f"{n}"))
        behind.flush()
    proxy.rule = lambda method, path: "400 MissingContentMD5" if method == "POST" else None
    behind.delete_run(RUN)
    assert keys(s3, bucket, "themis-experiments/data/") == []


def test_it_says_that_the_bucket_keeps_versions(
    s3: S3Server, s3_keys: None, caplog: pytest.LogCaptureFixture
):
    bucket = s3.make_bucket()
    store = S3StorageBackend(bucket, endpoint_url=s3.url)
    s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert "keeps versions" in {each.name: each.message for each in store.check()}["bucket"]
    store.save_generation_record(RUN, generation("a"))
    store.delete_run(RUN)
    assert caplog.text.count("keeps versions") == 1
    store.close()


def test_a_bucket_removed_under_a_store_is_an_error_and_no_empty_one(s3: S3Server, s3_keys: None):
    bucket = s3.make_bucket()
    store = S3StorageBackend(bucket, endpoint_url=s3.url)
    store.save_run_metadata(RUN, {"run_id": RUN})
    store.save_generation_record(RUN, generation("a"))
    store.flush()
    assert store.run_exists(RUN)
    for key in keys(s3, bucket):
        s3.client().delete_object(Bucket=bucket, Key=key)
    s3.client().delete_bucket(Bucket=bucket)
    for ask in (
        lambda: store.run_exists(RUN),
        lambda: store.load_run_metadata(RUN),
        lambda: store.load_annotations(RUN),
        lambda: store.save_annotations(RUN, {}, ""),
        lambda: store.save_run_metadata(RUN, {"run_id": RUN}),
        lambda: store.update_run_metadata(RUN, {"run_id": RUN}),
        lambda: store.save_report(RUN, ExperimentReport(run_id=RUN)),
        lambda: store.delete_run("another"),
        lambda: store.list_runs(),
    ):
        with pytest.raises(StorageError, match="no such bucket") as raised:
            ask()
        assert not isinstance(raised.value, RunNotFound)


def test_records_wait_for_a_bucket_that_was_removed(proxy: S3Proxy, behind: S3StorageBackend):
    """They are not taken for those of a deleted run. (This server would make the bucket anew.)"""
    behind.save_run_metadata(RUN, {"run_id": RUN})
    behind.save_generation_record(RUN, generation("a"))
    for method in ("PUT", "HEAD"):  # removed before a segment is written, or just after it
        proxy.rule = lambda asked, path, method=method: "404 NoSuchBucket" if asked == method else None
        with pytest.raises(StorageError, match="no such bucket") as raised:
            behind.flush()
        assert not isinstance(raised.value, RunNotFound)
    proxy.rule = lambda method, path: None
    behind.flush()
    assert behind.set_aside() == []
    assert ids(behind) == ["a"]


# Gathering


def many_segments(store: S3StorageBackend, count: int = 12) -> None:
    for n in range(count):
        store.save_generation_record(RUN, generation("again", response=f"{n}"))
        store.save_generation_record(RUN, generation(f"s-{n}"))
        store.flush()


def test_a_run_that_ends_has_its_segments_gathered(s3: S3Server, bucket: str, store: S3StorageBackend):
    store.save_run_metadata(RUN, {"run_id": RUN, "status": "running"})
    many_segments(store)
    before = store.load_generation_records(RUN)
    assert len(keys(s3, bucket, f"themis-experiments/data/{RUN}/")) == 12
    store.save_run_metadata(RUN, {"run_id": RUN, "status": "completed"})
    (key,) = keys(s3, bucket, f"themis-experiments/data/{RUN}/")
    assert "-g000012z" in key
    assert store.load_generation_records(RUN) == before
    assert list(store.iter_generation_records(RUN)) == before
    assert before[0].response == "11"
    store.save_generation_record(RUN, generation("again", response="later"))
    assert store.load_generation_records(RUN)[0].response == "later"
    many_segments(store)
    store.save_run_metadata(RUN, {"run_id": RUN, "status": "completed"})
    assert len(keys(s3, bucket, f"themis-experiments/data/{RUN}/")) == 1
    assert store.load_generation_records(RUN) == before


@pytest.mark.parametrize("step", range(4))
def test_gathering_killed_anywhere_loses_and_doubles_nothing(
    s3: S3Server, bucket: str, store: S3StorageBackend, monkeypatch: pytest.MonkeyPatch, step: int
):
    store.save_run_metadata(RUN, {"run_id": RUN, "status": "running"})
    many_segments(store)
    before = store.load_generation_records(RUN)
    segments = store._segments(RUN, store._openings[RUN].run)
    left = [step]

    def killed(write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **wanted: Any) -> Any:
            for when in ("before", "after"):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                if when == "before":
                    done = write(*args, **wanted)
            return done

        return counted

    with monkeypatch.context() as patched:
        patched.setattr(store._bucket, "put", killed(store._bucket.put))
        patched.setattr(store._bucket, "delete", killed(store._bucket.delete))
        with pytest.raises(Killed):
            segments.gather(GenerationRecord)
    assert store.load_generation_records(RUN) == before
    segments.gather(GenerationRecord)
    assert store.load_generation_records(RUN) == before
    assert len(keys(s3, bucket, f"themis-experiments/data/{RUN}/")) == 1


def test_a_reader_does_not_notice_that_segments_are_gathered_under_it(
    store: S3StorageBackend, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(s3_segments, "SMALL_RUN", 0)
    store.save_run_metadata(RUN, {"run_id": RUN, "status": "running"})
    many_segments(store, 30)
    before = store.load_generation_records(RUN)
    reading = store.iter_generation_records(RUN)
    read = [next(reading), next(reading)]
    assert store._segments(RUN, store._openings[RUN].run).gather(GenerationRecord) == 29
    read += reading
    assert sorted(each.id for each in read) == sorted(each.id for each in before)
    listed_before = store._segments(RUN, "").of(GenerationRecord)
    assert len(listed_before) == 1


def test_segments_are_kept_if_the_server_only_says_that_it_has_them_gathered(
    s3: S3Server, bucket: str, proxy: S3Proxy, behind: S3StorageBackend
):
    behind.save_run_metadata(RUN, {"run_id": RUN, "status": "running"})
    many_segments(behind)
    before = behind.load_generation_records(RUN)
    proxy.rule = once("412 PreconditionFailed", "PUT", "g000012z")
    behind.save_run_metadata(RUN, {"run_id": RUN, "status": "completed"})
    assert behind.load_generation_records(RUN) == before
    assert len(keys(s3, bucket, f"themis-experiments/data/{RUN}/")) == 12


def test_two_who_gather_at_once_lose_nothing_and_neither_fails(
    store: S3StorageBackend, other: S3StorageBackend, monkeypatch: pytest.MonkeyPatch
):
    store.save_run_metadata(RUN, {"run_id": RUN, "status": "running"})
    many_segments(store)
    before = store.load_generation_records(RUN)
    store._segments_seen[RUN] = 12
    listed = store._bucket.listed

    def then_gathered_by_another(*args: Any, **wanted: Any) -> Any:
        found = list(listed(*args, **wanted))
        monkeypatch.setattr(store._bucket, "listed", listed)
        assert other._segments(RUN, store._openings[RUN].run).gather(GenerationRecord) == 11
        return iter(found)

    monkeypatch.setattr(store._bucket, "listed", then_gathered_by_another)
    store.save_run_metadata(RUN, {"run_id": RUN, "status": "completed"})
    assert store.load_generation_records(RUN) == before


def test_closing_a_store_does_not_end_what_is_read_from_it(
    store: S3StorageBackend, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(s3_segments, "SMALL_RUN", 0)
    many_segments(store, 20)
    reading = store.iter_generation_records(RUN)
    read = [next(reading)]
    store.close()
    assert len([*read, *reading]) == 21


# A bad day


def test_busy_servers_and_crossed_writes_are_waited_for(proxy: S3Proxy, behind: S3StorageBackend):
    behind.save_run_metadata(RUN, {"run_id": RUN})
    for what in ("503 SlowDown", "409 ConditionalRequestConflict", "500 InternalError"):
        proxy.rule = once(what, "PUT", times=2)
        behind.save_run_metadata(RUN, {"run_id": RUN, "after": what})
        proxy.rule = once(what, "PUT", "/data/", times=2)
        behind.save_generation_record(RUN, generation(what))
        behind.flush()
        assert behind.load_run_metadata(RUN)["after"] == what
    assert len(ids(behind)) == 3


def test_a_save_that_was_heard_and_not_answered_is_no_conflict(proxy: S3Proxy, behind: S3StorageBackend):
    behind.save_run_metadata(RUN, {"run_id": RUN})
    version = ""
    for n in range(3):
        proxy.rule = once("lost", "PUT", "~notes")
        version = behind.save_annotations(RUN, {"n": n}, version)
    proxy.rule = once("lost", "PUT", f"/meta/{RUN}")
    behind.save_run_metadata(RUN, {"run_id": RUN, "n": 4})
    assert behind.load_annotations(RUN) == ({"n": 2}, version)
    assert behind.load_run_metadata(RUN)["n"] == 4
    proxy.rule = once("lost", "PUT", "/meta/another")
    behind.save_generation_record("another", generation("a"))
    assert ids(behind, "another") == ["a"]


def test_bodies_cut_short_are_read_again(proxy: S3Proxy, behind: S3StorageBackend):
    behind.save_run_metadata(RUN, {"run_id": RUN, "text": "x" * 100_000})
    behind.save_generation_record(RUN, generation("a", response="x" * 1_000_000))
    behind.flush()
    proxy.rule = once("cut", "GET", times=3)
    assert behind.load_run_metadata(RUN)["text"] == "x" * 100_000
    proxy.rule = once("cut", "GET", "/data/run-1/0", times=3)
    assert [len(each.response or "") for each in behind.load_generation_records(RUN)] == [1_000_000]


def test_records_wait_while_the_server_takes_nothing(
    proxy: S3Proxy, behind: S3StorageBackend, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
    behind.save_run_metadata(RUN, {"run_id": RUN})
    proxy.rule = lambda method, path: "503 SlowDown" if "/data/" in path else None
    behind.save_generation_record(RUN, generation("a"))
    behind.patience_s = 1.0
    with pytest.raises(StoreUnreachable, match="less often"):
        behind.flush()
    assert "bytes kept on this machine" in (behind.trouble() or "")
    proxy.rule = lambda method, path: None
    behind.patience_s = 60
    behind.flush()
    assert ids(behind) == ["a"]


# Errors


@pytest.mark.parametrize(
    ("answer", "error", "mend"),
    [
        ("403 AccessDenied", AccessDenied, "may not do that"),
        ("403 InvalidAccessKeyId", AccessDenied, "access key is unknown"),
        ("403 SignatureDoesNotMatch", AccessDenied, "AWS_ACCESS_KEY_ID"),
        ("400 ExpiredToken", AccessDenied, "aws sso login"),
        ("403 RequestTimeTooSkewed", StorageError, "clock"),
        ("400 AuthorizationHeaderMalformed", StorageError, "region="),
        ("503 SlowDown", StoreUnreachable, "less often"),
        ("500 InternalError", StoreUnreachable, "tried again"),
        ("507 XMinioStorageFull", StoreFull, "no room"),
        ("404 NoSuchBucket", StorageError, "aws s3 mb"),
        ("418 Teapot", StorageError, "Teapot"),
    ],
)
def test_what_a_server_says_is_told_apart_with_the_mend(
    proxy: S3Proxy,
    behind: S3StorageBackend,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    error: type[StorageError],
    mend: str,
):
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
    proxy.rule = lambda method, path: answer
    for ask in (
        lambda: behind.load_run_metadata(RUN),
        lambda: behind.list_runs(),
        lambda: behind.run_exists(RUN),
        lambda: behind.save_run_metadata(RUN, {"run_id": RUN}),
        lambda: behind.delete_run(RUN),
        lambda: list(behind.list_summaries()),
    ):
        with pytest.raises(error, match=mend) as raised:
            ask()
        assert not isinstance(raised.value, RunNotFound)
        assert behind.bucket in str(raised.value)


def test_a_wrong_bucket_is_not_an_empty_one(s3: S3Server, s3_keys: None):
    store = S3StorageBackend("there-is-none", endpoint_url=s3.url)
    for ask in (
        lambda: store.run_exists(RUN),
        lambda: store.load_run_metadata(RUN),
        lambda: store.load_annotations(RUN),
        lambda: store.list_runs(),
        lambda: store.load_generation_records(RUN),
        lambda: store.save_generation_record(RUN, generation("a")),
        lambda: store.delete_run(RUN),
    ):
        with pytest.raises(StorageError, match="no such bucket") as raised:
            ask()
        assert not isinstance(raised.value, RunNotFound)
    assert [(each.name, each.ok) for each in store.check()][-1] == ("bucket", False)
    store.close()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_ACCESS_KEY_ID", "nobody", "access key is unknown"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "the secret does not belong"),
    ],
)
def test_wrong_keys_are_told_even_where_the_server_gives_no_reason(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
):
    monkeypatch.setenv(variable, value)
    store = S3StorageBackend(bucket, endpoint_url=s3.url)
    for ask in (store.run_exists, store.load_run_metadata, store.load_generation_records):
        with pytest.raises(AccessDenied, match=said):
            ask(RUN)
    assert [(each.name, each.ok) for each in store.check()][-2:] == [("credentials", True), ("bucket", False)]
    store.close()


def test_missing_credentials_are_named(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    store = S3StorageBackend(bucket, endpoint_url=s3.url)
    with pytest.raises(AccessDenied, match=r"AWS_ACCESS_KEY_ID.*the default AWS profile"):
        store.list_runs()
    assert [(each.name, each.ok) for each in store.check()][-1] == ("credentials", False)
    profiled = S3StorageBackend(bucket, endpoint_url=s3.url, profile="nobody")
    with pytest.raises(AccessDenied, match="AWS profile 'nobody'"):
        profiled.list_runs()
    assert not profiled.check()[-1].ok


def test_keys_that_are_mended_are_used_at_once(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """As when somebody logs in again: by the same store, whose records waited meanwhile."""
    (tmp_path / "home" / ".aws").mkdir()
    keys = tmp_path / "home" / ".aws" / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    def write(secret: str) -> None:
        keys.write_text(f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {secret}\n")

    store = S3StorageBackend(bucket, endpoint_url=s3.url)
    with pytest.raises(AccessDenied):
        store.list_runs()
    write(SECRET_KEY)
    store.save_run_metadata(RUN, {"run_id": RUN})
    write("expired")
    store._connection.close()
    store.save_generation_record(RUN, generation("waited"))
    with pytest.raises(AccessDenied):
        store.flush()
    write(SECRET_KEY)
    store.flush()
    assert ids(store) == ["waited"]
    store.close()


def test_a_server_that_is_not_there(s3_keys: None):
    store = S3StorageBackend("bucket", endpoint_url="http://127.0.0.1:1", connect_timeout=1)
    with pytest.raises(StoreUnreachable, match="cannot be reached"):
        store.run_exists(RUN)
    assert [(each.name, each.ok) for each in store.check()] == [("find host", True), ("reach", False)]


def test_check_walks_every_step(store: S3StorageBackend):
    assert [(each.name, each.ok) for each in store.check()] == [
        (name, True)
        for name in (
            "find host", "reach", "credentials", "bucket", "conditional write",
            "write", "read back", "list", "delete",
        )
    ]  # fmt: skip


# Servers that differ


def test_a_server_that_keeps_no_conditions_is_for_one_writer_and_it_is_said(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    asked = Bucket._asked

    def heedless(self: Bucket, operation: str, **wanted: Any) -> Any:
        if operation == "put_object":
            wanted = {name: value for name, value in wanted.items() if name not in ("IfMatch", "IfNoneMatch")}
        return asked(self, operation, **wanted)

    monkeypatch.setattr(Bucket, "_asked", heedless)
    store = S3StorageBackend(bucket, endpoint_url=s3.url)
    store.save_run_metadata(RUN, {"run_id": RUN})
    store.save_generation_record(RUN, generation("a"))
    version = store.save_annotations(RUN, {"n": 1}, "")
    with pytest.raises(Conflict):
        store.save_annotations(RUN, {"n": 2}, "")
    store.save_annotations(RUN, {"n": 2}, version)
    store.save_run_metadata(RUN, {"run_id": RUN, "status": "completed"})
    assert ids(store) == ["a"]
    assert caplog.text.count("only one process at a time") == 1
    step = {each.name: each for each in store.check()}["conditional write"]
    assert step.ok
    assert "only one process at a time" in step.message
    store.close()


def test_odd_prefixes(s3: S3Server, bucket: str):
    for prefix in ("", "a b/ü+%20&=<>", "/team/evals/"):
        store = S3StorageBackend(bucket, prefix, endpoint_url=s3.url)
        store.save_run_metadata(RUN, {"run_id": RUN})
        store.save_generation_record(RUN, generation("a"))
        assert ids(store) == ["a"]
        assert store.list_runs() == [RUN]
        assert [each["run_id"] for each in store.list_summaries()] == [RUN]
        store.delete_run(RUN)
        assert store.list_runs() == []
        store.close()


@pytest.mark.parametrize(
    ("bucket_name", "prefix"),
    [("b", "p"), ("a/b", "p"), ("bucket", "a//b"), ("bucket", "../x"), ("bucket", "a\nb")],
)
def test_names_that_cannot_be_are_refused(bucket_name: str, prefix: str):
    with pytest.raises(UsageError):
        S3StorageBackend(bucket_name, prefix)


def test_a_client_of_ones_own_is_used_as_it_is(s3: S3Server, bucket: str):
    client = s3.client()
    store = S3StorageBackend(bucket, client=client)
    store.save_generation_record(RUN, generation("a"))
    store.flush()
    assert store._connection.get() is client
    copy = pickle.loads(pickle.dumps(store))
    assert ids(copy) == ["a"]
    copy.close()
    store.close()
    assert ids(store) == ["a"]


def test_a_forked_child_makes_a_client_of_its_own(store: S3StorageBackend):
    store.save_generation_record(RUN, generation("parents"))
    store.flush()
    pid = os.fork()
    if pid == 0:
        try:
            store.save_generation_record(RUN, generation("childs"))
            store.close()
            os._exit(0 if sorted(ids(store)) == ["childs", "parents"] else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert sorted(ids(store)) == ["childs", "parents"]


def test_a_uri_says_all(s3: S3Server, bucket: str):
    store = open_storage(f"s3://{bucket}/team/evals?endpoint_url={s3.url}&journal=no&connect_timeout=3s")
    assert isinstance(store, S3StorageBackend)
    assert (store.bucket, store.prefix) == (bucket, "team/evals")
    store.save_generation_record(RUN, generation("a"))
    assert ids(store) == ["a"]
    assert open_storage(f"s3://{bucket}").prefix == "themis-experiments"
    with pytest.raises(UsageError, match="no option 'colour'"):
        open_storage(f"s3://{bucket}?colour=blue")


def test_its_form_has_every_option_and_no_secret():
    options = settings_of("storage", "s3")
    assert [name for name, each in options.items() if each.required] == ["bucket"]
    assert {"prefix", "endpoint_url", "region", "profile", "path_style", "journal"} <= options.keys()
    assert "client" not in options
    assert not any(each.secret for each in options.values())
    assert all(each.help for each in options.values())
