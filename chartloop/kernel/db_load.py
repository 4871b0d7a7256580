"""Many rows into a table at once, the fastest way that each database has.

Spec: https://www.postgresql.org/docs/current/sql-copy.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg
from psycopg import sql

from chartloop.kernel.db_postgresql import PostgresqlSession
from chartloop.kernel.db_session import Row, Tx
from chartloop.kernel.errors import Unprocessable


def load(tx: Tx, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Put rows into a table in the caller's transaction.

    Raises:
        Unprocessable: PostgreSQL cannot hold a value that SQLite could, such as a text with a zero byte.
    """
    if not isinstance(tx, PostgresqlSession):
        tx.many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows)
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)))
    try:
        with tx.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.DataError:
        raise Unprocessable(f"PostgreSQL cannot hold a value of the table {table}: it is too large, or a text with a zero byte.") from None
