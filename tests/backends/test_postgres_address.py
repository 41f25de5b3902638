"""What a PostgreSQL address says of itself, without a server."""

from __future__ import annotations

import inspect

import pytest

from themis.backends.storage.postgres import PostgresStorageBackend
from themis.backends.storage.postgres_address import PostgresAddress
from themis.backends.uris import POSTGRES_OPTIONS
from themis.core.errors import UsageError


def address(text: str) -> PostgresAddress:
    return PostgresAddress(text, connect_timeout=5, statement_timeout=5, pgbouncer=False)


def test_an_unknown_option_is_named_beside_those_there_are():
    with pytest.raises(UsageError, match=r"no option 'schma'.*schema, journal.*sslmode"):
        address("postgresql://ada:geheim@h/d?sslmode=require&schma=vision")
    # libpq has a connect_timeout of its own.
    own = inspect.signature(PostgresStorageBackend).parameters.keys() - {
        "connection_string",
        "connect_timeout",
    }
    assert own == set(POSTGRES_OPTIONS)


@pytest.mark.parametrize(
    "text", ["postgresql://ada:p?geheim=x@h/d?schma=v", "postgresql://ada:p?geheim=x%40h/d"]
)
def test_a_password_with_a_question_mark_is_not_taken_for_an_option(text: str):
    with pytest.raises(UsageError) as refused:
        address(text)
    assert "geheim" not in str(refused.value)


def test_a_service_that_is_not_there_is_called_by_its_name(tmp_path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "pg_service.conf"
    path.write_text("[lab]\nhost=db.lab\ndbname=evals\n")
    monkeypatch.setenv("PGSERVICEFILE", str(path))
    assert str(address("service=nosuch")) == "service nosuch"
    assert str(address("service=nosuch host=h dbname=d")) == "h:5432/d"
    assert str(address("service=lab")) == "db.lab:5432/evals"
