"""Where a PostgreSQL server is, and how to speak with it; the password in it is used and never shown."""

from __future__ import annotations

import configparser
import math
import os
import re
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from themis.backends.storage.postgres_connection import PostgresConnection
from themis.backends.uris import POSTGRES_OPTIONS
from themis.core.errors import UsageError
from themis.core.masking import keep_secret

IDLE_IN_TRANSACTION_S = 60.0
"""After this the server ends a transaction whose client says nothing, so that it holds up no other."""
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""Seconds until a peer that is silent is asked, and asked again: gone after 25 s."""
TCP_USER_TIMEOUT_MS = 15_000
"""How long what was sent may stay unacknowledged: a dead network ends a call, not a day of waiting."""
GRACE_S = 10.0
"""How much longer than the server gives a statement its silence is borne."""
_OPTION = re.compile(r"[A-Za-z_]{1,40}")
_SHOWN = ("host", "hostaddr", "port", "dbname")


class PostgresAddress:
    """A connection string, taken apart once: what is shown of it, and the arguments of the driver."""

    def __init__(
        self, text: str, *, connect_timeout: float, statement_timeout: float, pgbouncer: bool
    ) -> None:
        """Raises :class:`UsageError`, which quotes nothing, for what libpq cannot read."""
        given = _parsed(text)
        self.service: str | None = given.get("service") or os.environ.get("PGSERVICE")
        served = _of_service(self.service)
        known = {**_defaults(), **served, **given}
        # Of a service that is not found here, libpq's defaults would name a place that nobody asked for.
        unknown = self.service is not None and not served and not ({"host", "hostaddr"} & given.keys())
        self._service_alone = f"service {self.service}" if unknown else None
        self.host: str = known.get("hostaddr") or known.get("host") or ""
        """A name, an address, a folder of a socket, or several with commas; empty for the usual socket."""
        self.port: str = str(known.get("port") or "5432")
        self.user: str = str(known.get("user") or "")
        self.database: str = str(known.get("dbname") or self.user)
        self.pgbouncer = pgbouncer
        self._silence_s = statement_timeout + GRACE_S if statement_timeout > 0 else math.inf
        if given.get("password"):
            keep_secret(str(given["password"]))
        self._arguments = _arguments(given, connect_timeout, statement_timeout, pgbouncer)

    def connect(self) -> PostgresConnection | psycopg.Error:
        """A new connection, or why there is none.

        The reason is returned, not raised: a traceback would lead through frames that hold the password.
        """
        try:
            made = PostgresConnection.connect(
                "",
                **self._arguments,
                autocommit=True,
                prepare_threshold=None if self.pgbouncer else 5,
            )
        except psycopg.Error as exc:
            return exc.with_traceback(None)
        made.silence_s = self._silence_s
        return made

    @property
    def uses_tcp(self) -> bool:
        """Whether one host is asked over TCP, so that finding it and reaching it can be tried apart."""
        one_host = bool(self.host) and not self.host.startswith(("/", "@")) and "," not in self.host
        return one_host and self.port.isdigit()

    def __str__(self) -> str:
        if self._service_alone is not None:
            return self._service_alone
        return f"{self.host or 'local socket'}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        return f"PostgresAddress({str(self)!r})"


def _parsed(text: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(text)
    except psycopg.Error:
        pass
    # Outside of the handler: what libpq says of it quotes it, and perhaps the password.
    if unknown := _unknown_options(text):
        raise UsageError(
            f"A PostgreSQL address has no option {', '.join(map(repr, unknown))}. There are Themis's own "
            f"({', '.join(POSTGRES_OPTIONS)}) and libpq's, such as sslmode."
        )
    raise UsageError(
        "The connection string is none that libpq reads. Write postgresql://USER@HOST:PORT/DATABASE, with "
        "signs such as @ / : in a password percent-encoded; or host=… dbname=…; or service=NAME."
    )


def _unknown_options(uri: str) -> list[str]:
    """The options of an address that neither libpq has nor Themis; none where it may be of a password."""
    query = uri.partition("?")[2] if "://" in uri else ""
    if "@" in query or "%40" in query:
        return []
    names = [each.partition("=")[0] for each in query.split("&")]
    known = {each.keyword.decode() for each in Conninfo.get_defaults()} | {*POSTGRES_OPTIONS, "ssl"}
    return [name for name in names if _OPTION.fullmatch(name) and name not in known]


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
