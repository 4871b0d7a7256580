"""Reading a dump of PostgreSQL without PostgreSQL: rows are counted, and those that the audit proof needs are put into a SQLite file.

Spec: https://www.postgresql.org/docs/current/sql-copy.html (text format)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from sqlalchemy import Double, LargeBinary, Numeric, Table
from sqlalchemy.types import Integer

from chartloop.kernel.db_session import Database, Tx
from chartloop.migrate import all_tables

PROVING: Final = (
    "audit_change", "audit_leaf", "audit_head", "audit_segment", "audit_state", "audit_patient", "audit_entry", "audit_entity",
    "data_key", "resource", "version",
)  # fmt: skip
"""Tables that the audit proof reads."""

Value = str | bytes | int | float | None
_COPY: Final = re.compile(rb'^COPY (?:[\w"]+\.)?"?(\w+)"? \(([^)]*)\) FROM stdin;$')
_END: Final = b"\\."
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)", re.DOTALL)
_MEANT: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_AT_ONCE: Final = 5_000
_LEFT_OUT: Final = {("version", "body"): b""}
"""What no proof looks at, and takes most of the room."""


def take_rows(stream: Iterable[bytes], database: Database) -> dict[str, int]:
    """Count the rows of every table in a dump, and put those of PROVING into a database that has these tables; return the counts."""
    known, counts = all_tables().tables, {}
    lines = iter(stream)
    for line in lines:
        found = _COPY.match(line.rstrip(b"\n"))
        if found is None:
            continue
        name = found[1].decode()
        rows = _until_end(lines)
        if name in PROVING:
            columns = [each.strip().strip('"') for each in found[2].decode().split(",")]
            counts[name] = _put(database, known[name], columns, rows)
        elif name in known:
            counts[name] = sum(1 for _ in rows)
    return counts


def _until_end(lines: Iterator[bytes]) -> Iterator[bytes]:
    for line in lines:
        row = line.rstrip(b"\n")
        if row == _END:
            return
        yield row


def _put(database: Database, table: Table, columns: list[str], rows: Iterator[bytes]) -> int:
    readers = [_reader(table, column) for column in columns]
    sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    count = 0
    while part := [[read(field) for read, field in zip(readers, row.split(b"\t"), strict=True)] for row in islice(rows, _AT_ONCE)]:
        count += len(part)
        database.write(_inserting(sql, part))
    return count


def _inserting(sql: str, rows: list[list[Value]]) -> Callable[[Tx], int]:
    return lambda tx: tx.many(sql, rows)


def _reader(table: Table, column: str) -> Callable[[bytes], Value]:
    if (table.name, column) in _LEFT_OUT:
        return lambda _: _LEFT_OUT[table.name, column]
    kind = table.columns[column].type
    if isinstance(kind, LargeBinary):
        return lambda field: None if field == b"\\N" else bytes.fromhex(field[3:].decode())
    if isinstance(kind, Integer):
        return lambda field: None if field == b"\\N" else int(field)
    if isinstance(kind, Double | Numeric):
        return lambda field: None if field == b"\\N" else float(field)
    return lambda field: None if field == b"\\N" else _ESCAPE.sub(_unescaped, field).decode()


def _unescaped(found: re.Match[bytes]) -> bytes:
    said = found[1]
    if said[:1] in b"01234567":
        return bytes((int(said, 8),))
    return bytes((int(said[1:], 16),)) if said[:1] == b"x" and len(said) > 1 else _MEANT.get(said, said)
