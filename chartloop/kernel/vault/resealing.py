"""Sealing what is stored already: columns, in short transactions beside the server, so that nobody waits long.

A table is walked in the order of its key. What is in clear is sealed; with `retired`, what a retired key sealed is sealed anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from chartloop.kernel.db_session import Database, Row, Tx
from chartloop.kernel.vault import columns as kept_columns
from chartloop.kernel.vault.columns import Columns, SealedColumn

AT_ONCE: Final = 200
"""Most values of one transaction."""


class Progress(NamedTuple):
    """How far one table has come."""

    table: str
    seen: int
    sealed: int


def retired_numbers(database: Database) -> frozenset[int]:
    """Numbers of the keys that seal no more and are not destroyed."""
    with database.read() as session:
        return frozenset(int(row[0]) for row in session.all("SELECT id FROM data_key WHERE retired > 0 AND destroyed = 0"))


def seal_columns(database: Database, listed: Iterable[SealedColumn], old: frozenset[int]) -> Iterator[Progress]:
    """Seal the values of some columns; yield after each transaction.

    Args:
        database: Its columns use a vault that seals.
        listed: The columns.
        old: Numbers of the data keys whose values are sealed anew.
    """
    for column in listed:
        yield from _seal_column(database, column, old)


def _seal_column(database: Database, column: SealedColumn, old: frozenset[int]) -> Iterator[Progress]:
    names, width = ", ".join(column.key), len(column.key)
    after: tuple[object, ...] = ()
    seen = sealed = 0
    while True:
        where = f" WHERE ({names}) > ({', '.join('?' * width)})" if after else ""
        with database.read() as session:
            rows = session.all(f"SELECT {names}, {column.column} FROM {column.table}{where} ORDER BY {names} LIMIT ?", (*after, AT_ONCE))
        if not rows:
            return
        after, seen = tuple(rows[-1][:width]), seen + len(rows)
        wanted = [row for row in rows if _wants(row[-1], old)]
        if wanted:
            sealed += database.write(lambda tx, wanted=wanted: _write(tx, column, wanted))  # type: ignore[misc]
        yield Progress(f"{column.table}.{column.column}", seen, sealed)


def _wants(value: bytes | str, old: frozenset[int]) -> bool:
    value = value if isinstance(value, str) else bytes(value)
    if kept_columns.is_sealed(value):
        return kept_columns.key_number(value) in old
    return bool(value)


def _write(tx: Tx, column: SealedColumn, rows: Iterable[Row]) -> int:
    """Seal values, unless somebody has written others meanwhile."""
    same = " AND ".join(f"{name} = ?" for name in (*column.key, column.column))
    sql = f"UPDATE {column.table} SET {column.column} = ? WHERE {same}"
    return tx.many(sql, [(_again(tx.columns, column, row), *row) for row in rows])


def _again(columns: Columns, column: SealedColumn, row: Row) -> bytes | str:
    place = (f"{column.table}.{column.column}", *(bytes(part).hex() if isinstance(part, bytes | memoryview) else part for part in row[:-1]))
    value = row[-1]
    if isinstance(value, str):
        return columns.keep_text(columns.kept_text(value, *place), *place)
    return columns.keep(columns.kept(bytes(value), *place), *place)
