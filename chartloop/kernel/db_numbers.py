"""The numbers that a database gives to new rows: a number is never given twice, even after its row is gone.

Spec: https://www.sqlite.org/autoinc.html, https://www.postgresql.org/docs/current/functions-sequence.html
"""

from __future__ import annotations

from chartloop.kernel.db_session import Session, Tx


def last_number(session: Session, table: str, column: str) -> int:
    """The last number that was given to a row of a table; 0 before the first."""
    if session.dialect == "postgresql":
        row = session.one("SELECT pg_sequence_last_value(pg_get_serial_sequence(?, ?)::regclass)", (table, column))
    else:
        row = session.one("SELECT max(seq) FROM sqlite_sequence WHERE name = ?", (table,))
    return int(row[0]) if row and row[0] is not None else 0


def go_on_after(tx: Tx, table: str, column: str, number: int) -> None:
    """Let the next row of a table get a larger number than this."""
    if number <= last_number(tx, table, column):
        return
    if tx.dialect == "postgresql":
        tx.one("SELECT setval(pg_get_serial_sequence(?, ?)::regclass, ?)", (table, column, number))
    elif not tx.run("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (number, table)):
        tx.run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, number))
