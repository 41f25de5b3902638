"""The records of all runs in a schema, a table for each kind: how they get in, out, and away.

Every method works within a connection that its caller has, and leaves trying again to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from themis.backends.storage.postgres_connections import Connection
from themis.backends.storage.postgres_rows import EVALUATIONS, GENERATIONS, Table, copy_chunks
from themis.core import codec

DELETED_AT_ONCE = 5_000
"""Rows of one transaction of a deletion: short ones hold up nobody, and a cut costs little."""
FETCHED_AT_ONCE = 20_000
"""Rows of one statement where a reader wants them all: no statement takes as long as the run is large."""
PAGE_ROWS = 2_000
PAGE_BYTES = 4 * 1024 * 1024
"""What a reader holds who takes records one by one; a page has one record more than fits."""


_IN_ORDER = b"SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"


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

    def large_page(
        self, connection: Connection, table: Table, run_no: int, after: int, where: str
    ) -> Page | None:
        """As :meth:`page_of`, for whoever takes them all: as many as are well fetched at once."""
        query = (
            f"SELECT seq, body FROM {self._named(table)} WHERE run_no = %s AND seq > %s ORDER BY seq LIMIT %s"
        )
        return self._page(connection, query, (run_no, after, FETCHED_AT_ONCE), table, where)

    def page_of(
        self, connection: Connection, table: Table, run_no: int, after: int, where: str
    ) -> Page | None:
        """The records that come next after a number, few at a time; ``None`` at the end.

        Raises :class:`StoreCorrupt` naming ``where``.
        """
        query = (
            "SELECT seq, body FROM (SELECT seq, body, sum(octet_length(body)) OVER (ORDER BY seq) "
            f"- octet_length(body) AS before FROM (SELECT seq, body FROM {self._named(table)} "
            "WHERE run_no = %s AND seq > %s ORDER BY seq LIMIT %s) AS next) AS page "
            "WHERE before < %s ORDER BY seq"
        )
        return self._page(connection, query, (run_no, after, PAGE_ROWS, PAGE_BYTES), table, where)

    def _page(
        self, connection: Connection, query: str, values: tuple[int, ...], table: Table, where: str
    ) -> Page | None:
        with connection.transaction():
            # By the index, which has them in order: without statistics the whole rest might be sorted.
            connection.execute(_IN_ORDER, prepare=False)
            rows = connection.execute(query.encode(), values, binary=True).fetchall()
        if not rows:
            return None
        lines = b"\n".join([*(body for _, body in rows), b""])
        return Page(rows[-1][0], codec.decode_lines(lines, table.record, where).records)

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


def _copy_in(connection: Connection, target: str, chunks: Iterable[bytes]) -> None:
    with connection.cursor().copy(f"COPY {target} FROM STDIN (FORMAT BINARY)".encode()) as copy:
        for chunk in chunks:
            copy.write(chunk)
