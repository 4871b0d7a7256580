"""After a move to another database server every consumer goes on where it stood, in the order of delivery, and so does the sealer."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartloop.kernel import positions
from chartloop.kernel.db import Database, create_tables, open_database

POSITION = st.tuples(st.integers(-1, 40), st.integers(0, 30))
ROWS = st.lists(st.integers(1, 40), max_size=25)
"""Transactions of rows; the number of a row is its place."""


def order_after(database: Database, table: str, cursor: tuple[int, int]) -> list[str]:
    name = "id" if table == "event" else "CAST(body AS TEXT)"
    with database.read() as session:
        return [row[0] for row in session.all(f"SELECT {name} FROM {table} WHERE (xid, seq) > (?, ?) ORDER BY xid, seq", cursor)]


def cursors(database: Database) -> dict[str, tuple[int, int]]:
    with database.read() as session:
        return {row[0]: (row[1], row[2]) for row in session.all("SELECT consumer, xid, seq FROM event_cursor")}


def fill(database: Database, events: list[int], changes: list[int], consumers: list[tuple[int, int]], head: tuple[int, int] | None) -> None:
    def work(tx) -> None:
        tx.many("INSERT INTO event (seq, xid, id, type, subject, version, key, trace, recorded) VALUES (?, ?, ?, 'T', 's', 1, 'k', '', 0)", [(n, xid, f"e{n}") for n, xid in enumerate(events, 1)])
        tx.many("INSERT INTO delivery (consumer, slot, key, seq) VALUES ('c0', '0', 'k', ?)", [(n,) for n in range(1, len(events) + 1, 2)])
        tx.many("INSERT INTO audit_change (seq, xid, codec, leaf, body) VALUES (?, ?, 0, x'00', ?)", [(n, xid, f"a{n}".encode()) for n, xid in enumerate(changes, 1)])
        tx.many("INSERT INTO event_cursor (consumer, xid, seq, lanes) VALUES (?, ?, ?, 8)", [(f"c{n}", *cursor) for n, cursor in enumerate(consumers)])
        if head:
            tx.run("INSERT INTO audit_head (size, root, recorded, previous, signature, change_xid, change_seq, frontier) VALUES (9, x'00', 0, x'00', x'00', ?, ?, x'00')", head)

    database.write(work)


@pytest.mark.conformance("Moving to another database", "whatever transactions rows and cursors stood at, each consumer gets the same events in the same order, and new events after them")
@settings(max_examples=25, deadline=None)
@given(events=ROWS, changes=ROWS, consumers=st.lists(POSITION, max_size=4), head=st.none() | POSITION)
def test_everybody_goes_on_where_they_stood(events: list[int], changes: list[int], consumers: list[tuple[int, int]], head: tuple[int, int] | None) -> None:
    with TemporaryDirectory() as directory:
        database = open_database(f"sqlite:///{Path(directory) / 'x.sqlite3'}")
        create_tables(database)
        fill(database, events, changes, consumers, head)
        expected = {name: order_after(database, "event", cursor) for name, cursor in cursors(database).items()}
        unsealed = order_after(database, "audit_change", head or (-1, 0))
        with database.read() as session:
            named = sorted(session.all("SELECT e.id FROM delivery d JOIN event e ON e.seq = d.seq"))
        database.write(positions.bring_home)
        new = "INSERT INTO event (xid, id, type, subject, version, key, trace, recorded) VALUES (0, 'new', 'T', 's', 1, 'k', '', 0)"
        database.write(lambda tx: (tx.run(new), tx.run("INSERT INTO audit_change (xid, codec, leaf, body) VALUES (0, 0, x'00', ?)", (b"new",))))
        assert {name: order_after(database, "event", cursor) for name, cursor in cursors(database).items()} == {name: [*order, "new"] for name, order in expected.items()}
        after = database.one("SELECT change_xid, change_seq FROM audit_head") or (-1, 0)
        assert order_after(database, "audit_change", after) == [*unsealed, "new"]
        with database.read() as session:
            assert sorted(session.all("SELECT e.id FROM delivery d JOIN event e ON e.seq = d.seq")) == named
            assert not positions.are_foreign(session)
        database.close()
