"""What PostgreSQL and its driver say, made into errors that tell what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import psycopg

from themis.backends.storage.postgres_address import PostgresAddress
from themis.core.errors import (
    AccessDenied,
    RecordRefused,
    StorageError,
    StoreFull,
    StoreUnreachable,
)
from themis.core.masking import masked

_LONGEST = 500


class _Reason(NamedTuple):
    """Words in libpq's message of a failed connection, and what is to be said of it."""

    words: tuple[str, ...]
    error: type[StorageError]
    mend: Callable[[PostgresAddress], str]


_REASONS = (
    _Reason(
        ("could not translate host name", "failed to resolve host", "name or service not known"),
        StoreUnreachable,
        lambda at: f"the host {at.host!r} is unknown. Is its name right, and is there a network?",
    ),
    _Reason(
        ("definition of service",),
        StoreUnreachable,
        lambda at: f"there is no service {at.service!r} in pg_service.conf. Add [{at.service}] to it.",
    ),
    _Reason(
        ("connection refused", "no such file or directory"),
        StoreUnreachable,
        lambda at: f"nothing listens on port {at.port} of {at.host or 'this machine'}. Does the server run?",
    ),
    _Reason(
        ("password authentication failed", "authentication failed"),
        AccessDenied,
        lambda at: f"the password of the user {at.user!r} is wrong, or there is no such user.",
    ),
    _Reason(
        ("no password supplied", "fe_sendauth"),
        AccessDenied,
        lambda at: f"the user {at.user!r} needs a password: in ~/.pgpass, or by reference in a profile.",
    ),
    _Reason(
        ("certificate", "ssl", "no encryption", "tls"),
        StoreUnreachable,
        lambda at: "no encrypted connection could be agreed on. Look at sslmode, sslrootcert and sslcert.",
    ),
    _Reason(
        ("no pg_hba.conf entry",),
        AccessDenied,
        lambda at: f"its pg_hba.conf lets {at.user!r} not into {at.database!r} from here.",
    ),
    _Reason(
        ("permission denied for database", "is not permitted to log in"),
        AccessDenied,
        lambda at: f"{at.user!r} may not connect. Ask for: GRANT CONNECT ON DATABASE {at.database}",
    ),
    _Reason(
        ("too many clients", "connection slots", "too many connections"),
        StoreUnreachable,
        lambda at: "it has no connection to spare. Raise max_connections, or put PgBouncer before it.",
    ),
    _Reason(
        ("starting up", "shutting down", "recovery mode", "not yet accepting"),
        StoreUnreachable,
        lambda at: "it is just starting or stopping. Try again in a moment.",
    ),
    _Reason(
        ("timeout expired", "timed out", "timeout"),
        StoreUnreachable,
        lambda at: "it did not answer in time. Is a firewall between?",
    ),
)
_NO_DATABASE = ('database "', "does not exist")
_NO_ROLE = ('role "', "does not exist")

_ANSWERS: dict[str, tuple[type[StorageError], str]] = {
    "25006": (AccessDenied, "it takes no writes: it is a standby, or read-only. Write to the primary."),
    "42501": (AccessDenied, "the role may not do this. docs/postgres.md lists the GRANTs it needs."),
    "3F000": (StorageError, "the schema is not there any more. Its owner makes it by saving a run."),
    "42P01": (StorageError, "a table is not there any more. Was the schema dropped meanwhile?"),
    "42703": (StorageError, "a column is not there: the schema is not one that Themis made."),
    "57014": (StoreUnreachable, "it did not answer in time, see statement_timeout."),
    "55P03": (StoreUnreachable, "a lock was not to be had in time."),
    "54000": (RecordRefused, "a record is larger than the server can hold."),
    "22P05": (RecordRefused, "the database's encoding cannot hold this text. It has to be UTF8."),
}
"""SQLSTATE to what is raised and said."""
_FULL = ("53",)
_AWAY = ("08", "57P")
_AGAIN = ("40001", "40P01")


def refused(exc: psycopg.Error, address: PostgresAddress) -> StorageError:
    """What a connection that could not be made means."""
    text = _words(exc)
    low = text.lower()
    if all(each in low for each in _NO_DATABASE) and not all(each in low for each in _NO_ROLE):
        said = f"it has no database {address.database!r}. Make it: createdb {address.database}"
        return StorageError(f"PostgreSQL at {address}: {said} ({text})")
    if all(each in low for each in _NO_ROLE):
        said = f"it has no role {address.user!r}."
        return AccessDenied(f"PostgreSQL at {address}: {said} ({text})")
    for reason in _REASONS:
        if any(each in low for each in reason.words):
            return reason.error(f"PostgreSQL at {address}: {reason.mend(address)} ({text})")
    return StoreUnreachable(f"PostgreSQL at {address} cannot be reached: {text}")


def translated(exc: psycopg.Error, address: PostgresAddress, doing: str) -> StorageError:
    """What an error during ``doing``, such as ``"save records"``, means."""
    state = exc.sqlstate or ""
    error: type[StorageError]
    if state in _ANSWERS:
        error, mend = _ANSWERS[state]
    elif state.startswith(_FULL) and state != "53300":
        error, mend = StoreFull, "it has no room left. What was saved before is whole; make room on it."
    elif is_lost(exc):
        error, mend = StoreUnreachable, "the connection was lost."
    else:
        error, mend = StorageError, "it refused."
    return error(f"PostgreSQL at {address} could not {doing}: {mend} ({_words(exc)})")


def is_lost(exc: psycopg.Error) -> bool:
    """Whether the connection is gone, not the question wrong."""
    state = exc.sqlstate or ""
    return state.startswith(_AWAY) if state else isinstance(exc, psycopg.OperationalError)


def is_worth_repeating(exc: psycopg.Error) -> bool:
    """Whether the same again may succeed at once: another transaction was in the way."""
    return (exc.sqlstate or "") in _AGAIN


def _words(exc: psycopg.Error) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return masked(" ".join(lines))[:_LONGEST] or type(exc).__name__
