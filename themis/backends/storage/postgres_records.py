"""The records of all runs in a schema, a table for each kind: how they get in, out, and away.

Every method works within a connection that its caller has, and leaves trying again to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from themis.backends.storage.postgres_connections import Connection
from themis.backends.storage.postgres_rows import EVALUATIONS, GENERATIONS, Table, copy_chunks, read_rows
from themis.core import codec

DELETED_AT_ONCE = 5_000
"""Rows of one transaction of a deletion: short ones hold up nobody, and a cut costs little."""
DECODED_AT_ONCE = 2_000
PAGE_ROWS = 2_000
PAGE_BYTES = 4 * 1024 * 1024
"""What a reader holds who takes records one by one; a page has one record more than fits."""


class Page(NamedTuple):
    """Some records of a run, in order."""

    last: int
    """The number of the last of them; the next page comes after it."""
    records: list[Any]


class PostgresRecords:
    """The two tables of records of a schema, whose name is quoted."""

    def __init__(self, schema: str) -> None:
        self._schema = schema

    def insert(
        self, connection: Connection, table: Table, run_no: int, seen: list[Any], lines: bytes
    ) -> None:
        """Add lines that are new; ``seen`` is what :func:`seen_in` saw in them.

        Raises ``UniqueViolation`` if one is not; then none was added.
        """
        rows = copy_chunks(table, run_no, seen, lines)
        _copy_in(connection, f"{self._named(table)} ({', '.join(table.columns)})", rows)

    def merge(self, connection: Connection, table: Table, run_no: int, seen: list[Any], lines: bytes) -> None:
        """Add lines of which some are there already: of two with one identity the current one stays.

        In a transaction.
        """
        here, columns = self._named(table), ", ".join(table.columns)
        connection.execute(
            f"CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS "
            f"SELECT {columns} FROM {here} WITH NO DATA".encode()
        )
        rows = copy_chunks(table, run_no, seen, lines)
        _copy_in(connection, f"pg_temp.incoming ({columns})", rows)
        update = ", ".join(f"{each} = EXCLUDED.{each}" for each in table.columns if each != "run_no")
        new, old = (", ".join(table.rank).format(t=t) for t in ("EXCLUDED", "there"))
        connection.execute(
            f"INSERT INTO {here} AS there ({columns}) SELECT {columns} FROM pg_temp.incoming "
            f"ON CONFLICT (run_no, {table.key}) DO UPDATE SET {update} "
            f"WHERE ({new}) >= ({old}) AND EXCLUDED.body <> there.body".encode(),
            prepare=False,
        )

    def all_of(self, connection: Connection, table: Table, run_no: int, where: str) -> list[Any]:
        """The records of a run, in order. Raises :class:`StoreCorrupt` naming ``where``."""
        numbers: list[int] = []
        records: list[Any] = []
        query = f"SELECT seq, body FROM {self._named(table)} WHERE run_no = {run_no}"
        with connection.transaction():
            # How long it takes depends on the run; that the server is there the keepalives watch.
            connection.execute("SET LOCAL statement_timeout = 0")
            with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)".encode()) as copy:
                bodies: list[bytes] = []
                for number, body in read_rows(copy):
                    numbers.append(number)
                    bodies.append(body)
                    if len(bodies) == DECODED_AT_ONCE:
                        records += _decoded(bodies, table, where)
                        bodies = []
                records += _decoded(bodies, table, where)
        if any(one > next_one for one, next_one in pairwise(numbers)):
            order = sorted(range(len(numbers)), key=numbers.__getitem__)
            return [records[place] for place in order]
        return records

    def page_of(
        self, connection: Connection, table: Table, run_no: int, after: int, where: str
    ) -> Page | None:
        """The records that come next after a number; ``None`` at the end."""
        rows = connection.execute(
            "SELECT seq, body FROM (SELECT seq, body, sum(octet_length(body)) OVER (ORDER BY seq) "
            f"- octet_length(body) AS before FROM (SELECT seq, body FROM {self._named(table)} "
            "WHERE run_no = %s AND seq > %s ORDER BY seq LIMIT %s) AS next) AS page "
            "WHERE before < %s ORDER BY seq".encode(),
            (run_no, after, PAGE_ROWS, PAGE_BYTES),
            binary=True,
        ).fetchall()
        return Page(rows[-1][0], _decoded([body for _, body in rows], table, where)) if rows else None

    def delete_some(self, connection: Connection, table: Table, run_no: int, after: int) -> int | None:
        """Delete the records that come next after a number; that of the last, ``None`` at the end."""
        here = self._named(table)
        row = connection.execute(
            f"SELECT max(seq) FROM (SELECT seq FROM {here} WHERE run_no = %s AND seq > %s "
            "ORDER BY seq LIMIT %s) AS next".encode(),
            (run_no, after, DELETED_AT_ONCE),
        ).fetchone()
        if row is None or row[0] is None:
            return None
        query = f"DELETE FROM {here} WHERE run_no = %s AND seq <= %s"
        connection.execute(query.encode(), (run_no, row[0]))
        return int(row[0])

    def left_of(self, connection: Connection, run_no: int) -> list[str]:
        """The tables in which there are records of a run."""
        return [
            table.name
            for table in (GENERATIONS, EVALUATIONS)
            if connection.execute(
                f"SELECT 1 FROM {self._named(table)} WHERE run_no = %s LIMIT 1".encode(), (run_no,)
            ).fetchone()
        ]

    def size_of(self, connection: Connection, run_no: int) -> int:
        """Bytes of the records of a run."""
        size = 0
        for table in (GENERATIONS, EVALUATIONS):
            query = f"SELECT sum(octet_length(body)) FROM {self._named(table)} WHERE run_no = %s"
            row = connection.execute(query.encode(), (run_no,)).fetchone()
            size += int(row[0] or 0) if row else 0
        return size

    def _named(self, table: Table) -> str:
        return f"{self._schema}.{table.name}"


def _decoded(bodies: list[bytes], table: Table, where: str) -> list[Any]:
    return codec.decode_lines(b"\n".join([*bodies, b""]), table.record, where).records if bodies else []


def _copy_in(connection: Connection, target: str, chunks: Iterable[bytes]) -> None:
    with connection.cursor().copy(f"COPY {target} FROM STDIN (FORMAT BINARY)".encode()) as copy:
        for chunk in chunks:
            copy.write(chunk)
