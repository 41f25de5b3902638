"""Where a PostgreSQL server is, and how to speak with it; the password in it is used and never shown."""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from themis.core.errors import UsageError
from themis.core.masking import keep_secret

IDLE_IN_TRANSACTION_S = 60.0
"""After this the server ends a transaction whose client says nothing, so that it holds up no other."""
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""Seconds until a peer that is silent is asked, and asked again: gone after 25 s."""
TCP_USER_TIMEOUT_MS = 15_000
"""How long what was sent may stay unacknowledged: a dead network ends a call, not a day of waiting."""
_SHOWN = ("host", "hostaddr", "port", "dbname")


class PostgresAddress:
    """A connection string, taken apart once: what is shown of it, and the arguments of the driver."""

    def __init__(
        self, text: str, *, connect_timeout: float, statement_timeout: float, pgbouncer: bool
    ) -> None:
        """Raises :class:`UsageError`, which quotes nothing, for what libpq cannot read."""
        given = _parsed(text)
        self.service: str | None = given.get("service") or os.environ.get("PGSERVICE")
        known = {**_defaults(), **_of_service(self.service), **given}
        self.host: str = known.get("hostaddr") or known.get("host") or ""
        """A name, an address, a folder of a socket, or several with commas; empty for the usual socket."""
        self.port: str = str(known.get("port") or "5432")
        self.user: str = str(known.get("user") or "")
        self.database: str = str(known.get("dbname") or self.user)
        self.pgbouncer = pgbouncer
        if given.get("password"):
            keep_secret(str(given["password"]))
        self._arguments = _arguments(given, connect_timeout, statement_timeout, pgbouncer)

    def connect(self) -> psycopg.Connection[Any] | psycopg.Error:
        """A new connection, or why there is none.

        The reason is returned, not raised: a traceback would lead through frames that hold the password.
        """
        try:
            return psycopg.connect(
                "",
                **self._arguments,
                autocommit=True,
                prepare_threshold=None if self.pgbouncer else 5,
            )
        except psycopg.Error as exc:
            return exc.with_traceback(None)

    @property
    def uses_tcp(self) -> bool:
        """Whether one host is asked over TCP, so that finding it and reaching it can be tried apart."""
        one_host = bool(self.host) and not self.host.startswith(("/", "@")) and "," not in self.host
        return one_host and self.port.isdigit()

    def __str__(self) -> str:
        return f"{self.host or 'local socket'}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        return f"PostgresAddress({str(self)!r})"


def _parsed(text: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(text)
    except psycopg.Error:
        pass
    # Outside of the handler: what libpq says of it quotes it, and perhaps the password.
    raise UsageError(
        "The connection string is none that libpq reads. Write postgresql://USER@HOST:PORT/DATABASE, with "
        "signs such as @ / : in a password percent-encoded; or host=… dbname=…; or service=NAME."
    )


def _defaults() -> dict[str, Any]:
    """What libpq would take for what is not given: variables such as ``PGHOST``, and its own."""
    try:
        found = {each.keyword.decode(): each.val for each in Conninfo.get_defaults()}
    except psycopg.Error:  # PGSERVICE names none; connecting will say so
        return {}
    return {key: (found[key] or b"").decode() for key in (*_SHOWN, "user") if found.get(key)}


def _of_service(name: str | None) -> dict[str, str]:
    """What ``pg_service.conf`` says of a service, apart from secrets; for showing, libpq reads it itself."""
    if name is None:
        return {}
    files = [os.environ.get("PGSERVICEFILE"), str(Path.home() / ".pg_service.conf")]
    if folder := os.environ.get("PGSYSCONFDIR"):
        files.append(f"{folder}/pg_service.conf")
    for path in filter(None, files):
        parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        if parser.has_section(name):
            return {key: value for key, value in parser.items(name) if key in (*_SHOWN, "user")}
    return {}


def _arguments(
    given: dict[str, Any], connect_timeout: float, statement_timeout: float, pgbouncer: bool
) -> dict[str, Any]:
    arguments = {
        "connect_timeout": max(2, round(connect_timeout)),  # libpq takes 1 for 2, and 0 for ever
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
        "application_name": "themis",
        **KEEPALIVE,
        **given,
        "client_encoding": "UTF8",
    }
    if not pgbouncer:  # which refuses a connection that brings options
        limits = (
            f"-c statement_timeout={round(statement_timeout * 1000)} "
            f"-c idle_in_transaction_session_timeout={round(IDLE_IN_TRANSACTION_S * 1000)}"
        )
        arguments["options"] = f"{limits} {given.get('options') or ''}".strip()
    return arguments
