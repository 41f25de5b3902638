"""The tables and views of a store in PostgreSQL, and the steps from one version of them to the next.

Documents are ``json``, not ``jsonb``: that keeps the order of keys, and numbers as they were written. All is
named with its schema, so that no ``search_path`` has a say.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import psycopg

from themis.core.errors import SchemaTooNew, StorageError, UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")

_FIRST = """
CREATE TABLE {s}.run_row (
    run_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL UNIQUE,
    uid text,
    status text,
    created_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    version bigint NOT NULL DEFAULT 1,
    metadata json,
    summary json,
    annotations json,
    annotations_version text,
    report bytea,
    deleting boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);

CREATE TABLE {s}.generation_row (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    run_no bigint NOT NULL,
    id_hash bytea NOT NULL,
    attempt bigint NOT NULL,
    sample_id text NOT NULL,
    epoch bigint NOT NULL,
    error_kind text,
    latency_s double precision,
    input_tokens bigint,
    output_tokens bigint,
    cost double precision,
    body bytea NOT NULL,
    PRIMARY KEY (run_no, id_hash)
);
CREATE INDEX generation_row_in_order ON {s}.generation_row (run_no, seq);

CREATE TABLE {s}.evaluation_row (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    run_no bigint NOT NULL,
    key_hash bytea NOT NULL,
    id_hash bytea NOT NULL,
    attempt bigint NOT NULL,
    revision bigint NOT NULL,
    sample_id text NOT NULL,
    epoch bigint NOT NULL,
    group_key text,
    error_kind text,
    latency_s double precision,
    output_tokens bigint,
    cost double precision,
    scores jsonb NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (run_no, key_hash)
);
CREATE INDEX evaluation_row_in_order ON {s}.evaluation_row (run_no, seq);

CREATE VIEW {s}.runs AS
SELECT
    run_id,
    uid,
    annotations ->> 'name' AS name,
    status,
    summary #>> '{{asked,benchmark}}' AS benchmark,
    summary #>> '{{asked,model,name}}' AS model,
    summary #>> '{{summary,headline}}' AS headline,
    created_at,
    updated_at,
    coalesce(annotations, summary -> 'annotations') -> 'tags' AS tags,
    coalesce(annotations, summary -> 'annotations') -> 'trash' IS NOT NULL AS trashed,
    summary,
    annotations
FROM {s}.run_row
WHERE NOT deleting;

CREATE VIEW {s}.generations AS
SELECT
    run_id, sample_id, epoch, attempt, error_kind, latency_s, input_tokens, output_tokens, cost,
    convert_from(body, 'UTF8') AS record
FROM {s}.generation_row JOIN {s}.run_row USING (run_no)
WHERE NOT deleting;

CREATE VIEW {s}.evaluations AS
SELECT
    run_id, e.sample_id, e.epoch, e.attempt, e.revision, e.group_key, e.error_kind, e.scores,
    e.latency_s, e.output_tokens, e.cost, convert_from(e.body, 'UTF8') AS record
FROM {s}.evaluation_row e
JOIN {s}.run_row USING (run_no)
CROSS JOIN LATERAL (
    -- LIMIT keeps it a look-up by key for each row: without statistics a join of the tables may be squared.
    SELECT FROM {s}.generation_row g
    WHERE g.run_no = e.run_no AND g.id_hash = e.id_hash AND g.attempt = e.attempt
    LIMIT 1
) AS current
WHERE NOT deleting;
"""

STEPS = (_FIRST,)
"""The statements that bring the tables from one version to the next; never changed, only added to."""
VERSION = len(STEPS)


def quoted_schema(name: str) -> str:
    """A schema's name for use in statements. Raises :class:`UsageError` for one that it cannot be."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"The schema {name!r:.80} cannot be: a name takes letters, digits, - and _, begins with a letter "
            "or _, and has at most 63 signs."
        )
    return f'"{name}"'


def stored_version(connection: psycopg.Connection[Any], schema: str) -> int | None:
    """The version of the tables in a schema; ``None`` if there are none yet."""
    try:
        row = connection.execute(f"SELECT version FROM {schema}.schema_version".encode()).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    return None if row is None else int(row[0])


def check_version(version: int, schema: str, where: str) -> None:
    """Raise :class:`SchemaTooNew`, or :class:`StorageError` for one that this version no longer reads."""
    if version > VERSION:
        raise SchemaTooNew(
            f"The schema {schema} of {where} has version {version}; this Themis reads up to {VERSION}. "
            "Upgrade it: pip install -U themis-tui"
        )
    if version < VERSION:
        raise StorageError(
            f"The schema {schema} of {where} has version {version}, and this Themis wants {VERSION}. Let its "
            "owner save a run with this version: that brings it up to date."
        )


def migrate(connection: psycopg.Connection[Any], schema: str, where: str) -> None:
    """Make the tables, or bring them up to date: whole or not at all, and once, however many try it.

    Raises as :func:`check_version` for newer ones, :class:`StorageError` for a database that is not UTF8.
    """
    with connection.transaction():
        # Of this transaction, not of the session: PgBouncer may give the next one another session.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_lock_number(schema),))
        version = stored_version_in_transaction(connection, schema)
        if version >= VERSION:
            return check_version(version, schema, where)
        _check_encoding(connection, where)
        if not version:
            _make_schema(connection, schema)
        for step in STEPS[version:]:
            connection.execute(step.format(s=schema).encode())
        connection.execute(f"UPDATE {schema}.schema_version SET version = %s".encode(), (VERSION,))
    return None


def stored_version_in_transaction(connection: psycopg.Connection[Any], schema: str) -> int:
    """As :func:`stored_version`, and 0 for ``None``; a failed look-up would end the transaction."""
    there = connection.execute("SELECT to_regclass(%s)", (f"{schema}.schema_version",)).fetchone()
    if there is None or there[0] is None:
        return 0
    return stored_version(connection, schema) or 0


def _make_schema(connection: psycopg.Connection[Any], schema: str) -> None:
    there = connection.execute(
        "SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema.strip('"'),)
    ).fetchone()
    if there is None:  # CREATE … IF NOT EXISTS wants the right to create also where it is there
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    connection.execute(f"CREATE TABLE {schema}.schema_version (version integer NOT NULL)".encode())
    connection.execute(f"INSERT INTO {schema}.schema_version VALUES (0)".encode())


def _check_encoding(connection: psycopg.Connection[Any], where: str) -> None:
    row = connection.execute("SHOW server_encoding").fetchone()
    if row is not None and row[0] != "UTF8":
        raise StorageError(
            f"The database of {where} is encoded in {row[0]}, which cannot hold every text. Make one with: "
            "createdb --encoding=UTF8 --template=template0 NAME"
        )


def _lock_number(schema: str) -> int:
    return int.from_bytes(hashlib.sha256(f"themis schema {schema}".encode()).digest()[:8], "big", signed=True)
