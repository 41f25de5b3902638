"""Runs in PostgreSQL: for teams, for many machines at once, and for SQL over the results.

A row a run, a generation and an evaluation (:mod:`.postgres_schema`); what was saved lies there byte for
byte, with columns for SQL beside it (:mod:`.postgres_rows`). Of records with one identity only the current
one is kept. Records go in by COPY; a batch that meets one that is there goes through a temporary table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import psycopg

from themis.backends.storage.annotations import NEVER_SAVED, Annotations
from themis.backends.storage.base import created_at, summarised, walk_steps
from themis.backends.storage.index import Listing
from themis.backends.storage.journal import Opening
from themis.backends.storage.journalled import JournalledStorage
from themis.backends.storage.postgres_address import PostgresAddress
from themis.backends.storage.postgres_check import walk_to_schema
from themis.backends.storage.postgres_connections import Connection, PostgresConnections
from themis.backends.storage.postgres_notices import PostgresNotices
from themis.backends.storage.postgres_records import Page, PostgresRecords
from themis.backends.storage.postgres_rows import (
    EVALUATIONS,
    GENERATIONS,
    Table,
    key_hash,
    seen_in,
)
from themis.backends.storage.postgres_schema import (
    VERSION,
    check_version,
    migrate,
    quoted_schema,
    stored_version,
)
from themis.backends.storage.updates import Updates
from themis.core import codec
from themis.core.check_step import CheckStep
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import Conflict, RunNotFound, StorageError, StoreCorrupt
from themis.core.run_ids import checked_run_id
from themis.core.safe_text import storable

T = TypeVar("T")

_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_STAMP = "(run_no << 32) + version"
"""What a run is known by in a listing: it grows with every change, and none that is made later has it."""
_TABLES = {"gen": GENERATIONS, "eval": EVALUATIONS}


class PostgresStorageBackend(JournalledStorage, Annotations, Updates):
    """A schema of a PostgreSQL database, 14 or newer. Its tables are made when it is first written to.

    Reading needs no more than SELECT; docs/postgres.md has the GRANTs of owner, user and reader.
    """

    def __init__(
        self,
        connection_string: str,
        *,
        schema: str = "themis",
        journal: bool = True,
        journal_mb: int = 256,
        pgbouncer: bool = False,
        connect_timeout: float = 5.0,
        statement_timeout: float = 60.0,
    ) -> None:
        """Nothing is connected to yet.

        Args:
            connection_string: postgresql://USER@HOST:PORT/DATABASE, host=… dbname=…, or service=NAME of
                pg_service.conf. What is left out is libpq's: PGHOST and the like, ~/.pgpass.
            schema: The schema that holds the tables, Themis's own.
            journal: Whether records wait in a journal on this machine until the server has them. Off: a save
                returns when the server has it, for machines whose disk goes when they go.
            journal_mb: Megabytes of records of one run that may wait; then saving waits too.
            pgbouncer: Whether PgBouncer stands before the server and lends connections by the transaction.
            connect_timeout: Seconds to wait for a connection.
            statement_timeout: Seconds that the server gives a statement.

        Raises :class:`UsageError` for a connection string or schema that cannot be.
        """
        self._options: dict[str, Any] = {
            "connection_string": connection_string,
            "schema": schema,
            "journal": journal,
            "journal_mb": journal_mb,
            "pgbouncer": pgbouncer,
            "connect_timeout": connect_timeout,
            "statement_timeout": statement_timeout,
        }
        self._set_up()

    def _set_up(self) -> None:
        options = self._options
        self.schema: str = options["schema"]
        self._schema = quoted_schema(self.schema)
        self.address = PostgresAddress(
            options["connection_string"],
            connect_timeout=options["connect_timeout"],
            statement_timeout=options["statement_timeout"],
            pgbouncer=options["pgbouncer"],
        )
        self._connections = PostgresConnections(self.address)
        self._notices = PostgresNotices(self._connections, self.address, self.schema)
        self._records = PostgresRecords(self._schema)
        self._has_tables = False
        place = f"PostgreSQL at {self.address}, schema {self.schema}"
        self._set_up_journal(place, journal=options["journal"], journal_mb=options["journal_mb"])

    # Documents

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        self._save_document(run_id, "save metadata", _columns(run_id, metadata))

    def update_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        values = _columns(run_id, metadata)
        update = ", ".join(f"{each} = %s" for each in values)
        opened = self._openings.get(run_id)
        run_no = None if opened is None else opened.run

        def work(connection: Connection) -> Any:
            return self._one(
                connection,
                f"UPDATE {{s}}.run_row SET {update}, updated_at = now(), version = version + 1 "
                "WHERE run_id = %s AND NOT deleting AND coalesce(run_no::text = %s::text, true) "
                "RETURNING run_no",
                *values.values(), run_id, run_no,
            )  # fmt: skip

        row = self._write("save metadata", work)
        if row is None:
            raise self._deleted(run_id)
        self._opened_as(run_id, _opening(row[0]))

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        text = self._document(run_id, "metadata::text", "load metadata")
        if text is None:
            raise RunNotFound(f"{self._place} has no metadata of a run {run_id!r}.")
        metadata = _object(text, f"The metadata of {run_id!r} in {self._place}")
        codec.check_schema(metadata, f"Run {run_id!r} in {self._place}")
        return metadata

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        self._save_document(run_id, "save the report", {"report": codec.encode_report(report)})

    def load_report(self, run_id: str) -> ExperimentReport:
        def work(connection: Connection) -> bytes | None:
            run_no = self._found(connection, run_id)
            if run_no is None:
                return None
            row = self._one(connection, "SELECT report FROM {s}.run_row WHERE run_no = %s", run_no)
            return None if row is None else row[0]

        data = self._read("load the report", run_id, work, None)
        if data is None:
            raise RunNotFound(f"{self._place} has no report of a run {run_id!r}.")
        return codec.decode_report(data, f"The report of {run_id!r} in {self._place}")

    def load_annotations(self, run_id: str) -> tuple[dict[str, Any], str]:
        def work(connection: Connection) -> Any:
            return self._one(
                connection,
                "SELECT annotations::text, annotations_version FROM {s}.run_row "
                "WHERE run_id = %s AND NOT deleting",
                run_id,
            )

        row = self._read("load annotations", run_id, work, None)
        if row is None:
            raise self._no_run(run_id)
        if row[0] is None:
            return {}, NEVER_SAVED
        return _object(row[0], f"The annotations of {run_id!r} in {self._place}"), str(row[1])

    def save_annotations(self, run_id: str, annotations: dict[str, Any], version: str) -> str:
        document = codec.encode_document(annotations)
        new_version = key_hash(document.decode()).hex()

        def work(connection: Connection) -> bool | None:
            saved = self._one(
                connection,
                "UPDATE {s}.run_row SET annotations = %s, annotations_version = %s, version = version + 1 "
                "WHERE run_id = %s AND NOT deleting AND coalesce(annotations_version, %s) = %s RETURNING 1",
                document.decode(), new_version, run_id, NEVER_SAVED, version,
            )  # fmt: skip
            if saved is not None:
                return True
            there = self._one(
                connection,
                "SELECT annotations_version FROM {s}.run_row WHERE run_id = %s AND NOT deleting",
                run_id,
            )
            # Saved by a first try, of which only the answer was lost; or by another who says the very same.
            return None if there is None else there[0] == new_version != version

        checked_run_id(run_id)
        saved = self._connections.run("save annotations", work) if self._tables() else None
        if saved is None:
            raise self._no_run(run_id)
        if not saved:
            raise Conflict(f"The annotations of the run {run_id!r} were changed meanwhile.")
        self._notices.tell(run_id)
        return new_version

    # Records

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        return self._load(run_id, GENERATIONS)

    def iter_generation_records(self, run_id: str) -> Iterator[GenerationRecord]:
        return self._iterate(run_id, GENERATIONS)

    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        return {each.cache_key: each for each in self._load(run_id, EVALUATIONS)}

    def iter_evaluation_records(self, run_id: str) -> Iterator[EvaluationRecord]:
        return self._iterate(run_id, EVALUATIONS)

    def _open_run(self, run_id: str) -> Opening:
        def work(connection: Connection) -> Any:
            self._execute(
                connection, "INSERT INTO {s}.run_row (run_id) VALUES (%s) ON CONFLICT DO NOTHING", run_id
            )
            query = "SELECT run_no FROM {s}.run_row WHERE run_id = %s AND NOT deleting"
            return self._one(connection, query, run_id)

        row = self._write("make the run", work)
        if row is None:
            raise self._deleted(run_id)
        self._notices.tell(run_id)
        return _opening(row[0])

    def _send(self, run_id: str, opening: Opening, name: str, kind: str, lines: bytes) -> None:
        table = _TABLES[kind]
        with codec.paused_gc():
            seen = seen_in(table, lines)

        def work(connection: Connection) -> None:
            try:
                with connection.transaction():
                    run_no = self._held(connection, run_id, opening)
                    self._records.insert(connection, table, run_no, seen, lines)
            except psycopg.errors.UniqueViolation:
                with connection.transaction():
                    run_no = self._held(connection, run_id, opening)
                    self._records.merge(connection, table, run_no, seen, lines)

        if not self._tables():
            raise self._deleted(run_id)
        self._connections.run("save records", work)

    def _held(self, connection: Connection, run_id: str, opening: Opening) -> int:
        """The run's number, under a lock that a deletion waits for, and metadata that change do not."""
        row = self._one(
            connection,
            "SELECT run_no FROM {s}.run_row WHERE run_id = %s AND run_no::text = %s AND NOT deleting "
            "FOR KEY SHARE",
            run_id, opening.run,
        )  # fmt: skip
        if row is None:
            raise self._deleted(run_id)
        return int(row[0])

    def _load(self, run_id: str, table: Table) -> list[Any]:
        self._settle(checked_run_id(run_id))
        records: list[Any] = []
        with codec.paused_gc():
            for page in self._pages(run_id, table, self._records.large_page):
                records += page
        return records

    def _iterate(self, run_id: str, table: Table) -> Iterator[Any]:
        self._settle(checked_run_id(run_id))
        return chain.from_iterable(self._pages(run_id, table, self._records.page_of))

    def _pages(self, run_id: str, table: Table, page_of: Callable[..., Page | None]) -> Iterator[list[Any]]:
        """Records in order, a page at a time: no connection is held while somebody else works."""
        where = f"Run {run_id!r} in {self._place}"
        last = 0

        def work(connection: Connection) -> Page | None:
            run_no = self._found(connection, run_id)
            return None if run_no is None else page_of(connection, table, run_no, last, where)

        while (page := self._read("load records", run_id, work, None)) is not None:
            yield page.records
            last = page.last

    # Runs

    def list_runs(self) -> list[str]:
        def work(connection: Connection) -> list[str]:
            rows = self._execute(connection, "SELECT run_id FROM {s}.run_row WHERE NOT deleting ORDER BY 1")
            return [run_id for (run_id,) in rows.fetchall()]

        return self._read("list runs", None, work, [])

    def list_summaries(self) -> Iterator[dict[str, Any]]:
        return self.changed_since({}, _decoded)

    def changed_since(
        self, stamps: Mapping[str, int], make: Callable[[bytes | dict[str, Any]], T]
    ) -> Listing[T]:
        """What ``make`` makes of each run that is not as it was at ``stamps``, newest first.

        As :meth:`RunIndex.changed_since` of a local store, in one statement; with stamps in two, and only
        what changed is sent.
        """
        nothing: list[Any] = []
        now = dict(self._read("list runs", None, self._stamps, nothing)) if stamps else {}
        changed = [run_id for run_id, stamp in now.items() if stamps.get(run_id) != stamp]
        if stamps and not changed:
            return Listing(iter(()), 0, now)

        def work(connection: Connection) -> list[Any]:
            return self._execute(
                connection,
                f"SELECT run_id, {_STAMP}, created_at, summary::text, annotations::text FROM {{s}}.run_row "
                "WHERE NOT deleting" + (" AND run_id = ANY(%s)" if changed else ""),
                *([changed] if changed else []),
            ).fetchall()

        rows = self._read("list runs", None, work, nothing)
        now |= {row[0]: row[1] for row in rows}
        # Sorted here: the server would write all of it to its disk for that.
        rows.sort(key=_newest_first)
        return Listing((make(_summary(*row)) for row in rows), len(rows), now)

    def changes(self, every_s: float) -> Iterator[bool]:
        """True when a run was made, changed or deleted, whoever did it; false after ``every_s`` of silence.

        The first is true. Ends at once where nothing can be heard, behind PgBouncer; raises
        :class:`StorageError` when the server is lost. Of records nothing is told, only of what a listing has.
        """
        return iter(()) if self.address.pgbouncer else self._notices.heard(every_s)

    def _stamps(self, connection: Connection) -> list[Any]:
        query = f"SELECT run_id, {_STAMP} FROM {{s}}.run_row WHERE NOT deleting"
        return self._execute(connection, query).fetchall()

    def run_exists(self, run_id: str) -> bool:
        return self._document(run_id, "true", "look for a run") is not None

    def delete_run(self, run_id: str) -> None:
        self._discard(checked_run_id(run_id))
        if self._tables():
            run_no = self._write("delete the run", lambda connection: self._mark_deleting(connection, run_id))
            if run_no is not None:
                self._notices.tell(run_id)
                for table in (EVALUATIONS, GENERATIONS):
                    self._sweep(table, run_no)
                self._write("delete the run", lambda connection: self._remove(connection, run_no))

    def _mark_deleting(self, connection: Connection, run_id: str) -> int | None:
        """Hide the run, once nobody is saving to it; also one that another began to delete."""
        row = self._one(
            connection,
            "WITH held AS (SELECT run_no FROM {s}.run_row WHERE run_id = %s FOR UPDATE) "
            "UPDATE {s}.run_row AS r SET deleting = true FROM held WHERE r.run_no = held.run_no "
            "RETURNING r.run_no",
            run_id,
        )
        return None if row is None else int(row[0])

    def _sweep(self, table: Table, run_no: int) -> None:
        after: int | None = 0
        while after is not None:
            some = partial(self._records.delete_some, table=table, run_no=run_no, after=after)
            after = self._write("delete the run", some)

    def _remove(self, connection: Connection, run_no: int) -> None:
        """The document goes last, and only when nothing else is left."""
        left = self._records.left_of(connection, run_no)
        if left:
            raise StorageError(f"{self._place} was told to delete a run, and still has {', '.join(left)}.")
        self._execute(connection, "DELETE FROM {s}.run_row WHERE run_no = %s AND deleting", run_no)

    def size_of(self, run_id: str) -> int:
        """Bytes of a run's records and documents, as they were saved; 0 if there is no such run."""

        def work(connection: Connection) -> int:
            row = self._one(
                connection,
                "SELECT run_no, coalesce(octet_length(metadata::text), 0) "
                "+ coalesce(octet_length(report), 0) + coalesce(octet_length(annotations::text), 0) "
                "FROM {s}.run_row "
                "WHERE run_id = %s AND NOT deleting",
                run_id,
            )
            return 0 if row is None else int(row[1]) + self._records.size_of(connection, row[0])

        return self._read("measure the run", run_id, work, 0)

    def left_of(self, run_id: str) -> list[str]:
        """The tables in which anything of a run still lies, a deleted one's too."""

        def work(connection: Connection) -> list[str]:
            row = self._one(connection, "SELECT run_no FROM {s}.run_row WHERE run_id = %s", run_id)
            names = [] if row is None else ["run_row", *self._records.left_of(connection, row[0])]
            return [f"{self.schema}.{name}" for name in names]

        return self._read("look for a run", run_id, work, [])

    def unswept(self) -> list[str]:
        """The ids of runs whose deletion was begun and not brought to its end."""

        def work(connection: Connection) -> list[str]:
            rows = self._execute(connection, "SELECT run_id FROM {s}.run_row WHERE deleting ORDER BY 1")
            return [run_id for (run_id,) in rows.fetchall()]

        return self._read("look for deletions", None, work, [])

    # Life

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._notices.close()
            self._connections.close()

    def check(self) -> list[CheckStep]:
        return list(self._walk())

    def _walk(self) -> Iterator[CheckStep]:
        """From the name of the host to a run written, read and deleted, to the first step that fails."""
        for step in walk_to_schema(self.address, self._options["connect_timeout"], self._tables):
            yield step
            if not step.ok:
                return
        yield from walk_steps(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._options = state["options"]
        self._set_up()

    def __repr__(self) -> str:
        return f"PostgresStorageBackend({str(self.address)!r}, schema={self.schema!r})"

    # Asking the server

    def _no_run(self, run_id: str) -> RunNotFound:
        return RunNotFound(f"{self._place} has no run {run_id!r}.")

    def _deleted(self, run_id: str) -> RunNotFound:
        return RunNotFound(f"{self._place}: the run {run_id!r} was deleted while it was written to.")

    def _execute(self, connection: Connection, query: str, *values: Any) -> psycopg.Cursor[Any]:
        return connection.execute(query.format(s=self._schema).encode(), values)

    def _one(self, connection: Connection, query: str, *values: Any) -> Any:
        return self._execute(connection, query, *values).fetchone()

    def _read(self, doing: str, run_id: str | None, work: Callable[[Connection], T], otherwise: T) -> T:
        """What ``work`` finds; ``otherwise`` where there are no tables yet. Makes none."""
        if run_id is not None:
            checked_run_id(run_id)
        return self._connections.run(doing, work) if self._tables() else otherwise

    def _write(self, doing: str, work: Callable[[Connection], T]) -> T:
        if not self._tables():
            self._connections.run(
                "make its tables", lambda connection: migrate(connection, self._schema, str(self.address))
            )
            self._has_tables = True
        return self._connections.run(doing, work)

    def _tables(self) -> bool:
        """Whether there are tables, of a version that can be used. Raises :class:`SchemaTooNew`."""
        if not self._has_tables:
            version = self._connections.run(
                "look at its schema", lambda connection: stored_version(connection, self._schema)
            )
            if version is not None:
                check_version(version, self._schema, str(self.address))
            self._has_tables = version == VERSION
        return self._has_tables

    def _found(self, connection: Connection, run_id: str) -> int | None:
        """The run's number; ``None`` if there is none. Raises :class:`SchemaTooNew` for a newer Themis's."""
        row = self._one(
            connection,
            "SELECT run_no, (metadata -> 'schema_version')::text FROM {s}.run_row "
            "WHERE run_id = %s AND NOT deleting",
            run_id,
        )
        if row is None:
            return None
        if row[1] is not None:
            version = codec.decode_document(row[1].encode())
            codec.check_schema({"schema_version": version}, f"Run {run_id!r} in {self._place}")
        return int(row[0])

    def _document(self, run_id: str, column: str, doing: str) -> Any:
        def work(connection: Connection) -> Any:
            query = f"SELECT {column} FROM {{s}}.run_row WHERE run_id = %s AND NOT deleting"
            return self._one(connection, query, run_id)

        row = self._read(doing, run_id, work, None)
        return None if row is None else row[0]

    def _save_document(self, run_id: str, doing: str, values: dict[str, Any]) -> None:
        checked_run_id(run_id)
        columns = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        update = ", ".join(f"{each} = EXCLUDED.{each}" for each in values)

        def work(connection: Connection) -> Any:
            return self._one(
                connection,
                f"INSERT INTO {{s}}.run_row AS there (run_id, {columns}) VALUES (%s, {marks}) "
                f"ON CONFLICT (run_id) DO UPDATE SET {update}, updated_at = now(), "
                "version = there.version + 1 WHERE NOT there.deleting RETURNING run_no",
                run_id, *values.values(),
            )  # fmt: skip

        row = self._write(doing, work)
        if row is None:
            raise self._deleted(run_id)
        self._opened_as(run_id, _opening(row[0]))
        self._notices.tell(run_id)


def _columns(run_id: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """A run's metadata as its row holds them."""
    summary = summarised(checked_run_id(run_id), metadata)
    return {
        "uid": _column(metadata.get("uid")),
        "status": _column(metadata.get("status")),
        "created_at": _moment(created_at(metadata)),
        "metadata": codec.encode_document(metadata).decode(),
        "summary": codec.encode_document(summary).decode(),
    }


def _opening(run_no: int) -> Opening:
    """A run by its number, which none that is made later has."""
    return Opening(1, str(run_no))


def _newest_first(row: tuple[Any, ...]) -> float:
    return math.inf if row[2] is None else -row[2].timestamp()


def _summary(
    run_id: str, stamp: int, created: datetime | None, summary: str | None, annotations: str | None
) -> bytes | dict[str, Any]:
    if annotations is None and summary is not None:
        return summary.encode()
    made = summarised(run_id, {}) if summary is None else _decoded(summary.encode())
    if annotations is not None:
        made["annotations"] = codec.decode_document(annotations.encode())
    return made


def _decoded(summary: bytes | dict[str, Any]) -> dict[str, Any]:
    if isinstance(summary, dict):
        return summary
    document: dict[str, Any] = codec.decode_document(summary)
    return document


def _object(text: str, where: str) -> dict[str, Any]:
    document = codec.decode_document(text.encode(), where)
    if not isinstance(document, dict):
        raise StoreCorrupt(f"{where} are not a JSON object.")
    return document


def _column(value: Any) -> str | None:
    return None if value is None else storable(str(value))[:1_000]


def _moment(seconds: float) -> datetime | None:
    """A time as PostgreSQL has it; ``None`` where the run says none."""
    if not seconds:
        return None
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(min(seconds, _LATEST), UTC)
    return None
