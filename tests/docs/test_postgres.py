"""What docs/postgres.md says to type works on a real server."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

from tests.backends.conftest import postgres  # noqa: F401 - a fixture
from tests.backends.postgres_server import PostgresServer
from themis import evaluate
from themis.backends import PostgresStorageBackend

PAGE = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text()
GRANTS, QUERY = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


def test_grants_and_query(postgres: PostgresServer):  # noqa: F811
    postgres.execute("CREATE DATABASE documented")
    uri = postgres.uri(database="documented")
    with PostgresStorageBackend(uri) as owner:
        evaluate("demo", model="fake-math-llm", limit=20, storage_backend=owner)
    postgres.execute(*filter(str.strip, GRANTS.split(";")), database="documented")
    postgres.execute(
        "CREATE ROLE documented_user LOGIN PASSWORD 'user-pw' IN ROLE themis_user",
        "CREATE ROLE documented_reader LOGIN PASSWORD 'reader-pw' IN ROLE themis_reader",
        database="documented",
    )
    with PostgresStorageBackend(postgres.uri("documented_user", "user-pw", "documented")) as user:
        assert [step for step in user.check() if not step.ok] == []
        evaluate("demo", model="fake-math-llm", limit=10, storage_backend=user)
    reader = postgres.uri("documented_reader", "reader-pw", "documented")
    with PostgresStorageBackend(reader) as backend:
        assert len(list(backend.list_summaries())) == 2
    with psycopg.connect(reader) as connection:
        ((model, answers, accuracy),) = connection.execute(QUERY.encode()).fetchall()
    assert (model, answers) == ("fake-math-llm", 30)
    assert 0 < accuracy < 1


def test_columns_of_the_views(postgres: PostgresServer):  # noqa: F811
    with PostgresStorageBackend(postgres.uri(), schema="columns") as backend:
        backend.save_run_metadata("r", {})
    for view in ("runs", "generations", "evaluations"):
        (row,) = re.findall(rf"\| `{view}` \| (.*) \|", PAGE)
        with psycopg.connect(postgres.uri()) as connection:
            cursor = connection.execute(f"SELECT * FROM columns.{view}".encode())
            assert [each.name for each in cursor.description or ()] == re.findall(r"`(\w+)`", row)
